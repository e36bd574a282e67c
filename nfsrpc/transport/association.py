"""The UDP side of a client: a socket that one peer alone can send to, and datagrams out and in through it."""

import contextlib
import socket
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from nfsrpc.rpc.calls import PendingCall
from nfsrpc.rpc.retry import CongestionWindow

from . import batches
from .address import MAX_DATAGRAM, SocketAddress, open_socket
from .batches import COUNT, Incoming, Outgoing

_RECEIVE_BUFFER: Final = 1 << 20
_LARGE: Final = 17 << 10
"""Bytes that Linux counts for a datagram of 8 KiB in a receive buffer."""
_FIRST_WINDOW: Final = 16
"""What kernels' RPC has in flight, and what the receive buffer of a server holds that nobody has enlarged."""


class Association(Protocol):
    """Calls to the peer of one connected socket, and messages from it. Neither method waits."""

    def send(self, calls: Sequence[PendingCall]) -> list[tuple[PendingCall, OSError]]:
        """Send a datagram for each call; those that could not leave, and why.

        What ICMP tells of one meanwhile may come to light at another one, at the next `receive`, or not at all.
        """

    def receive(self, most: int, messages: list[bytes]) -> None:
        """Add at most `most` messages that are there to `messages`. OSError for what ICMP told of earlier ones."""


class SingleAssociation:
    """`Association`, each datagram in a system call of its own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def send(self, calls: Sequence[PendingCall]) -> list[tuple[PendingCall, OSError]]:
        """See `Association.send`."""
        failed = []
        send = self._sock.send
        for call in calls:
            try:
                send(call.message)
            except OSError as error:
                failed.append((call, error))
        return failed

    def receive(self, most: int, messages: list[bytes]) -> None:
        """See `Association.receive`."""
        take = self._sock.recv
        try:
            for _ in range(most):
                messages.append(take(MAX_DATAGRAM))
        except BlockingIOError:
            return


class BatchedAssociation:
    """`Association`, many datagrams in one system call."""

    def __init__(self, sock: socket.socket) -> None:
        self._incoming = Incoming(sock)
        self._outgoing = Outgoing(sock)

    def send(self, calls: Sequence[PendingCall]) -> list[tuple[PendingCall, OSError]]:
        """See `Association.send`."""
        send, failed = self._outgoing.send, []
        for start in range(0, len(calls), COUNT):
            for place, error in send([([call.message], b"") for call in calls[start : start + COUNT]]):
                failed.append((calls[start + place], error))
        return failed

    def receive(self, most: int, messages: list[bytes]) -> None:
        """See `Association.receive`."""
        while most > 0:
            try:
                found = self._incoming.receive(most)
            except BlockingIOError:
                return
            for message, _ in found:
                messages.append(message)
            if len(found) < min(most, COUNT):
                return
            most -= len(found)


def associate(sock: socket.socket) -> Association:
    """The fitting class for `sock`, which is connected."""
    return BatchedAssociation(sock) if batches.CHEAP else SingleAssociation(sock)


def window_of(sock: socket.socket) -> CongestionWindow:
    """How many large calls may be in flight: their replies, and what the kernel counts for each, fit the socket."""
    held = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
    return CongestionWindow(_FIRST_WINDOW, max(1, held // _LARGE))


def connect(to: SocketAddress, source_ports: Iterable[int]) -> socket.socket:
    """A socket that takes datagrams from `to` alone. OSError where there is no way to it."""
    sock = open_socket(to, source_ports)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.connect(to.address)
        with contextlib.suppress(BlockingIOError):
            while True:
                sock.recv(1)  # what came from anybody after the socket was bound, and before it was connected
    except OSError:
        sock.close()
        raise
    return sock
