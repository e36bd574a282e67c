"""The figures for a person at a terminal, for a program, and for a page of the documentation."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from dataclasses import asdict
from itertools import zip_longest
from pathlib import Path

import measure
import peers
from rich import box
from rich.console import Console
from rich.table import Table

BEGIN, END = "<!-- figures of tools/bench -->", "<!-- end of figures -->"


def show(results: list[measure.Line], running: list[peers.Peer], o: argparse.Namespace, console: Console) -> None:
    title = f"{o.connections} connections with {o.window} calls in flight each; medians of {o.rounds}"
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("operation", "server"):
        table.add_column(column, no_wrap=True)
    for column in ("replies/s", "spread", "p50 µs", "p99 µs", "lost", "ratio"):
        table.add_column(column, justify="right", no_wrap=True)
    # The durable one comes last, where there is one: like is compared with like.
    ganesha = sorted((r for r in results if r.server in ("ganesha", peers.DURABLE)), key=lambda r: r.server)
    yardsticks = {(r.operation, r.transport): r.summary.rate for r in ganesha}
    for line, following in zip_longest(results, results[1:]):
        got = line.summary
        yardstick = yardsticks.get((line.operation, line.transport))
        ratio = f"{got.rate / yardstick:.2f}" if yardstick else ""
        table.add_row(
            f"{line.operation} {line.transport}", line.server, f"{got.rate:,.0f}", f"{got.spread:.0%}",
            f"{got.p50:,.0f}", f"{got.p99:,.0f}", str(got.resent or ""), ratio,
            end_section=following is None or following.server == running[0].name,
        )  # fmt: skip
    console.print(table)
    console.print(
        "lost: datagrams sent again, all rounds together; "
        f"ratio: to ganesha, by replies/s, where {peers.DURABLE} is measured to that"
    )
    for peer in [peer for peer in running if peer.operations is None]:
        console.print(f"most memory of one process, {peer.name}: {peer.memory() / 1e6:.0f} MB")


def machine() -> str:
    return f"{os.cpu_count()} processors ({platform.machine()}), Linux {platform.release()}"


def document(o: argparse.Namespace, running: list[peers.Peer], results: list[measure.Line]) -> str:
    figures = {
        "machine": machine(),
        "python": platform.python_version(),
        "connections": o.connections,
        "window": o.window,
        "rounds": o.rounds,
        "seconds": o.seconds,
        "memory_bytes": {peer.name: peer.memory() for peer in running},
        "results": [asdict(line) for line in results],
    }
    return json.dumps(figures, indent=1) + "\n"


def markdown(o: argparse.Namespace, running: list[peers.Peer], results: list[measure.Line]) -> str:
    """A table with one line per operation and transport: replies/s, and in brackets the 99th percentile in µs."""
    names = [peer.name for peer in running]
    rates = {(line.operation, line.transport, line.server): line.summary for line in results}
    load = f"{o.connections} connections with {o.window} calls in flight each"
    lines = [
        f"{machine()}, Python {platform.python_version()}; {load}; medians of {o.rounds} rounds.",
        "Replies/s (99th percentile in µs):",
        "",
        "| | " + " | ".join(names) + " |",
        "|---|" + "---:|" * len(names),
    ]
    for operation in o.operations:
        for transport in o.transports:
            found = [rates.get((operation, transport, name)) for name in names]
            cells = " | ".join(f"{got.rate:,.0f} ({got.p99:,.0f})" if got else "" for got in found)
            lines.append(f"| {operation} {transport} | {cells} |")
    memory = ", ".join(f"{peer.name} {peer.memory() / 1e6:.0f} MB" for peer in running if peer.operations is None)
    return "\n".join([*lines, "", f"Most memory of one process: {memory}.", ""])


def write_into(page: Path, text: str) -> None:
    """Replaces the figures that stand in a Markdown page between two comments."""
    old = page.read_text()
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(old):
        raise SystemExit(f"bench: {page} has no line {BEGIN} and, below it, {END}")
    page.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{text}\n{END}", old))
