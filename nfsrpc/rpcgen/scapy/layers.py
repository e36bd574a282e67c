"""Scapy's view of RPC and XDR: what modules made by the scapy back end stand on.

`Rpc` dissects a call or a reply (RFC 5531 §9); a reply finds its program by the xid of the call that was
dissected before it. Fields for XDR (RFC 4506) keep length and fill bytes to themselves.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

from scapy.fields import ConditionalField, Field, IntEnumField, IntField, PacketField, XIntField
from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet, Padding, Raw, bind_layers

_MOST_CALLS = 4096


class OpaqueField(Field[bytes, bytes]):
    """Opaque data or a string: length, bytes, fill bytes."""

    def __init__(self, name: str, default: bytes) -> None:
        super().__init__(name, default, "!I")

    def addfield(self, pkt: Any, s: bytes, val: bytes | None) -> bytes:
        """Append the field's bytes to `s`."""
        data = val or b""
        return s + struct.pack("!I", len(data)) + data + bytes(-len(data) & 3)

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, bytes]:
        """Return what is left of `s` and the bytes of the field."""
        (length,) = struct.unpack("!I", s[:4])
        if length > len(s) - 4:
            raise ValueError(f"{self.name}: {length} bytes in {len(s) - 4}")
        return s[4 + length + (-length & 3) :], s[4 : 4 + length]

    def i2repr(self, pkt: Packet | None, x: bytes) -> str:
        """Return the bytes for display."""
        return repr(x)


class FixedOpaqueField(Field[bytes, bytes]):
    """Opaque data of a fixed size and its fill bytes."""

    __slots__ = ("size",)

    def __init__(self, name: str, size: int) -> None:
        super().__init__(name, bytes(size), f"{size}s")
        self.size = size

    def addfield(self, pkt: Any, s: bytes, val: bytes | None) -> bytes:
        """Append the field's bytes to `s`."""
        data = (val or b"")[: self.size].ljust(self.size, b"\0")
        return s + data + bytes(-self.size & 3)

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, bytes]:
        """Return what is left of `s` and the bytes of the field."""
        if len(s) < self.size:
            raise ValueError(f"{self.name}: {self.size} bytes in {len(s)}")
        return s[self.size + (-self.size & 3) :], s[: self.size]

    def i2repr(self, pkt: Packet | None, x: bytes) -> str:
        """Return the bytes for display."""
        return repr(x)


class ElementsField(Field[list[Any], list[Any]]):
    """Several values of one field type: as many as `size`, or as the count in front says where `size` is None.

    With `linked`, each value follows a word 1, and a word 0 ends them: an optional, or a linked list.
    """

    __slots__ = ("element", "holds_packets", "linked", "size")
    islist = 1

    def __init__(self, name: str, element: Field[Any, Any], size: int | None = None, *, linked: bool = False) -> None:
        super().__init__(name, [], "!I")
        self.element = element
        self.size = size
        self.linked = linked
        self.holds_packets = int(bool(getattr(element, "holds_packets", 0)))

    def addfield(self, pkt: Any, s: bytes, val: list[Any] | None) -> bytes:
        """Append the field's bytes to `s`."""
        values = val or []
        if self.size is None and not self.linked:
            s += struct.pack("!I", len(values))
        for value in values:
            s = self.element.addfield(pkt, s + bytes((0, 0, 0, 1)) if self.linked else s, value)
        return s + bytes(4) if self.linked else s

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, list[Any]]:
        """Return what is left of `s` and the values."""
        values: list[Any] = []
        count = self.size
        if count is None and not self.linked:
            (count,) = struct.unpack("!I", s[:4])
            s = s[4:]
        while count is None or len(values) < count:
            if self.linked:
                (more,) = struct.unpack("!I", s[:4])
                s = s[4:]
                if not more:
                    break
            elif not s:
                raise ValueError(f"{self.name}: {count} elements, but only {len(values)} are there")
            s, value = self.element.getfield(pkt, s)
            values.append(value)
        return s, values

    def any2i(self, pkt: Packet | None, x: Any) -> list[Any]:
        """Return `x` as a list."""
        return x if isinstance(x, list) else [] if x is None else [x]

    def i2repr(self, pkt: Packet | None, x: list[Any]) -> str:
        """Return the values for display."""
        return f"[{', '.join(str(self.element.i2repr(pkt, value)) for value in x)}]"


class ChainField(ElementsField):
    """A linked list that is there by value: its first element has no word in front."""

    def __init__(self, name: str, element: Field[Any, Any]) -> None:
        super().__init__(name, element, linked=True)

    def addfield(self, pkt: Any, s: bytes, val: list[Any] | None) -> bytes:
        """Append the field's bytes to `s`."""
        first, *rest = val or [None]
        return super().addfield(pkt, self.element.addfield(pkt, s, first), rest)

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, list[Any]]:
        """Return what is left of `s` and the values."""
        s, first = self.element.getfield(pkt, s)
        s, rest = super().getfield(pkt, s)
        return s, [first, *rest]


class OptionalField(ElementsField):
    """One value or none, shown as a list of at most one."""

    def __init__(self, name: str, element: Field[Any, Any]) -> None:
        super().__init__(name, element)

    def addfield(self, pkt: Any, s: bytes, val: list[Any] | None) -> bytes:
        """Append the field's bytes to `s`."""
        return super().addfield(pkt, s, (val or [])[:1])


class Part(Packet):
    """A struct or a union inside a message: what follows it belongs to what is around it."""

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Return no payload of its own, and the rest."""
        return b"", s


def part(name: str, make: Callable[[], type[Packet]]) -> PacketField:
    """Return the field for a nested struct or union; `make` is asked late, since types may be recursive."""
    return _LatePacketField(name, None, make)


class _LatePacketField(PacketField):
    __slots__ = ("make",)

    def __init__(self, name: str, default: Any, make: Callable[[], type[Packet]]) -> None:
        super().__init__(name, default, Raw)
        self.make = make

    def m2i(self, pkt: Packet | None, m: bytes) -> Packet:
        """Return the nested packet at the start of `m`."""
        return self.make()(m, _parent=pkt)

    def i2m(self, pkt: Packet | None, i: Any) -> bytes:
        """Return the bytes of the nested packet; an empty one where there is none."""
        return bytes(self.make()() if i is None else i)


class AuthField(OpaqueField):
    """The body of a credential: a packet where `bind_flavor` knows one for its flavour, else bytes."""

    __slots__ = ("flavor",)
    # As with scapy's own layers, what is bound has nowhere else to live.
    classes: ClassVar[dict[int, type[Packet]]] = {}

    def __init__(self, name: str, flavor: str) -> None:
        super().__init__(name, b"")
        self.flavor = flavor

    def addfield(self, pkt: Any, s: bytes, val: Any) -> bytes:
        """Append the field's bytes to `s`."""
        return super().addfield(pkt, s, bytes(val or b""))

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, Any]:
        """Return what is left of `s`, and the credential."""
        rest, body = super().getfield(pkt, s)
        kind = self.classes.get(getattr(pkt, self.flavor))
        if kind is None or not body:
            return rest, body
        try:
            parsed = kind(body, _parent=pkt)
        except (struct.error, ValueError):
            return rest, body
        return rest, parsed if bytes(parsed) == body else body


def bind_flavor(flavor: int, body: type[Packet]) -> None:
    """Dissect bodies of credentials of `flavor` as `body`."""
    AuthField.classes[flavor] = body


class Rpc(Packet):
    """One RPC message without its record mark; the program's own part is the payload."""

    name = "RPC"
    fields_desc: ClassVar[list[Any]] = [
        XIntField("xid", 0),
        IntEnumField("mtype", 0, {0: "CALL", 1: "REPLY"}),
    ]


class RpcCall(Packet):
    """The call body."""

    name = "RPC call"
    fields_desc: ClassVar[list[Any]] = [
        IntField("rpcvers", 2),
        IntField("prog", 0),
        IntField("vers", 0),
        IntField("proc", 0),
        IntEnumField("cred_flavor", 0, {0: "AUTH_NONE", 1: "AUTH_SYS", 2: "AUTH_SHORT", 3: "AUTH_DH", 6: "RPCSEC_GSS"}),
        AuthField("cred", "cred_flavor"),
        IntField("verf_flavor", 0),
        OpaqueField("verf", b""),
    ]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Return the class of the arguments; what RPCSEC_GSS has wrapped or sets up is left as it is."""
        gss = getattr(self.cred, "rgc_cred_v1", None)
        return Raw if gss is not None and (gss.gss_proc or gss.service != 1) else _bound(self)

    # Scapy hands a dissector one packet at a time: what connects a reply with its call has nowhere else to live.
    calls: ClassVar[OrderedDict[int, tuple[int, int, int]]] = OrderedDict()

    def post_dissection(self, pkt: Packet) -> None:
        """Remember what was called, for the reply's sake."""
        header = self.underlayer
        if isinstance(header, Rpc):
            self.calls[header.xid] = (self.prog, self.vers, self.proc)
            self.calls.move_to_end(header.xid)
            while len(self.calls) > _MOST_CALLS:
                self.calls.popitem(last=False)


class RpcReply(Packet):
    """The reply body; `prog`, `vers` and `proc` are those of its call where that was seen before."""

    name = "RPC reply"
    prog = vers = proc = -1
    fields_desc: ClassVar[list[Any]] = [
        IntEnumField("reply_stat", 0, {0: "MSG_ACCEPTED", 1: "MSG_DENIED"}),
        ConditionalField(IntField("verf_flavor", 0), lambda pkt: pkt.reply_stat == 0),
        ConditionalField(OpaqueField("verf", b""), lambda pkt: pkt.reply_stat == 0),
        ConditionalField(
            IntEnumField(
                "accept_stat",
                0,
                ["SUCCESS", "PROG_UNAVAIL", "PROG_MISMATCH", "PROC_UNAVAIL", "GARBAGE_ARGS", "SYSTEM_ERR"],
            ),
            lambda pkt: pkt.reply_stat == 0,
        ),
        ConditionalField(
            IntEnumField("reject_stat", 0, ["RPC_MISMATCH", "AUTH_ERROR"]), lambda pkt: pkt.reply_stat == 1
        ),
        ConditionalField(
            ElementsField("versions", IntField("", 0), 2),
            lambda pkt: pkt.accept_stat == 2 if pkt.reply_stat == 0 else pkt.reject_stat == 0,
        ),
        ConditionalField(IntField("auth_stat", 0), lambda pkt: pkt.reply_stat == 1 and pkt.reject_stat == 1),
    ]

    def guess_payload_class(self, payload: bytes) -> type[Packet]:
        """Return the class of the results of the procedure that was called."""
        header = self.underlayer
        if isinstance(header, Rpc) and header.xid in RpcCall.calls:
            self.prog, self.vers, self.proc = RpcCall.calls[header.xid]
        return Raw if self.reply_stat or self.accept_stat else _bound(self)


def _bound(message: RpcCall | RpcReply) -> type[Packet]:
    """Return what is bound to the procedure; of several, the last: a newer version of a file replaces the older."""
    for wanted, found in reversed(message.payload_guess):
        if all(getattr(message, key) == value for key, value in wanted.items()):
            bound: type[Packet] = found
            return bound
    return Raw


class RpcRecord(Packet):
    """A record mark and the message of a record in one fragment (RFC 5531 §11)."""

    name = "RPC record"
    fields_desc: ClassVar[list[Any]] = [XIntField("mark", None)]

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """Fill in the mark where it was left out."""
        return (struct.pack("!I", 0x80000000 | len(pay)) if self.mark is None else pkt) + pay

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Return the record, and what follows it."""
        size = (self.mark or 0) & 0x7FFFFFFF
        return s[:size], s[size:]

    @classmethod
    def tcp_reassemble(cls, data: bytes, metadata: dict[str, Any], session: dict[str, Any]) -> Packet | None:
        """Return the records that are whole, one behind the other, fragments put together; None for none.

        All at once: of more than two in one segment scapy itself loses count. What is left is padding.
        """
        records, rest = _records(data)
        chain: Packet | None = Padding(rest) if rest else None
        for record in reversed(records):
            packet = cls(struct.pack("!I", 0x80000000 | len(record)) + record)
            if chain is not None:
                packet.lastlayer().add_payload(chain)
            chain = packet
        return chain if records else None


def _records(stream: bytes) -> tuple[list[bytes], bytes]:
    records: list[bytes] = []
    parts: list[bytes] = []
    at = begun = 0
    while len(stream) >= at + 4:
        (mark,) = struct.unpack_from("!I", stream, at)
        size = mark & 0x7FFFFFFF
        if len(stream) < at + 4 + size:
            break
        parts.append(stream[at + 4 : at + 4 + size])
        at += 4 + size
        if mark >> 31:
            records.append(b"".join(parts))
            parts, begun = [], at
    return records, stream[begun:]


bind_layers(Rpc, RpcCall, mtype=0)
bind_layers(Rpc, RpcReply, mtype=1)
bind_layers(RpcRecord, Rpc)


def dissect_port(port: int) -> None:
    """Make scapy dissect what goes to or comes from `port` as RPC, over UDP and (whole records) over TCP."""
    for lower, upper in ((UDP, Rpc), (TCP, RpcRecord)):
        bind_layers(lower, upper, sport=port)
        bind_layers(lower, upper, dport=port)
