"""How a thread interrupts another one's wait for a socket."""

import contextlib
import socket


class Waker:
    """Lets another thread end this thread's `poll`: a pair of sockets, one of them polled."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._ours.fileno()

    def wake(self) -> None:
        """Make the descriptor readable; that it is so already is as good."""
        with contextlib.suppress(BlockingIOError):
            self._theirs.send(b"\0")

    def clear(self) -> None:
        """Take the wake-ups that have come."""
        with contextlib.suppress(BlockingIOError):
            self._ours.recv(4096)

    def close(self) -> None:
        """Give up both descriptors."""
        self._ours.close()
        self._theirs.close()
