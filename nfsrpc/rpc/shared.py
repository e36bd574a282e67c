"""Memory that the worker processes of one server share, with a lock that a dead holder gives back."""

import fcntl
import mmap
import os
import threading
import weakref
from typing import Self


class SharedMemory:
    """`size` bytes of zeros, made before the workers are forked; a context manager that is the lock.

    The lock is a record lock: the kernel takes it away from a process that is
    killed. So what is written under it must be good at every instant: fill in
    first, link in last. `descriptor` attaches to memory that was
    inherited from another program image. One that was made here is closed when nobody has the memory any more.
    """

    def __init__(self, size: int, descriptor: int | None = None) -> None:
        self._descriptor = _anonymous_file(size) if descriptor is None else descriptor
        if descriptor is None:
            weakref.finalize(self, os.close, self._descriptor).atexit = False
        self.memory = mmap.mmap(self._descriptor, size)
        self._threads = threading.Lock()

    def fileno(self) -> int:
        """The descriptor behind the memory."""
        return self._descriptor

    def __enter__(self) -> Self:
        self._threads.acquire()
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        except BaseException:
            self._threads.release()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
        self._threads.release()


def _anonymous_file(size: int) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("nfsrpc")
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, size)
    return descriptor
