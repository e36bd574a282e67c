"""The generated Python as a text and as a module: typed, documented, alone, the same every time."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from xdr_values import compiled, module_of_text

from nfsrpc.protocols import file_read_write, nfs_prot
from nfsrpc.rpcgen.compiler import compile_file
from nfsrpc.rpcgen.python.module import generate
from nfsrpc.xdr import decode, encode

ROOT = Path(__file__).parents[2]
SPECS = sorted((ROOT / "xdr_specs").glob("*.x"))
OWN = Path(__file__).parent / "x" / "c_types.x"


def test_committed_modules_are_what_the_compiler_makes() -> None:
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / "regen", "--check"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", [*SPECS, OWN], ids=lambda path: path.stem)
def test_generating_twice_gives_the_same_bytes(path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from nfsrpc.rpcgen.compiler import compile_file;"
        "from nfsrpc.rpcgen.python.module import generate;"
        "sys.stdout.write(generate(compile_file(Path(sys.argv[1])).spec))"
    )
    here = generate(compile_file(path).spec)
    for seed in ("1", "2"):
        again = subprocess.run(
            [sys.executable, "-c", code, path], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        assert again.stdout.decode() == here


@pytest.mark.parametrize("path", [*SPECS, OWN], ids=lambda path: path.stem)
def test_imports_nothing_but_the_codec(path: Path) -> None:
    tree = ast.parse(generate(compile_file(path).spec))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert modules <= {"nfsrpc.xdr", "__future__", "abc", "collections.abc", "enum", "typing"}


def test_importing_a_protocol_loads_nothing_else_of_the_package() -> None:
    code = "import sys, json, nfsrpc.protocols.nfs_prot; print(json.dumps(list(sys.modules)))"
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
    assert {name.split(".")[1] for name in loaded if name.startswith("nfsrpc.")} == {"protocols", "xdr"}


def test_classes_carry_their_source() -> None:
    assert (
        nfs_prot.nfstime.__doc__
        == "struct nfstime {\n        unsigned int seconds;\n        unsigned int useconds;\n    };\n    "
    )
    assert nfs_prot.NFS_PROGRAM_2_client.NFSPROC_GETATTR.__doc__ == "attrstat NFSPROC_GETATTR(nfs_fh) = 1;"


@pytest.mark.parametrize(
    "text",
    [
        'const A = "\\\\";',
        'struct a { int x; /* """ \\ " */ };',
        'enum a { B = 1 /* " */ };',
        "typedef int a /*\0 \r \x1b*/;",
        "struct a { int x; /*\0 \r \f*/ };",
    ],
)
def test_odd_characters_in_the_source_do_not_break_docstrings(text: str) -> None:
    module_of_text(text)


def test_procedure_table_and_null_procedure() -> None:
    table = file_read_write.FILEREADWRITE_2_service.procedures
    assert sorted(table) == [0, 1, 2]
    assert (table[0].name, table[1].name, table[2].program, table[2].version) == ("NULL", "WRITE", 9999, 2)
    assert file_read_write.FILEREADWRITE_2_service.__abstractmethods__ == {"WRITE", "READ"}
    assert nfs_prot.NFS_PROGRAM_2_service.procedures[0].name == "NFSPROC_NULL"
    assert nfs_prot.NFSPROC_STATFS == 17


def test_client_calls_by_table() -> None:
    seen = []

    class Carrier:
        def call(self, procedure, args):
            seen.append((procedure.name, encode(procedure.encode_args, args)))
            return decode(procedure.decode_result, b"\0\0\0\2ab\0\0")

    client = file_read_write.FILEREADWRITE_2_client(Carrier())
    assert client.READ(file_read_write.readargs(1, 2, 3)) == b"ab"
    assert seen == [("READ", bytes.fromhex("000000010000000200000003"))]


def test_records_compare_show_and_copy() -> None:
    a, b = nfs_prot.nfstime(1, 2), nfs_prot.nfstime(1, 3)
    assert a == nfs_prot.nfstime(1, 2)
    assert a != b
    assert a != (1, 2)
    assert repr(a) == "nfstime(seconds=1, useconds=2)"
    assert a.__replace__(useconds=3) == b
    with pytest.raises(TypeError):
        hash(a)
    with pytest.raises(TypeError):
        a.__replace__(nonsense=1)


def test_names_that_several_versions_use_for_different_numbers_stay_in_the_tables() -> None:
    text = "program P { version A { void F(void) = 1; } = 1; version B { void F(void) = 2; } = 2; } = 9;"
    module = module_of_text(text)
    assert not hasattr(module, "F")
    assert (module.A, module.B, module.P) == (1, 2, 9)
    assert (module.P_1_service.procedures[1].name, module.P_2_service.procedures[2].name) == ("F", "F")


def test_names_that_python_would_take_for_something_else() -> None:
    text = """
    enum kind { __A = 1, _B_ = 2, mro = 3, real = 4, None = 5 };
    struct __s { int __x; int self; };
    struct look { kind k; };
    program __P { version V { look look(__s __y, int self, int call) = 1; } = 1; } = 9;
    """
    module = module_of_text(text)
    value = module.x__s(1, self_=2)
    assert encode(module.encode___s, value) == bytes.fromhex("0000000100000002")
    assert decode(module.decode___s, bytes.fromhex("0000000100000002")) == value
    members = (module.x__A, module._B_, module.mro, module.real, module.None_)
    assert [m.value for m in members] == [1, 2, 3, 4, 5]
    procedure = module.x__P_1_service.procedures[1]
    assert encode(procedure.encode_args, (value, 3, 4)).hex() == "00000001000000020000000300000004"
    assert decode(procedure.decode_result, b"\0\0\0\3") == module.look(module.mro)


USER = """
from typing import Any
from {module} import point, shape_of, kind, CANVAS_1_client, CANVAS_1_service, encode_point, decode_point
from {module} import hidden as seen
from nfsrpc.xdr import Caller, decode, encode

def use(caller: Caller) -> int:
    value: point = decode(decode_point, encode(encode_point, point(1, 2)))
    found: shape_of = CANVAS_1_client(caller).FIND(value, b"name")
    if found.where is None:
        return 0
    return found.where.x + found.what.value

class Canvas(CANVAS_1_service):
    def FIND(self, arg1: point, arg2: bytes, call: Any) -> shape_of:
        return shape_of(kind.ROUND, where=arg1)

    def hidden(self, arg: seen, call: Any) -> seen:
        return arg
"""
CANVAS = """
enum kind { ROUND = 0, SQUARE = 1 };
struct point { int x; int y; };
union shape_of switch (kind what) { case ROUND: point where; default: void; };
struct hidden { int x; };
program CANVAS { version ONE { shape_of FIND(point, string) = 1; hidden hidden(hidden) = 2; } = 1; } = 77;
"""
WRONG = {
    "point('1', 2)": "arg-type",
    "point(1)": "call-arg",
    "point(1, 2).z": "attr-defined",
    "shape_of(3)": "arg-type",
    "CANVAS_1_client(caller).FIND(1, b'')": "arg-type",
    "Canvas().nothing()": "attr-defined",
}


@pytest.mark.skipif(shutil.which("mypy", path=str(Path(sys.executable).parent)) is None, reason="mypy is not installed")
def test_mypy_strict_passes_on_user_code_and_catches_mistakes(tmp_path: Path) -> None:
    (tmp_path / "canvas.py").write_text(generate(compiled(CANVAS).spec))
    good = USER.format(module="canvas")
    (tmp_path / "good.py").write_text(good)
    (tmp_path / "bad.py").write_text(
        good + "\ndef bad(caller: Caller) -> None:\n" + "".join(f"    {w}\n" for w in WRONG)
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir", str(tmp_path / "cache")]
    # mypy does not follow an editable installation's import hook.
    environment = {**os.environ, "MYPYPATH": str(ROOT)}
    result = subprocess.run(
        [*command, "good.py", "bad.py"], cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    errors = [line for line in result.stdout.splitlines() if ": error:" in line]
    assert not [line for line in errors if not line.startswith("bad.py")], result.stdout
    for wrong, code in WRONG.items():
        number = (good + "\ndef bad(caller: Caller) -> None:\n").count("\n") + list(WRONG).index(wrong) + 1
        assert any(line.startswith(f"bad.py:{number}:") and f"[{code}]" in line for line in errors), (wrong, errors)


INSTALLED = [*sorted(Path("/usr/include/rpcsvc").glob("*.x")), *sorted(Path("/usr/include/tirpc").rglob("*.x"))]


@pytest.mark.parametrize("path", INSTALLED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_debian_installs_compiles_and_imports(path: Path) -> None:
    spec = compile_file(path).spec
    namespace = {"__name__": f"installed_{path.stem}"}
    exec(compile(generate(spec), str(path), "exec"), namespace)
    assert all(f"encode_{name}" in namespace for name in spec.types)
