"""Host names and ports to socket addresses, IPv4 and IPv6 alike, through the system's resolver."""

import errno
import socket
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from nfsrpc.rpc.errors import RpcError
from nfsrpc.rpc.security import Peer

MAX_DATAGRAM: Final = 65535
"""As many bytes as any datagram can have (RFC 768): what is given for one that is received."""
RESERVED_PORTS = range(1023, 664, -1)
"""Source ports that only a privileged process can have, as servers demand them: the range of Linux' own client."""


class HostUnknown(RpcError):
    """The resolver knows no address for the host."""


class SocketAddress(NamedTuple):
    """One address that a socket of `family` and `kind` can connect to."""

    family: socket.AddressFamily
    kind: socket.SocketKind
    address: tuple[Any, ...]

    def as_peer(self, protocol: str) -> Peer:
        """This address as the other end of an association over `protocol`, udp or tcp."""
        suffix = "6" if self.family == socket.AF_INET6 else ""
        return Peer(numeric_host(self.address), int(self.address[1]), protocol + suffix)

    def __str__(self) -> str:
        host, port = self.address[:2]
        return f"[{host}]:{port}" if self.family == socket.AF_INET6 else f"{host}:{port}"


def numeric_host(address: tuple[Any, ...]) -> str:
    """The host of a socket address, as text; a link-local one of IPv6 means nothing without its interface."""
    scope = address[3] if len(address) == 4 else 0
    if not scope:
        return str(address[0])
    try:
        return f"{address[0]}%{socket.if_indextoname(scope)}"
    except OSError:  # the interface has gone
        return f"{address[0]}%{scope}"


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
    # A port whose last connection has just been closed can still be bound so; connect() says whether it is of use.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(sock.type == socket.SOCK_STREAM))
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
