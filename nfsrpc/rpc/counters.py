"""How often each procedure was called, and how long calls took: counters in memory that outlives a worker.

Each worker writes rows of its own, so that nothing is locked; whoever reads adds
them up. A row says itself what it counts, so a reader needs to know no program.

A call's time is that of its turn: from when the turn began to when its replies
may leave, the wait for the disk included. That is what its caller waits for.
"""

import time
from struct import Struct
from typing import Final

from nfsrpc.xdr import Procedure

from .shared import SharedMemory

ROWS: Final = 256
"""Procedures that are counted one by one; further ones share the first row."""
BUCKETS: Final = 26
"""Bucket n holds calls of less than 2^n µs, and at least half of that; the last one all that took longer: 16 s."""
_HEAD: Final = Struct("=4I48s")
"""program, version, procedure, whether the row is in use, name"""
_WORDS: Final = 32
"""Counters of 8 bytes after each row's head: failures, answers from memory, then the buckets."""
_ROW: Final = _HEAD.size + 8 * _WORDS
_FAILURES: Final = 0
_REPLAYS: Final = 1
_FIRST_BUCKET: Final = 2


class Count:
    """One procedure, over all workers. `refused` messages are those of program 0."""

    __slots__ = ("buckets", "failures", "name", "procedure", "program", "replays", "version")

    def __init__(self, program: int, version: int, procedure: int, name: str) -> None:
        self.program = program
        self.version = version
        self.procedure = procedure
        self.name = name
        self.failures = 0
        self.replays = 0
        self.buckets = [0] * BUCKETS

    @property
    def calls(self) -> int:
        """How often it was called."""
        return sum(self.buckets)

    def quantile(self, part: float) -> float:
        """Seconds within which `part` (0 to 1) of the calls were answered, to a factor of two; 0 without calls."""
        wanted, seen = part * self.calls, 0
        for bucket, count in enumerate(self.buckets):
            seen += count
            if count and seen >= wanted:
                return float(2**bucket) / 1e6
        return 0.0


class Counters:
    """The counters of `workers` workers, made before they are forked. `descriptor` is a predecessor's of as many."""

    def __init__(self, workers: int = 1, descriptor: int | None = None) -> None:
        self._workers = workers
        self._shared = SharedMemory(workers * ROWS * _ROW, descriptor)

    def fileno(self) -> int:
        """What a successor attaches to."""
        return self._shared.fileno()

    def recorder(self, worker: int) -> "Recorder":
        """What worker number `worker` counts with."""
        start = worker * ROWS * _ROW
        return Recorder(memoryview(self._shared.memory)[start : start + ROWS * _ROW])

    def read(self) -> list[Count]:
        """All procedures, in the order of their numbers, the refused messages first."""
        found: dict[tuple[int, int, int], Count] = {}
        memory = self._shared.memory
        for at in range(0, self._workers * ROWS * _ROW, _ROW):
            program, version, procedure, used, name = _HEAD.unpack_from(memory, at)
            if not used:
                continue
            key = (program, version, procedure)
            count = found.setdefault(key, Count(*key, name.rstrip(b"\0").decode()))
            words = memoryview(memory)[at + _HEAD.size : at + _ROW].cast("Q").tolist()
            count.failures += words[_FAILURES]
            count.replays += words[_REPLAYS]
            count.buckets = [a + b for a, b in zip(count.buckets, words[_FIRST_BUCKET:], strict=False)]
        return [found[key] for key in sorted(found)]


class Recorder:
    """One worker's rows. Rows are numbers as `row` gives them."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._words = memory.cast("Q")
        self._rows: dict[tuple[int, int, int], int] = {}
        self._find_rows()
        self.refused = self._claim((0, 0, 0), "(refused)")

    def _find_rows(self) -> None:
        """A dead predecessor's rows go on. Rows are taken one after the other, and none is given back."""
        for place in range(0, len(self._memory), _ROW):
            program, version, procedure, used, _ = _HEAD.unpack_from(self._memory, place)
            if not used:
                return
            self._rows[program, version, procedure] = (place + _HEAD.size) // 8

    def row(self, procedure: Procedure) -> int:
        """The row of `procedure`: the one it has, or a new one."""
        return self._claim((procedure.program, procedure.version, procedure.number), procedure.name)

    def _claim(self, key: tuple[int, int, int], name: str) -> int:
        known = self._rows.get(key)
        if known is not None:
            return known
        place = len(self._rows) * _ROW
        if place >= len(self._memory):
            return self.refused
        _HEAD.pack_into(self._memory, place, *key, 1, name.encode())
        self._rows[key] = (place + _HEAD.size) // 8
        return self._rows[key]

    def failed(self, row: int) -> None:
        """One more call that was not answered with SUCCESS."""
        self._words[row + _FAILURES] += 1

    def replayed(self, row: int) -> None:
        """One more call that has run before, and was told its result again."""
        self._words[row + _REPLAYS] += 1

    def turn(self, rows: list[int], began: float) -> None:
        """Calls of `rows` have been answered in the turn that began at `began` (of `time.monotonic`)."""
        bucket = min(int((time.monotonic() - began) * 1e6).bit_length(), BUCKETS - 1) + _FIRST_BUCKET
        words = self._words
        for row in set(rows):  # of few procedures: to read and write a counter makes objects
            words[row + bucket] += rows.count(row)
