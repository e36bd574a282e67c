"""A history of calls in memory that all workers of one server share.

Two rings. One of slots, one a call, in order of arrival: a slot is
used again when the ring has come round and its call may be forgotten. One of
bytes, for results: what is overwritten there is a result lost, never a call
forgotten. Calls are found through chains of slots that hang from buckets.

Every update becomes visible by one aligned word written last, so that a
worker killed at any instant leaves a table that is right; the lock goes back
by itself. A call whose worker has died is known by that worker's process id.
"""

import os
import time
from collections.abc import Callable
from struct import Struct

from .history import CAPACITY, RETENTION, ROOM, Full, Kept, Lost, UnderWay
from .shared import SharedMemory

_HEAD = 64
_NEXT_SLOT = 0
"""Word of the head: number of the slot to use next, from 1 (0 means none wherever a slot is named)."""
_WRITTEN = Struct("=Q")
_WRITTEN_AT = 16
"""Byte of the head: how many result bytes have ever been written."""
_KEY = 20
_SLOT = Struct("=20sIIIIIdQ")
"""key, next in chain, state, pid, accept_stat, length of the result, when it began, where the result was written."""
_SLOT_SIZE = (_SLOT.size + 7) & ~7
_NEXT_WORD, _STATE_WORD = 5, 6
_FREE, _RUNNING, _DONE = 0, 1, 2


class SharedHistory:
    """A `nfsrpc.rpc.history.History` for all workers of one server; make it before they are forked.

    `capacity`, `room` and `retention` as in `MemoryHistory`; `descriptor` attaches to the table of
    a predecessor, which must have had the same capacity and room.
    """

    def __init__(
        self,
        capacity: int = CAPACITY,
        room: int = ROOM,
        retention: float = RETENTION,
        clock: Callable[[], float] = time.monotonic,
        descriptor: int | None = None,
    ) -> None:
        self._capacity = capacity
        self._buckets = 1 << (capacity.bit_length())
        self._room = room
        self._retention = retention
        self._clock = clock
        self._slots_at = _HEAD + 4 * self._buckets  # a multiple of 8: there are two buckets at least
        self._results_at = self._slots_at + _SLOT_SIZE * (capacity + 1)
        self._shared = SharedMemory(self._results_at + room, descriptor)
        self._memory = self._shared.memory
        self._words = memoryview(self._memory)[: self._results_at].cast("I")

    def fileno(self) -> int:
        """The descriptor that a successor attaches to."""
        return self._shared.fileno()

    def _bucket(self, key: bytes) -> int:
        """Number of the word that names the first slot of the chain of `key`."""
        return _HEAD // 4 + int.from_bytes(key[-4:]) % self._buckets

    def _at(self, slot: int) -> int:
        return self._slots_at + slot * _SLOT_SIZE

    def _find(self, key: bytes) -> int:
        """The slot that holds `key`, 0 if none does."""
        words, memory = self._words, self._memory
        slot = words[self._bucket(key)]
        while slot:
            at = self._at(slot)
            if memory[at : at + _KEY] == key:
                return slot
            slot = words[at // 4 + _NEXT_WORD]
        return 0

    def claim(self, key: bytes) -> Kept | None:
        """See `History`."""
        with self._shared:
            slot = self._find(key)
            if slot:
                return self._known(slot)
            slot = self._take_slot()
            self._link(slot, key, os.getpid(), self._clock())
        return None

    def _known(self, slot: int) -> Kept:
        _, _, state, pid, stat, length, _, written = _SLOT.unpack_from(self._memory, self._at(slot))
        if state == _RUNNING:
            if _alive(pid):
                raise UnderWay
            raise Lost
        (head,) = _WRITTEN.unpack_from(self._memory, _WRITTEN_AT)
        if length > self._room or head - written > self._room:
            raise Lost
        start = self._results_at + written % self._room
        return Kept(stat, self._memory[start : start + length])

    def _take_slot(self) -> int:
        """A slot that is free now. Raises `Full`."""
        for _ in range(self._capacity):
            slot = self._words[_NEXT_SLOT] or 1
            key, _, state, pid, _, _, began, _ = _SLOT.unpack_from(self._memory, self._at(slot))
            if state != _FREE:
                if self._clock() - began < self._retention:
                    raise Full
                if state == _RUNNING and _alive(pid):
                    # A handler that runs longer than calls are remembered: it is passed over.
                    self._advance(slot)
                    continue
                self._unlink(slot, key)
            self._advance(slot)
            return slot
        raise Full

    def _advance(self, slot: int) -> None:
        self._words[_NEXT_SLOT] = slot % self._capacity + 1

    def _link(self, slot: int, key: bytes, pid: int, began: float) -> None:
        bucket = self._bucket(key)
        _SLOT.pack_into(self._memory, self._at(slot), key, self._words[bucket], _RUNNING, pid, 0, 0, began, 0)
        self._words[bucket] = slot

    def _unlink(self, slot: int, key: bytes) -> None:
        words = self._words
        link, following = self._bucket(key), words[self._at(slot) // 4 + _NEXT_WORD]
        while words[link] and words[link] != slot:
            link = self._at(words[link]) // 4 + _NEXT_WORD
        if words[link]:
            words[link] = following
        words[self._at(slot) // 4 + _STATE_WORD] = _FREE

    def settle(self, key: bytes, kept: Kept) -> None:
        """See `History`."""
        with self._shared:
            slot = self._find(key)
            if not slot:
                return
            written = self._write(kept.result)
            at = self._at(slot)
            key, following, _, pid, _, _, began, _ = _SLOT.unpack_from(self._memory, at)
            _SLOT.pack_into(
                self._memory, at, key, following, _RUNNING, pid, kept.stat, len(kept.result), began, written
            )
            self._words[at // 4 + _STATE_WORD] = _DONE

    def _write(self, result: bytes) -> int:
        """Put `result` into the ring of bytes, in one piece; where it is, counted from the first byte ever."""
        (head,) = _WRITTEN.unpack_from(self._memory, _WRITTEN_AT)
        size, room = len(result), self._room
        if size > room:
            return int(head)
        if head % room + size > room:
            head += room - head % room
        # First the mark, then the bytes: whoever dies in between has lost old results, and mixed none.
        _WRITTEN.pack_into(self._memory, _WRITTEN_AT, head + size)
        start = self._results_at + head % room
        self._memory[start : start + size] = result
        return int(head)

    def release(self, key: bytes) -> None:
        """See `History`."""
        with self._shared:
            slot = self._find(key)
            if slot:
                self._unlink(slot, key)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
