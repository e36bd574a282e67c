"""Host names and ports to socket addresses, IPv4 and IPv6 alike, through the system's resolver."""

import contextlib
import errno
import socket
from collections.abc import Iterable
from typing import Any, NamedTuple

from nfsrpc.rpc.errors import RpcError

RESERVED_PORTS = range(1023, 599, -1)
"""Source ports that only a privileged process can have, as servers with a "secure" export demand them."""


class HostUnknown(RpcError):
    """The resolver knows no address for the host."""


class SocketAddress(NamedTuple):
    """One address that a socket of `family` and `kind` can connect to."""

    family: socket.AddressFamily
    kind: socket.SocketKind
    address: tuple[Any, ...]

    def __str__(self) -> str:
        host, port = self.address[:2]
        return f"[{host}]:{port}" if self.family == socket.AF_INET6 else f"{host}:{port}"


def resolve(host: str, port: int, kind: socket.SocketKind) -> list[SocketAddress]:
    """All addresses of `host`, in the resolver's order of preference. Raises `HostUnknown`."""
    try:
        found = socket.getaddrinfo(host, port, type=kind)
    except (socket.gaierror, UnicodeError) as unknown:
        reason = unknown.strerror if isinstance(unknown, OSError) else "not a host name"
        raise HostUnknown(f"{host}: {reason}") from None
    return [SocketAddress(family, kind, address) for family, _, _, _, address in found]


def open_socket(to: SocketAddress, source_ports: Iterable[int] = ()) -> socket.socket:
    """A non-blocking socket for `to`, bound to the first of `source_ports` that is free and permitted, if any is."""
    sock = socket.socket(to.family, to.kind)
    try:
        sock.setblocking(False)
        _bind(sock, to.family, source_ports)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, family: socket.AddressFamily, source_ports: Iterable[int]) -> None:
    anywhere = "::" if family == socket.AF_INET6 else "0.0.0.0"
    for port in source_ports:
        try:
            sock.bind((anywhere, port))
        except OSError as refused:
            if refused.errno == errno.EADDRINUSE:
                continue
            if refused.errno in (errno.EACCES, errno.EPERM):
                return
            raise
        return


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
