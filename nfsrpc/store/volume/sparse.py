"""Copying a host file with its holes, by the cheapest means that the host has."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator

_FICLONE = 0x40049409
"""ioctl_ficlone(2): two files share their blocks until one of them is written."""
_COPIED_AT_ONCE = 8 << 20
_UNABLE = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOTTY, errno.EBADF, errno.EPERM})
"""What a host answers that cannot copy in this way; another way may do."""


def extents(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, end) of what is no hole in the first `size` bytes of a file."""
    position = 0
    while position < size:
        try:
            start = os.lseek(descriptor, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        if start >= size:
            return
        position = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        yield start, position


def copy_sparse(source: int, target: int, size: int, advance: Callable[[int], None]) -> None:
    """Copy the first `size` bytes of `source` into `target`, which is empty; `advance` is told of bytes of data done.

    Shares blocks (reflink) where the host file system can. OSError.
    """
    if _cloned(source, target):
        if os.fstat(target).st_size > size:
            os.ftruncate(target, size)
        advance(os.fstat(target).st_blocks * 512)
        return
    copy = _copy_in_kernel
    for start, end in extents(source, size):
        while start < end:
            try:
                done = copy(source, target, start, min(end - start, _COPIED_AT_ONCE))
            except OSError as error:
                if copy is _copy_by_hand or error.errno not in _UNABLE:
                    raise
                copy = _copy_by_hand
                continue
            if not done:
                return
            start += done
            advance(done)


def _cloned(source: int, target: int) -> bool:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError as error:
        if error.errno in _UNABLE:
            return False
        raise
    return True


def _copy_in_kernel(source: int, target: int, start: int, count: int) -> int:
    return os.copy_file_range(source, target, count, start, start)


def _copy_by_hand(source: int, target: int, start: int, count: int) -> int:
    return os.pwrite(target, os.pread(source, count, start), start)
