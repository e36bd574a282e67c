"""Whether anything on this machine still has a registered port."""

import contextlib
import time
from collections.abc import Callable

from .entry import Service
from .uaddr import from_uaddr

_EVERY = 2.0
"""Seconds between two looks."""
_TABLES = {"udp": ("udp", "udp6"), "udp6": ("udp6",), "tcp": ("tcp", "tcp6"), "tcp6": ("tcp6",)}
"""Where Linux lists the sockets that can take what comes over a netid (proc(5)); a socket of IPv6 may take IPv4 too."""


def bound_ports(netid: str) -> frozenset[int] | None:
    """Local ports in use for `netid`; None where the system does not say."""
    ports: set[int] = set()
    for table in _TABLES.get(netid, ()):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/self/net/{table}", encoding="ascii") as lines:
            next(lines)
            ports.update(int(line.split()[1].rpartition(":")[2], 16) for line in lines)
    return frozenset(ports) or None


class Undertaker:
    """Says of entries whether their service is gone, from a picture of the ports at most `_EVERY` seconds old."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looked = -_EVERY
        self._ports: dict[str, frozenset[int] | None] = {}

    def due(self) -> bool:
        """Whether it is time for another look; if so, the picture is new."""
        if self._clock() - self._looked < _EVERY:
            return False
        self._looked = self._clock()
        self._ports = {netid: bound_ports(netid) for netid in _TABLES}
        return True

    def is_dead(self, entry: Service) -> bool:
        """Whether no socket has the entry's port. Entries of transports that cannot be looked at live for ever."""
        ports = self._ports.get(entry.netid)
        return ports is not None and from_uaddr(entry.address).port not in ports
