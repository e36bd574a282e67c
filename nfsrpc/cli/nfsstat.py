"""`nfsrpc nfsstat`: what a server on this machine has answered, as it counts itself."""

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from nfsrpc.transport.reporter import ask, control_directory, control_path, control_sockets

from .errors import Failure
from .output import print_json, print_table, tables

_HEADINGS = ("PROGRAM", "VERSION", "PROCEDURE", "CALLS", "FAILED", "AGAIN", "MEDIAN", "99 %")
_RIGHT = frozenset({0, 1, 3, 4, 5, 6, 7})
_PAUSE = 2.0
"""Seconds between two tables of --watch."""
_Key = tuple[int, int, int]
"""Program, version, procedure."""


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="The server's port, where several run.")
@click.option("--control", type=click.Path(path_type=Path), metavar="PATH", help="The server's control socket.")
@click.option("--watch", is_flag=True, help="Say it again every two seconds, calls as calls a second; Ctrl-C ends it.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document, with --watch one after the other.")
def nfsstat(port: int | None, control: Path | None, watch: bool, as_json: bool) -> None:
    """How often each procedure was called, and how long that took, over all workers of a server on this machine.

    Tables leave out what was never called. FAILED calls were not answered with SUCCESS; calls asked AGAIN
    got the reply that had been kept. MEDIAN and 99 % are upper bounds, to a factor of two, of the time
    from a call's arrival to when its reply might leave.
    """
    path = control or _sole(port)
    if not watch:
        said = _ask(path)
        if as_json:
            print_json(said)
        else:
            print_table(_HEADINGS, [_row(line, str(line["calls"])) for line in _called(said)], right=_RIGHT)
        return
    with suppress(KeyboardInterrupt):
        if as_json:
            for said in _again_and_again(path):
                print_json(said)
        else:
            _watch(path)


def _sole(port: int | None) -> Path:
    if port is not None:
        return control_path(port)
    found = control_sockets()
    if not found:
        raise Failure(f"no server of this user runs here ({control_directory()} has no control socket that answers)")
    if len(found) > 1:
        ports = ", ".join(path.stem for path in found)
        raise Failure(f"several servers run here, on ports {ports}; choose one with --port")
    return found[0]


def _ask(path: Path) -> Any:
    try:
        return ask(path)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror or error}; is the server running?") from None


def _again_and_again(path: Path) -> Iterator[Any]:
    """What the server says, now and every two seconds."""
    while True:
        yield _ask(path)
        time.sleep(_PAUSE)


def _watch(path: Path) -> None:
    """The first table has calls since the server's start, those after it calls a second since the table before."""
    before: dict[_Key, int] = {}
    then = 0.0
    with tables(_HEADINGS, right=_RIGHT) as show:
        for said in _again_and_again(path):
            now, lines = time.monotonic(), _called(said)
            show([_row(line, _rate(line, before, now - then) if then else str(line["calls"])) for line in lines])
            before, then = {_key(line): line["calls"] for line in lines}, now


def _called(said: Any) -> list[Mapping[str, Any]]:
    """What there is something to say of."""
    return [line for line in said["procedures"] if line["calls"]]


def _rate(line: Mapping[str, Any], before: Mapping[_Key, int], seconds: float) -> str:
    """Calls a second. A server that was started anew has counted from 0."""
    calls = line["calls"] - before.get(_key(line), 0)
    return f"{(calls if calls >= 0 else line['calls']) / seconds:.0f}/s"


def _key(line: Mapping[str, Any]) -> _Key:
    return line["program"], line["version"], line["procedure"]


def _row(line: Mapping[str, Any], calls: str) -> tuple[str, ...]:
    return (
        str(line["program"] or ""),
        str(line["version"] or ""),
        line["name"],
        calls,
        str(line["failures"]),
        str(line["replays"]),
        _time(line["median"]),
        _time(line["p99"]),
    )


def _time(seconds: float) -> str:
    if seconds == 0:
        return ""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.0f} ms" if seconds < 1 else f"{seconds:.0f} s"
