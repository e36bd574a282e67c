"""What commands print: tables for people, plain columns for pipes, JSON for programs, progress while it lasts."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

Row = Sequence[str]


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    click.echo(json.dumps(value, indent=2))


def print_table(headings: Row, rows: Sequence[Row], *, right: frozenset[int] = frozenset()) -> None:
    """`rows` under `headings`: a table on a terminal, aligned columns elsewhere. `right` are the columns of numbers."""
    if sys.stdout.isatty():
        Console().print(_table(headings, rows, right))
        return
    for line in aligned([headings, *rows], right):
        click.echo(line)


def _table(headings: Row, rows: Sequence[Row], right: frozenset[int]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for at, heading in enumerate(headings):
        table.add_column(heading, justify="right" if at in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    return table


@contextlib.contextmanager
def tables(headings: Row, *, right: frozenset[int] = frozenset()) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Shows rows under `headings` again and again: in one place on a terminal, one table below the other elsewhere."""
    if not sys.stdout.isatty():

        def below(rows: Sequence[Row]) -> None:
            print_table(headings, rows, right=right)
            click.echo()

        yield below
        return
    with Live(auto_refresh=False) as live:
        yield lambda rows: live.update(_table(headings, rows, right), refresh=True)


def aligned(rows: Sequence[Row], right: frozenset[int] = frozenset()) -> Iterator[str]:
    """Lines of columns that are as wide as their widest cell, two spaces between, nothing at the line's end."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if at in right else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(cells).rstrip()


@contextlib.contextmanager
def bytes_bar() -> Iterator[Progress | None]:
    """A bar for bytes, with rate and time left, on standard error; None if that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        yield bar


@contextlib.contextmanager
def progress(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """The bar of one file; call its value with bytes done."""
    with bytes_bar() as bar:
        if bar is None:
            yield lambda size: None
            return
        task = bar.add_task(title, total=total)
        yield lambda size: bar.advance(task, size)


def human(size: int) -> str:
    """Bytes in at most four characters and a letter: ``512``, ``1.2K``, ``34M``."""
    if size < 1024:
        return str(size)
    power = next(power for power in range(1, 6) if size < 1023.5 * 1024**power or power == 5)
    value = size / 1024**power
    return f"{value:.1f}{'KMGTP'[power - 1]}" if value < 9.95 else f"{value:.0f}{'KMGTP'[power - 1]}"
