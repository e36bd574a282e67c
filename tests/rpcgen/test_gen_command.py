"""`nfsrpc gen` from outside: output files, exit statuses, and what each back end makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nfsrpc.cli.gen import gen
from nfsrpc.rpcgen import backends

SPECS = Path(__file__).parents[2] / "xdr_specs"
CALCULATOR = """
enum outcome { DONE = 0, OVERFLOWED = 1 };
typedef hyper numbers<>;
struct operands { hyper a; hyper b; };
union answer switch (outcome kind) { case DONE: hyper value; default: void; };
program CALCULATOR { version FIRST {
    answer ADD(operands) = 1;
    hyper SUM(numbers, unsigned int) = 2;
    string ECHO(string) = 3;
} = 1; } = 0x20000099;
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(gen, [str(a) for a in arguments])


@pytest.fixture
def calculator(tmp_path: Path) -> Path:
    path = tmp_path / "calculator.x"
    path.write_text(CALCULATOR)
    return path


def test_python_goes_to_standard_output_or_to_a_file_or_a_directory(calculator: Path, tmp_path: Path) -> None:
    text = run(calculator).stdout
    assert "class CALCULATOR_1_client" in text
    assert run(calculator, "-o", tmp_path / "out.py").exit_code == 0
    assert (tmp_path / "out.py").read_text() == text
    (tmp_path / "folder").mkdir()
    assert run(calculator, "-o", tmp_path / "folder").exit_code == 0
    assert (tmp_path / "folder" / "calculator.py").read_text() == text


def test_output_is_the_same_from_any_directory(
    calculator: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    absolute = run(calculator).stdout
    monkeypatch.chdir(tmp_path)
    assert run("calculator.x").stdout == absolute
    assert str(tmp_path) not in absolute


def test_errors_are_shown_and_exit_1(tmp_path: Path) -> None:
    path = tmp_path / "bad.x"
    path.write_text("struct a { int x }\n;struct b { nope y; };\n")
    result = run(path, "-o", tmp_path / "out.py")
    assert result.exit_code == 1
    assert f"{path}:1:18: error: expected ';'" in result.stderr
    assert f"{path}:2:13: error: type 'nope' is not defined" in result.stderr
    assert "2 errors" in result.stderr
    assert not (tmp_path / "out.py").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["no/such/file.x"], 1, "cannot read no/such/file.x"),
        ([], 2, "Missing argument"),
        (["a.x", "--backend", "cobol"], 2, "'cobol' is not one of python, sample, json"),
        (["a.x", "-D", "1=2"], 2, "is not NAME"),
        (["a.x", "--nonsense"], 2, "No such option"),
    ],
)
def test_usage(arguments: list[str], status: int, message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == status
    assert message in result.stderr


def test_output_that_cannot_be_written_is_one_line(calculator: Path) -> None:
    result = run(calculator, "-o", "/proc/nowhere/out.py")
    assert result.exit_code == 1
    assert "cannot write /proc/nowhere/out.py" in result.stderr


def test_defines_includes_and_libraries(tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    (tmp_path / "inc" / "common.x").write_text("const COMMON = 2;\n")
    (tmp_path / "other.x").write_text("struct borrowed { int x; };\n")
    path = tmp_path / "main.x"
    path.write_text('#include "common.x"\nstruct t { opaque a[SIZE]; opaque b[COMMON]; borrowed c; };\n')
    result = run(path, "-D", "SIZE=3", "-I", tmp_path / "inc", "--with", tmp_path / "other.x")
    assert result.exit_code == 0, result.stderr
    assert "class borrowed" in result.stdout


def test_json_has_the_tree_and_the_checked_types(calculator: Path) -> None:
    document = json.loads(run(calculator, "--backend", "json").stdout)
    assert document["format"] == 1
    assert [d["node"] for d in document["ast"]["definitions"]] == [
        "TypeDefinition", "Typedef", "TypeDefinition", "TypeDefinition", "Program",
    ]  # fmt: skip
    assert document["ast"]["definitions"][0]["name"]["span"]["line"] == 2
    sizes = {t["name"]: t["wire_size"] for t in document["checked"]["types"]}
    assert sizes["operands"] == {"least": 16, "most": 16}
    assert sizes["answer"] == {"least": 4, "most": 12}
    assert document["checked"]["programs"][0]["versions"][0]["procedures"][1]["arguments"][1]["name"] == "arg2"


PAGES = {
    "docs": (
        "# calculator.x",
        "## Program CALCULATOR",
        "| 1 | ADD | operands | answer |",
        "On the wire: 4 to 12 bytes.",
    ),
    "html": ("<h1>calculator.x</h1>", "<td>ADD</td><td>operands</td>", "On the wire: 4 to 12 bytes."),
}


@pytest.mark.parametrize("backend", PAGES)
def test_reference_pages(calculator: Path, backend: str) -> None:
    text = run(calculator, "--backend", backend).stdout
    for mark in PAGES[backend]:
        assert mark in text


@pytest.fixture
def sample(calculator: Path, tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """The sample server of the calculator in a process of its own; yields its directory and port."""
    folder = tmp_path / "sample"
    assert run(calculator, "--sample", "-o", folder).exit_code == 0
    assert run(calculator, "-o", folder).exit_code == 0
    assert sorted(p.name for p in folder.iterdir()) == ["calculator.py", "calculator_client.py", "calculator_server.py"]
    server = subprocess.Popen(
        [sys.executable, "-u", "calculator_server.py"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    line = server.stdout.readline()
    try:
        yield folder, int(line.split(" port ")[1].split()[0])
    finally:
        server.terminate()
        server.wait(timeout=30)
        server.stdout.close()


def test_sample_server_and_client_talk(sample: tuple[Path, int]) -> None:
    folder, port = sample
    client = [sys.executable, "calculator_client.py", "127.0.0.1", str(port)]
    result = subprocess.run(client, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["ADD: answer(kind=<outcome.DONE: 0>, value=0)", "SUM: 0", "ECHO: b''"]


def test_a_third_partys_back_end_is_found(calculator: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("shout", "test_gen_command_plugin:backend", backends.GROUP)

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point] if group == backends.GROUP else [])
    monkeypatch.setitem(sys.modules, "test_gen_command_plugin", sys.modules[__name__])
    assert "shout" in backends.names()
    assert run(calculator, "--backend", "shout").stdout == "CALCULATOR"


def backend(compiled: object) -> dict[str, str]:
    """The third party's back end."""
    return {"out.txt": compiled.spec.programs[0].name}  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.x")), ids=lambda path: path.stem)
@pytest.mark.parametrize("name", ["json", "docs", "html", "sample", "scapy"])
def test_every_back_end_takes_every_protocol(path: Path, name: str, tmp_path: Path) -> None:
    result = run(path, "--backend", name, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    outputs = [tmp_path / "out"] if (tmp_path / "out").is_file() else list((tmp_path / "out").iterdir())
    for output in outputs:
        if name in ("sample", "scapy"):
            compile(output.read_text(), str(output), "exec")
        assert output.stat().st_size > 100


def test_the_command_is_wired_in(calculator: Path) -> None:
    command = [sys.executable, "-m", "nfsrpc.cli", "gen", str(calculator)]
    if not (Path(__file__).parents[2] / "nfsrpc" / "cli" / "__main__.py").exists():
        command = [sys.executable, "-c", "from nfsrpc.cli import main; main()", "gen", str(calculator)]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith('"""Types, codecs')
