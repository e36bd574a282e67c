"""nfsrpc shell: lines, names, patterns and completion; once on a real terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from multiprocessing.connection import wait
from pathlib import Path

import pytest
from click.testing import Result

from nfsrpc.cli.interactive import Interactive
from nfsrpc.cli.places import Mounts
from nfsrpc.client import Mount, mount


@pytest.fixture
def m(nfs_url: str) -> Iterator[Mount]:
    with mount(nfs_url) as mounted:
        mounted.makedirs("dir/sub")
        mounted.write_text("one.c", "1")
        mounted.write_text("two.c", "2")
        mounted.write_text("a b?", "odd")
        yield mounted


@pytest.fixture
def told(run: Callable[..., Result], nfs_url: str) -> Callable[..., str]:
    """Run lines in a shell, which must succeed; what they print."""

    def invoke(*lines: str) -> str:
        result = run("shell", nfs_url, input="\n".join(lines).encode())
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return result.stdout

    return invoke


def test_lines(told: Callable[..., str], m: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told("ls").splitlines() == ["a b?", "dir", "one.c", "two.c"]
    assert told("cd dir", "mkdir new", "mv ../one.c .", "ls", "cd ..", "cat *.c dir/one.c").splitlines() == [
        "new", "one.c", "sub", "21"
    ]  # fmt: skip
    assert told("cat 'a b?'", "exit", "cat none") == "odd"
    (tmp_path / "here").mkdir()
    assert told("lcd here", "get two.c", f"get -r dir {tmp_path}/copied", "put two.c dir/three.c", "put two.c") == ""
    assert (tmp_path / "here" / "two.c").read_text() == "2"
    assert (m.read_text("dir/three.c"), m.read_text("two.c")) == ("2", "2")
    assert (tmp_path / "copied" / "one.c").read_text() == "1"
    assert told("chmod 600 two.c", "ln -s any/text link", "ls -l two.c link", "# a comment", "", "find --name two.c")
    assert told("cd dir/sub", "pwd", "cd", "pwd").splitlines()[1] == "/"


def test_errors_are_told_and_the_next_line_runs(run: Callable[..., Result], nfs_url: str, m: Mount) -> None:
    result = run("shell", nfs_url, input=b"cd nowhere\nblah\ncat none\nls 'open\nls --blah\ncat one.c\n")
    assert result.exit_code == 1
    assert result.stdout == "1"
    assert len([line for line in result.stderr.splitlines() if line.startswith("nfsrpc: ")]) == 5


def test_commands_on_the_command_line(run: Callable[..., Result], nfs_url: str, m: Mount) -> None:
    assert run("shell", nfs_url, "-c", "cd dir", "-c", "ls").stdout == "sub\n"


@pytest.fixture
def session(nfs_url: str, m: Mount) -> Iterator[Interactive]:
    shared = Mounts()
    yield Interactive(nfs_url, shared.at(nfs_url), shared)
    shared.close()


@pytest.mark.parametrize(
    ("line", "text", "candidates"),
    [
        ("c", "c", ["cat ", "cd ", "chmod ", "chown ", "cp "]),
        ("cat o", "o", ["one.c "]),
        ("cat d", "d", ["dir/"]),
        ("ls dir/", "dir/", ["dir/sub/"]),
        ("ls none/", "none/", []),
        ("cat a", "a", ["a\\ b\\? "]),
        ("put o", "o", []),
        ("put local o", "o", ["one.c "]),
    ],
)
def test_completion(
    session: Interactive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, text: str, candidates: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert session.candidates(line, len(line) - len(text), text) == candidates


def test_completion_of_local_names(session: Interactive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert session.candidates("lcd h", 4, "h") == ["here/"]


def test_on_a_terminal_with_tab_and_history(nfs_url: str, m: Mount, tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "dumb", "INPUTRC": "/dev/null"}
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "nfsrpc", "shell", nfs_url]
    with ExitStack() as end:
        process = end.enter_context(subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, env=environment))
        end.callback(process.kill)
        os.close(slave)
        shown = ""

        def until(pattern: str) -> None:
            nonlocal shown
            while re.search(pattern, shown) is None:
                assert wait([master], 60), shown
                shown += os.read(master, 4096).decode(errors="replace")

        until("> $")
        os.write(master, b"cat tw\t\n")
        until(r"cat two\.c \r\n2[^>]*> $")  # what is typed before the prompt is there may be lost
        os.write(master, b"exit\n")
        assert process.wait(60) == 0
    os.close(master)
    assert "cat two.c" in (tmp_path / "nfsrpc" / "history").read_text()


def test_it_begins_in_a_directory(failing: Callable[..., str], nfs_url: str, m: Mount) -> None:
    m.write_text("f", "x")
    assert "No such file" in failing("shell", f"{nfs_url}/none")
    assert "Not a directory" in failing("shell", f"{nfs_url}/f")
