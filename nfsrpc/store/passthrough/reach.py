"""From a file's UFID to an open file, in two ways, and what is kept open.

Files are opened with O_PATH: that gives a hold on a file of any type without
reading, waiting, or following a link. Directories stay open between units;
other files are closed at the end of one, so that the room of a file that is
removed on the host comes free at once.
"""

import errno
import os
import stat
from collections import OrderedDict
from contextlib import suppress
from typing import Protocol

from ..interface import Ufid
from ..volume.database import Database
from ..volume.inodes import stale
from ..volume.unit import Unit
from . import kernel, schema
from .files import FileTable, generation_of, go_on_changing
from .limits import PassthroughLimits

_TRIES = 8
"""A name can be taken from a file between finding and looking at it; then it leads to another one, or nowhere."""
_HOLD = getattr(os, "O_PATH", 0) | os.O_NOFOLLOW | os.O_CLOEXEC
"""Only Linux has O_PATH; elsewhere this module is imported, but `DirectoryLock` refuses."""


def through(descriptor: int) -> str:
    """A path that leads to an open file itself, whatever has become of its names; also to a symbolic link."""
    return f"/proc/self/fd/{descriptor}"


class Way(Protocol):
    """How a file that is not open is found."""

    def open(self, reach: "Reach", node: Ufid, handle: bytes) -> int:
        """A descriptor that holds the file with `handle`; ESTALE if it cannot be found."""

    def named(self, directory: Ufid, name: bytes, node: Ufid) -> None:
        """`name` in `directory` has been seen to lead to `node`."""

    def unnamed(self, directory: Ufid, name: bytes) -> None:
        """`name` in `directory` leads nowhere any more."""


class ByHandle:
    """By the kernel, which finds every file wherever it has gone; takes CAP_DAC_READ_SEARCH."""

    def __init__(self, top: int, handles: kernel.Handles) -> None:
        self._top = top
        self._handles = handles

    def open(self, reach: "Reach", node: Ufid, handle: bytes) -> int:
        """See `Way.open`."""
        return self._handles.open(self._top, handle, _HOLD)

    def named(self, directory: Ufid, name: bytes, node: Ufid) -> None:
        """Names need not be remembered."""

    def unnamed(self, directory: Ufid, name: bytes) -> None:
        """Names need not be remembered."""


class ByHint:
    """By the names it was last seen under, each proved on the file that it leads to: another file is never taken."""

    def __init__(self, unit: Unit, database: Database, limits: PassthroughLimits) -> None:
        self._unit = unit
        self._database = database
        self._limits = limits
        self._depth = 0

    def open(self, reach: "Reach", node: Ufid, handle: bytes) -> int:
        """See `Way.open`."""
        if self._depth >= self._limits.depth:
            # Remembered names can lead in a circle, when directories have been moved on the host.
            raise stale()
        self._depth += 1
        try:
            for number, name in self._database.all(schema.NAMES_OF, (node.inode, self._limits.hints)):
                with suppress(OSError):
                    descriptor = os.open(bytes(name), _HOLD, dir_fd=reach.directory_by_number(number))
                    if reach.is_file(descriptor, handle):
                        return descriptor
                    os.close(descriptor)
        finally:
            self._depth -= 1
        raise stale()

    def named(self, directory: Ufid, name: bytes, node: Ufid) -> None:
        """See `Way.named`."""
        found = self._database.one(schema.NAME_GET, (directory.inode, name))
        if found is None or found[0] != node.inode:
            go_on_changing(self._unit)
            self._unit.run(schema.NAME_PUT, (directory.inode, name, node.inode))

    def unnamed(self, directory: Ufid, name: bytes) -> None:
        """See `Way.unnamed`."""
        go_on_changing(self._unit)
        self._unit.run(schema.NAME_DELETE, (directory.inode, name))


class Reach:
    """Open files of one exported directory, by UFID."""

    def __init__(
        self, top: int, handles: kernel.Handles, files: FileTable, way: Way, limits: PassthroughLimits
    ) -> None:
        """`top`: a descriptor of the exported directory, open for reading."""
        self._top = top
        self._handles = handles
        self._files = files
        self.way = way
        self._limits = limits
        handle = handles.of(top)
        self._mount = handle.mount
        self.root = Ufid(schema.ROOT, generation_of(handle.data))
        self._root_id = _identity(top)
        self._top_path: bytes | None = None
        self._directories: OrderedDict[Ufid, int] = OrderedDict()
        self._others: OrderedDict[Ufid, int] = OrderedDict()
        self._leaving: list[int] = []

    def begin_call(self) -> None:
        """Descriptors of the call before may be closed from here on; never in the middle of one, which may use them."""
        while self._leaving:
            os.close(self._leaving.pop())

    def open(self, node: Ufid) -> int:
        """A descriptor that holds `node`, to be closed by nobody else. ESTALE if it is gone or outside.

        It is good until the next call of `begin_call`.
        """
        handle = self._files.handle(node)
        if node == self.root:
            return self._top
        descriptor = self._directories.get(node)
        if descriptor is not None:
            self._directories.move_to_end(node)
            self._check_inside(descriptor)
            return descriptor
        descriptor = self._others.get(node)
        if descriptor is not None:
            return descriptor
        return self._keep(node, self.way.open(self, node, handle))

    def directory_by_number(self, number: int) -> int:
        """As `open`, for the file that has this number now."""
        return self.open(self._files.by_number(number))

    def _keep(self, node: Ufid, descriptor: int) -> int:
        """Hold on to an open file under its name."""
        try:
            is_directory = stat.S_ISDIR(os.fstat(descriptor).st_mode)
            if is_directory:
                self._check_inside(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        kept, most = (
            (self._directories, self._limits.directories) if is_directory else (self._others, self._limits.files)
        )
        if node in kept:
            os.close(descriptor)
            return kept[node]
        if len(kept) >= most:
            self._leaving.append(kept.popitem(last=False)[1])
        kept[node] = descriptor
        return descriptor

    def child(self, directory: Ufid, above: int, name: bytes) -> tuple[Ufid, int]:
        """The file under `name`, not a dot, in the open directory `above`, which is `directory`; held as by `open`."""
        for _ in range(_TRIES):
            node, descriptor = self._known(os.open(name, _HOLD, dir_fd=above))
            if os.fstat(descriptor).st_nlink:
                self.way.named(directory, name, node)
                return node, descriptor
        raise FileNotFoundError(errno.ENOENT, "the name is gone")

    def parent(self, directory: Ufid, above: int) -> tuple[Ufid, int]:
        """The directory that holds the open directory `above`, which is `directory`; the root is its own."""
        if directory == self.root:
            return directory, self._top
        descriptor = os.open(b"..", _HOLD | os.O_DIRECTORY, dir_fd=above)
        if _identity(descriptor) == self._root_id:
            os.close(descriptor)
            return self.root, self._top
        return self._known(descriptor)

    def _known(self, descriptor: int) -> tuple[Ufid, int]:
        """The name of an open file, which from here on belongs to this object."""
        try:
            node = self._files.ufid(self._own_handle(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return node, self._keep(node, descriptor)

    def _own_handle(self, descriptor: int) -> bytes:
        handle = self._handles.of(descriptor)
        if handle.mount != self._mount:
            raise PermissionError(errno.EACCES, "another file system is mounted there")
        return handle.data

    def handle_of(self, above: int, name: bytes) -> bytes | None:
        """The handle of what `name` in an open directory leads to; None where another file system is mounted."""
        found = self._handles.of(above, name, 0)
        return found.data if found.mount == self._mount else None

    def is_file(self, descriptor: int, handle: bytes) -> bool:
        """Whether an open file is the one with `handle`, and on the exported file system."""
        found = self._handles.of(descriptor)
        return found.data == handle and found.mount == self._mount

    def _check_inside(self, descriptor: int) -> None:
        """ESTALE for a directory that has been moved out of the exported one."""
        if self._top_path is None:
            self._top_path = os.readlink(os.fsencode(through(self._top))).rstrip(b"/") + b"/"
        try:
            inside = os.readlink(os.fsencode(through(descriptor))).startswith(self._top_path)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            inside = self._leads_up(descriptor)
        if not inside:
            raise stale()

    def _leads_up(self, descriptor: int) -> bool:
        """Whether a directory that is too deep for a path has the exported one above it."""
        current = os.dup(descriptor)
        try:
            for _ in range(1 << 16):
                above = os.open(b"..", _HOLD | os.O_DIRECTORY, dir_fd=current)
                at_end = _identity(above) == _identity(current)
                os.close(current)
                current = above
                if _identity(current) == self._root_id:
                    return True
                if at_end:
                    return False
        finally:
            os.close(current)
        return False

    def end_unit(self) -> None:
        """Close what stays open for one unit only."""
        self._top_path = None
        self.begin_call()
        while self._others:
            os.close(self._others.popitem()[1])

    def close(self) -> None:
        """Close everything but the exported directory."""
        self.end_unit()
        while self._directories:
            os.close(self._directories.popitem()[1])


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
