"""The copy itself: which file when, hard links, and what an error means. Knows nothing of where files are.

Its jobs are coroutines, run by `crew` so that many files are on their way at once. Directories get their times last.
"""

import os
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .item import Item, Kind, Sink, Source, Unsupported, Writer
from .on import Waiting, on
from .outbox import Outbox
from .report import Report

MAX_DEPTH = 500
"""Directories below each other; more is a server that makes them up."""
T = TypeVar("T")
Job = Callable[[], Coroutine[Waiting, Any, None]]


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


class Copy:
    """One copy: `todo` are the jobs to be run, which add further ones; when none is left, those of `settling`."""

    def __init__(self, source: Source, sink: Sink, report: Report, options: Options) -> None:
        self._source = source
        self._sink = sink
        self._report = report
        self._options = options
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

        async def fill() -> None:
            self._directories.append((self._sink.root, item))
            await self._fill(item, self._sink.root, 1)

        self.todo.append(lambda: self._guarded(item, fill()))

    def settling(self) -> deque[Job]:
        """The last jobs: modes and times of directories, the deepest first."""
        directories, self._directories = self._directories, []
        if not self._options.attributes:
            return deque()
        return deque(self._settling(place, item) for place, item in reversed(directories))

    def _settling(self, place: Any, item: Item) -> Job:
        return lambda: self._guarded(item, self._settle(place, item))

    async def _settle(self, place: Any, item: Item) -> None:
        await self._there(place, b"", self._sink.settle(place, item))

    async def _here(self, item: Item, work: Coroutine[Any, Any, T]) -> T:
        """What the source does; its errors are about `item`."""
        try:
            return await on(self._source.wire, work)
        except OSError as error:
            error.filename, error.filename2 = os.fsdecode(item.path), None
            raise

    async def _there(self, parent: Any, name: bytes, work: Coroutine[Any, Any, T]) -> T:
        """What the sink does; its errors are about `name` in `parent`."""
        try:
            return await on(self._sink.wire, work)
        except OSError as error:
            error.filename, error.filename2 = self._sink.describe(parent, name), None
            raise

    def _add(self, item: Item, parent: Any, name: bytes, depth: int) -> None:
        if item.kind is not Kind.DIRECTORY:
            self._report.found(item.size if item.kind is Kind.FILE else 0)
        self.todo.append(lambda: self._guarded(item, self._one(item, parent, name, depth)))

    async def _guarded(self, item: Item, work: Coroutine[Waiting, Any, None]) -> None:
        try:
            await work
        except OSError as error:
            self._report.failed(item.path, error)

    async def _one(self, item: Item, parent: Any, name: bytes, depth: int) -> None:
        if item.kind is Kind.DIRECTORY:
            await self._directory(item, parent, name, depth)
        elif item.links > 1:
            await self._one_of_several_names(item, parent, name)
        else:
            await self._single(item, parent, name)

    async def _directory(self, item: Item, parent: Any, name: bytes, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise Unsupported(f"more than {MAX_DEPTH} directories below each other are not believed")
        place = await self._there(parent, name, self._sink.directory(parent, name, item))
        self._directories.append((place, item))
        await self._fill(item, place, depth + 1)

    async def _fill(self, item: Item, place: Any, depth: int) -> None:
        for name, child in await self._here(item, self._source.children(item)):
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
            linked.waiting.append(lambda: self._guarded(item, self._one_of_several_names(item, parent, name)))
        else:
            await self._there(parent, name, self._sink.link(linked.made, parent, name))
            self._report.moved(item.size if item.kind is Kind.FILE else 0)
            self._report.finished(item.path)

    async def _single(self, item: Item, parent: Any, name: bytes) -> None:
        sink = self._sink
        if item.kind is Kind.FILE:
            await self._file(item, parent, name)
        elif item.kind is Kind.LINK:
            target = await self._here(item, self._source.target(item))
            await self._there(parent, name, sink.symlink(parent, name, item, target))
        elif item.kind is Kind.SOCKET:
            raise Unsupported("sockets are not copied: the program that made one makes it again")
        else:
            await self._there(parent, name, sink.special(parent, name, item))
        self._report.finished(item.path)

    async def _file(self, item: Item, parent: Any, name: bytes) -> None:
        sink, whole = self._sink, self._options.everything or not self._options.attributes
        if not whole and await self._there(parent, name, sink.same(parent, name, item)):
            self._report.moved(item.size)
            return
        writer = await self._there(parent, name, sink.file(parent, name, item))
        try:
            await self._contents(item, parent, name, writer)
        except BaseException:
            writer.abandon()
            raise

    async def _contents(self, item: Item, parent: Any, name: bytes, writer: Writer) -> None:
        self._report.moved(writer.offset)
        reader = self._source.reader(item, writer.offset)
        try:
            while data := await self._here(item, reader.next()):
                self._report.moved(await self._there(parent, name, writer.write(data)))
        finally:
            reader.close()
        self._report.moved(await self._there(parent, name, writer.finish()))
