"""The copy itself: which file when, hard links, and what an error means. Knows nothing of where files are.

Its jobs are coroutines, run by `crew` so that many files are on their way at once. Directories get their times last.
"""

import os
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Any

from nfsrpc.client.wire import Flight

from .item import Item, Kind, Sink, Source, Unsupported, Writer
from .outbox import Outbox
from .report import Report

MAX_DEPTH = 500
"""Directories below each other; more is a server that makes them up."""
Job = Callable[[], Coroutine[Flight[Any], Any, None]]


@dataclass(frozen=True, slots=True)
class Options:
    """How to copy.

    attributes
        Copies have the modes and times of their originals. Otherwise new files have their modes, without the umask's
        bits, files that were there keep theirs, and times are those of the copy.
    owners
        Copies have the owners of their originals as well, and with them set-user-id bits and device nodes, which
        are not taken from elsewhere otherwise.
    everything
        Copy files again that are there with the same size and mtime.
    """

    attributes: bool = True
    owners: bool = False
    everything: bool = False

    def permissions(self, mode: int) -> int:
        """The bits of a mode that are taken over."""
        return mode & (0o7777 if self.owners else 0o1777)


@dataclass(slots=True)
class _Linked:
    """A file with several names: the copy of the first one, once it is made, and who waits for it."""

    made: tuple[Any, bytes] | None = None
    waiting: list[Job] = field(default_factory=list)


class _About:
    """`OSError`s that leave its blocks are about the path that `describe` says, given `what`."""

    __slots__ = ("_describe", "_what")

    def __init__(self, describe: Callable[..., str], *what: Any) -> None:
        self._describe = describe
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, OSError):
            error.filename, error.filename2 = self._describe(*self._what), None


class Copy:
    """One copy: `todo` are the jobs to be run, which add further ones; when none is left, those of `settling`."""

    def __init__(self, source: Source, sink: Sink, report: Report, options: Options) -> None:
        self._source = source
        self._sink = sink
        self._report = report
        self._options = options
        self._whole = options.everything or not options.attributes
        self._linked: dict[tuple[int, int], _Linked] = {}
        self._directories: list[tuple[Any, Item]] = []
        self.todo: deque[Job] = deque()

    @property
    def wires(self) -> list[Outbox]:
        """What its jobs wait for."""
        return [wire for wire in (self._source.wire, self._sink.wire) if wire is not None]

    def add(self, item: Item, name: bytes) -> None:
        """Copy `item`, and what is in it, as `name` in the sink's root."""
        self._add(item, self._sink.root, name, 0)

    def add_contents(self, item: Item) -> None:
        """Copy what is in the directory `item` into the sink's root itself."""
        self._directories.append((self._sink.root, item))
        self.todo.append(partial(self._guarded, item, self._fill, self._sink.root, 1))

    def settling(self) -> deque[Job]:
        """The last jobs: modes and times of directories, the deepest first."""
        directories, self._directories = self._directories, []
        if not self._options.attributes:
            return deque()
        return deque(partial(self._guarded, item, self._settle, place) for place, item in reversed(directories))

    async def _settle(self, item: Item, place: Any) -> None:
        with self._there(place, b""):
            await self._sink.settle(place, item)

    def _here(self, item: Item) -> _About:
        """For what the source does; its errors are about `item`."""
        return _About(os.fsdecode, item.path)

    def _there(self, parent: Any, name: bytes) -> _About:
        """For what the sink does; its errors are about `name` in `parent`."""
        return _About(self._sink.describe, parent, name)

    def _add(self, item: Item, parent: Any, name: bytes, depth: int) -> None:
        if item.kind is not Kind.DIRECTORY:
            self._report.found(item.size if item.kind is Kind.FILE else 0)
        self.todo.append(partial(self._guarded, item, self._one, parent, name, depth))

    async def _guarded(self, item: Item, work: Callable[..., Coroutine[Flight[Any], Any, None]], *where: Any) -> None:
        try:
            await work(item, *where)
        except OSError as error:
            self._report.failed(item.path, error)

    def _one(self, item: Item, parent: Any, name: bytes, depth: int) -> Coroutine[Flight[Any], Any, None]:
        if item.kind is Kind.DIRECTORY:
            return self._directory(item, parent, name, depth)
        if item.links > 1:
            return self._one_of_several_names(item, parent, name)
        return self._single(item, parent, name)

    async def _directory(self, item: Item, parent: Any, name: bytes, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise Unsupported(f"more than {MAX_DEPTH} directories below each other are not believed")
        with self._there(parent, name):
            place = await self._sink.directory(parent, name, item)
        self._directories.append((place, item))
        await self._fill(item, place, depth + 1)

    async def _fill(self, item: Item, place: Any, depth: int) -> None:
        with self._here(item):
            children = await self._source.children(item)
        for name, child in children:
            if isinstance(child, OSError):
                child.filename = os.fsdecode(item.path + b"/" + name)
                self._report.failed(item.path + b"/" + name, child)
            else:
                self._add(child, place, name, depth)

    async def _one_of_several_names(self, item: Item, parent: Any, name: bytes) -> None:
        """The first name of a file is copied, the others are linked to that copy once it is there."""
        linked = self._linked.get(item.identity)
        if linked is None:
            linked = self._linked[item.identity] = _Linked()
            try:
                await self._single(item, parent, name)
            except OSError:
                # The next name is the first one now.
                del self._linked[item.identity]
                self.todo.extend(linked.waiting)
                raise
            linked.made = (parent, name)
            self.todo.extend(linked.waiting)
            linked.waiting.clear()
        elif linked.made is None:
            linked.waiting.append(partial(self._guarded, item, self._one_of_several_names, parent, name))
        else:
            with self._there(parent, name):
                await self._sink.link(linked.made, parent, name)
            self._report.moved(item.size if item.kind is Kind.FILE else 0)
            self._report.finished(item.path)

    async def _single(self, item: Item, parent: Any, name: bytes) -> None:
        here, there = self._here(item), self._there(parent, name)
        if item.kind is Kind.FILE:
            await self._file(item, parent, name, here, there)
        elif item.kind is Kind.LINK:
            with here:
                target = await self._source.target(item)
            with there:
                await self._sink.symlink(parent, name, item, target)
        elif item.kind is Kind.SOCKET:
            raise Unsupported("sockets are not copied: the program that made one makes it again")
        else:
            with there:
                await self._sink.special(parent, name, item)
        self._report.finished(item.path)

    async def _file(self, item: Item, parent: Any, name: bytes, here: _About, there: _About) -> None:
        moved = self._report.moved
        with there:
            if not self._whole and await self._sink.same(parent, name, item):
                moved(item.size)
                return
            writer = await self._sink.file(parent, name, item)
        try:
            moved(writer.offset)
            await self._contents(item, writer, here, there)
            with there:
                moved(await writer.finish())
        except BaseException:
            writer.abandon()
            raise

    async def _contents(self, item: Item, writer: Writer, here: _About, there: _About) -> None:
        with here:
            reader = self._source.reader(item, writer.offset)
        try:
            while True:
                with here:
                    data = await reader.next()
                if not data:
                    return
                with there:
                    self._report.moved(await writer.write(data))
        finally:
            reader.close()
