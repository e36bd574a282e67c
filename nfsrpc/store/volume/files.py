"""The flat file service: a UFID names contents and attributes; it knows nothing of names and directories.

Its operations are the textbook's: read, write, create, delete, get attributes,
set attributes.
"""

import errno
import os
import stat
from collections.abc import Callable
from typing import Final

from ..interface import DIRECTORY, KIND, REGULAR, SYMLINK, Changes, Ufid
from . import schema
from .accounts import growth
from .contents import Contents
from .database import Database
from .generations import Generations
from .inodes import Inode, Inodes
from .limits import VolumeLimits
from .unit import Unit

DIRECTORY_SIZE: Final = 4096
"""Size and space that a directory shows, as an empty one on a common local file system."""


class Files:
    """Files of a volume by UFID."""

    def __init__(
        self,
        unit: Unit,
        database: Database,
        inodes: Inodes,
        contents: Contents,
        generations: Generations,
        limits: VolumeLimits,
        now: Callable[[], int],
    ) -> None:
        self._unit = unit
        self._database = database
        self._inodes = inodes
        self._quotas = inodes.quotas
        self._contents = contents
        self._generations = generations
        self._limits = limits
        self._now = now
        self.get_attributes = inodes.get

    def create(self, mode: int, uid: int, gid: int, rdev: int, target: bytes, parent: int) -> Inode:
        """A new file of the type in `mode` (none: regular), without a name. `parent`: of a directory, its directory."""
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        if kind not in _FIRST_SIZE:
            raise OSError(errno.EINVAL, "no such type of file")
        self._unit.check_changing()
        self._contents.check_room()
        size = _FIRST_SIZE[kind]
        if kind == stat.S_IFLNK:
            if not target:
                raise FileNotFoundError(errno.ENOENT, "a symbolic link needs a target")
            if len(target) > self._limits.target:
                raise OSError(errno.ENAMETOOLONG, "symbolic link target too long")
            size = len(target)
        now = self._now()
        directory = kind == stat.S_IFDIR
        if not self._quotas.idle:
            self._quotas.demand(uid, size if directory else 0, 1)
        generation = self._generations.take()
        row = Inode(
            inode=self._inodes.allocate(),
            generation=generation,
            mode=kind | stat.S_IMODE(mode),
            nlink=2 if directory else 0,
            uid=uid,
            gid=gid,
            size=size,
            used=size if directory else 0,
            rdev=rdev if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
            atime=now,
            mtime=now,
            ctime=now,
            parent=parent if directory else 0,
            cookie=3 if directory else 0,
        )
        if kind == stat.S_IFLNK:
            self._unit.run(schema.SYMLINK_ADD, (row.inode, target))
        self._inodes.put(row)
        return row

    def delete(self, row: Inode) -> None:
        """The file goes; its UFID is ESTALE from here on. The host's space is given back once the unit is committed."""
        if row.content:
            self._contents.put_right((row.inode, row.content))
        if row.mode & KIND == SYMLINK:
            self._unit.run(schema.SYMLINK_DELETE, (row.inode,))
        self._inodes.free(row)

    def target(self, node: Ufid) -> bytes:
        """What a symbolic link says; EINVAL for anything else."""
        self._unit.fix()
        row = self._inodes.get(node)
        if row.mode & KIND != SYMLINK:
            raise OSError(errno.EINVAL, "not a symbolic link")
        found = self._database.one(schema.SYMLINK_GET, (row.inode,))
        if found is None:
            raise OSError(errno.EIO, "the symbolic link has lost its target")
        return bytes(found[0])

    # --- reading ----------------------------------------------------------------------------------------------------

    def read(self, node: Ufid, offset: int, count: int) -> tuple[bytes, Inode]:
        """At most `count` bytes from `offset` on, and the attributes that go with them."""
        row = self._inodes.get(node)
        data = self._read_host(row, offset, count)
        if data is None and not self._unit.changing:
            # The host file is shorter than the row says: a hole, or another process has since cut or removed it.
            self._unit.refresh()
            row = self._inodes.get(node)
            data = self._read_host(row, offset, count)
        if data is None:
            data = self._read_hole(row, offset, count)
        return data, row

    def _read_host(self, row: Inode, offset: int, count: int) -> bytes | None:
        """The bytes; None if the host file does not reach as far as the row."""
        if row.mode & KIND != REGULAR:
            raise _not_regular(row)
        if offset < 0 or count < 0:
            raise OSError(errno.EINVAL, "negative offset or count")
        wanted = min(count, row.size - offset)
        if wanted <= 0:
            return b""
        if not row.content:
            return bytes(wanted)
        try:
            data = os.pread(self._contents.descriptor((row.inode, row.content)), wanted, offset)
        except FileNotFoundError:
            return None
        return data if len(data) == wanted else None

    def _read_hole(self, row: Inode, offset: int, count: int) -> bytes:
        """As `_read_host`, zeros beyond the end of the host file; EIO if that is missing."""
        wanted = min(count, row.size - offset)
        data = os.pread(self._contents.present((row.inode, row.content)), wanted, offset)
        return data + bytes(wanted - len(data))

    # --- changing ---------------------------------------------------------------------------------------------------

    def write(self, node: Ufid, offset: int, data: bytes) -> Inode:
        """Write `data` at `offset`; a gap behind the old end reads as zeros. EFBIG beyond the largest size."""
        self._unit.check_changing()
        row = self._inodes.get(node)
        if row.mode & KIND != REGULAR:
            raise _not_regular(row)
        if offset < 0:
            raise OSError(errno.EINVAL, "negative offset")
        if not data:
            return row
        end = offset + len(data)
        if end > self._limits.file_size:
            raise OSError(errno.EFBIG, "beyond the largest file size")
        row = row.copy()
        # Behind the end, or in a hole, the host has to find room.
        grows = end > row.size or row.used < row.size
        if grows:
            self._contents.check_room()
            if not self._quotas.idle:
                self._quotas.demand(row.uid, growth(row.size, row.used, offset, end))
        if row.content:
            self._clear_tail(row, end)
        else:
            row.content = row.generation
            self._contents.make((row.inode, row.content))
        key = (row.inode, row.content)
        descriptor = self._contents.present(key)
        self._contents.touch(key)
        written = os.pwrite(descriptor, data, offset)
        while written < len(data):
            written += os.pwrite(descriptor, memoryview(data)[written:], offset + written)
        if grows:
            row.size = max(row.size, end)
            row.used = os.fstat(descriptor).st_blocks * 512
        row.stamp(self._now(), data=True)
        self._inodes.put(row)
        return row

    def _clear_tail(self, row: Inode, end: int) -> None:
        """Before `row` is extended to `end`: no old bytes behind its size in the host file.

        If they are bytes that the file still has should this unit come to
        nothing, also zeros that the host file does not reach to, the file gets a
        fresh copy instead of losing them.
        """
        if end <= row.size:
            return
        key = (row.inode, row.content)
        before = self._inodes.committed(row.inode)
        if before is not None and before.content == row.content and row.size < before.size:
            row.content = self._generations.take()
            self._contents.copy(key, (row.inode, row.content), row.size)
            self._contents.put_right(key)
            return
        descriptor = self._contents.present(key)
        if os.fstat(descriptor).st_size > row.size:
            self._contents.touch(key)
            os.ftruncate(descriptor, row.size)

    def set_attributes(self, node: Ufid, changes: Changes) -> Inode:
        """Apply `changes`. A size cuts the file, or extends it by zeros."""
        self._unit.check_changing()
        row = self._inodes.get(node).copy()
        if changes == _NOTHING:
            return self._inodes.get(node)
        if changes.size is not None:
            self._resize(row, changes.size)
        row.stamp(self._now(), data=changes.size is not None)
        if changes.mode is not None:
            row.mode = stat.S_IFMT(row.mode) | stat.S_IMODE(changes.mode)
        if changes.uid is not None:
            if changes.uid != row.uid:
                self._quotas.demand_of_owner(changes.uid, row.used)
            row.uid = changes.uid
        if changes.gid is not None:
            row.gid = changes.gid
        if changes.atime is not None:
            row.atime = changes.atime
        if changes.mtime is not None:
            row.mtime = changes.mtime
        self._inodes.put(row)
        return row

    def _resize(self, row: Inode, size: int) -> None:
        if row.mode & KIND != REGULAR:
            raise _not_regular(row)
        if size < 0:
            raise OSError(errno.EINVAL, "negative size")
        if size > self._limits.file_size:
            raise OSError(errno.EFBIG, "beyond the largest file size")
        if row.content:
            if size < row.size:
                self._contents.put_right((row.inode, row.content))
                row.used = min(row.used, -(-size // 4096) * 4096)
            else:
                self._clear_tail(row, size)
        row.size = size


_NOTHING: Final = Changes()

_FIRST_SIZE: Final = {
    stat.S_IFREG: 0,
    stat.S_IFDIR: DIRECTORY_SIZE,
    stat.S_IFLNK: 0,
    stat.S_IFCHR: 0,
    stat.S_IFBLK: 0,
    stat.S_IFIFO: 0,
    stat.S_IFSOCK: 0,
}


def _not_regular(row: Inode) -> OSError:
    if row.mode & KIND == DIRECTORY:
        return IsADirectoryError(errno.EISDIR, "is a directory")
    return OSError(errno.EINVAL, "not a regular file")
