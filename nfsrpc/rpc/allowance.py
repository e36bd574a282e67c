"""How often something may be done: what would serve a flood, or be one, is kept to a rate."""

import time
from collections.abc import Callable

from .dispatch import Drop
from .security import Peer

LISTS = 16.0
"""Long lists a second that are sent to strangers over UDP, by one worker."""


class Allowance:
    """So many a second, and as many at once, over all callers of one worker."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._left = rate
        self._counted = clock()

    def spend(self) -> bool:
        """Whether it may be done now, which is counted."""
        now = self._clock()
        self._left = min(self._rate, self._left + (now - self._counted) * self._rate)
        self._counted = now
        if self._left < 1:
            return False
        self._left -= 1
        return True

    def demand_for_list(self, peer: Peer) -> None:
        """Raise `Drop` for a list that would go, too often, to a source address that anybody can forge.

        A datagram of 40 bytes that asks for kilobytes is what attackers send in the name of others. Whoever
        asks over TCP, or on this machine, is who he says.
        """
        if peer.netid.startswith("udp") and not peer.is_loopback and not self.spend():
            raise Drop
