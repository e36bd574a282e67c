"""Our codec beside C's: libtirpc with the output of the system's rpcgen, for own types and for Debian's .x files.

C decodes what we encode and encodes it again: equal bytes mean that both read and write the same. Mutated
bytes are accepted by us exactly when C accepts them, apart from what STRICTER lists.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from xdr_values import Values, module_of

from nfsrpc.rpcgen.compiler import compile_file
from nfsrpc.xdr import DEFAULT_LIMITS, XdrError, decode, encode

OWN = Path(__file__).parents[1] / "rpcgen" / "x" / "c_types.x"
SPECS = Path(__file__).parents[2] / "xdr_specs"
RPCSVC = Path("/usr/include/rpcsvc")
FILES = {
    "own": OWN,
    **{f"xdr_specs/{name}": SPECS / f"{name}.x" for name in ("nfs_prot", "mount", "file_read_write")},
    **{
        f"rpcsvc/{name}": RPCSVC / f"{name}.x"
        for name in """bootparam_prot key_prot klm_prot mount nfs_prot nlm_prot rex rquota
            rstat rusers sm_inter spray yp yppasswd""".split()  # noqa: SIM905
    },
}
# Where we refuse on purpose what C takes. Each is a rule of RFC 4506 that libtirpc does not apply on decoding.
STRICTER = (
    "fill bytes must be zero",  # §3
    "is not one of",  # §4.3, §4.4: an undeclared enum value, a bool that is neither 0 nor 1
    "is not within",  # char and short, which C cuts down to their size
)


class Peer:
    """The C program: one process that answers one request after the other."""

    def __init__(self, program: Path, names: list[str]) -> None:
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.index = {name: i for i, name in enumerate(names)}

    def transcode(self, name: str, data: bytes) -> tuple[int, bytes]:
        """Return the bytes consumed, or a negative number, and what C encodes the decoded value as."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(struct.pack(">II", self.index[name], len(data)) + data)
        self.process.stdin.flush()
        consumed, size = struct.unpack(">iI", self.process.stdout.read(8))
        return consumed, self.process.stdout.read(size)

    def close(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        assert self.process.wait(timeout=30) == 0
        self.process.stdout.close()


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], tuple[Peer, Values, ModuleType]]]:
    """Return a function that makes the C program and our module of a file, once per file."""
    missing = [tool for tool in ("gcc", "rpcgen") if shutil.which(tool) is None]
    if missing or not Path("/usr/include/tirpc").is_dir():
        pytest.skip(f"needs {', '.join(missing) or 'libtirpc-dev'} to compile the C peer")
    made: dict[str, tuple[Peer, Values, ModuleType]] = {}

    def make(label: str) -> tuple[Peer, Values, ModuleType]:
        if label not in made:
            made[label] = build_peer(FILES[label], tmp_path_factory.mktemp("c"))
        return made[label]

    yield make
    for peer, _, _ in made.values():
        peer.close()


def build_peer(path: Path, folder: Path) -> tuple[Peer, Values, ModuleType]:
    if not path.is_file():
        pytest.skip(f"{path} is not installed")
    spec = compile_file(path).spec
    source = folder / "types.x"
    shutil.copy(path, source)
    for option, name in (("-h", "types.h"), ("-c", "types_xdr.c")):
        subprocess.run(["rpcgen", option, "-o", name, "types.x"], cwd=folder, check=True, capture_output=True)
    header = (folder / "types.h").read_text()
    # What rpcgen does not declare (types of C's own headers) has no codec of its own to compare.
    names = [name for name in spec.types if f"xdr_{name} (" in header or f"xdr_{name}(" in header]
    (folder / "table.h").write_text("".join(f"TYPE({name})\n" for name in names))
    program = folder / "transcode"
    sources = [Path(__file__).parent / "c" / "transcode.c", folder / "types_xdr.c"]
    defines = ['-DHEADER="types.h"', '-DTABLE="table.h"']
    flags = ["-w", "-O1", f"-I{folder}", "-I/usr/include/tirpc", *defines, "-o", str(program), "-ltirpc"]
    subprocess.run(["gcc", *map(str, sources), *flags], cwd=folder, check=True, capture_output=True)
    module = module_of(spec)
    return Peer(program, names), Values(spec, module), module


def quietly(examples: int) -> settings:
    return settings(
        max_examples=examples,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )


@pytest.mark.parametrize("label", FILES)
def test_c_reads_what_we_write_and_writes_it_again(build: Callable, label: str) -> None:
    peer, values, module = build(label)
    for name in peer.index:
        round_trip(peer, values, module, name, 25 if label == "own" else 8)


def round_trip(peer: Peer, values: Values, module: ModuleType, name: str, examples: int) -> None:
    encoder, decoder = getattr(module, f"encode_{name}"), getattr(module, f"decode_{name}")

    @quietly(examples)
    @given(values.named(name))
    def compare(value: object) -> None:
        data = encode(encoder, value)
        consumed, again = peer.transcode(name, data)
        assert (consumed, again) == (len(data), data), (name, value)
        assert decode(decoder, again) == value

    compare()


def mutations(data: bytes) -> st.SearchStrategy[bytes]:
    """Bytes near valid ones: cut, extended, with single bytes or whole words replaced."""
    words = st.sampled_from([0, 1, 2, 3, 5, 255, 256, 2**31 - 1, 2**31, 2**32 - 1])

    def replace(at: int, word: int) -> bytes:
        position = at * 4 % max(len(data) // 4 * 4, 1)
        return (data[:position] + struct.pack(">I", word) + data[position + 4 :])[: max(len(data), 4)]

    return st.one_of(
        st.integers(0, len(data)).map(lambda n: data[:n]),
        st.binary(min_size=1, max_size=8).map(lambda tail: data + tail),
        st.builds(replace, st.integers(0, 1000), words),
        st.tuples(st.integers(0, max(len(data) - 1, 0)), st.integers(0, 255)).map(
            lambda change: data[: change[0]] + bytes([change[1]]) + data[change[0] + 1 :]
        ),
    )


def assert_same_but_for_nans(written: bytes, read: bytes) -> None:
    """Equal, but that a signalling NaN of 32 bits, which no Python float can hold, has become a quiet one."""
    assert len(written) == len(read)
    for at, (ours, theirs) in enumerate(zip(written, read, strict=True)):
        if ours != theirs:
            assert (at % 4, ours) == (1, theirs | 0x40), (written, read)
            assert read[at - 1] in b"\x7f\xff", (written, read)
            assert theirs >= 0x80, (written, read)


@pytest.mark.parametrize("label", FILES)
def test_mutated_bytes_are_accepted_exactly_when_c_accepts_them(build: Callable, label: str) -> None:
    peer, values, module = build(label)
    for name in peer.index:
        same_verdict(peer, values, module, name, 60 if label == "own" else 12)


def same_verdict(peer: Peer, values: Values, module: ModuleType, name: str, examples: int) -> None:
    encoder, decoder = getattr(module, f"encode_{name}"), getattr(module, f"decode_{name}")

    @quietly(examples)
    @given(values.named(name).map(lambda value: encode(encoder, value)).flatmap(mutations))
    def compare(data: bytes) -> None:
        consumed, again = peer.transcode(name, data)
        refused = ""
        try:
            value, end = decoder(data, 0, DEFAULT_LIMITS)
        except XdrError as refusal:
            refused = refusal.reason
        if refused:
            assert consumed < 0 or any(reason in refused for reason in STRICTER), (name, data, refused)
            return
        assert consumed == end, (name, data, value)
        assert_same_but_for_nans(encode(encoder, value), data[:end])
        # C's strings end at a zero byte, so what it writes back may be shorter than what it read.
        assert again == data[:end] or b"\0" in data

    compare()
