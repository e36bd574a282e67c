"""Fixed-size records in memory that all workers of a server share."""

import fcntl
import mmap
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


class SharedRecords:
    """`count` records of `size` bytes each, in memory that is mapped before the workers are forked.

    At first all bytes are zero. Reading and writing is done while `locked`. The
    lock is a record lock, so a worker that dies while it holds it gives it back;
    it may leave one record half written, which its owner must notice.
    """

    def __init__(self, count: int, size: int) -> None:
        self.count = count
        self.size = size
        self._memory = mmap.mmap(-1, count * size)
        self._lock = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the table

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else, in this or another worker, reads or writes meanwhile."""
        fcntl.lockf(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._lock, fcntl.LOCK_UN)

    def read(self, place: int) -> bytes:
        """The record at `place`."""
        start = place * self.size
        return self._memory[start : start + self.size]

    def write(self, place: int, record: bytes) -> None:
        """Put `record`, which may be shorter than `size`, at `place`."""
        start = place * self.size
        self._memory[start : start + len(record)] = record

    def find(self, start: bytes) -> int | None:
        """The place of the first record that begins with `start`."""
        at = self._memory.find(start)
        while at >= 0:
            if at % self.size == 0:
                return at // self.size
            at = self._memory.find(start, at + 1)
        return None

    def all(self) -> bytes:
        """Every record, one behind the other."""
        return self._memory[:]
