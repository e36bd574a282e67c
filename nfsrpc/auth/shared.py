"""Fixed-size records in memory that all workers of a server share."""

from nfsrpc.rpc.shared import SharedMemory


class SharedRecords(SharedMemory):
    """`count` records of `size` bytes each; at first all bytes are zero. Made before the workers are forked.

    Reading and writing is done with the lock held (``with records:``). A worker that dies meanwhile gives the
    lock back, so owners write what a record is found by last.
    """

    def __init__(self, count: int, size: int) -> None:
        super().__init__(count * size)
        self.count = count
        self.size = size

    def read(self, place: int) -> bytes:
        """The record at `place`."""
        start = place * self.size
        return self.memory[start : start + self.size]

    def write(self, place: int, part: bytes, at: int = 0) -> None:
        """Put `part` of a record, which begins at byte `at` of it, into that at `place`."""
        start = place * self.size + at
        self.memory[start : start + len(part)] = part

    def find(self, start: bytes) -> int | None:
        """The place of the first record that begins with `start`."""
        at = self.memory.find(start)
        while at >= 0:
            if at % self.size == 0:
                return at // self.size
            at = self.memory.find(start, at + 1)
        return None

    def all(self) -> bytes:
        """Every record, one behind the other."""
        return self.memory[:]
