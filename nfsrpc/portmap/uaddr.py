"""Universal addresses (RFC 1833 §2.1, RFC 5665 §5.2.3): host and port as one text, ``192.0.2.1.8.1`` for port 2049."""

import ipaddress
import socket
import struct
from typing import NamedTuple

_PORTS = 65536
_SOCKADDR_IN = struct.Struct("=H2s4s8x")
_SOCKADDR_IN6 = struct.Struct("=H2s4x16s4x")


class Place(NamedTuple):
    """Numeric host, and port."""

    host: str
    port: int

    @property
    def is_wildcard(self) -> bool:
        """Whether the host stands for every address of its machine."""
        return ipaddress.ip_address(self.host).is_unspecified


def to_uaddr(host: str, port: int) -> str:
    """The universal address of a numeric `host` and a `port`. ValueError if they are not that."""
    if not 0 <= port < _PORTS:
        raise ValueError(f"{port} is no port")
    return f"{ipaddress.ip_address(host)}.{port >> 8}.{port & 255}"


def from_uaddr(text: str) -> Place:
    """Host and port of a universal address, IPv4 or IPv6. ValueError if it is none."""
    parts = text.rsplit(".", 2)
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() and len(part) <= 3 for part in parts[1:]):
        raise ValueError(f"{text!r} is no universal address")
    host, high, low = parts[0], int(parts[1]), int(parts[2])
    if high > 255 or low > 255:
        raise ValueError(f"{text!r} names no port")
    return Place(str(ipaddress.ip_address(host.partition("%")[0])), high << 8 | low)


def to_taddr(place: Place) -> bytes:
    """`place` as this machine's own sockaddr_in or sockaddr_in6, as UADDR2TADDR answers."""
    address = ipaddress.ip_address(place.host)
    port = struct.pack(">H", place.port)
    if address.version == 4:
        return _SOCKADDR_IN.pack(socket.AF_INET, port, address.packed)
    return _SOCKADDR_IN6.pack(socket.AF_INET6, port, address.packed)


def from_taddr(data: bytes) -> Place:
    """The place in a sockaddr. ValueError for another family or another length."""
    if len(data) == _SOCKADDR_IN.size:
        family, port, packed = _SOCKADDR_IN.unpack(data)
        expected = socket.AF_INET
    elif len(data) == _SOCKADDR_IN6.size:
        family, port, packed = _SOCKADDR_IN6.unpack(data)
        expected = socket.AF_INET6
    else:
        raise ValueError(f"a socket address of {len(data)} bytes")
    if family != expected:
        raise ValueError(f"address family {family}")
    return Place(str(ipaddress.ip_address(packed)), int.from_bytes(port))
