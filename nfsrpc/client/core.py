"""What both twins are made of: one mounted export, its tree and its open files; how arguments are read."""

import contextlib
import os
import time
from collections.abc import Callable
from typing import Any

from . import nfs2
from .nfs2 import attributes_to_set
from .opened import Files, Opened
from .options import Options
from .site import Site
from .tree import Tree
from .wire import Wire

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
"""A path: str (undecodable bytes as surrogates, as everywhere in Python), bytes, or an object that has one."""


def raw(path: AnyPath) -> bytes:
    """A path as the core has it."""
    return os.fsencode(path)


class Core:
    """One mounted export."""

    def __init__(self, wire: Wire, site: Site, options: Options, clock: Callable[[], float] = time.monotonic) -> None:
        umask = own_umask() if options.umask is None else options.umask
        self.tree = Tree(wire, site.root, site.export, site.path, options, clock, umask)
        self.files = Files(self.tree)

    async def start(self) -> None:
        """Look at the root, and at how much the server likes to transfer at a time."""
        root = await self.tree.root()
        with contextlib.suppress(OSError):
            liked = (await self.tree.ask(nfs2.statfs(root.handle))).transfer_size
            if liked >= 512:
                self.files.page = min(self.files.page, 1 << (liked.bit_length() - 1))

    async def setattr(self, path: AnyPath, follow: bool, **changes: Any) -> None:
        """Change attributes, see `attributes_to_set`."""
        await self.tree.steadily(lambda: self.tree.setattr(raw(path), follow=follow, **changes))

    async def truncate(self, path: AnyPath, size: int) -> None:
        """Make a file `size` bytes long."""
        tree = self.tree

        async def work() -> None:
            node = await tree.find(raw(path))
            with tree.about(tree.under_root(raw(path))):
                if not node.is_regular:
                    number = 21 if node.is_directory else 22
                    raise OSError(number, os.strerror(number))
                await tree.change(node, attributes_to_set(size=checked_size(size)))

        await tree.steadily(work)

    async def statvfs(self, path: AnyPath) -> os.statvfs_result:
        """Room, as `os.statvfs` has it. Version 2 does not count files: those fields are 0."""
        space = await self.tree.steadily(lambda: self.tree.space(raw(path)))
        return os.statvfs_result(
            (space.block_size, space.block_size, space.blocks, space.free, space.available, 0, 0, 0, 0, nfs2.MAX_NAME)
        )


def checked_size(size: int) -> int:
    """A size that version 2 can have. EINVAL below 0, EFBIG beyond 4 GiB."""
    if size < 0:
        raise OSError(22, os.strerror(22))
    if size > nfs2.MAX_OFFSET - 1:
        raise OSError(27, "NFS version 2 ends at 4 GiB")
    return size


def owner(number: int) -> int:
    """A uid or gid for `attributes_to_set`: -1 leaves it, as for `os.chown`."""
    if not -1 <= number < nfs2.UNSET:
        raise OverflowError(f"{number} is no uid or gid")
    return number & nfs2.UNSET


def moments(times: tuple[float, float] | None, ns: tuple[int, int] | None) -> dict[str, tuple[int, int]]:
    """The arguments of `os.utime` as those of `attributes_to_set`. Version 2 has microseconds, from 1970 to 2106."""
    if times is not None and ns is not None:
        raise ValueError("utime: you may specify either 'times' or 'ns' but not both")
    if ns is None:
        ns = (time.time_ns(),) * 2 if times is None else (_nanoseconds(times[0]), _nanoseconds(times[1]))
    return {"atime": _moment(ns[0]), "mtime": _moment(ns[1])}


def _nanoseconds(seconds: float) -> int:
    return seconds * 1_000_000_000 if isinstance(seconds, int) else int(seconds * 1_000_000) * 1000


def _moment(ns: int) -> tuple[int, int]:
    seconds, rest = divmod(ns, 1_000_000_000)
    if not 0 <= seconds < nfs2.UNSET:
        raise OverflowError("NFS version 2 has times from 1970 to 2106")
    return seconds, rest // 1000


def own_umask() -> int:
    """This process' umask: from the kernel where it tells, as asking for it the other way changes it for a moment."""
    with contextlib.suppress(OSError, ValueError, StopIteration), open("/proc/self/status") as status:
        return int(next(line for line in status if line.startswith("Umask:")).split()[1], 8)
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


__all__ = ["AnyPath", "Core", "Opened", "raw"]
