"""Open files: modes, opening, closing. The core, without I/O of its own."""

import errno
import os
from typing import NamedTuple

from . import nfs2
from .contents import Contents
from .names import Spot
from .nfs2 import attributes_to_set
from .node import Node
from .pages import PageCache, ReadAhead
from .tree import Tree


class Mode(NamedTuple):
    """What a mode of `open` means, apart from text and binary."""

    readable: bool
    writable: bool
    append: bool = False
    create: bool = False
    exclusive: bool = False
    truncate: bool = False


_MODES = {
    "r": Mode(readable=True, writable=False),
    "w": Mode(readable=False, writable=True, create=True, truncate=True),
    "a": Mode(readable=False, writable=True, create=True, append=True),
    "x": Mode(readable=False, writable=True, create=True, exclusive=True),
}


def parse_mode(mode: str) -> Mode:
    """What `mode` means, as the built-in `open` has it: one of r, w, a, x, perhaps +, perhaps b or t. `ValueError`."""
    letters = set(mode)
    kinds = letters & set("rwax")
    if letters - set("rwaxbt+") or len(letters) != len(mode) or len(kinds) != 1 or {"b", "t"} <= letters:
        raise ValueError(f"invalid mode: {mode!r}")
    parsed = _MODES[kinds.pop()]
    return parsed._replace(readable=True, writable=True) if "+" in letters else parsed


class Opened:
    """One open file: its contents, what may be done with it, and where its reader is going."""

    __slots__ = ("ahead", "closed", "contents", "mode", "node", "path")

    def __init__(self, node: Node, contents: Contents, mode: Mode, path: bytes, most: int) -> None:
        self.node = node
        self.contents = contents
        self.mode = mode
        self.path = path
        self.ahead = ReadAhead(most)
        self.closed = False


class Files:
    """The open files of a mount, over its tree."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._cache = PageCache(tree.options.cache_size)
        self._open: dict[Opened, None] = {}
        self.page = min(tree.options.read_size, tree.options.write_size)
        """Bytes of a READ or WRITE; to be lowered before the first file is opened, where the server wants less."""

    async def open(self, path: bytes, mode: Mode, permissions: int) -> Opened:
        """Open the file at `path`. The server is always asked for its present state (close-to-open)."""
        tree = self._tree
        spot = await tree.spot(path)
        for _ in range(40):
            if not spot.name and mode.create:
                raise tree.error(errno.EISDIR, spot.path)
            node = await self._there(spot, mode, permissions)
            if not node.is_link:
                return await self._opened(node, mode, spot)
            if mode.exclusive:
                raise tree.error(errno.EEXIST, spot.path)
            with tree.about(spot.path):
                target = await tree.target(node.handle)
            spot = await tree.spot_of_target(spot, target)
        raise tree.error(errno.ELOOP, spot.path)

    async def _there(self, spot: Spot, mode: Mode, permissions: int) -> Node:
        """The file at `spot`, made if that is wanted."""
        tree = self._tree
        if mode.exclusive:
            return await tree.create_new(spot, permissions)
        try:
            node = await tree.look(spot)
        except FileNotFoundError:
            if not mode.create:
                raise
            return await tree.create(spot, permissions)
        return node

    async def _opened(self, node: Node, mode: Mode, spot: Spot) -> Opened:
        tree = self._tree
        if node.is_directory:
            raise tree.error(errno.EISDIR, spot.path)
        if not node.is_regular:
            raise tree.error(errno.EINVAL, spot.path)
        contents = node.contents
        if contents is None:
            contents = node.contents = Contents(tree, node, self._cache, self.page)
        else:
            contents.opened(node.attributes, contents.changes)
        contents.path = spot.path
        # More would push out what has not been read yet.
        ahead = min(tree.options.read_ahead, tree.options.cache_size // 2)
        opened = Opened(node, contents, mode, spot.path, ahead // self.page)
        self._open[opened] = None
        node.opens += 1
        tree.open_nodes.add(node)
        if mode.truncate and contents.size:
            try:
                await self.truncate(opened, 0)
            except OSError:
                await self.close(opened)
                raise
        return opened

    async def read_into(self, opened: Opened, view: memoryview, offset: int) -> int:
        """Fill `view` with the bytes at `offset`; how many there were."""
        with self._tree.about(opened.path):
            return await opened.contents.read_into(view, offset, opened.ahead)

    async def write(self, opened: Opened, data: memoryview, offset: int | None) -> int:
        """Take `data` for `offset`, or (None) for the end of the file; where it ends."""
        contents = opened.contents
        with self._tree.about(opened.path):
            if offset is None:
                if not contents.pending:
                    await self._tree.ask_about(opened.node, nfs2.getattr_(opened.node.handle))
                    contents.size = max(contents.size, opened.node.attributes.size)
                offset = contents.size
            await contents.write(data, offset)
        return offset + len(data)

    async def truncate(self, opened: Opened, size: int) -> None:
        """Make the file `size` bytes long."""
        with self._tree.about(opened.path):
            if size > nfs2.MAX_OFFSET:
                raise OSError(errno.EFBIG, "NFS version 2 ends at 4 GiB")
            await self._tree.change(opened.node, attributes_to_set(size=size))

    async def sync(self, opened: Opened) -> None:
        """Wait until everything that was written is on the server's stable storage; raises what went wrong with it."""
        with self._tree.about(opened.path):
            await opened.contents.settle()

    async def status(self, opened: Opened) -> os.stat_result:
        """Status of the file, as `os.fstat` has it."""
        with self._tree.about(opened.path):
            await self._tree.refreshed(opened.node)
        return opened.node.status

    async def close(self, opened: Opened) -> None:
        """Send what the server has not got, wait for it, and close; raises what went wrong, but is closed then too."""
        if opened.closed:
            return
        opened.closed = True
        try:
            with self._tree.about(opened.path):
                if opened.mode.writable:
                    await opened.contents.settle()
        finally:
            self._open.pop(opened, None)
            node = opened.node
            node.opens -= 1
            if not node.opens:
                opened.contents.closed()
                self._tree.open_nodes.discard(node)
                await self._tree.unhide(node)

    async def close_all(self) -> None:
        """Close every file; raises the first error."""
        first: OSError | None = None
        for opened in list(self._open):
            try:
                await self.close(opened)
            except OSError as error:
                first = first or error
        if first is not None:
            raise first
