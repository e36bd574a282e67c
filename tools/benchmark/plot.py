"""Plots of the figures: one SVG for a light page and one for a dark one, drawn by matplotlib."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
except ImportError:
    raise SystemExit("bench: plots need matplotlib: pip install '.[bench]'") from None

COLOURS = {
    "light": {"ink": "#1f2328", "faint": "#d5d9de", "paper": "#ffffff"},
    "dark": {"ink": "#e6edf3", "faint": "#30363d", "paper": "#0d1117"},
}
PALETTE = {
    "light": ("#0550ae", "#54aeff", "#cf222e", "#ff8f73", "#8250df", "#1a7f37", "#8c959f", "#bf8700"),
    "dark": ("#58a6ff", "#a5d6ff", "#ff7b72", "#ffb3a7", "#d2a8ff", "#56d364", "#8b949e", "#e3b341"),
}
Draw = Callable[[Figure, tuple[str, ...]], None]


def save(stem: Path, draw: Draw, size: tuple[float, float]) -> list[Path]:
    """`stem`-light.svg, `stem`-dark.svg and a PNG of each; their names. `size` in inches."""
    made = []
    for theme, colours in COLOURS.items():
        style = {
            "font.family": "sans-serif", "font.size": 9.5, "svg.fonttype": "none", "svg.hashsalt": "nfsrpc",
            "text.color": colours["ink"], "axes.labelcolor": colours["ink"], "axes.edgecolor": colours["faint"],
            "xtick.color": colours["ink"], "ytick.color": colours["ink"], "grid.color": colours["faint"],
            "figure.facecolor": colours["paper"], "axes.facecolor": colours["paper"], "axes.axisbelow": True,
            "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "axes.titlesize": 10.5,
            "axes.titlelocation": "left", "axes.titleweight": "bold",
        }  # fmt: skip
        with mpl.rc_context(style):
            figure = Figure(figsize=size, layout="constrained")
            draw(figure, PALETTE[theme])
            for kind in ("svg", "png"):
                made.append(stem.with_name(f"{stem.name}-{theme}.{kind}"))
                # No date inside: the same figures give the same bytes.
                figure.savefig(made[-1], dpi=110, metadata={"Date": None} if kind == "svg" else None)
    return made


def thousands(value: float) -> str:
    """"93 k", "8.4 k", "970"."""
    return f"{value:.0f}" if value < 1000 else f"{value / 1000:.1f} k" if value < 9950 else f"{value / 1000:.0f} k"


def bars(
    axes: Axes, lines: list[tuple[str, dict[str, float]]], servers: list[str], colours: dict[str, str], title: str
) -> None:
    """One group for each line, one bar for each server that has a figure there, its figure written above."""
    most = max((value for _, values in lines for value in values.values()), default=1.0)
    for place, (_, values) in enumerate(lines):
        those = [server for server in servers if server in values]
        width = 0.84 / max(len(those), 1)
        for number, server in enumerate(those):
            x = place + (number - (len(those) - 1) / 2) * width
            axes.bar(x, values[server], width * 0.92, color=colours[server])
            axes.text(
                x, values[server] + most * 0.012, thousands(values[server]), rotation=90, ha="center", va="bottom",
                fontsize=7.5,
            )  # fmt: skip
    axes.set_xticks(range(len(lines)), [name for name, _ in lines])
    axes.tick_params(axis="x", length=0)
    axes.set_ylim(0, most * 1.2)
    axes.set_xlim(-0.55, len(lines) - 0.45)
    axes.yaxis.set_major_formatter(lambda value, _: thousands(value))
    axes.grid(axis="y", linewidth=0.6)
    axes.set_title(title)


def comparison(lines: list[tuple[str, dict[str, dict[str, Any]]]], servers: list[str]) -> Draw:
    """Replies/s of every operation, UDP above TCP."""

    def draw(figure: Figure, palette: tuple[str, ...]) -> None:
        colours = dict(zip(servers, palette, strict=False))
        both = figure.subplots(2, 1)
        for axes, transport in zip(both, ("udp", "tcp"), strict=True):
            chosen = [
                (name.rpartition(" ")[0], {server: got["rate"] for server, got in reached.items() if server in servers})
                for name, reached in lines
                if name.endswith(transport)
            ]
            bars(axes, chosen, servers, colours, f"{transport.upper()}: replies/s, more is better")
        handles = [mpl.patches.Patch(color=colours[server], label=server) for server in servers]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(servers))

    return draw


def growth(curves: list[dict[str, Any]]) -> Draw:
    """A small plot for each quantity: the server's processor time for a call against it."""

    def draw(figure: Figure, palette: tuple[str, ...]) -> None:
        quantities = list(dict.fromkeys(curve["against"] for curve in curves))
        columns = 3
        grid = figure.subplots(math.ceil(len(quantities) / columns), columns, squeeze=False).flat
        for axes, against in zip(grid, quantities, strict=False):
            for colour, curve in zip(palette, [c for c in curves if c["against"] == against], strict=False):
                xs, ys = zip(*curve["points"], strict=True)
                axes.plot(xs, ys, marker="o", markersize=4, color=colour, label=curve["operation"])
            axes.set_xscale("log")
            axes.set_xticks(xs, [thousands(x) for x in xs])
            axes.minorticks_off()
            axes.set_ylim(0, 1.35 * max(y for c in curves if c["against"] == against for _, y in c["points"]))
            axes.set_title(against)
            axes.grid(linewidth=0.6)
            axes.legend(fontsize=8, loc="best")
        for axes in list(grid):
            axes.set_visible(False)
        figure.supylabel("µs of the server's processor time for a call", fontsize=9.5)

    return draw
