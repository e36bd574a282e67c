"""Which descriptors are ready: the kernel's own list, without `selectors` around it.

`selectors` makes an object of each event, in Python: that took longer than the kernel took to say what is ready.

This module is not compiled: Python runs handlers of signals between instructions of its own, and a loop that had
none of these would hear of a signal only if it came while the kernel waits.
"""

import select
from typing import Any, Final

READ: Final = 1
WRITE: Final = 4
"""POLLIN and POLLOUT, which epoll has, too: written out, they cost nothing once they are compiled."""
_BOTH: Final = 5


class Readiness:
    """Descriptors, what each is awaited for, and who deals with it then."""

    def __init__(self) -> None:
        self._epoll = hasattr(select, "epoll")
        self._poll: Any = select.epoll() if self._epoll else select.poll()
        self._awaited: dict[int, tuple[Any, int]] = {}

    def register(self, source: Any, mask: int, who: Any) -> None:
        """Await `mask` of `source`, a descriptor or what has one, for `who`."""
        descriptor = _descriptor(source)
        self._poll.register(descriptor, mask)
        self._awaited[descriptor] = who, mask

    def modify(self, source: Any, mask: int, who: Any) -> None:
        """Await something else from now on."""
        descriptor = _descriptor(source)
        self._poll.modify(descriptor, mask)
        self._awaited[descriptor] = who, mask

    def unregister(self, source: Any) -> None:
        """Await nothing any more. To be called before `source` is closed."""
        descriptor = _descriptor(source)
        del self._awaited[descriptor]
        self._poll.unregister(descriptor)

    def wait(self, timeout: float) -> list[tuple[Any, int]]:
        """Who has something to do within `timeout` seconds, and of what was awaited; nobody: none of it came."""
        awaited = self._awaited
        ready: list[tuple[Any, int]] = []
        for descriptor, events in self._poll.poll(timeout if self._epoll else timeout * 1000):
            who, mask = awaited[descriptor]
            # The end and a failure come unasked: whatever is awaited will meet them.
            ready.append((who, events & mask if events & _BOTH == events else mask))
        return ready

    def close(self) -> None:
        """Await nothing any more."""
        self._awaited.clear()
        if self._epoll:
            self._poll.close()


def _descriptor(source: Any) -> int:
    return source if isinstance(source, int) else int(source.fileno())
