"""What is done to names on the host, each in the open directory that holds the name, and the errors of it."""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

_SETTLED = {errno.EBUSY: errno.EACCES, errno.ETXTBSY: errno.EACCES, errno.EOPNOTSUPP: errno.EPERM}
"""Errors that no old client knows, or that it would wait out for ever, and what they come to: it may not be done."""
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def settled() -> Iterator[None]:
    """Errors of the host as clients can understand them."""
    try:
        yield
    except OSError as error:
        raise OSError(_SETTLED.get(error.errno or 0, error.errno), error.strerror) from None
    except OverflowError:
        raise OSError(errno.EFBIG, "beyond the largest file size") from None


def _make_regular(above: int, name: bytes, mode: int, rdev: int, target: bytes) -> int:
    return os.open(name, _NEW, stat.S_IMODE(mode), dir_fd=above)


def _make_directory(above: int, name: bytes, mode: int, rdev: int, target: bytes) -> None:
    os.mkdir(name, stat.S_IMODE(mode), dir_fd=above)


def _make_symlink(above: int, name: bytes, mode: int, rdev: int, target: bytes) -> None:
    os.symlink(target, name, dir_fd=above)


def _make_node(above: int, name: bytes, mode: int, rdev: int, target: bytes) -> None:
    os.mknod(name, mode, rdev if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else 0, dir_fd=above)


MAKERS: Mapping[int, Callable[[int, bytes, int, int, bytes], int | None]] = MappingProxyType({
    stat.S_IFREG: _make_regular,
    stat.S_IFDIR: _make_directory,
    stat.S_IFLNK: _make_symlink,
    stat.S_IFIFO: _make_node,
    stat.S_IFSOCK: _make_node,
    stat.S_IFCHR: _make_node,
    stat.S_IFBLK: _make_node,
})
"""What makes a file, by its type: of (open directory, name, mode, device, target); a descriptor if it has contents."""
