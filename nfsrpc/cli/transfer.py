"""What ``get``, ``put`` and ``cp`` share: options, progress, and how a copy's errors are told."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import click
from rich.progress import Progress

from nfsrpc.client.copying import End, LocalEnd, Options, copy
from nfsrpc.client.copying.crew import FILES

from .errors import Failure, printable_name
from .output import bytes_bar
from .remote import failing_at

F = TypeVar("F", bound=Callable[..., Any])
_SHOWN = 40
_PAUSE = 0.1
"""Seconds between two states of the bar."""


def copy_options(command: F) -> F:
    """The options of the commands that copy."""
    for option in reversed((
        click.option("-r", "-R", "--recursive", is_flag=True,
                     help="Copy directories and what is in them, with modes, times and links."),
        click.option("-p", "--preserve", is_flag=True, help="Keep modes and times of single files as well."),
        click.option("--owner", "owners", is_flag=True,
                     help="Keep owners, and with them set-user-id bits and devices (as root)."),
        click.option("-a", "--all", "everything", is_flag=True,
                     help="Copy files again that are there with the same size and time."),
        click.option("-j", "--jobs", default=FILES, show_default=True, type=click.IntRange(1, 1000),
                     help="Files under way at once, at most."),
    )):  # fmt: skip
        command = option(command)
    return command


class Told:
    """A copy's report: a bar on a terminal, a line for each error."""

    def __init__(self, bar: Progress | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._bar = bar
        self._clock = clock
        self._task = None if bar is None else bar.add_task("", total=0)
        self._total = self._moved = 0
        self._last = b""
        self._due = 0.0
        self.failures = 0

    def found(self, size: int) -> None:
        """One more file."""
        self._total += size
        self._show()

    def moved(self, size: int) -> None:
        """Bytes have arrived."""
        self._moved += size
        self._show()

    def finished(self, path: bytes) -> None:
        """A file is there."""
        self._last = path
        self._show()

    def _show(self) -> None:
        """Tell the bar, as often as it is drawn: each time costs as much as half a small file."""
        if self._bar is None or self._task is None or (now := self._clock()) < self._due:
            return
        self._due = now + _PAUSE
        name = printable_name(self._last.rpartition(b"/")[2])[:_SHOWN]
        self._bar.update(self._task, total=self._total, completed=self._moved, description=name)

    def failed(self, path: bytes, error: OSError) -> None:
        """A line, and the others go on."""
        self.failures += 1
        place, error.filename = error.filename or os.fsdecode(path), None
        with _telling(self._bar):
            try:
                with failing_at(place):
                    raise error
            except Failure as failure:
                failure.show()


@contextlib.contextmanager
def _telling(bar: Progress | None) -> Iterator[None]:
    """A line between redraws of the bar."""
    if bar is None:
        yield
        return
    bar.stop()
    try:
        yield
    finally:
        bar.start()


def transfer(
    sources: Sequence[End],
    target: End,
    *,
    recursive: bool,
    preserve: bool,
    owners: bool,
    everything: bool,
    jobs: int,
    into_directory: bool = False,
) -> None:
    """Copy, with a bar on a terminal; exit status 1 if a file could not be copied."""
    options = Options(attributes=recursive or preserve or owners, owners=owners, everything=everything)
    remote = next((end for end in (*sources, target) if not isinstance(end, LocalEnd)), target)
    try:
        with bytes_bar() as bar, failing_at(str(remote)):
            told = Told(bar)
            copy(sources, target, told, options, recursive=recursive, into_directory=into_directory, files=jobs)
    except KeyboardInterrupt:
        raise Failure("interrupted; the same command goes on where this one stopped") from None
    if told.failures:
        sys.exit(1)
