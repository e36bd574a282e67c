"""RPC messages out of IP packets: UDP datagrams, and TCP streams put in order and cut into records.

What is RPC is told by content, not by port: a call names its kind and RPC version at fixed places
(RFC 5531 §9), a reply is one by the call that it answers.
"""

from collections import OrderedDict
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from nfsrpc.rpc.errors import RecordError
from nfsrpc.rpc.record import RecordReader
from nfsrpc.xdr import DEFAULT_LIMITS

from .network import TCP, UDP, Endpoint, Packet

LIMITS = DEFAULT_LIMITS._replace(message=4 << 20, fragments=1 << 16)
"""A server may refuse more than we would, but what it took must be shown."""
MOST_STREAMS = 4096
"""TCP directions followed at one time; the one quiet longest is forgotten first."""
MOST_EARLY = 4 << 20
"""Bytes of one direction that wait for a segment before them. Then that segment counts as lost to the capture."""
LONGEST_WAIT = 2_000_000_000
"""Nanoseconds after which it counts as lost, too: its sender would have sent it again."""

_WORDS = Struct(">3I")
_MARK = Struct(">I")
_UDP_HEADER = Struct(">4H")
_TCP_HEADER = Struct(">HHIIBBHHH")
_SYN, _RST = 2, 4
_HALF = 1 << 31
_SEQUENCE = (1 << 32) - 1
_ENOUGH = 16
"""Bytes that tell a record of RPC: the mark, xid, kind, and the word after that."""
_SIGNS = (bytes((0, 0, 0, 0, 0, 0, 0, 2)), bytes((0, 0, 0, 1)) + bytes(16))
"""What stands 8 bytes behind the start of a record: a call of version 2; a plain successful reply (RFC 5531 §9)."""


class Message(NamedTuple):
    """One message as it crossed the wire: nanoseconds, "udp" or "tcp", both ends, the bytes without a record mark."""

    time: int
    transport: str
    source: Endpoint
    target: Endpoint
    data: bytes
    whole: bool


def is_call(data: bytes) -> bool:
    """Whether the bytes begin as a call of RPC version 2 does."""
    if len(data) < 24:
        return False
    _, kind, version = _WORDS.unpack_from(data)
    return bool(kind == 0 and version == 2)


def is_reply(data: bytes) -> bool:
    """Whether the bytes begin as a reply does; by itself that is weak evidence."""
    if len(data) < 20:
        return False
    _, kind, status = _WORDS.unpack_from(data)
    return bool(kind == 1 and status <= 1)


class _Direction:
    """One direction of a TCP connection. `lost` counts the gaps that the capture has left in it."""

    __slots__ = ("_early", "_early_size", "_head", "_reader", "_sequence", "_waiting", "lost")

    def __init__(self, sequence: int | None = None) -> None:
        self._sequence = sequence
        self._early: dict[int, bytes] = {}
        self._early_size = 0
        self._waiting = 0
        self._head = b""
        self._reader: RecordReader | None = None
        self.lost = 0

    def segment(self, time: int, sequence: int, data: bytes, whole: bool) -> Iterator[bytes]:
        """The records that these bytes of the stream complete; `whole` is false where the capture has cut them."""
        if self._sequence is None:
            self._sequence = sequence
        ahead = (sequence - self._sequence) & _SEQUENCE
        if ahead >= _HALF:  # begins before what is known already: a retransmission, perhaps with news at its end
            data = data[(1 << 32) - ahead :]
        elif ahead:
            self._keep(time, sequence, data)
            if self._early_size > MOST_EARLY or time - self._waiting > LONGEST_WAIT:
                yield from self.skip()
            return
        if data:
            yield from self._take(data)
            yield from self._catch_up()
        if not whole:
            self._early.clear()
            self._early_size = 0
            self._forget_record()
            self._sequence = None

    def _keep(self, time: int, sequence: int, data: bytes) -> None:
        if not self._early:
            self._waiting = time
        if len(data) > len(self._early.get(sequence, b"")):
            self._early_size += len(data) - len(self._early.get(sequence, b""))
            self._early[sequence] = data

    def skip(self) -> Iterator[bytes]:
        """Give up what is missing, and go on with the segments that wait for it."""
        if not self._early:
            return
        base = self._sequence or 0
        self._sequence = min(self._early, key=lambda start: (start - base) & _SEQUENCE)
        self._forget_record()
        yield from self._catch_up()

    def _catch_up(self) -> Iterator[bytes]:
        """Take the early segments that are due, whole or from where they bring news."""
        while self._early:
            base = self._sequence or 0
            first = min(self._early, key=lambda start: (start - base + _HALF) & _SEQUENCE)
            known = (base - first) & _SEQUENCE
            if known >= _HALF:
                return
            data = self._early.pop(first)
            self._early_size -= len(data)
            if known < len(data):
                yield from self._take(data[known:])

    def _forget_record(self) -> None:
        """Bytes are missing: where the next record begins must be found anew."""
        self._reader = None
        self._head = b""
        self.lost += 1

    def _take(self, data: bytes) -> Iterator[bytes]:
        self._sequence = ((self._sequence or 0) + len(data)) & _SEQUENCE
        if self._reader is None:
            data = self._head + data
            if len(data) < _ENOUGH:
                self._head = data
                return
            self._head = b""
            at = _find_record(data)
            if at is None:
                return
            data = data[at:]
            self._reader = RecordReader(LIMITS)
        try:
            yield from self._reader.feed(data)
        except RecordError:
            self._reader = None


def _find_record(data: bytes) -> int | None:
    """Where the first record begins: at once, or behind the rest of one whose beginning is not known."""
    if _begins_record(data):
        return 0
    for sign in _SIGNS:
        at = data.find(sign, 8)
        while at >= 0:
            mark = _MARK.unpack_from(data, at - 8)[0]
            if mark >> 31 and mark & 0x7FFF_FFFF <= LIMITS.message:
                return at - 8
            at = data.find(sign, at + 1)
    return None


def _begins_record(data: bytes) -> bool:
    """Whether a record mark and an RPC message begin here. A tiny first fragment is taken on trust."""
    (mark,) = _MARK.unpack_from(data)
    size = mark & 0x7FFF_FFFF
    if size > LIMITS.message:
        return False
    if size < 24 and not mark >> 31:
        return True
    _, kind, third = _WORDS.unpack_from(data, 4)
    return size >= 16 and (kind, third) in {(0, 2), (1, 0), (1, 1)}


class MessageSource:
    """Feeds on IP packets, gives what may be RPC messages. `lost` counts the gaps in TCP streams."""

    def __init__(self) -> None:
        self._directions: OrderedDict[tuple[Endpoint, Endpoint], _Direction] = OrderedDict()
        self._lost = 0

    @property
    def lost(self) -> int:
        """Places where the capture lacks bytes of a TCP stream."""
        return self._lost + sum(direction.lost for direction in self._directions.values())

    def messages(self, time: int, packet: Packet) -> Iterator[Message]:
        """What `packet` completes. Nothing for a header that is broken, or another protocol."""
        if packet.protocol == UDP and len(packet.payload) >= 8:
            source, target, length, _ = _UDP_HEADER.unpack_from(packet.payload)
            whole = packet.whole and length <= len(packet.payload)
            yield Message(
                time, "udp", Endpoint(packet.source, source), Endpoint(packet.target, target),
                packet.payload[8:length] if length >= 8 else packet.payload[8:], whole,
            )  # fmt: skip
        elif packet.protocol == TCP and len(packet.payload) >= 20:
            yield from self._tcp(time, packet)

    def _tcp(self, time: int, packet: Packet) -> Iterator[Message]:
        sport, dport, sequence, _, offset, flags, _, _, _ = _TCP_HEADER.unpack_from(packet.payload)
        source, target = Endpoint(packet.source, sport), Endpoint(packet.target, dport)
        key = (source, target)
        data = packet.payload[(offset >> 4) * 4 :]
        if flags & _SYN:
            sequence = (sequence + 1) & _SEQUENCE
            self._forget(key)
            self._directions[key] = _Direction(sequence)
        direction = self._directions.get(key)
        if direction is None and data:
            direction = self._directions[key] = _Direction()
        if len(self._directions) > MOST_STREAMS:
            self._forget(next(iter(self._directions)))
        if direction is not None and data:
            self._directions.move_to_end(key)
            for record in direction.segment(time, sequence, data, packet.whole):
                yield Message(time, "tcp", source, target, record, True)
        if flags & _RST:
            self._forget(key)

    def _forget(self, key: tuple[Endpoint, Endpoint]) -> None:
        direction = self._directions.pop(key, None)
        if direction is not None:
            self._lost += direction.lost

    def rest(self, time: int) -> Iterator[Message]:
        """At the end of the capture: the records behind gaps that nothing has filled."""
        for (source, target), direction in self._directions.items():
            for record in direction.skip():
                yield Message(time, "tcp", source, target, record, True)
