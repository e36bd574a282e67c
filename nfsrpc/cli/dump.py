"""``nfsrpc dump``: what a capture, or an interface, says in RPC."""

import contextlib
import json
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from nfsrpc.packets.capture import CaptureError, CaptureReader, Frame
from nfsrpc.packets.decoded import Decoded
from nfsrpc.packets.dissect import Dissection, Filter
from nfsrpc.packets.fields import Fields
from nfsrpc.packets.live import Interface
from nfsrpc.packets.programs import Programs
from nfsrpc.packets.render import document, line, structures
from nfsrpc.packets.report import Report
from nfsrpc.rpcgen.source import CompileError

from .errors import Failure
from .output import print_table, progress

_TICK = 4096


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, allow_dash=True))
@click.option("-i", "--interface", metavar="IFACE", help="Listen there instead, until Ctrl-C; needs CAP_NET_RAW.")
@click.option("-v", "--verbose", is_flag=True, help="Show the whole structures below each line.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each call.")
@click.option("-s", "--summary", "only_summary", is_flag=True, help="Only the figures: counts, errors, percentiles.")
@click.option("--html", type=click.Path(path_type=Path), metavar="OUT", help="Write a report for the browser there.")
@click.option("--host", "hosts", multiple=True, metavar="ADDRESS", help="Only calls from or to this host.")
@click.option("--program", "programs", multiple=True, metavar="NAME", help="Only this program, by name or number.")
@click.option("--procedure", "procedures", multiple=True, metavar="NAME", help="Only this procedure.")
@click.option("--status", "statuses", multiple=True, metavar="NAME",
              help="Only calls that ended so: OK, NOENT, GARBAGE_ARGS, NO_REPLY, …")
@click.option("--handle", "handles", multiple=True, metavar="HEX|PATH",
              help="Only calls about this file, or what is below it.")
@click.option("--spec", "specs", multiple=True, type=click.Path(path_type=Path), metavar="FOO.x",
              help="Show the programs of this file, too.")
@click.option("-c", "--count", type=click.IntRange(min=1), help="Stop after so many calls.")
def dump(
    *,
    file: Path | None,
    interface: str | None,
    verbose: bool,
    as_json: bool,
    only_summary: bool,
    html: Path | None,
    hosts: tuple[str, ...],
    programs: tuple[str, ...],
    procedures: tuple[str, ...],
    statuses: tuple[str, ...],
    handles: tuple[str, ...],
    specs: tuple[Path, ...],
    count: int | None,
) -> None:
    """Each RPC call of a capture FILE (pcap or pcapng, - for standard input) with its reply, one a line.

    RPC is told by content on any port; IP fragments and TCP streams are put
    together; NFS handles are followed, so that lines show paths. Options of the
    same name given several times widen the choice, different ones narrow it.

    A line: time, client, server, xid, procedure, what it is about, status,
    latency, what came back.
    """
    if (file is None) == (interface is None):
        raise click.UsageError("either FILE or -i IFACE")
    known = _programs(specs)
    wanted = Filter(
        frozenset(address for host in hosts for address in _addresses(host)),
        frozenset(map(str.lower, programs)), frozenset(map(str.lower, procedures)), frozenset(map(str.lower, statuses)),
        handles,
    )  # fmt: skip
    dissection = Dissection(known, wanted)
    report = Report(f"RPC in {file.name if file else interface}", dissection.paths) if html else None
    quiet = only_summary or html is not None
    show = _printer(dissection, as_json, verbose) if not quiet else _keep_quiet
    with _frames(file, interface, loud=not quiet) as frames:
        for number, decoded in enumerate(dissection.run(frames), 1):
            show(decoded)
            if report is not None:
                report.add(decoded)
            if number == count:
                break
    figures = dissection.summary.as_dict(dissection.exchanges.counts, dissection.packets, dissection.source.lost)
    if report is not None and html is not None:
        try:
            html.write_text(report.page(figures), "utf-8")
        except OSError as failure:
            raise Failure(f"cannot write {html}: {failure.strerror}") from None
    if quiet:
        _print_summary(figures, as_json)


def _programs(specs: Iterable[Path]) -> Programs:
    known = Programs()
    for spec in specs:
        try:
            known.add_spec(spec)
        except CompileError as failure:
            for diagnostic in failure.diagnostics:
                click.echo(diagnostic.render(), err=True)
            raise Failure(f"{spec}: cannot be compiled") from None
        except OSError as failure:
            raise Failure(f"cannot read {spec}: {failure.strerror}") from None
    return known


def _addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None)}
    except OSError as failure:
        raise Failure(f"--host {host}: {failure.strerror}") from None


@contextlib.contextmanager
def _frames(file: Path | None, interface: str | None, *, loud: bool) -> Iterator[Iterator[Frame]]:
    """The frames of the file, with a bar if standard output is not for reading; or of the interface until Ctrl-C."""
    try:
        if interface is not None:
            with Interface(interface) as live:
                yield _until_interrupted(live.frames())
            return
        assert file is not None
        with contextlib.ExitStack() as opened:
            stream = sys.stdin.buffer if str(file) == "-" else opened.enter_context(file.open("rb"))
            size = file.stat().st_size if str(file) != "-" else None
            bar = progress(str(file), size) if not (loud and sys.stdout.isatty()) else contextlib.nullcontext(_ignore)
            yield _told(stream, opened.enter_context(bar))
    except CaptureError as broken:
        raise Failure(f"{file}: {broken}") from None
    except PermissionError as failure:
        needs = "; capturing needs root or CAP_NET_RAW" if interface else ""
        raise Failure(f"{interface or file}: {failure.strerror}{needs}") from None
    except BrokenPipeError:
        raise
    except OSError as failure:
        raise Failure(f"{interface or file}: {failure.strerror}") from None


def _ignore(size: int) -> None:
    """For those who look at the lines: no bar between them."""


def _told(stream: BinaryIO, tell: Callable[[int], None]) -> Iterator[Frame]:
    reader = CaptureReader(stream)
    told = 0
    for number, frame in enumerate(reader):
        if number % _TICK == 0:
            tell(reader.position - told)
            told = reader.position
        yield frame
    tell(reader.position - told)
    if reader.cut:
        click.echo("nfsrpc: the capture ends inside a packet", err=True)


def _until_interrupted(frames: Iterator[Frame]) -> Iterator[Frame]:
    with contextlib.suppress(KeyboardInterrupt):
        yield from frames


def _keep_quiet(decoded: Decoded) -> None:
    """For a summary or a report: no line for each call."""


def _printer(dissection: Dissection, as_json: bool, verbose: bool) -> Callable[[Decoded], None]:
    fields = Fields(dissection.paths)
    if as_json:
        return lambda decoded: click.echo(json.dumps(document(decoded, fields)))
    if not verbose:
        return lambda decoded: click.echo(line(decoded, fields))

    def whole(decoded: Decoded) -> None:
        click.echo(line(decoded, fields))
        for text in structures(decoded):
            click.echo(text)

    return whole


def _print_summary(figures: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(figures, indent=2))
        return
    labels = {
        "packets": "packets", "calls": "calls", "replies": "replies", "unanswered": "unanswered",
        "repeated_calls": "calls sent again", "repeated_replies": "replies sent again",
        "replies_without_call": "replies without their call", "gaps_in_tcp": "gaps in TCP streams",
    }  # fmt: skip
    click.echo(", ".join(f"{figures[key]} {label}" for key, label in labels.items() if figures[key]) or "nothing")
    if figures["statuses"]:
        click.echo("statuses: " + ", ".join(f"{name} {n}" for name, n in figures["statuses"].items()))
    rows = [
        (
            f"{line['program']} v{line['version']} {line['procedure']}", str(line["calls"]), str(line["errors"]),
            str(line["unanswered"]), str(line["repeats"]),
            *(_milliseconds(line["latency"][point]) for point in ("p50", "p90", "p99", "max")),
        )
        for line in figures["procedures"]
    ]  # fmt: skip
    if rows:
        headings = ("PROCEDURE", "CALLS", "ERRORS", "NO REPLY", "AGAIN", "P50 ms", "P90 ms", "P99 ms", "MAX ms")
        print_table(headings, rows, right=frozenset(range(1, 9)))


def _milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.3f}"
