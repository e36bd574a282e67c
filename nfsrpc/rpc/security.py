"""The seam between messages and authentication (RFC 5531 §8): what the dispatcher and the call table ask of a flavour.

`nfsrpc.auth` holds the flavours themselves. Both halves deal in exact bytes: a
verifier may be a signature over a header as it was received or is going to be sent, so nothing
is encoded twice.
"""

from collections.abc import Generator
from typing import Any, NamedTuple, Protocol

from nfsrpc.xdr import Procedure

from .message import NULL_AUTH, CallHeader, OpaqueAuth, Refusal, Rejected
from .plain import PlainAuth

__all__ = [
    "Accept",
    "Answer",
    "CallAuth",
    "CallHeader",
    "ClientSession",
    "ControlCall",
    "Handshake",
    "Identity",
    "OpaqueAuth",
    "Peer",
    "PlainAuth",
    "Refusal",
    "Rejected",
    "Seal",
    "ServerFlavor",
]


class Peer(NamedTuple):
    """The other end: numeric host and port, and the netid it came by (``udp``, ``tcp``, ``udp6``, ``tcp6``).

    Over a UNIX socket (``local``) host is ``local``, and `uid` the user at the other end, as the kernel says.
    `tls` is None for clear text; inside TLS the name in the host's certificate, "" if it has shown none: it
    says which host calls, never which user (RFC 9289 §5.2).
    """

    host: str
    port: int
    netid: str
    uid: int | None = None
    tls: str | None = None

    @property
    def is_loopback(self) -> bool:
        """Whether the peer is on this machine."""
        return self.host.startswith("127.") or self.host in ("::1", "::ffff:127.0.0.1", "local")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}/{self.netid}"


class Identity(Protocol):
    """What the dispatcher needs of a principal: a name that tells callers of one host apart."""

    @property
    def name(self) -> str: ...


class Seal(Protocol):
    """Protection of one call's arguments and result, where the flavour has any."""

    def unwrap(self, message: bytes, body: int) -> tuple[bytes, int]:
        """The plain arguments of `message`, which begin at `body`: bytes that hold them to their end, and where.

        Raises `nfsrpc.rpc.errors.GarbageArguments` if they are not what the caller has protected.
        """

    def wrap(self, result: bytes) -> bytes:
        """The encoded result as it travels."""


class Accept:
    """A call whose caller is known. Not frozen because some flavours make one for every call; nobody changes one.

    verifier
        Goes into the header of every accepted reply to it.
    seal
        None where arguments and result travel as they are.
    lasting
        Whether the same credential, with an empty verifier, is accepted just so from every peer and at any
        time: the flavour is not asked again then.
    """

    __slots__ = ("lasting", "principal", "seal", "verifier")

    def __init__(
        self, principal: Any, verifier: OpaqueAuth = NULL_AUTH, seal: Seal | None = None, lasting: bool = False
    ) -> None:
        self.principal = principal
        self.verifier = verifier
        self.seal = seal
        self.lasting = lasting


class ServerFlavor(Protocol):
    """Server half of one flavour. Objects of this shape may come from anywhere.

    flavor
        Its number (RFC 5531 §8.2).
    single_use
        Whether a credential and verifier are good for one call only. A retransmission, byte for
        byte the same, is then answered from memory before `accept` sees it.
    """

    @property
    def flavor(self) -> int: ...
    @property
    def single_use(self) -> bool: ...

    def accept(self, header: CallHeader, message: bytes, peer: Peer) -> Accept:
        """Who sent `message`, of which `header` is the decoded header.

        Raises `Rejected(auth_stat)`, or `Refusal(reply)` with the whole reply message of a call that is
        the flavour's own business (context set-up), or `Refusal(None)` for one that gets silence.
        """


class CallAuth(Protocol):
    """Client half, for one transmission of one call: whatever changes from call to call lives here."""

    @property
    def credential(self) -> tuple[int, bytes]:
        """Flavour and body."""

    @property
    def sealed(self) -> bool:
        """Whether `wrap` and `unwrap` change anything."""

    @property
    def renewed(self) -> bool:
        """Whether each retransmission needs an auth of its own, instead of the same bytes again."""

    def verifier(self, head: bytes) -> tuple[int, bytes]:
        """The verifier of a call whose header up to the end of the credential is `head`."""

    def wrap(self, args: bytes) -> bytes:
        """The encoded arguments as they travel."""

    def check(self, verifier: OpaqueAuth) -> None:
        """Raises `nfsrpc.rpc.errors.AuthRefused` (AUTH_INVALIDRESP) unless the reply comes from the server we mean."""

    def unwrap(self, message: bytes, body: int) -> tuple[bytes, int]:
        """The plain result of a reply whose result begins at `body`. `AuthRefused` if it was tampered with."""


class ControlCall(NamedTuple):
    """A call that a flavour makes for itself. The result is sent back into its handshake."""

    procedure: Procedure
    args: tuple[Any, ...]
    auth: CallAuth


class Answer(NamedTuple):
    """What came back from a call: the verifier of the reply, and the decoded result."""

    verifier: OpaqueAuth
    result: Any


Handshake = Generator[ControlCall, Answer, None]
"""Set-up of a session: yields calls, is sent their replies. It may block between them (Kerberos asks a KDC)."""


class ClientSession(Protocol):
    """What one association keeps of a credential: nicknames, contexts, sequence numbers."""

    def begin(self) -> CallAuth:
        """For the next transmission. `handshake` has returned None before."""

    def handshake(self, program: int, version: int) -> Handshake | None:
        """Calls to make before a call of `program` can begin; None if there are none to make (now)."""

    def refresh(self, stat: int, used: CallAuth) -> bool:
        """The server refused `used` with `stat`: whether another attempt, after this, is worth making."""

    def farewell(self) -> ControlCall | None:
        """A last call that lets the server forget the session, if there is anything to forget."""
