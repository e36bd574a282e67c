"""A mount as a file system of this machine, for any program: the operations that FUSE asks for.

Needs the extra ``[fuse]``: mfusepy, which uses the system's libfuse. Times, sizes and names pass through as they are.
What a file may be used for the server decides, with every call.
"""

import errno
import itertools
import os
import stat
from collections.abc import Callable, Collection, Iterator
from typing import Any

import mfusepy

from nfsrpc.auth import Credential, SysCredential

from .blocking import Mount
from .stream import RemoteFile

_STATUS = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_rdev", "st_blksize", "st_blocks")
_SPACE = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail", "f_namemax")


_THREADS = 16
"""Operations under way at once, at most."""


def options() -> dict[str, Any]:
    """What libfuse is told."""
    told: dict[str, Any] = {
        # Our own cache of attributes knows more: two names of one file are two files to the kernel.
        "attr_timeout": 0,
        "entry_timeout": 1,
        "use_ino": True,
    }
    if (mfusepy.fuse_version_major, mfusepy.fuse_version_minor) >= (3, 12):
        told |= {"max_threads": _THREADS, "max_idle_threads": _THREADS}
    return told


class Session(mfusepy.FUSE):  # type: ignore[misc]
    """The binding's loop. It would ignore the flags of rename, and overwrite what must not be overwritten."""

    def rename_fuse_3(self, old: bytes, new: bytes, flags: int) -> int:
        """Rename. NFS has no RENAME_NOREPLACE and no RENAME_EXCHANGE; programs go on without when told so."""
        if flags:
            return -errno.EINVAL
        return int(self.rename_fuse_2(old, new))


class Operations(mfusepy.Operations):  # type: ignore[misc]
    """What FUSE asks, answered by `mount`; called by several threads at once. An OSError becomes the answer's errno.

    `ready` is called once the file system is there. The umask of `mount` must be 0: the kernel has applied
    that of whoever makes a file.
    """

    use_ns = True

    def __init__(self, mount: Mount, credential: Credential, ready: Callable[[], None]) -> None:
        self._mount = mount
        self._credential = credential
        self._ready = ready
        self._numbers = itertools.count(1)
        self._files: dict[int, RemoteFile] = {}

    def init_with_config(self, conn_info: Any, config: Any) -> None:
        """The file system is there."""
        self._ready()

    # --- names and attributes

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        """As os.lstat, or os.fstat."""
        return _status(self._mount.lstat(path) if fh is None else self._files[fh].stat())

    def readdir(self, path: str, fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        """Names, with numbers and types; what `ls -l` asks next is known then."""
        yield from ((name, {}, 0) for name in (".", ".."))
        for entry in self._mount.scandir(path):
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                yield entry.name, {}, 0
            else:
                yield entry.name, {"st_ino": status.st_ino, "st_mode": status.st_mode}, 0

    def readlink(self, path: str) -> str:
        """As os.readlink."""
        return self._mount.readlink(path)

    def access(self, path: str, amode: int) -> int:
        """As far as the mode tells; version 2 has no way to ask."""
        if not allows(self._mount.stat(path), self._credential, amode):
            raise mfusepy.FuseOSError(errno.EACCES)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        """As os.mkdir."""
        self._mount.mkdir(path, mode)
        return 0

    def mknod(self, path: str, mode: int, dev: int) -> int:
        """As os.mknod."""
        self._mount.mknod(path, mode, dev)
        return 0

    def unlink(self, path: str) -> int:
        """As os.unlink. A file that is open has got another name from libfuse before."""
        self._mount.unlink(path)
        return 0

    def rmdir(self, path: str) -> int:
        """As os.rmdir."""
        self._mount.rmdir(path)
        return 0

    def symlink(self, target: str, source: str) -> int:
        """As ``ln -s source target``."""
        self._mount.symlink(source, target)
        return 0

    def rename(self, old: str, new: str) -> int:
        """As os.rename."""
        self._mount.rename(old, new)
        return 0

    def link(self, target: str, source: str) -> int:
        """As ``ln source target``."""
        self._mount.link(source, target, follow_symlinks=False)
        return 0

    def chmod(self, path: str, mode: int) -> int:
        """As os.chmod."""
        self._mount.chmod(path, stat.S_IMODE(mode), follow_symlinks=False)
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        """As os.lchown."""
        self._mount.chown(path, uid, gid, follow_symlinks=False)
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        """As os.utime, in nanoseconds."""
        self._mount.utime(path, ns=times, follow_symlinks=False)
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        """As os.statvfs."""
        space = self._mount.statvfs(path)
        return {name: getattr(space, name) for name in _SPACE}

    # --- contents

    def _opened(self, path: str, mode: str, permissions: int = 0) -> int:
        number = next(self._numbers)
        self._files[number] = self._mount.open(path, mode, 0, permissions=permissions)
        return number

    def open(self, path: str, flags: int) -> int:
        """As os.open of a file that is there."""
        if flags & os.O_ACCMODE == os.O_RDONLY:
            return self._opened(path, "rb")
        number = self._opened(path, "a+b" if flags & os.O_APPEND else "r+b")
        if flags & os.O_TRUNC:
            try:
                self._files[number].truncate(0)
            except OSError:
                self._files.pop(number).close()
                raise
        return number

    def create(self, path: str, mode: int, flags: int) -> int:
        """As os.open with O_CREAT; O_EXCL holds among all clients."""
        return self._opened(path, "x+b" if flags & os.O_EXCL else "w+b", stat.S_IMODE(mode))

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """As os.pread."""
        return self._files[fh].pread(size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """As os.pwrite."""
        return self._files[fh].pwrite(data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """As os.truncate."""
        self._mount.truncate(path, length)
        return 0

    def flush(self, path: str, fh: int) -> int:
        """A descriptor is closed: what was written must be on the server, and what went wrong is told now."""
        file = self._files[fh]
        if file.writable():
            file.fsync()
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """As os.fsync."""
        self._files[fh].fsync()
        return 0

    def release(self, path: str, fh: int) -> int:
        """The last descriptor has been closed."""
        self._files.pop(fh).close()
        return 0


def _status(status: os.stat_result) -> dict[str, int]:
    found = {name: getattr(status, name) for name in _STATUS}
    return found | {
        "st_atime": status.st_atime_ns,
        "st_mtime": status.st_mtime_ns,
        "st_ctime": status.st_ctime_ns,
    }


def allows(status: os.stat_result, credential: Credential, amode: int) -> bool:
    """Whether a file's mode lets the caller do what `amode` says (`os.R_OK`...). Who is known in another way than
    by uid and gid may try everything."""
    if not isinstance(credential, SysCredential):
        return True
    return _permitted(status, credential.uid, {credential.gid, *credential.gids}) & amode == amode


def _permitted(status: os.stat_result, uid: int, groups: Collection[int]) -> int:
    mode = status.st_mode
    if uid == 0:
        return 0o7 if mode & 0o111 or stat.S_ISDIR(mode) else 0o6
    if uid == status.st_uid:
        return mode >> 6 & 0o7
    return mode >> 3 & 0o7 if status.st_gid in groups else mode & 0o7
