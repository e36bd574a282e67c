"""The networks that this machine is attached to, as far as one can ask all of them at once."""

import ipaddress
import logging
import socket
import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

_log = logging.getLogger(__name__)
GROUP = "ff02::202"
"""The multicast group of everybody who answers for RPC on a link, where IPv6 has no broadcast (as rpcbind's)."""
EVERYBODY = "255.255.255.255"
"""The limited broadcast address, where interfaces do not tell theirs. It leaves by one interface alone."""

# netdevice(7) of Linux
_IFREQ = struct.Struct("=16s24s")
_SIOCGIFFLAGS, _SIOCGIFBRDADDR = 0x8913, 0x8919
_UP, _BROADCAST, _MULTICAST = 0x1, 0x2, 0x1000
_ADDRESS = slice(4, 8)
"""Where a sockaddr_in has its address."""


def everywhere() -> list[str]:
    """The address that reaches all machines of a network, for each one: IPv4 broadcast, and the IPv6 group."""
    interfaces = list(_interfaces())
    found = [address for name, flags in interfaces if flags & _BROADCAST and (address := _broadcast_address(name))]
    if sys.platform != "linux":
        found = [EVERYBODY]
    return list(dict.fromkeys(found)) + [f"{GROUP}%{name}" for name, flags in interfaces if flags & _MULTICAST]


@contextmanager
def in_group() -> Iterator[None]:
    """Be in `GROUP` on every interface there is now: what is sent to it reaches sockets that are bound to "::"."""
    with ExitStack() as stack:
        try:
            sock = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))
        except OSError as error:
            _log.debug("no IPv6 here: %s", error)
            yield
            return
        group = socket.inet_pton(socket.AF_INET6, GROUP)
        for name, flags in _interfaces():
            if not flags & _MULTICAST:
                continue
            member = struct.pack("=16sI", group, socket.if_nametoindex(name))
            try:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, member)
            except OSError as error:  # an interface without IPv6
                _log.debug("%s on %s: %s", GROUP, name, error)
        yield


def _interfaces() -> Iterator[tuple[str, int]]:
    """Name and flags of every interface that is up."""
    for _, name in socket.if_nameindex():
        if sys.platform != "linux":
            yield name, _UP | _MULTICAST
            continue
        with suppress(OSError):  # it has gone
            flags = int.from_bytes(_ask(name, _SIOCGIFFLAGS)[:2], sys.byteorder)
            if flags & _UP:
                yield name, flags


def _broadcast_address(name: str) -> str:
    """Of an interface; "" if it has no IPv4 address."""
    try:
        packed = _ask(name, _SIOCGIFBRDADDR)[_ADDRESS]
    except OSError:
        return ""
    return str(ipaddress.IPv4Address(packed)) if any(packed) else ""


def _ask(name: str, request: int) -> bytes:
    """What the kernel says of an interface, behind its name."""
    import fcntl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return fcntl.ioctl(sock, request, _IFREQ.pack(name.encode(), b""))[16:]
