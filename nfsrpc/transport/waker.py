"""How a thread waits for a socket, and how another thread interrupts it.

This module is not compiled, for the reason that `readiness` gives.
"""

import contextlib
import select
import socket


class Waker:
    """Waits for one socket, or for another thread: a `poll` that is asked about one of a pair of sockets as well."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self._own = self._ours.fileno()
        self._poll = select.poll()
        self._poll.register(self._own, select.POLLIN)
        self._events = 0

    def watch(self, sock: socket.socket, events: int) -> None:
        """Wait for `events` of `sock` from now on; there is one such socket at a time."""
        if events != self._events:
            self._poll.register(sock, events)
            self._events = events

    def forget(self, sock: socket.socket) -> None:
        """Do not wait for `sock` any more, if anybody did. To be called before it is closed."""
        if self._events:
            self._poll.unregister(sock)
            self._events = 0

    def wait(self, timeout: float) -> int:
        """Wait at most `timeout` seconds; the events of the socket, 0 if there are none."""
        events = 0
        for descriptor, happened in self._poll.poll(timeout * 1000):
            if descriptor == self._own:
                self._clear()
            else:
                events = happened
        return events

    def wake(self) -> None:
        """Make `wait` return, now or the next time; that it is going to do so already is as good."""
        with contextlib.suppress(BlockingIOError):
            self._theirs.send(b"\0")

    def _clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._ours.recv(4096)

    def close(self) -> None:
        """Give up both descriptors."""
        self._ours.close()
        self._theirs.close()
