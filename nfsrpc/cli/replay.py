"""``nfsrpc replay``: the calls of a capture, sent to a server of now."""

import json
from pathlib import Path
from typing import Any

import click

from nfsrpc.client.url import parse_authority
from nfsrpc.packets.capture import CaptureError, CaptureReader
from nfsrpc.packets.dissect import Dissection
from nfsrpc.packets.fields import Fields
from nfsrpc.packets.programs import Programs
from nfsrpc.packets.replay import Outcome, Plan, Replay
from nfsrpc.packets.summary import latency_dict

from .errors import Failure
from .output import print_table, progress
from .remote import failing_at

_NFS_PORT = 2049
_TICK = 256


def _pairs(context: click.Context, parameter: click.Parameter, words: tuple[str, ...]) -> dict[bytes, bytes]:
    found = {}
    for word in words:
        old, equals, new = word.partition("=")
        if not equals or not old.startswith("/") or not new.startswith("/"):
            raise click.BadParameter(f"{word!r} is not /OLD=/NEW", context, parameter)
        found[old.encode()] = new.encode()
    return found


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("host", metavar="HOST[:PORT]")
@click.option("--map", "paths", multiple=True, callback=_pairs, metavar="/OLD=/NEW",
              help="Mount /NEW where the capture mounts /OLD.")
@click.option("--at-speed", is_flag=True, help="Keep the pauses of the capture. Otherwise as fast as replies come.")
@click.option("--proto", type=click.Choice(["udp", "tcp"]), help="Instead of each call's own transport.")
@click.option("--program", "programs", multiple=True, default=("nfs", "mount"), show_default=True, metavar="NAME",
              help="Which programs' calls to send.")
@click.option("--spec", "specs", multiple=True, type=click.Path(path_type=Path), metavar="FOO.x",
              help="Know the programs of this file, too.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=30.0, show_default=True,
              help="Seconds that each call may take.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def replay(
    *,
    file: Path,
    host: str,
    paths: dict[bytes, bytes],
    at_speed: bool,
    proto: str | None,
    programs: tuple[str, ...],
    specs: tuple[Path, ...],
    timeout: float,
    as_json: bool,
) -> None:
    """Send the calls of a capture FILE to the server at HOST, and compare its replies with the recorded ones.

    Handles, READDIR cookies and xids are rewritten; what servers may differ in
    (times, file numbers, sizes of directories) is not compared. Start from the
    same files: a capture that begins with the mount on an empty export needs
    an empty export. Calls that were in flight together are so again. The server
    must answer for all programs on PORT (2049).

    Exit status: 0 all replies agree; 1 some do not, each with a line that says
    where; 2 the command line was wrong.
    """
    with failing_at(host):
        name, port = parse_authority(host)
    known = Programs()
    for spec in specs:
        known.add_spec(spec)
    dissection = Dissection(known)
    run = Replay(Plan(name, port or _NFS_PORT, frozenset(programs), paths, proto, at_speed, timeout), dissection)
    outcomes: list[Outcome] = []
    same = 0
    try:
        with file.open("rb") as stream, progress(str(file), file.stat().st_size) as tell, failing_at(host):
            reader, told = CaptureReader(stream), 0
            for number, outcome in enumerate(run.run(reader)):
                if outcome.difference:
                    outcomes.append(outcome)
                same += not outcome.difference
                if number % _TICK == 0:
                    tell(reader.position - told)
                    told = reader.position
    except CaptureError as broken:
        raise Failure(f"{file}: {broken}") from None
    except OSError as failure:
        raise Failure(f"{failure.filename or file}: {failure.strerror or failure}") from None
    _print(run, outcomes, same, as_json)
    if outcomes:
        raise SystemExit(1)


def _print(run: Replay, unlike: list[Outcome], same: int, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_document(run, unlike, same), indent=2))
        return
    fields = Fields(run.dissection.paths)
    for outcome in unlike:
        recorded = outcome.recorded
        about = fields.call(recorded)
        click.echo(f"call {recorded.exchange.number}: {recorded.procedure} {about}: {outcome.difference}")
    skipped = "".join(f", {count} left out ({reason})" for reason, count in sorted(run.skipped.items()))
    click.echo(f"{same + len(unlike)} calls sent, {same} replies agree, {len(unlike)} do not{skipped}")
    rows = [
        (name, *(f"{point / 1e6:.3f}" if point is not None else "" for point in (
            before.percentile(50), now.percentile(50), before.percentile(99), now.percentile(99))))
        for name, (before, now) in sorted(run.latencies.items())
    ]  # fmt: skip
    if rows:
        headings = ("PROCEDURE", "P50 THEN ms", "P50 NOW ms", "P99 THEN ms", "P99 NOW ms")
        print_table(headings, rows, right=frozenset(range(1, 5)))


def _document(run: Replay, unlike: list[Outcome], same: int) -> dict[str, Any]:
    return {
        "sent": same + len(unlike),
        "same": same,
        "left_out": run.skipped,
        "differences": [
            {
                "call": outcome.recorded.exchange.number,
                "program": outcome.recorded.program,
                "procedure": outcome.recorded.procedure,
                "recorded": outcome.recorded.status,
                "now": outcome.status,
                "difference": outcome.difference,
            }
            for outcome in unlike
        ],
        "latency": {
            name: {"then": latency_dict(before), "now": latency_dict(now)}
            for name, (before, now) in sorted(run.latencies.items())
        },
    }
