"""Tables and progress, on a terminal and elsewhere."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nfsrpc.cli.output import aligned, print_table
from nfsrpc.testing.served import Served


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows = [("NAME", "SIZE"), ("a", "1"), ("longer", "12345")]
    assert list(aligned(rows, right=frozenset({1}))) == ["NAME     SIZE", "a           1", "longer  12345"]
    assert list(aligned(rows)) == ["NAME    SIZE", "a       1", "longer  12345"]


def test_elsewhere_than_on_a_terminal_a_table_is_plain(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("A", "B"), [("[red]x[/red]", "y")])
    assert capsys.readouterr().out == "A             B\n[red]x[/red]  y\n"


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def shown(ours: int) -> str:
    """What a terminal got, until its last writer has gone."""
    text = b""
    try:
        while data := os.read(ours, 65536):
            text += data
    except OSError:
        pass
    return text.decode()


def test_a_terminal_gets_a_table_without_markup_of_the_server_s(served: Served) -> None:
    with terminal() as (ours, theirs):
        command = [sys.executable, "-m", "nfsrpc", "exports", f"127.0.0.1:{served.port}"]
        with subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}):
            os.close(theirs)
            text = shown(ours)
    assert "\x1b[1mDIRECTORY" in text
    assert "/export" in text


def test_a_terminal_gets_a_progress_bar_and_standard_output_stays_clean(served: Served) -> None:
    data = os.urandom(2_000_000)
    url = served.url("/progress", uid=0)
    subprocess.run([sys.executable, "-m", "nfsrpc", "put", "-", url], input=data, check=True, timeout=60)
    with terminal() as (ours, theirs):
        command = [sys.executable, "-m", "nfsrpc", "get", url, "-"]
        environment = {**os.environ, "TERM": "xterm"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
            os.close(theirs)
            assert process.stdout is not None
            assert process.stdout.read() == data
            text = shown(ours)
    assert "progress" in text
    assert "2.0/2.0 MB" in text
    assert re.search(r"[\d.]+ [kMG]?B/s", text)
    assert re.search(r"\d:\d\d:\d\d", text)  # time left
