"""What program, version and procedure numbers mean: generated modules, and .x files compiled on the spot."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from nfsrpc.protocols import key_prot, mount, nfs_prot, portmap, rpcb_prot, rquota
from nfsrpc.rpcgen.compiler import compile_file
from nfsrpc.rpcgen.python.module import generate, module_name
from nfsrpc.xdr import DEFAULT_LIMITS, Limits, Procedure

LIMITS: Limits = DEFAULT_LIMITS._replace(
    message=4 << 20, accept_nonzero_padding=True, accept_any_bool=True, accept_trailing_bytes=True
)
"""What is looked at is not what one would accept: a peer's rubbish fill bytes are no reason to show nothing."""
OURS = (portmap, rpcb_prot, mount, nfs_prot, rquota, key_prot)
SHORT: Mapping[str, str] = MappingProxyType({
    "NFS_PROGRAM": "nfs",
    "MOUNTPROG": "mount",
    "PMAP_PROG": "portmap",
    "RPCBPROG": "rpcbind",
    "RQUOTAPROG": "rquota",
    "KEY_PROG": "keyserv",
})


@dataclass(frozen=True, slots=True)
class Named:
    """A procedure with the names that people know: ``nfs``, ``GETATTR``."""

    program: str
    name: str
    procedure: Procedure


class Programs:
    """Programs by number. Later modules win over earlier ones."""

    def __init__(self, modules: Iterable[ModuleType] = OURS) -> None:
        self._procedures: dict[tuple[int, int, int], Named] = {}
        self._names: dict[int, str] = {}
        for module in modules:
            self.add(module)

    def add(self, module: ModuleType) -> None:
        """Take the programs of a generated module."""
        for name, item in vars(module).items():
            if name.endswith("_service") and hasattr(item, "procedures"):
                self._add_version(name.removesuffix("_service").rpartition("_")[0], item.procedures)

    def add_spec(self, path: Path) -> None:
        """Compile a .x file and take its programs. Raises `CompileError`, or `OSError` where it cannot be read."""
        spec = compile_file(path).spec
        module = ModuleType(module_name(spec))
        exec(compile(generate(spec), str(path), "exec"), module.__dict__)
        self.add(module)

    def _add_version(self, program: str, procedures: Mapping[int, Procedure]) -> None:
        short = SHORT.get(program, program)
        # Procedure 0 of a specification that does not name it is called NULL.
        prefix = _common_prefix([p.name for p in procedures.values() if p.name != "NULL"] or ["NULL"])
        for procedure in procedures.values():
            key = (procedure.program, procedure.version, procedure.number)
            self._procedures[key] = Named(short, procedure.name.removeprefix(prefix), procedure)
            self._names.setdefault(procedure.program, short)

    def find(self, program: int, version: int, procedure: int) -> Named | None:
        """The procedure, None where no module knows it."""
        return self._procedures.get((program, version, procedure))

    def program_name(self, program: int) -> str:
        """``nfs``, or the number."""
        return self._names.get(program, str(program))

    def procedure_name(self, program: int, version: int, procedure: int) -> str:
        """``GETATTR``, ``NULL`` for every program's procedure 0, or the number."""
        named = self.find(program, version, procedure)
        if named is not None:
            return named.name
        return "NULL" if procedure == 0 else f"proc-{procedure}"


def _common_prefix(names: list[str]) -> str:
    """What all names begin with, up to an underscore: NFSPROC_ is no news to anybody."""
    first, last = min(names), max(names)
    same = next((at for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    return first[: first.rfind("_", 0, same) + 1]


def decode_arguments(procedure: Procedure, data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
    """The arguments that begin at `at` of a call, and where they end. Raises `XdrDecodeError`."""
    arguments, end = procedure.decode_args(data, at, LIMITS)
    return arguments, end


def decode_result(procedure: Procedure, data: bytes, at: int) -> tuple[Any, int]:
    """The result that begins at `at` of a reply, and where it ends. Raises `XdrDecodeError`."""
    return procedure.decode_result(data, at, LIMITS)
