"""What one host has and another has not."""

import ctypes
import errno
import os
from typing import Any, Final

_WRITE: Final = 2
"""SYNC_FILE_RANGE_WRITE of <fcntl.h>."""
_FAILURES: Final = (errno.EIO, errno.ENOSPC, errno.EDQUOT)


def _sync_file_range() -> Any:
    """Linux's system call, None elsewhere. Python has no name for it."""
    found = getattr(ctypes.CDLL(None, use_errno=True), "sync_file_range", None)
    if found is not None:
        found.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return found


_start = _sync_file_range()


def start_writing(descriptor: int) -> None:
    """Begin to bring a file's bytes to the disk, where the host can; `sync_data` must follow and then waits for less.

    OSError if writing fails already: the host need not tell of it a second time.
    """
    if _start is not None and _start(descriptor, 0, 0, _WRITE):
        number = ctypes.get_errno()
        if number in _FAILURES:
            raise OSError(number, os.strerror(number))


def sync_data(descriptor: int) -> None:
    """Bring a file's bytes, and what it takes to find them again, to stable storage. OSError.

    macOS has no fdatasync; its fsync does as much and a little more.
    """
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_file_system(descriptor: int) -> None:
    """Bring everything on the file system of `descriptor` to stable storage: for many files at once. OSError."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
    elif syncfs(descriptor):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def sync_path(path: str | os.PathLike[str]) -> None:
    """Bring a file, or the names in a directory, to stable storage. OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
