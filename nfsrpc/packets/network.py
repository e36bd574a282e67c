"""From frames to datagrams and segments: link headers, IPv4 and IPv6, fragments put together again."""

import socket
from collections import OrderedDict
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

TCP, UDP = 6, 17
MOST_FRAGMENTED = 512
"""Datagrams under reassembly at one time; the oldest is given up first. 64 KiB each: 32 MiB at the very most."""
FRAGMENT_LIFE = 30_000_000_000
"""Nanoseconds that the fragments of one datagram may be apart: Linux's figure (RFC 8200 allows twice that)."""

_ETHERTYPE_IPV4, _ETHERTYPE_IPV6 = 0x0800, 0x86DD
_VLAN = frozenset({0x8100, 0x88A8, 0x9100})
_IPV6_OPTIONS = frozenset({0, 43, 60, 135})
_IPV6_FRAGMENT = 44
_NULL, _ETHERNET, _RAW, _LOOP, _SLL, _IPV4, _IPV6, _SLL2 = 0, 1, 101, 108, 113, 228, 229, 276
# Systems disagree on the number of raw IP (DLT_RAW), and files have been written with theirs.
_RAW_LINKS = frozenset({12, 14, _RAW, _IPV4, _IPV6})
_SHORT = Struct(">H")
_IPV4_HEADER = Struct(">BBHHHBBH4s4s")
_IPV6_HEADER = Struct(">IHBB16s16s")


class Endpoint(NamedTuple):
    """Address (4 or 16 bytes) and port."""

    host: bytes
    port: int

    def __str__(self) -> str:
        name = host_text(self.host)
        return f"[{name}]:{self.port}" if ":" in name else f"{name}:{self.port}"


@lru_cache(4096)
def host_text(host: bytes) -> str:
    """The address as people write it."""
    return socket.inet_ntop(socket.AF_INET if len(host) == 4 else socket.AF_INET6, host)


class Packet(NamedTuple):
    """What IP carried: addresses, protocol number, payload; `whole` is false where the capture cut it short."""

    source: bytes
    target: bytes
    protocol: int
    payload: bytes
    whole: bool


class _Pieces:
    __slots__ = ("end", "parts", "size", "time")

    def __init__(self, time: int) -> None:
        self.time = time
        self.parts: dict[int, bytes] = {}
        self.size = 0
        self.end: int | None = None

    def joined(self) -> bytes | None:
        """The datagram, once its pieces cover it without a gap; overlapping pieces: the first to arrive counts."""
        if self.end is None or self.size < self.end:
            return None
        whole = bytearray()
        for offset in sorted(self.parts):
            if offset > len(whole):
                return None
            part = self.parts[offset]
            whole += part[len(whole) - offset :]
        return bytes(whole[: self.end]) if len(whole) >= self.end else None


class Reassembler:
    """Takes frames, gives the IP packets that they complete. `fragments` counts the fragments seen."""

    def __init__(self) -> None:
        self._pieces: OrderedDict[tuple[bytes, bytes, int, int], _Pieces] = OrderedDict()
        self.fragments = 0

    def packet(self, time: int, link: int, frame: bytes) -> Packet | None:
        """The IP packet that `frame` is or completes; None for anything else (ARP, a broken header, a first piece)."""
        at = _network_offset(link, frame)
        if at is None or at >= len(frame):
            return None
        version = frame[at] >> 4
        if version == 4:
            return self._version4(time, frame, at)
        return self._version6(time, frame, at) if version == 6 else None

    def _version4(self, time: int, frame: bytes, at: int) -> Packet | None:
        if len(frame) < at + 20:
            return None
        head, _, total, ident, place, _, protocol, _, source, target = _IPV4_HEADER.unpack_from(frame, at)
        start = at + (head & 15) * 4
        # A total of 0 is what segmentation offload leaves in packets of over 64 KiB.
        end = at + total if total else len(frame)
        if start > min(end, len(frame)) or start < at + 20:
            return None
        payload, whole = frame[start:end], end <= len(frame)
        if place & 0x3FFF == 0:
            return Packet(source, target, protocol, payload, whole)
        if not whole:
            return None
        key = (source, target, ident, protocol)
        return self._fragment(time, key, (place & 0x1FFF) * 8, payload, bool(place & 0x2000))

    def _version6(self, time: int, frame: bytes, at: int) -> Packet | None:
        if len(frame) < at + 40:
            return None
        _, length, following, _, source, target = _IPV6_HEADER.unpack_from(frame, at)
        start = at + 40
        end = start + length if length else len(frame)
        while following in _IPV6_OPTIONS:
            if start + 8 > len(frame):
                return None
            following, start = frame[start], start + 8 + frame[start + 1] * 8
        whole = end <= len(frame)
        if following != _IPV6_FRAGMENT:
            return Packet(source, target, following, frame[start:end], whole) if start <= end else None
        if start + 8 > len(frame) or not whole:
            return None
        place = _SHORT.unpack_from(frame, start + 2)[0]
        key = (source, target, int.from_bytes(frame[start + 4 : start + 8], "big"), frame[start])
        return self._fragment(time, key, place & 0xFFF8, frame[start + 8 : end], bool(place & 1))

    def _fragment(
        self, time: int, key: tuple[bytes, bytes, int, int], offset: int, payload: bytes, more: bool
    ) -> Packet | None:
        self.fragments += 1
        pieces = self._pieces.get(key)
        if pieces is None or time - pieces.time > FRAGMENT_LIFE:
            pieces = self._pieces[key] = _Pieces(time)
            if len(self._pieces) > MOST_FRAGMENTED:
                self._pieces.popitem(last=False)
        if offset not in pieces.parts and offset + len(payload) <= 0xFFFF:
            pieces.parts[offset] = payload
            pieces.size += len(payload)
        if not more:
            pieces.end = offset + len(payload)
        whole = pieces.joined()
        if whole is None:
            return None
        del self._pieces[key]
        return Packet(key[0], key[1], key[3], whole, True)


def _network_offset(link: int, frame: bytes) -> int | None:
    """Where the IP header begins behind the header of a link of this type; None where there is no IP."""
    if link == _ETHERNET:
        return _behind_ethertype(frame, 12)
    if link in _RAW_LINKS:
        return 0
    if link == _SLL:
        return _behind_ethertype(frame, 14)
    if link == _SLL2:
        return 20 if _ethertype(frame, 0) in (_ETHERTYPE_IPV4, _ETHERTYPE_IPV6) else None
    if link in (_NULL, _LOOP):
        return 4
    return None


def _ethertype(frame: bytes, at: int) -> int:
    return int(_SHORT.unpack_from(frame, at)[0]) if len(frame) >= at + 2 else 0


def _behind_ethertype(frame: bytes, at: int) -> int | None:
    kind = _ethertype(frame, at)
    while kind in _VLAN:
        at += 4
        kind = _ethertype(frame, at)
    return at + 2 if kind in (_ETHERTYPE_IPV4, _ETHERTYPE_IPV6) else None
