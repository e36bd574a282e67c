"""`nfsrpc nfsstat`: what a server on this machine has answered, as it counts itself."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from nfsrpc.transport.reporter import ask, control_directory, control_path

from .errors import Failure
from .output import print_json, print_table

_HEADINGS = ("PROGRAM", "VERSION", "PROCEDURE", "CALLS", "FAILED", "AGAIN", "MEDIAN", "99 %")
_RIGHT = frozenset({0, 1, 3, 4, 5, 6, 7})


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="The server's port, where several run.")
@click.option("--control", type=click.Path(path_type=Path), metavar="PATH", help="The server's control socket.")
@click.option("--watch", is_flag=True, help="Say it again every two seconds, calls as calls a second; Ctrl-C ends it.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
def nfsstat(port: int | None, control: Path | None, watch: bool, as_json: bool) -> None:
    """How often each procedure was called, and how long that took, over all workers of a server on this machine.

    FAILED calls were not answered with SUCCESS; calls asked AGAIN got the reply
    that had been kept. MEDIAN and 99 % are upper bounds, to a factor of two, of the time
    from a call's arrival to when its reply might leave.
    """
    path = control or _sole(port)
    said = _ask(path)
    if as_json:
        print_json(said)
        return
    if not watch:
        print_table(_HEADINGS, [_row(line, 1, {}) for line in said["procedures"]], right=_RIGHT)
        return
    _watch(path, said)


def _sole(port: int | None) -> Path:
    if port is not None:
        return control_path(port)
    found = sorted(control_directory().glob("*.sock"))
    if not found:
        raise Failure(f"no server of this user runs here ({control_directory()} has no control socket)")
    if len(found) > 1:
        ports = ", ".join(path.stem for path in found)
        raise Failure(f"several servers run here, on ports {ports}; choose one with --port")
    return found[0]


def _ask(path: Path) -> Any:
    try:
        return ask(path)
    except OSError as error:
        raise Failure(f"{path}: {error.strerror or error}; is the server running?") from None


def _watch(path: Path, said: Any) -> None:
    with Live(console=Console(), auto_refresh=False) as live:
        try:
            while True:
                before, then = {_key(line): line["calls"] for line in said["procedures"]}, said["uptime"]
                time.sleep(2)
                said = _ask(path)
                table = Table(*_HEADINGS, box=None, pad_edge=False)
                for line in said["procedures"]:
                    table.add_row(*_row(line, max(said["uptime"] - then, 0.1), before))
                live.update(table, refresh=True)
        except KeyboardInterrupt:
            return


def _key(line: Mapping[str, Any]) -> tuple[int, int, int]:
    return line["program"], line["version"], line["procedure"]


def _row(line: Mapping[str, Any], seconds: float, before: Mapping[tuple[int, int, int], int]) -> tuple[str, ...]:
    rate = (line["calls"] - before.get(_key(line), 0)) / seconds
    calls = f"{rate:.0f}/s" if before else str(line["calls"])
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
