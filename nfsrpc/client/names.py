"""Names: from a path to a file, and what is read of names and attributes. The core, without I/O of its own.

Paths are bytes and count from what the URL names; a leading slash changes nothing. Errors are
`OSError` with the whole path on the server.
"""

import contextlib
import errno
import os
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from math import inf
from typing import Any, NamedTuple, TypeVar

from nfsrpc.protocols.nfs_prot import fattr

from . import nfs2
from .directory import Found, look_up, read_names
from .mountd import parts
from .nfs2 import Request, Space
from .node import Node, Nodes
from .options import Options
from .wire import Flight, Remount, Wire

MAX_LINKS = 40
"""Symbolic links followed on the way to one file; more is a circle (as the kernel has it)."""
MAX_DEPTH = 1024
"""Directories below each other on the way to one file; more is a server that makes them up."""
_REMEMBERED = 65536
"""Paths whose file is known by heart."""

T = TypeVar("T")


class Spot(NamedTuple):
    """A place in the tree: the directory, the name in it, the whole path under the export.

    For the export's root itself the name is empty.
    """

    directory: Node
    name: bytes
    path: bytes


class Step(NamedTuple):
    """One file on the way to another: its name in the one before, and what it is."""

    name: bytes
    node: Node


class Known(NamedTuple):
    """What a path leads to, and until when the names on the way are believed."""

    node: Node
    until: float


class Names:
    """The names under one export, as seen from what the URL names (`base`, names under the export).

    Every ``async`` method may be awaited by any number of tasks or threads at once, see `wire`.
    """

    def __init__(
        self,
        wire: Wire,
        root: bytes,
        export: bytes,
        base: bytes,
        options: Options,
        clock: Callable[[], float],
    ) -> None:
        self.wire = wire
        self.options = options
        self.clock = clock
        self.nodes = Nodes(options)
        self._root_handle = root
        self._root: Node | None = None
        self._export = parts(export)
        self._base = parts(base)
        self._known: dict[tuple[bytes | str, bool], Known] = {}

    # --- asking

    async def ask(self, request: Request[T]) -> T:
        """Send `request` and wait for its result."""
        flight: Flight[T] = self.wire.submit(request)
        return await flight

    async def ask_about(self, node: Node, request: Request[fattr]) -> Node:
        """Send a request that answers with the attributes of `node`, and learn them."""
        node.learn(await self.ask(request), self.clock(), self.options)
        return node

    async def refreshed(self, node: Node) -> Node:
        """`node` with attributes that may be believed now."""
        if self.clock() < node.until:
            return node
        return await self.ask_about(node, nfs2.getattr_(node.handle))

    async def root(self) -> Node:
        """The root of the export."""
        if self._root is None:
            handle = self._root_handle
            attributes = await self.ask(nfs2.getattr_(handle))
            self._root = self.nodes.get(handle, attributes, self.clock())
        return self._root

    # --- errors

    def whole(self, path: bytes) -> str:
        """A path under the export as the server's users know it: with the export's own path in front."""
        return "/" + os.fsdecode(b"/".join([*self._export, *parts(path)]))

    def under_root(self, path: bytes) -> bytes:
        """A path that counts from what the URL names, as one that counts from the export's root."""
        return b"/".join(self._base + parts(path))

    def error(self, number: int, path: bytes) -> OSError:
        """An `OSError` about a path under the export."""
        return OSError(number, os.strerror(number), self.whole(path))

    @contextlib.contextmanager
    def about(self, path: bytes, second: bytes | None = None) -> Iterator[None]:
        """Puts whole paths into the `OSError`s that leave its block."""
        try:
            yield
        except OSError as error:
            error.filename = self.whole(path)
            if second is not None:
                error.filename2 = self.whole(second)
            raise

    async def steadily(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do `work`; if it meets a stale handle, walk every path again from the root, once, and do it again.

        A handle becomes stale when its file was removed behind our back, and when the server has come back
        with other handles; then even the root's is asked of the mount server again.
        """
        try:
            return await work()
        except OSError as stale:
            if stale.errno != errno.ESTALE:
                raise
        await self.recover()
        return await work()

    async def recover(self) -> None:
        """Believe nothing that is cached of names and handles, the root's included."""
        self._known.clear()
        self.nodes.clear()
        self._root = None
        try:
            await self.root()
        except OSError as stale:
            if stale.errno != errno.ESTALE:
                raise
            self._root_handle = await Remount()
            await self.root()

    # --- walking

    async def find(self, path: bytes, *, follow: bool = True) -> Node:
        """The file at `path`, with attributes that may be believed; a last symbolic link is followed or not."""
        trail, _ = await self._walk(self._base + parts(path), follow=follow)
        with self.about(_path_of(trail)):
            return await self.refreshed(trail[-1].node)

    async def find_under_root(self, path: bytes) -> Node:
        """The file at a path that counts from the export's root; a last link is not followed."""
        trail, _ = await self._walk(parts(path), follow=False)
        return await self.refreshed(trail[-1].node)

    def remembered(self, path: bytes | str, follow: bool) -> Node | None:
        """What `path` leads to, if everything about it is known and may be believed now. For speed."""
        known = self._known.get((path, follow))
        if known is None:
            return None
        now = self.clock()
        return known.node if now < known.until and now < known.node.until else None

    async def stat(self, path: bytes, follow: bool = True, key: bytes | str | None = None) -> os.stat_result:
        """Status of the file at `path`; remembered under `key`, the path as the caller writes it."""
        trail, until = await self._walk(self._base + parts(path), follow=follow)
        node = trail[-1].node
        with self.about(_path_of(trail)):
            await self.refreshed(node)
        self.remember(path if key is None else key, follow, node, until)
        return node.status

    def remember(self, key: bytes | str, follow: bool, node: Node, until: float) -> None:
        """Keep in mind what a path leads to, until names on the way may have changed."""
        if len(self._known) >= _REMEMBERED:
            self._known.clear()
        self._known[(key, follow)] = Known(node, until)

    async def spot(self, path: bytes) -> Spot:
        """Where the last name of `path` is or would be; links on the way are followed, the last is not looked at."""
        return await self._spot(self._base + parts(path))

    async def _spot(self, names: list[bytes]) -> Spot:
        if not names:
            return Spot(await self.root(), b"", b"")
        trail, _ = await self._walk(names[:-1], follow=True)
        if not trail[-1].node.is_directory:
            raise self.error(errno.ENOTDIR, b"/".join(names))
        above = _path_of(trail)
        if names[-1] == b"..":
            trail = trail[:-1] or trail
            return Spot(trail[-2].node if len(trail) > 1 else trail[0].node, trail[-1].name, _path_of(trail))
        return Spot(trail[-1].node, names[-1], above + b"/" + names[-1] if above else names[-1])

    async def spot_of_target(self, spot: Spot, target: bytes) -> Spot:
        """Where a link at `spot` leads, one step; what is there may be a link again."""
        names = self._names_of_target(target)
        above = [] if target.startswith(b"/") else parts(spot.path)[:-1]
        return await self._spot(above + names)

    async def look(self, spot: Spot) -> Node:
        """What is at `spot` now, as the server says: never from memory."""
        if not spot.name:
            return await self.ask_about(spot.directory, nfs2.getattr_(spot.directory.handle))
        with self.about(spot.path):
            return await self._lookup(spot.directory, spot.name)

    async def _walk(self, names: list[bytes], *, follow: bool) -> tuple[list[Step], float]:
        """The files on the way along `names` from the export's root, and until when the way is believed.

        A link's absolute target counts from the export's root, or, where it begins with the
        export's own path on the server, from there; ``..`` never leads out. ELOOP after `MAX_LINKS`.
        """
        root = Step(b"", await self.root())
        trail, todo, links, until = [root], deque(names), 0, inf
        asked = b"/".join(names)
        while todo:
            name = todo.popleft()
            directory = trail[-1].node
            if not directory.is_directory:
                raise self.error(errno.ENOTDIR, asked if len(trail) == 1 else b"/".join((_path_of(trail), name)))
            if name == b"..":
                trail = trail[:-1] or [root]
                continue
            node = await self._child(directory, name, trail)
            until = min(until, directory.until)
            if node.is_link and (todo or follow):
                links += 1
                if links > MAX_LINKS:
                    raise self.error(errno.ELOOP, asked)
                with self.about(b"/".join((_path_of(trail), name))):
                    target = await self.target(node.handle)
                if target.startswith(b"/"):
                    trail = [root]
                todo.extendleft(reversed(self._names_of_target(target)))
                continue
            if len(trail) > MAX_DEPTH:
                raise self.error(errno.ENAMETOOLONG, asked)
            trail.append(Step(name, node))
        return trail, until

    async def _child(self, directory: Node, name: bytes, trail: list[Step]) -> Node:
        """What `name` in `directory` is, from memory if that may be believed."""
        if name in directory.names:
            if self.clock() >= directory.until:
                with self.about(_path_of(trail)):
                    await self.refreshed(directory)
            # What is not there (any more) in a directory that has changed is asked for below.
            if name in directory.names and self.options.names:
                child = directory.names[name]
                if child is None:
                    raise self.error(errno.ENOENT, b"/".join((_path_of(trail), name)))
                return child
        with self.about(b"/".join((_path_of(trail), name))):
            return await self._lookup(directory, name)

    async def _lookup(self, directory: Node, name: bytes) -> Node:
        stamp = directory.stamp
        try:
            found: Found = await self.ask(nfs2.lookup(directory.handle, name))
        except OSError as error:
            found = error
        return self._looked_up(directory, name, stamp, found)

    def _looked_up(self, directory: Node, name: bytes, stamp: int, found: Found) -> Node:
        """Learn what a LOOKUP said that was sent when `directory` had `stamp`; raises what it raised."""
        if isinstance(found, OSError):
            if found.errno == errno.ENOENT and stamp == directory.stamp:
                directory.names[name] = None
            raise found
        node = self.nodes.get(*found, self.clock())
        if stamp == directory.stamp:
            directory.names[name] = node
        return node

    def _names_of_target(self, target: bytes) -> list[bytes]:
        names = parts(target)
        if target.startswith(b"/") and self._export and names[: len(self._export)] == self._export:
            return names[len(self._export) :]
        return names

    async def target(self, link: bytes) -> bytes:
        """Target of the symbolic link of a handle, ENOENT for an empty one. Links never change, but are replaced."""
        target = await self.ask(nfs2.readlink(link))
        if not target:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return target

    # --- reading names

    async def names(self, path: bytes, key: bytes | str) -> list[bytes]:
        """The names in the directory at `path`, without ``.`` and ``..``, in the server's order.

        Where the directory is gets remembered under `key`, the path as the caller writes it.
        """
        trail, until = await self._walk(self._base + parts(path), follow=True)
        node = trail[-1].node
        with self.about(_path_of(trail)):
            names = await self.names_in(node)
        self.remember(key, True, node, until)
        return names

    def remembered_names(self, path: bytes | str, text: bool) -> list[Any] | None:
        """The names in the directory at `path`, in text or bytes, if they are known and may be believed. For speed."""
        node = self.remembered(path, True)
        if node is None or node.listing is None or not self.options.names:
            return None
        if not text:
            return node.listing
        if node.listing_text is None:
            node.listing_text = [os.fsdecode(name) for name in node.listing]
        return node.listing_text

    async def names_in(self, node: Node) -> list[bytes]:
        """The names in a directory whose attributes may be believed."""
        if not node.is_directory:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        await self.refreshed(node)
        if node.listing is not None and self.options.names:
            return node.listing
        stamp = node.stamp
        names = await read_names(self.wire, node.handle, self.options.readdir_size)
        if stamp == node.stamp:
            node.listing = names
        return names

    async def children(self, path: bytes) -> list[tuple[bytes, Node | OSError]]:
        """The names in the directory at `path`, each with its file (a link is not followed) or why it cannot be had.

        What has gone meanwhile is left out. The LOOKUPs that it takes are in flight together.
        """
        directory = await self.find(path)
        whole = self.under_root(path)
        with self.about(whole):
            names = await self.names_in(directory)
        found: dict[bytes, Node | OSError] = {}
        stamp = directory.stamp

        def learn(name: bytes, answer: Found) -> None:
            try:
                found[name] = self._looked_up(directory, name, stamp, answer)
            except FileNotFoundError:
                pass
            except OSError as error:
                error.filename = self.whole(whole + b"/" + name)
                found[name] = error

        now = self.clock()
        unknown = []
        for name in names:
            child = directory.names.get(name) if now < directory.until and self.options.names else None
            if child is not None and now < child.until:
                found[name] = child
            else:
                unknown.append(name)
        await look_up(self.wire, directory.handle, unknown, learn)
        return [(name, found[name]) for name in names if name in found]

    async def readlink(self, path: bytes) -> bytes:
        """Target of the symbolic link at `path`; EINVAL for anything else."""
        node = await self.find(path, follow=False)
        whole = self.under_root(path)
        if not node.is_link:
            raise self.error(errno.EINVAL, whole)
        with self.about(whole):
            return await self.ask(nfs2.readlink(node.handle))

    async def space(self, path: bytes) -> Space:
        """Room on the file system of the file at `path`."""
        node = await self.find(path)
        with self.about(self.under_root(path)):
            return await self.ask(nfs2.statfs(node.handle))


def _path_of(trail: list[Step]) -> bytes:
    return b"/".join([step.name for step in trail[1:]])
