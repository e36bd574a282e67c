"""The server's side of a copy: its requests are sent without waiting for each other where they can be."""

import contextlib
import errno
import os
import stat
from collections import deque
from dataclasses import dataclass
from typing import Any

from nfsrpc.client import nfs2
from nfsrpc.client.blocking import Mount
from nfsrpc.client.directory import Found, look_up, read_names
from nfsrpc.client.nfs2 import UNSET, attributes_to_set
from nfsrpc.client.node import Node, device_of, mode_of
from nfsrpc.client.wire import Flight
from nfsrpc.protocols.nfs_prot import fattr, nfstime, sattr

from .item import DOUBTED, RESUMED, Item, Kind, Unsupported, kind_of, not_a_directory
from .job import Options
from .outbox import Outbox

_WINDOW = 32
"""READs or WRITEs of one file in flight, at most."""


class RemoteSource:
    """Files of a mount."""

    def __init__(self, mount: Mount) -> None:
        self.tree = mount.tree
        self._page = mount.page
        self.wire = Outbox(mount.wire)
        self.flying = 0

    async def item(self, path: bytes, *, follow: bool) -> Item:
        """The file at `path` (a link itself unless `follow`)."""
        whole = os.fsencode(self.tree.whole(self.tree.under_root(path)))
        node = await self.tree.find(path, follow=follow)
        return self._item(whole, node.handle, node.attributes)

    def _item(self, path: bytes, handle: bytes, attributes: fattr) -> Item:
        mode = mode_of(attributes)
        return Item(
            path, handle, kind_of(mode), stat.S_IMODE(mode), attributes.uid,
            attributes.gid, attributes.size, _micro(attributes.atime), _micro(attributes.mtime), attributes.nlink,
            _identity(attributes), device_of(attributes),
        )  # fmt: skip

    async def children(self, item: Item) -> list[tuple[bytes, Item | OSError]]:
        """See `Source`."""
        names = await read_names(self.tree.wire, item.place, self.tree.options.readdir_size)
        # A name that comes twice would be copied twice, at the same time.
        names = list(dict.fromkeys(names))
        found: list[tuple[bytes, Item | OSError]] = []
        above = item.path + b"/"

        def learn(name: bytes, answer: Found) -> None:
            try:
                child = answer if isinstance(answer, OSError) else self._item(above + name, *answer)
            except Unsupported as error:
                child = error
            if not isinstance(child, FileNotFoundError):
                found.append((name, child))

        await look_up(self.tree.wire, item.place, names, learn)
        return found

    def reader(self, item: Item, offset: int) -> "_RemoteReader":
        """See `Source`."""
        return _RemoteReader(self, item, offset)

    async def target(self, item: Item) -> bytes:
        """See `Source`."""
        return await self.tree.target(item.place)

    def send_read(self, item: Item, offset: int) -> Flight[tuple[bytes, bytes]]:
        """Ask for a page."""
        return self.wire.submit(nfs2.read(item.place, offset, self._page))


class _RemoteReader:
    """A file from some offset on, with several READs in flight; its end is where it was when it was listed."""

    def __init__(self, source: RemoteSource, item: Item, offset: int) -> None:
        self._source = source
        self._item = item
        self._next = self._sent = offset
        self._step = 0
        self._flying: deque[tuple[int, Flight[tuple[bytes, bytes]]]] = deque()

    def _send(self) -> None:
        page = self._step or self._source._page
        source = self._source
        # Every file has one, few have many: together they are as many as the wire takes well.
        while self._sent < self._item.size and (
            not self._flying or (len(self._flying) < _WINDOW and source.flying < source.wire.window)
        ):
            self._flying.append((self._sent, source.send_read(self._item, self._sent)))
            source.flying += 1
            self._sent += page

    async def next(self) -> bytes:
        if self._next >= self._item.size:
            return b""
        self._send()
        offset, flight = self._flying.popleft()
        self._source.flying -= 1
        data, attributes = await flight
        if offset != self._next:
            raise AssertionError("READs are taken in order")
        if not data:
            size = nfs2.attributes_of(attributes).size
            if offset < min(size, self._item.size):
                raise OSError(errno.EIO, f"the server sent nothing at {offset} of {size} bytes")
            self._next = self._item.size
            return b""
        self._next = offset + len(data)
        if self._next < min(self._item.size, self._flying[0][0] if self._flying else self._sent):
            # A server that sends less than it is asked for: what follows is asked for anew, in its measure.
            self.close()
            self._step, self._sent = len(data), self._next
        return data

    def close(self) -> None:
        for _, flight in self._flying:
            self._source.wire.drop(flight)
        self._source.flying -= len(self._flying)
        self._flying.clear()


@dataclass(frozen=True, slots=True)
class _Directory:
    """A directory of the sink: its handle, its path under the export, and whether it has just been made, empty."""

    handle: bytes
    path: bytes
    new: bool


class RemoteSink:
    """Files below a directory of a mount."""

    def __init__(self, mount: Mount, directory: Node, path: bytes, options: Options, umask: int) -> None:
        self.wire = Outbox(mount.wire)
        self.page = mount.page
        self.flying = 0
        self.root = _Directory(directory.handle, path, False)
        self._options = options
        self._umask = umask
        self.tree = mount.tree

    def close(self) -> None:
        """What the mount remembers of names is out of date."""
        self.tree.forget_names()

    def describe(self, parent: _Directory, name: bytes) -> str:
        """See `Sink`."""
        return self.tree.whole(parent.path + b"/" + name)

    async def _there(self, parent: _Directory, name: bytes) -> tuple[bytes, fattr] | None:
        if parent.new:
            return None
        try:
            return await self.wire.ask(nfs2.lookup(parent.handle, name))
        except FileNotFoundError:
            return None

    async def directory(self, parent: _Directory, name: bytes, item: Item) -> _Directory:
        """See `Sink`."""
        mode = 0o700 if self._options.attributes else item.mode & 0o777 & ~self._umask | 0o700
        try:
            made = await self.wire.ask(nfs2.mkdir(parent.handle, name, attributes_to_set(mode=mode)))
        except FileExistsError:
            handle, attributes = await self.wire.ask(nfs2.lookup(parent.handle, name))
            if not stat.S_ISDIR(mode_of(attributes)):
                raise not_a_directory(name) from None
            return _Directory(handle, parent.path + b"/" + name, False)
        return _Directory(made[0], parent.path + b"/" + name, True)

    async def same(self, parent: _Directory, name: bytes, item: Item) -> bool:
        """See `Sink`."""
        there = await self._there(parent, name)
        return there is not None and self._is_copy(there[1], item)

    @staticmethod
    def _is_copy(there: fattr, item: Item) -> bool:
        return stat.S_ISREG(mode_of(there)) and (there.size, _micro(there.mtime)) == (item.size, item.mtime)

    async def file(self, parent: _Directory, name: bytes, item: Item) -> "_RemoteWriter":
        """See `Sink`."""
        if item.size > nfs2.MAX_OFFSET:
            raise OSError(errno.EFBIG, f"{item.size} bytes; NFS version 2 ends at 4 GiB", name)
        there = await self._there(parent, name)
        kind = None if there is None else stat.S_IFMT(mode_of(there[1]))
        if kind == stat.S_IFDIR:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        if there is not None and _identity(there[1]) == item.identity and self._is_copy(there[1], item):
            # The identity alone would not do: on another server it may be that of another file.
            raise OSError(errno.EINVAL, "it is the very file that is to be copied", name)
        if kind not in (None, stat.S_IFREG):
            await self.wire.ask(nfs2.remove(parent.handle, name))
            there = None
        mode = self._mode(there, item)
        if item.size >= RESUMED:
            return await self._continued(parent, name, item, mode)
        new = attributes_to_set(mode=stat.S_IFREG | 0o600, size=0)
        if not self._options.attributes:
            new = attributes_to_set(mode=stat.S_IFREG | mode, size=0)
        handle, _ = await self.wire.ask(nfs2.create(parent.handle, name, new))
        return _RemoteWriter(self, handle, 0, self._last(item, None), None)

    async def _continued(self, parent: _Directory, name: bytes, item: Item, mode: int) -> "_RemoteWriter":
        part = item.part_name(name)
        try:
            handle, attributes = await self.wire.ask(nfs2.lookup(parent.handle, part))
        except FileNotFoundError:
            new = attributes_to_set(mode=stat.S_IFREG | 0o600, size=0)
            handle, attributes = await self.wire.ask(nfs2.create(parent.handle, part, new))
        if not stat.S_ISREG(mode_of(attributes)):
            raise FileExistsError(errno.EEXIST, "something else is in the way of the copy", part)
        offset = min(item.size, max(0, attributes.size - DOUBTED))
        rename = nfs2.rename(parent.handle, part, parent.handle, name)
        return _RemoteWriter(self, handle, offset, self._last(item, mode), rename)

    def _mode(self, there: tuple[bytes, fattr] | None, item: Item) -> int:
        if self._options.attributes:
            return self._options.permissions(item.mode)
        if there is not None:
            return stat.S_IMODE(there[1].mode)
        return item.mode & 0o777 & ~self._umask

    def _last(self, item: Item, mode: int | None) -> sattr | None:
        """What is set when everything is written. A file that keeps its own attributes needs nothing."""
        if not self._options.attributes:
            return None if mode is None else attributes_to_set(mode=mode)
        return self._attributes(item)

    def _attributes(self, item: Item) -> sattr:
        uid, gid = (item.uid, item.gid) if self._options.owners else (UNSET, UNSET)
        mode = self._options.permissions(item.mode)
        return attributes_to_set(mode=mode, uid=uid, gid=gid, atime=_pair(item.atime), mtime=_pair(item.mtime))

    async def symlink(self, parent: _Directory, name: bytes, item: Item, target: bytes) -> None:
        """See `Sink`."""
        uid, gid = (item.uid, item.gid) if self._options.owners else (UNSET, UNSET)
        request = nfs2.symlink(parent.handle, name, target, attributes_to_set(mode=0o777, uid=uid, gid=gid))
        await self._instead(parent, name, request)
        if self._options.attributes:
            # Version 2 says nothing of the times of a new link, and some servers do not let them be set.
            with contextlib.suppress(OSError):
                handle, _ = await self.wire.ask(nfs2.lookup(parent.handle, name))
                times = attributes_to_set(atime=_pair(item.atime), mtime=_pair(item.mtime))
                await self.wire.ask(nfs2.setattr_(handle, times))

    async def _instead(self, parent: _Directory, name: bytes, request: Any) -> None:
        """Make something, in the place of what is there."""
        try:
            await self.wire.ask(request)
        except FileExistsError:
            await self.wire.ask(nfs2.remove(parent.handle, name))
            await self.wire.ask(request)

    async def special(self, parent: _Directory, name: bytes, item: Item) -> None:
        """See `Sink`."""
        if item.kind is not Kind.PIPE and not self._options.owners:
            raise Unsupported("a device is copied only with --owner")
        if await self._there(parent, name) is not None:
            await self.wire.ask(nfs2.remove(parent.handle, name))
        major, minor = os.major(item.device), os.minor(item.device)
        size = UNSET if item.kind is Kind.PIPE else (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)
        kind = stat.S_IFCHR if item.kind is Kind.PIPE else item.kind.value
        made = attributes_to_set(mode=kind | item.mode & 0o777, size=size)
        handle, _ = await self.wire.ask(nfs2.create(parent.handle, name, made))
        if self._options.attributes:
            await self.wire.ask(nfs2.setattr_(handle, self._attributes(item)))

    async def link(self, first: tuple[_Directory, bytes], parent: _Directory, name: bytes) -> None:
        """See `Sink`."""
        handle, made = await self.wire.ask(nfs2.lookup(first[0].handle, first[1]))
        there = await self._there(parent, name)
        if there is not None and _identity(there[1]) == _identity(made):
            return
        await self._instead(parent, name, nfs2.link(handle, parent.handle, name))

    async def settle(self, place: _Directory, item: Item) -> None:
        """See `Sink`."""
        await self.wire.ask(nfs2.setattr_(place.handle, self._attributes(item)))


class _RemoteWriter:
    """A file that is written with several WRITEs in flight, then given its attributes, then its name."""

    def __init__(self, sink: RemoteSink, handle: bytes, offset: int, last: sattr | None, rename: Any) -> None:
        self._sink = sink
        self._handle = handle
        self.offset = self._position = offset
        self._last = last
        self._rename = rename
        self._rest = b""
        self._flying: deque[tuple[int, Flight[fattr]]] = deque()

    async def write(self, data: bytes) -> int:
        page, arrived = self._sink.page, 0
        data = self._rest + data if self._rest else data
        end = len(data) - len(data) % page
        for start in range(0, end, page):
            arrived += await self._send(data[start : start + page])
        self._rest = data[end:]
        return arrived

    async def _send(self, piece: bytes) -> int:
        full = len(self._flying) >= _WINDOW or self._sink.flying >= self._sink.wire.window
        arrived = await self._land() if self._flying and full else 0
        self._sink.flying += 1
        request = nfs2.write(self._handle, self._position, piece)
        self._flying.append((len(piece), self._sink.wire.submit(request)))
        self._position += len(piece)
        return arrived

    async def _land(self) -> int:
        size, flight = self._flying.popleft()
        self._sink.flying -= 1
        await flight
        return size

    async def finish(self) -> int:
        arrived = 0
        if self._rest:
            arrived += await self._send(self._rest)
        while self._flying:
            arrived += await self._land()
        if self._last is not None:
            await self._sink.wire.ask(nfs2.setattr_(self._handle, self._last))
        if self._rename is not None:
            await self._sink.wire.ask(self._rename)
        return arrived

    def abandon(self) -> None:
        for _, flight in self._flying:
            self._sink.wire.drop(flight)
        self._sink.flying -= len(self._flying)
        self._flying.clear()


def _identity(attributes: fattr) -> tuple[int, int]:
    return attributes.fsid, attributes.fileid


def _micro(time: nfstime) -> int:
    return time.seconds * 1_000_000 + time.useconds


def _pair(micro: int) -> tuple[int, int]:
    """A time that version 2 can have: from 1970 to 2106."""
    seconds, rest = divmod(min(max(micro, 0), (UNSET - 1) * 1_000_000), 1_000_000)
    return seconds, rest
