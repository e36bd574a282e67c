"""The figures of a comparison: as a document for programs, and for a person at a terminal."""

from __future__ import annotations

import argparse
import os
import platform
from dataclasses import asdict
from itertools import groupby
from typing import Any

import ganesha
import measure
import peers
from rich import box
from rich.console import Console
from rich.table import Table

Document = dict[str, Any]
"""What --json writes: see `document`."""


def machine() -> str:
    """Processors and kernel."""
    return f"{os.cpu_count()} processors ({platform.machine()}), Linux {platform.release()}"


def document(o: argparse.Namespace, running: list[peers.Peer], results: list[measure.Line]) -> Document:
    """Everything that was measured and how, ready for JSON."""
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "connections": o.connections,
        "window": o.window,
        "rounds": o.rounds,
        "seconds": o.seconds,
        "servers": [peer.name for peer in running],
        "memory_bytes": {peer.name: peer.memory() for peer in running if peer.pids and peer.operations is None},
        "results": [asdict(line) for line in results],
    }


def lines(document: Document) -> list[tuple[str, dict[str, dict[str, Any]]]]:
    """Operation and transport of each line, and what each server reached there (the fields of `Summary`)."""
    def title(result: dict[str, Any]) -> str:
        return f"{result['operation']} {result['transport']}"

    return [
        (name, {one["server"]: one["summary"] for one in those})
        for name, those in groupby(document["results"], key=title)
    ]


def yardstick(reached: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
    """Ganesha's figures: like is compared with like, so the durable one where there is one."""
    return reached.get(ganesha.DURABLE) or reached.get("ganesha")


def show(document: Document, console: Console) -> None:
    """A table with one line for each server."""
    title = (
        f"{document['connections']} connections with {document['window']} calls in flight each; "
        f"medians of {document['rounds']}"
    )
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    for column in ("operation", "server"):
        table.add_column(column, no_wrap=True)
    for column in ("replies/s", "spread", "p50 µs", "p99 µs", "half", "lost", "busy", "vs"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, reached in lines(document):
        against = yardstick(reached)
        for server, got in reached.items():
            half = "" if got["half_p99"] is None else f"{got['half_p99']:,.0f}"
            table.add_row(
                name, server, f"{got['rate']:,.0f}", f"{got['spread']:.0%}", f"{got['p50']:,.0f}", f"{got['p99']:,.0f}",
                half, str(got["resent"] or ""), f"{got['busy']:.2f}" if got["busy"] else "",
                f"{got['rate'] / against['rate']:.3g}" if against else "",
                end_section=server == list(reached)[-1],
            )  # fmt: skip
    console.print(table)
    console.print(
        "half: p99 at half the greatest load (open loop), in µs; lost: datagrams sent again, all rounds together; "
        "busy: processors that the server and the generator together kept busy; "
        f"vs: times the replies/s of ganesha, where {ganesha.DURABLE} is measured to that"
    )
    for server, memory in document["memory_bytes"].items():
        console.print(f"most memory of one process, {server}: {memory / 1e6:.0f} MB")
