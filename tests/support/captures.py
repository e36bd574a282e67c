"""Captures made by hand: link, IP, UDP and TCP headers in plain structs, pcap and pcapng around them."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator

CLIENT, SERVER = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
ETHERNET = 1
START = 1_700_000_000_000_000_000
Timed = tuple[int, bytes]


def ethernet(packet: bytes, vlan: int | None = None) -> bytes:
    tag = b"" if vlan is None else struct.pack(">HH", 0x8100, vlan)
    kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    return bytes(12) + tag + struct.pack(">H", kind) + packet


def ipv4(source: bytes, target: bytes, protocol: int, payload: bytes, *, ident: int = 1, place: int = 0) -> bytes:
    """One IPv4 packet; `place` is the flags and offset word. Checksums are 0: nobody here looks at them."""
    size = 20 + len(payload)
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, size, ident, place, 64, protocol, 0, source, target) + payload


def ipv6(source: bytes, target: bytes, protocol: int, payload: bytes) -> bytes:
    return struct.pack(">IHBB16s16s", 6 << 28, len(payload), protocol, 64, source, target) + payload


def udp(sport: int, dport: int, data: bytes) -> bytes:
    return struct.pack(">4H", sport, dport, 8 + len(data), 0) + data


def fragments(source: bytes, target: bytes, payload: bytes, ident: int, mtu: int = 1500) -> list[bytes]:
    """The IPv4 packets that carry one UDP datagram over a link of this MTU."""
    step = (mtu - 20) // 8 * 8
    packets = []
    for at in range(0, len(payload), step):
        more = 0x2000 if at + step < len(payload) else 0
        packets.append(ipv4(source, target, 17, payload[at : at + step], ident=ident, place=more | at // 8))
    return packets


def tcp(sport: int, dport: int, sequence: int, data: bytes = b"", flags: int = 0x18) -> bytes:
    return struct.pack(">HHIIBBHHH", sport, dport, sequence & 0xFFFFFFFF, 0, 0x50, flags, 65535, 0, 0) + data


def call(xid: int, program: int, version: int, procedure: int, arguments: bytes = b"") -> bytes:
    return struct.pack(">6I", xid, 0, 2, program, version, procedure) + bytes(16) + arguments


def reply(xid: int, result: bytes = b"") -> bytes:
    return struct.pack(">6I", xid, 1, 0, 0, 0, 0) + result


def record(message: bytes) -> bytes:
    return struct.pack(">I", 0x80000000 | len(message)) + message


def up(message: bytes, *, port: int = 2049, client: int = 700) -> bytes:
    """A frame with a datagram from client to server."""
    return ethernet(ipv4(CLIENT, SERVER, 17, udp(client, port, message)))


def down(message: bytes, *, port: int = 2049, client: int = 700) -> bytes:
    return ethernet(ipv4(SERVER, CLIENT, 17, udp(port, client, message)))


def ticking(frames: Iterable[bytes], step: int = 1_000_000) -> Iterator[Timed]:
    """The frames, `step` nanoseconds apart."""
    return zip(itertools.count(START, step), frames, strict=False)


def pcap(frames: Iterable[Timed], link: int = ETHERNET, *, order: str = "<", nano: bool = True) -> Iterator[bytes]:
    """The file, piece by piece."""
    magic = 0xA1B23C4D if nano else 0xA1B2C3D4
    yield struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 1 << 18, link)
    for time, data in frames:
        fraction = time % 1_000_000_000 // (1 if nano else 1000)
        yield struct.pack(order + "4I", time // 1_000_000_000, fraction, len(data), len(data)) + data


def pcapng(frames: Iterable[Timed], link: int = ETHERNET, *, order: str = "<", resolution: int | None = None) -> bytes:
    """A pcapng file of one section and one interface; `resolution` is the byte of if_tsresol."""

    def block(kind: int, body: bytes) -> bytes:
        body += bytes(-len(body) % 4)
        size = struct.pack(order + "I", len(body) + 12)
        return struct.pack(order + "I", kind) + size + body + size

    options = b"" if resolution is None else struct.pack(order + "HHB3xI", 9, 1, resolution, 0)
    parts = [
        block(0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)),
        block(1, struct.pack(order + "HHI", link, 0, 1 << 18) + options),
        block(5, b"statistics that nobody asked for"),
    ]
    for time, data in frames:
        power = 6 if resolution is None else resolution
        ticks = time * (1 << (power & 0x7F)) // 10**9 if power & 0x80 else time * 10**power // 10**9
        head = struct.pack(order + "5I", 0, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data))
        parts.append(block(6, head + data))
    return b"".join(parts)


def many_getattrs(count: int, *, slow_every: int = 50) -> Iterator[Timed]:
    """A busy client's datagrams: pairs of GETATTR and reply, latencies from 60 us, some over 5 ms, some STALE."""
    handle = b"H" * 32
    good = struct.pack(">18I", 0, 1, 0o100644, 1, 0, 0, 1000, 4096, 0, 8, 7, 42, 1, 0, 2, 0, 3, 0)
    for n in range(count):
        now = START + n * 200_000
        latency = 5_000_000 + n % 7 * 1_000_000 if n % slow_every == 0 else 60_000 + n * 7919 % 90_000
        yield now, up(call(n, 100003, 2, 1, handle))
        yield now + min(latency, 190_000) if n % slow_every else now + latency, down(
            reply(n, struct.pack(">I", 70) if n % 97 == 5 else good)
        )
