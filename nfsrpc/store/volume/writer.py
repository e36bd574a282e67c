"""The writer lock, and a count of the volume's changes that each of its processes can look at without a transaction."""

import fcntl
import mmap
import os
from pathlib import Path
from typing import Final

WRITER_FILE: Final = "writer"
_SIZE: Final = 8
"""Bytes of the count, a number in the machine's byte order."""
_LOOKS: Final = 200
"""Looks at the lock before waiting asleep for it, each 1 to 2 µs, the processor offered to others in between."""


class Writer:
    """The file `writer` of one volume, as one process has it.

    The count is odd from before a commit, or before content is written over, until
    after it. So it differs from what it was as soon as anybody can see a change; and a process
    that is killed on the way leaves it odd, which tells nobody anything, until the next one comes. It is written
    in memory: a system call would bring the file's time into the journal of the
    host's file system, and so into syncs.
    """

    def __init__(self, volume: Path) -> None:
        self._descriptor = os.open(volume / WRITER_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(self._descriptor).st_size < _SIZE:
                self._make()
            self._mapped = mmap.mmap(self._descriptor, _SIZE)
        except BaseException:
            os.close(self._descriptor)
            raise
        self._counts = memoryview(self._mapped).cast("Q")
        if self.count() < 0:
            self._end_left()

    def _make(self) -> None:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        if os.fstat(self._descriptor).st_size < _SIZE:
            os.pwrite(self._descriptor, bytes(_SIZE), 0)
        self.give_up()

    def _end_left(self) -> None:
        """Who has begun a change is at it still, or was killed: what he has done is done then."""
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        if self.count() < 0:
            self.end_change()
        self.give_up()

    def take(self) -> None:
        """Wait for the lock. Most have it for a shorter time than it takes to be put to sleep and woken again."""
        for _ in range(_LOOKS):
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.sched_yield()
            else:
                return
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def give_up(self) -> None:
        """Let the next one have the lock."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def count(self) -> int:
        """The changes so far, also those that were undone, doubled; -1 while one may be under way."""
        count = self._counts[0]
        return -1 if count & 1 else count

    def begin_change(self) -> None:
        """Holding the lock, before a commit, or before content is written over."""
        self._counts[0] |= 1

    def end_change(self) -> None:
        """Holding the lock, after it."""
        self._counts[0] = (self._counts[0] | 1) + 1

    def close(self) -> None:
        """Give up the lock, if it is held, and the descriptors."""
        self._counts.release()
        self._mapped.close()
        os.close(self._descriptor)
