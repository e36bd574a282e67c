"""The tree of a mount: everything that is done to names and attributes. The core, without I/O of its own."""

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from typing import Any

from nfsrpc.protocols.nfs_prot import fattr, sattr

from . import nfs2
from .names import MAX_LINKS, Names, Spot
from .nfs2 import UNSET, Request, attributes_to_set
from .node import Node
from .options import Options
from .wire import Wire


class Tree(Names):
    """The names under one export and what can be done to them, see `Names`."""

    def __init__(
        self,
        wire: Wire,
        root: bytes,
        export: bytes,
        base: bytes,
        options: Options,
        clock: Callable[[], float],
        umask: int,
    ) -> None:
        super().__init__(wire, root, export, base, options, clock)
        self._umask = umask
        self.hidden: dict[Node, Spot] = {}
        """Files that were removed while they were open, and the names that they have until they are closed."""
        self._hidings = 0
        self.open_nodes: set[Node] = set()
        """The files that are open now."""

    def permissions(self, mode: int) -> int:
        """The permission bits of something new."""
        return stat.S_IMODE(mode) & ~self._umask

    def changed(self, directory: Node, *names: bytes) -> None:
        """This client has changed `names` in `directory`: nothing that is known of them is believed any more."""
        directory.expire()
        directory.listing = directory.listing_text = None
        directory.stamp += 1
        for name in names:
            directory.names.pop(name, None)
        self._known.clear()

    def forget_names(self) -> None:
        """Something has changed names behind this tree's back: none is believed any more."""
        self._known.clear()
        self.nodes.expire()

    async def _at_new(self, path: bytes, number: int = errno.EEXIST) -> Spot:
        """The spot of something that shall be made, or (with another errno) taken away: it needs a name."""
        spot = await self.spot(path)
        if not spot.name:
            raise self.error(number, spot.path)
        return spot

    async def mkdir(self, path: bytes, mode: int) -> None:
        """Make a directory."""
        spot = await self._at_new(path)
        await self._make(spot, nfs2.mkdir, attributes_to_set(mode=self.permissions(mode)))

    async def mknod(self, path: bytes, mode: int, device: int) -> None:
        """Make a file of the type in `mode`; the device number travels in the size, a pipe's is all ones."""
        spot = await self._at_new(path)
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        size = UNSET
        if kind == stat.S_IFIFO:
            kind, size = stat.S_IFCHR, UNSET
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            major, minor = os.major(device), os.minor(device)
            size = (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)
        with contextlib.suppress(FileNotFoundError):
            await self.look(spot)
            raise self.error(errno.EEXIST, spot.path)
        await self._make(spot, nfs2.create, attributes_to_set(mode=kind | self.permissions(mode), size=size))

    async def _make(
        self, spot: Spot, request: Callable[[bytes, bytes, sattr], Request[tuple[bytes, fattr]]], attributes: sattr
    ) -> Node:
        with self.about(spot.path):
            try:
                made = await self.ask(request(spot.directory.handle, spot.name, attributes))
            finally:
                self.changed(spot.directory, spot.name)
        node = self.nodes.get(*made, self.clock())
        spot.directory.names[spot.name] = node
        return node

    async def create(self, spot: Spot, mode: int) -> Node:
        """Make a regular file; somebody else may have made it a moment ago.

        No size is asked for: a new file has none, and not every server takes one (ShenanigaNFS does not).
        """
        return await self._make(spot, nfs2.create, attributes_to_set(mode=stat.S_IFREG | mode))

    async def create_new(self, spot: Spot, mode: int) -> Node:
        """Make a regular file that nobody else has made: EEXIST if it is there.

        CREATE of version 2 takes a file that is there as well as a new one, but LINK does not: a file
        is made under a name of its own and linked to the one that is wanted. Servers without
        hard links get the CREATE, after a look.
        """
        with contextlib.suppress(FileNotFoundError):
            await self.look(spot)
            raise self.error(errno.EEXIST, spot.path)
        aside = self._aside(spot)
        node = await self.create(aside, mode)
        try:
            with self.about(spot.path):
                await self.ask(nfs2.link(node.handle, spot.directory.handle, spot.name))
        except FileExistsError:
            raise
        except OSError:
            node = await self.create(spot, mode)
        finally:
            with contextlib.suppress(OSError):
                await self.ask(nfs2.remove(aside.directory.handle, aside.name))
            self.changed(spot.directory, spot.name, aside.name)
        spot.directory.names[spot.name] = node
        return node

    def _aside(self, spot: Spot) -> Spot:
        """A name that nobody uses, in the directory of `spot`: as kernels make them, and clean them up."""
        self._hidings += 1
        name = b".nfs%s%04x" % (os.urandom(8).hex().encode(), self._hidings & 0xFFFF)
        return Spot(spot.directory, name, os.path.join(os.path.dirname(spot.path), name))

    async def symlink(self, path: bytes, target: bytes) -> None:
        """Make a symbolic link to `target`."""
        spot = await self._at_new(path)
        with self.about(spot.path):
            try:
                attributes = attributes_to_set(mode=0o777)
                await self.ask(nfs2.symlink(spot.directory.handle, spot.name, target, attributes))
            finally:
                self.changed(spot.directory, spot.name)

    async def _at_present(self, path: bytes, follow: bool) -> Node:
        """The file at `path` as the server has it: a handle from memory may be of one that had this name before."""
        spot = await self.spot(path)
        for _ in range(MAX_LINKS + 1):
            node = await self.look(spot)
            if not (follow and node.is_link):
                return node
            with self.about(spot.path):
                target = await self.target(node.handle)
            spot = await self.spot_of_target(spot, target)
        raise self.error(errno.ELOOP, self.under_root(path))

    async def link(self, source: bytes, path: bytes, *, follow: bool) -> None:
        """Give the file at `source` one more name, `path`."""
        node = await self._at_present(source, follow)
        spot = await self._at_new(path)
        with self.about(self.under_root(source), spot.path):
            try:
                await self.ask(nfs2.link(node.handle, spot.directory.handle, spot.name))
            finally:
                self.changed(spot.directory, spot.name)
                node.expire()

    async def remove(self, path: bytes) -> None:
        """Take a name of anything but a directory; a file that is open here stays readable until it is closed."""
        spot = await self._at_new(path, errno.EISDIR)
        if await self._hide_if_open(spot):
            return
        with self.about(spot.path):
            try:
                await self.ask(nfs2.remove(spot.directory.handle, spot.name))
            finally:
                self._unnamed(spot)

    def _unnamed(self, spot: Spot) -> None:
        """A name has gone, and perhaps a link of its file."""
        node = spot.directory.names.get(spot.name)
        if node is not None:
            node.expire()
        self.changed(spot.directory, spot.name)

    async def _hide_if_open(self, spot: Spot) -> bool:
        """Rename a file that is about to lose its last name but is open here, as kernels do; whether it was one.

        A server of version 2 knows nothing of open files: without a name the file would be gone.
        """
        if not self.open_nodes:
            return False
        try:
            node = await self.look(spot)
        except OSError:
            return False
        if not node.opens or node.attributes.nlink > 1 or node in self.hidden or node.is_directory:
            return False
        aside = self._aside(spot)
        with self.about(spot.path):
            try:
                await self.ask(nfs2.rename(spot.directory.handle, spot.name, aside.directory.handle, aside.name))
            finally:
                self.changed(spot.directory, spot.name, aside.name)
        self.hidden[node] = aside
        return True

    async def unhide(self, node: Node) -> None:
        """A hidden file has been closed: it goes now. One that cannot be removed stays, as kernels leave it."""
        aside = self.hidden.pop(node, None)
        if aside is not None:
            with contextlib.suppress(OSError):
                await self.ask(nfs2.remove(aside.directory.handle, aside.name))
            self.changed(aside.directory, aside.name)
            self.nodes.forget(node)

    async def rmdir(self, path: bytes) -> None:
        """Remove an empty directory."""
        spot = await self._at_new(path, errno.EBUSY)
        with self.about(spot.path):
            try:
                await self.ask(nfs2.rmdir(spot.directory.handle, spot.name))
            finally:
                self._unnamed(spot)

    async def rename(self, path: bytes, new: bytes) -> None:
        """Rename, replacing what has the new name (a directory only if it is empty, as the server sees to)."""
        spot, to = await self._at_new(path, errno.EBUSY), await self._at_new(new, errno.EBUSY)
        same = spot.directory is to.directory and spot.name == to.name
        if not same:
            await self._hide_if_open(to)
        with self.about(spot.path, to.path):
            try:
                await self.ask(nfs2.rename(spot.directory.handle, spot.name, to.directory.handle, to.name))
            finally:
                self._unnamed(to)
                self._unnamed(spot)

    # --- attributes

    async def setattr(self, path: bytes, *, follow: bool = True, **changes: Any) -> Node:
        """Change attributes of the file at `path`, see `attributes_to_set`."""
        node = await self.find(path, follow=follow)
        with self.about(self.under_root(path)):
            return await self.change(node, attributes_to_set(**changes))

    async def change(self, node: Node, changes: sattr) -> Node:
        """Change attributes of a file, learn the new ones."""
        if node.contents is not None:
            await node.contents.settle()
        attributes = await self.ask(nfs2.setattr_(node.handle, changes))
        if node.contents is not None:
            node.contents.changed_here(attributes.size if changes.size != UNSET else None)
        node.learn(attributes, self.clock(), self.options)
        return node
