"""What a portmapper has done (RPCBPROC_GETSTAT, RFC 1833 §2.2.1): one table for all workers."""

from struct import Struct
from typing import Any

from nfsrpc.protocols import rpcb_prot as rb
from nfsrpc.rpc.shared import SharedMemory

_VERSIONS = 3
_WORDS = rb.RPCBSTAT_HIGHPROC + 2
"""For each version: calls of each procedure, then successful SETs and UNSETs."""
_LOOKUPS, _REMOTE_CALLS = 64, 64
"""Different look-ups, and calls made for others, that are counted; RFC 1833 leaves the number open."""
_INT_MAX = 2**31 - 1


class _Tallies:
    """Successes and failures by some numbers and a netid: `places` different ones, in shared memory from `start` on."""

    def __init__(self, shared: SharedMemory, start: int, places: int, numbers: int) -> None:
        self._shared = shared
        self._entry = Struct(f"={numbers + 2}I12s")
        self._places = range(start, start + places * self._entry.size, self._entry.size)

    @staticmethod
    def size(places: int, numbers: int) -> int:
        """Bytes."""
        return places * (4 * (numbers + 2) + 12)

    def add(self, numbers: tuple[int, ...], netid: str, success: bool) -> None:
        """One more. When the table is full, new ones are not counted."""
        with self._shared:
            for at in self._places:
                *known, good, bad, name = self._entry.unpack_from(self._shared.memory, at)
                if not good + bad or (tuple(known), name.rstrip(b"\0")) == (numbers, netid.encode()):
                    good, bad = min(good + success, _INT_MAX), min(bad + (not success), _INT_MAX)
                    self._entry.pack_into(self._shared.memory, at, *numbers, good, bad, netid.encode())
                    return

    def entries(self) -> list[tuple[Any, ...]]:
        """Numbers, successes, failures and netid of each, the newest first."""
        with self._shared:
            found = [self._entry.unpack_from(self._shared.memory, at) for at in reversed(self._places)]
        return [(*entry[:-1], entry[-1].rstrip(b"\0")) for entry in found if entry[-3] + entry[-2]]


class Statistics:
    """Counters for versions 2, 3 and 4, by the index 0, 1 and 2; made before the workers are forked."""

    def __init__(self, descriptor: int | None = None) -> None:
        words = 4 * _VERSIONS * _WORDS
        lookups, calls = _Tallies.size(_LOOKUPS, 3), _Tallies.size(_REMOTE_CALLS, 5)
        self._shared = SharedMemory(words + lookups + calls, descriptor)
        self._words = memoryview(self._shared.memory)[:words].cast("I")
        self._lookups = _Tallies(self._shared, words, _LOOKUPS, 3)
        self._remote_calls = _Tallies(self._shared, words + lookups, _REMOTE_CALLS, 5)

    def fileno(self) -> int:
        """What a successor attaches to."""
        return self._shared.fileno()

    def _add(self, word: int) -> None:
        with self._shared:
            self._words[word] = min(self._words[word] + 1, _INT_MAX)

    def called(self, index: int, procedure: int) -> None:
        """One more call of `procedure`."""
        self._add(index * _WORDS + procedure)

    def changed(self, index: int, procedure: int) -> None:
        """One more successful SET (procedure 1) or UNSET (2)."""
        self._add(index * _WORDS + rb.RPCBSTAT_HIGHPROC + procedure - 1)

    def looked_up(self, index: int, program: int, version: int, netid: str, found: bool) -> None:
        """One more look-up."""
        self._lookups.add((index, program, version), netid, found)

    def called_for_others(self, index: int, target: tuple[int, int, int], netid: str, direct: bool, good: bool) -> None:
        """One more call of `target` (program, version, procedure): `direct` as of CALLIT and BCAST, or by INDIRECT."""
        self._remote_calls.add((index, *target, int(not direct)), netid, good)

    def report(self) -> list[rb.rpcb_stat]:
        """All counters, in the shape of the protocol."""
        with self._shared:
            words = list(self._words)
        lookups, calls = self._lookups.entries(), self._remote_calls.entries()
        report = []
        for index in range(_VERSIONS):
            mine = words[index * _WORDS : (index + 1) * _WORDS]
            procedures, changes = mine[: rb.RPCBSTAT_HIGHPROC], mine[rb.RPCBSTAT_HIGHPROC :]
            addresses = None
            for _, program, version, good, bad, netid in (entry for entry in lookups if entry[0] == index):
                addresses = rb.rpcbs_addrlist(program, version, good, bad, netid, addresses)
            remote = None
            others = (entry for entry in calls if entry[0] == index)
            for _, program, version, procedure, indirect, good, bad, netid in others:
                remote = rb.rpcbs_rmtcalllist(program, version, procedure, good, bad, indirect, netid, remote)
            report.append(rb.rpcb_stat(procedures, changes[0], changes[1], addresses, remote))
        return report
