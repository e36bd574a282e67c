"""tools/bench page: what --json has written, as a table in a page of the documentation and as plots.

    tools/bench page a.json b.json growth.json --into docs/performance.md --plot docs/performance

Comparisons of several runs are put together: of a line that several have, the last one counts. --plot writes
PLOT-light.svg and PLOT-dark.svg (and .png) and, where a file holds the figures of tools/bench growth, PLOT-growth-....
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

import ganesha
import others
import present

BEGIN, END = "<!-- figures of tools/bench -->", "<!-- end of figures -->"
ONE, TWO = " x1", " x2"
UNDRAWN = ("limit", others.FILE_SYSTEM, ganesha.DURABLE)
"""What would make the plot's scale useless, or is there for one bar only."""


def merged(documents: list[dict[str, Any]]) -> present.Document:
    """One comparison of several."""
    whole = dict(documents[-1])
    results = {(r["operation"], r["transport"], r["server"]): r for d in documents for r in d["results"]}
    whole["results"] = list(results.values())
    whole["servers"] = list(dict.fromkeys(server for d in documents for server in d["servers"]))
    memory: dict[str, int] = {}
    for document in documents:
        for server, size in document["memory_bytes"].items():
            memory[server] = max(size, memory.get(server, 0))
    whole["memory_bytes"] = memory
    return whole


def table(headings: list[str], rows: list[tuple[str, list[str]]]) -> list[str]:
    """Lines of Markdown."""
    head = ["| | " + " | ".join(headings) + " |", "|---|" + "---:|" * len(headings)]
    return [*head, *(f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows)]


def second_worker(document: present.Document) -> list[str]:
    """What two workers make beside one, and how much of the machine they and the generator had before and have then."""
    def cell(one: dict[str, Any] | None, two: dict[str, Any] | None) -> str:
        return f"{two['rate'] / one['rate']:.2f} ({one['busy']:.1f}, {two['busy']:.1f})" if one and two else ""

    kinds = [s.removesuffix(TWO) for s in document["servers"] if s.endswith(TWO)]
    cells = [
        (name, [cell(reached.get(kind + ONE), reached.get(kind + TWO)) for kind in kinds])
        for name, reached in present.lines(document)
    ]
    rows = [(name, of_each) for name, of_each in cells if any(of_each)]
    if not rows:
        return []
    heading = "Two workers: calls to those of one; processors kept busy with one, with two (the generator's share too)."
    return ["", heading, "", *table(kinds, rows)]


def markdown(document: present.Document) -> str:
    """Replies/s with the 99th percentile in brackets; then latencies at half the greatest load."""
    servers, lines = document["servers"], present.lines(document)
    load = f"{document['connections']} connections with {document['window']} calls in flight each"
    whole = [
        (name, [f"{got['rate']:,.0f} ({got['p99']:,.0f})" if (got := reached.get(s)) else "" for s in servers])
        for name, reached in lines
    ]
    text = [
        f"{document['machine']}, Python {document['python']}; {load}; medians of {document['rounds']} rounds.",
        "Replies/s (99th percentile in µs):", "", *table(servers, whole),
    ]  # fmt: skip
    half_of = [s for s in servers if any((got := r.get(s)) and got["half_p99"] is not None for _, r in lines)]
    if half_of:
        cells = [
            (name, [
                f"{got['half_p50']:,.0f} / {got['half_p99']:,.0f}"
                if (got := reached.get(s)) and got["half_p99"] is not None else "" for s in half_of
            ])
            for name, reached in lines
        ]  # fmt: skip
        heading = "At half that load, in an open loop: median and 99th percentile in µs."
        text += ["", heading, "", *table(half_of, cells)]
    text += second_worker(document)
    memory = ", ".join(f"{server} {size / 1e6:.0f} MB" for server, size in document["memory_bytes"].items())
    return "\n".join([*text, "", f"Most memory of one process: {memory}.", ""])


def write_into(page: Path, text: str) -> None:
    """Replaces the figures that stand in a Markdown page between two comments."""
    old = page.read_text()
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(old):
        raise SystemExit(f"bench: {page} has no line {BEGIN} and, below it, {END}")
    page.write_text(pattern.sub(lambda _: f"{BEGIN}\n\n{text}\n{END}", old))


def draw(stem: Path, comparison: present.Document | None, curves: list[dict[str, Any]]) -> None:
    """The plots of what there is."""
    import plot

    if comparison is not None:
        servers = [server for server in comparison["servers"] if server not in UNDRAWN]
        plot.save(stem, plot.comparison(present.lines(comparison), servers), (10, 6.4))
    if curves:
        plot.save(stem.with_name(f"{stem.name}-growth"), plot.growth(curves), (10, 5.6))


def main(argv: list[str]) -> int:
    """Write; the exit status."""
    parser = argparse.ArgumentParser(
        prog="tools/bench page", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", nargs="+", type=Path, metavar="FILE", help="what --json has written")
    parser.add_argument("--into", metavar="PAGE", type=Path, help="replace the figures in this Markdown page")
    parser.add_argument("--plot", metavar="PLOT", type=Path, help="write plots whose names begin so")
    o = parser.parse_args(argv)
    documents = [json.loads(path.read_text()) for path in o.figures]
    comparisons = [document for document in documents if "results" in document]
    comparison = merged(comparisons) if comparisons else None
    if o.into:
        if comparison is None:
            raise SystemExit(f"bench: {o.figures[0]}: no comparison; tools/bench --json FILE makes one")
        write_into(o.into, markdown(comparison))
    if o.plot:
        draw(o.plot, comparison, [curve for document in documents for curve in document.get("growth", [])])
    return 0
