"""Sockets to serve on: one UDP and one TCP socket per address and worker."""

import errno
import ipaddress
import socket
import time
from collections.abc import Iterable
from typing import NamedTuple

from .inheritance import Inheritance

_RECEIVE_BUFFER = 4 << 20
"""Asked of the kernel for a UDP socket (it may give less): room for a burst of 8 KiB writes during one commit."""
_BACKLOG = 512


class PortInUse(OSError):
    """Somebody serves on that port already."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(errno.EADDRINUSE, f"port {port} of {host} is in use by another program")
        self.port = port


class Endpoint(NamedTuple):
    """A UDP and a listening TCP socket on the same address and port, both non-blocking."""

    udp: socket.socket
    tcp: socket.socket

    @property
    def port(self) -> int:
        """The port of both."""
        return int(self.udp.getsockname()[1])

    @property
    def wildcard(self) -> bool:
        """Whether it is bound to no address in particular, so that a reply must name the one that was asked."""
        return ipaddress.ip_address(self.udp.getsockname()[0]).is_unspecified

    @classmethod
    def inherited(cls, inheritance: Inheritance, name: str) -> list["Endpoint"]:
        """The endpoints that a predecessor had for the address called `name`; empty without one."""
        found: list[Endpoint] = []
        while (udp := inheritance.take(f"{name}/{len(found)}/udp")) is not None:
            tcp = inheritance.take(f"{name}/{len(found)}/tcp")
            assert tcp is not None
            endpoint = cls(socket.socket(fileno=udp), socket.socket(fileno=tcp))
            endpoint.udp.setblocking(False)
            endpoint.tcp.setblocking(False)
            found.append(endpoint)
        return found

    def bequeath(self, inheritance: Inheritance, name: str, number: int) -> None:
        """Leave both sockets to a successor."""
        inheritance.keep(f"{name}/{number}/udp", self.udp.fileno())
        inheritance.keep(f"{name}/{number}/tcp", self.tcp.fileno())

    def close(self) -> None:
        """Close both."""
        self.udp.close()
        self.tcp.close()


def activated(sockets: Iterable[socket.socket], port: int) -> list[Endpoint]:
    """The endpoint that systemd has made for `port`; empty if it has made none.

    OSError (EINVAL) if it has made only one of the two sockets: ListenStream= and ListenDatagram= belong together.
    """
    mine = [sock for sock in sockets if sock.family != socket.AF_UNIX and sock.getsockname()[1] == port]
    if not mine:
        return []
    udp = next((sock for sock in mine if sock.type == socket.SOCK_DGRAM), None)
    tcp = next((sock for sock in mine if sock.type == socket.SOCK_STREAM), None)
    if udp is None or tcp is None:
        raise OSError(errno.EINVAL, f"port {port} is activated for one of UDP and TCP alone; both are needed")
    for sock in (udp, tcp):
        sock.setblocking(False)
    return [Endpoint(udp, tcp)]


def _bound(info: tuple[int, str, int], shared: bool) -> Endpoint:
    family, host, port = info
    tcp = socket.socket(family, socket.SOCK_STREAM)
    udp = socket.socket(family, socket.SOCK_DGRAM)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for sock in (tcp, udp):
            if shared:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        tcp.bind((host, port))
        udp.bind((host, port or tcp.getsockname()[1]))
        tcp.listen(_BACKLOG)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _RECEIVE_BUFFER)
        tcp.setblocking(False)
        udp.setblocking(False)
    except OSError:
        tcp.close()
        udp.close()
        raise
    return Endpoint(udp, tcp)


def _probed(info: tuple[int, str, int], patience: float) -> Endpoint:
    """An endpoint that shares its port with nobody; waits up to `patience` seconds for a predecessor to let go."""
    _, host, port = info
    deadline = time.monotonic() + patience
    while True:
        try:
            return _bound(info, shared=False)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            if port and time.monotonic() >= deadline:
                raise PortInUse(host, port) from None
            time.sleep(0.02)


def bind(host: str, port: int, workers: int = 1, patience: float = 0.5) -> list[Endpoint]:
    """One endpoint per worker, all on the same address and port (0: one that is free).

    The port is first taken without SO_REUSEPORT, so that a port in use is an
    error (`PortInUse`) and not two servers that silently share its calls. A
    port whose last owner was killed this moment is waited for, `patience`
    seconds at most. Raises OSError for an address that is not this machine's.
    """
    # Of a name that is all ASCII, Python would make bytes by its IDNA codec, which is a large one.
    name = host.encode() if host.isascii() else host
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    info = (int(found[0]), str(found[4][0]), port)
    sole = _probed(info, patience)
    if workers == 1:
        return [sole]
    shared = (info[0], info[1], sole.port)
    sole.close()
    return [_bound(shared, shared=True) for _ in range(workers)]
