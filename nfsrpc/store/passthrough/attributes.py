"""Attributes of an open host file: reading them, and changing what `Changes` can besides the size."""

import errno
import os
import stat

from ..interface import Attributes, Changes, Ufid
from ..volume.inodes import stale
from . import kernel
from .reach import through


def attributes_of(node: Ufid, held: int) -> Attributes:
    """Attributes of an open file; ESTALE if it has no name any more, however long somebody may hold it open."""
    found = os.fstat(held)
    if not found.st_nlink:
        raise stale()
    return Attributes(
        node.inode,
        node.generation,
        found.st_mode,
        found.st_nlink,
        found.st_uid,
        found.st_gid,
        found.st_size,
        found.st_blocks * 512,
        found.st_rdev,
        found.st_atime_ns,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def change_attributes(held: int, mode: int, changes: Changes) -> None:
    """Owner before mode, which it takes set-id bits from; times last, which everything else changes."""
    path = through(held)
    if changes.uid is not None or changes.gid is not None:
        os.chown(path, -1 if changes.uid is None else changes.uid, -1 if changes.gid is None else changes.gid)
    if changes.mode is not None and not stat.S_ISLNK(mode):
        os.chmod(path, stat.S_IMODE(changes.mode))
    if changes.atime is not None or changes.mtime is not None:
        kernel.set_times(path, changes.atime, changes.mtime)


def demand_regular(mode: int) -> None:
    """EISDIR or EINVAL for what has no contents to read or write."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file")
