"""What a portmapper has done (RPCBPROC_GETSTAT, RFC 1833 §2.2.1): one table for all workers."""

from struct import Struct

from nfsrpc.protocols import rpcb_prot as rb
from nfsrpc.rpc.shared import SharedMemory

_VERSIONS = 3
_WORDS = rb.RPCBSTAT_HIGHPROC + 2
"""For each version: calls of each procedure, then successful SETs and UNSETs."""
_LOOKUPS = 64
"""Different look-ups that are counted; RFC 1833 leaves the number open."""
_LOOKUP = Struct("=5I12s")
"""version index, program, version, successes, failures, netid"""
_INT_MAX = 2**31 - 1


class Statistics:
    """Counters for versions 2, 3 and 4, by the index 0, 1 and 2; made before the workers are forked."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._lookups_at = 4 * _VERSIONS * _WORDS
        self._shared = SharedMemory(self._lookups_at + _LOOKUPS * _LOOKUP.size, descriptor)
        self._words = memoryview(self._shared.memory)[: self._lookups_at].cast("I")

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
        """One more look-up. When the table is full, new ones are not counted."""
        key = (index, program, version, netid.encode())
        with self._shared:
            for at in range(self._lookups_at, self._lookups_at + _LOOKUPS * _LOOKUP.size, _LOOKUP.size):
                *numbers, good, bad, name = _LOOKUP.unpack_from(self._shared.memory, at)
                if not good + bad or (*numbers, name.rstrip(b"\0")) == key:
                    good, bad = min(good + found, _INT_MAX), min(bad + (not found), _INT_MAX)
                    _LOOKUP.pack_into(self._shared.memory, at, *key[:3], good, bad, key[3])
                    return

    def report(self) -> list[rb.rpcb_stat]:
        """All counters, in the shape of the protocol. Calls through INDIRECT and BCAST are not counted one by one."""
        with self._shared:
            words = list(self._words)
            lookups = list(_LOOKUP.iter_unpack(self._shared.memory[self._lookups_at :]))
        report = []
        for index in range(_VERSIONS):
            mine = words[index * _WORDS : (index + 1) * _WORDS]
            head = None
            for which, program, version, good, bad, netid in reversed(lookups):
                if which == index and good + bad:
                    head = rb.rpcbs_addrlist(program, version, good, bad, netid.rstrip(b"\0"), head)
            procedures, changes = mine[: rb.RPCBSTAT_HIGHPROC], mine[rb.RPCBSTAT_HIGHPROC :]
            report.append(rb.rpcb_stat(procedures, changes[0], changes[1], head, None))
        return report
