"""What a server offers, and one call of it on its way through: the words that handlers and the dispatcher share."""

from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from struct import Struct
from typing import Any, Final, NamedTuple, Protocol
from zlib import crc32

from nfsrpc.xdr import Procedure

from .history import History
from .later import Held, Later
from .logs import call_fields
from .security import Accept, Peer
from .work import Work

_THREE: Final = Struct(">3I")
_XID: Final = Struct(">I")
_DIGEST: Final = 16
"""Bytes of the digest in a replay key. SHA-256 because it is what processors have instructions for."""
_DIGESTED: Final = 256
"""Bytes of arguments that the digest covers: more than any call has besides data and names."""

Reply = list[bytes] | Later | None
"""The parts of a reply message, now or later, or None where the call gets no answer."""
Taken = Reply | Held
"""The same of a call that may have to wait for a commit."""


class Service(Protocol):
    """What the compiler's abstract service classes have."""

    @property
    def program(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def procedures(self) -> Mapping[int, Procedure]: ...


class Encoded:
    """Returned by a handler that has the encoded result at hand, in one part or several: long ones are not copied."""

    __slots__ = ("parts",)

    def __init__(self, *parts: bytes) -> None:
        self.parts = parts


class Ground(Protocol):
    """What the answer to a call rests on, besides its bytes and the resource behind its unit of work."""

    def holds(self, peer: Peer, principal: Any) -> bool:
        """Whether `principal`, calling from `peer`, is still told the same."""


class NoGround:
    """The `Ground` of an answer that is always the same, as that of procedure 0."""

    def holds(self, _peer: Peer, _principal: Any) -> bool:
        """True."""
        return True


NO_GROUND: Final = NoGround()


class Drop(Exception):
    """Raised by a handler that wants its call to stay unanswered, so that the client asks again later."""


class Binding(NamedTuple):
    """One program version as a server offers it.

    work
        Given the encoded arguments of a call, the unit of work it belongs to;
        None for a service, or a call, that has no store behind it.
    once
        Procedures that must not run twice. With a store their results are
        remembered in the same unit as the change, without one in `history`, so
        that a retransmission gets the first answer.
    failure
        Turns an OSError that left a handler, or the commit behind it, into the
        procedure's own result, or raises `Drop` for what will pass. Without it
        such a call is answered SYSTEM_ERR.
    history
        Where the calls of `once` are remembered that have no unit of work.
    tls_required
        Refuse calls in clear text (AUTH_TOOWEAK), procedure 0 excepted: it is how one asks for TLS.
    ground
        What the answer to a call that changes nothing will rest on; None where the same call may be answered
        otherwise though nothing has changed. With a ground an answer may be given again, without the handler, as long
        as that holds and `Work.count` stays the same.
    """

    service: Service
    work: Callable[[bytes, int], Work | None] | None = None
    once: frozenset[int] = frozenset()
    failure: Callable[[Procedure, OSError], Any] | None = None
    history: History | None = None
    tls_required: bool = False
    ground: "Callable[[Call], Ground | None] | None" = None


def at_most_once(service: Service, history: History, idempotent: Collection[int] = ()) -> Binding:
    """`service` with the semantics *at most once*: no call of it runs twice, whatever is sent twice.

    Procedure 0 and the `idempotent` ones, which may run again without harm, are not remembered, and so
    never take the place of those that are.
    """
    return Binding(service, once=frozenset(service.procedures) - {0, *idempotent}, history=history)


class Call:
    """One call on its way through the server, and the context that a handler gets.

    The plain arguments begin at `body` of `message`. `deadline` (of `time.monotonic`) is when the
    server gives the call up: an answer that comes later finds nobody waiting. `failed`: what it is
    told is not what a handler returned.
    """

    # Written out, because the constructor that `dataclass` makes is not compiled; one runs for each call.
    __slots__ = ("accept", "body", "deadline", "failed", "message", "peer", "principal", "target", "xid")

    def __init__(
        self,
        peer: Peer,
        accept: Accept,
        principal: Any,
        xid: int,
        target: "Target",
        message: bytes,
        body: int,
        deadline: float,
    ) -> None:
        self.peer = peer
        self.accept = accept
        self.principal = principal
        self.xid = xid
        self.target = target
        self.message = message
        self.body = body
        self.deadline = deadline
        self.failed = False

    def __repr__(self) -> str:
        return f"Call(peer={self.peer!r}, principal={self.principal!r}, xid={self.xid}, target={self.target!r})"

    @property
    def fields(self) -> dict[str, object]:
        """What a record of the log says of the call besides its text."""
        procedure = self.target.procedure
        return {
            **call_fields(self.xid, self.peer),
            "program": procedure.program,
            "version": procedure.version,
            "procedure": procedure.name,
        }


class Target:
    """A procedure as it is found by its numbers; `numbers` are these as they begin a replay key."""

    __slots__ = (
        "binding", "decode", "encode", "ground", "guarded", "handler", "history", "numbers", "once", "procedure", "row"
    )  # fmt: skip

    def __init__(
        self,
        procedure: Procedure,
        handler: Callable[..., Any],
        binding: Binding,
        once: bool,
        history: History | None,
        row: int,
        guarded: bool,
        numbers: bytes,
    ) -> None:
        self.procedure = procedure
        self.decode = procedure.decode_args
        self.encode = procedure.encode_result
        self.handler = handler
        self.binding = binding
        self.ground = binding.ground
        self.once = once
        self.history = history
        self.row = row
        self.guarded = guarded
        self.numbers = numbers

    def __repr__(self) -> str:
        return f"Target({self.procedure.name})"


def called(program: int, version: int, procedure: int) -> bytes:
    """What is called, as it begins a replay key."""
    return _THREE.pack(program, version, procedure)


def replay_key(call: Call) -> bytes:
    """20 bytes that are the same for a call and its retransmissions, and for no other call.

    Made of the client's address without its port (a client that re-connects is
    recognised), the principal (another user of that host is not taken for it),
    the xid, what is called, and the plain arguments: a digest of how they begin, a checksum
    of the rest. It is the xid that tells a client's calls apart; arguments are there for one that counts
    anew, so a CRC-32 of written data will do, and costs a third. The xid comes first in
    clear: clients count it up, so the keys of one client arrive nearly sorted.
    """
    message, body = call.message, call.body
    rest = body + _DIGESTED
    checksum = crc32(memoryview(message)[rest:]) if rest < len(message) else 0
    target = call.target
    caller = f"{call.peer.host}\0{call.principal.name}\0{checksum:x}\0".encode()
    digest = sha256(b"".join((target.numbers, caller, message[body:rest]))).digest()
    return _XID.pack(call.xid) + digest[:_DIGEST]
