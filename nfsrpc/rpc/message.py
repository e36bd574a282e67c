"""Call and reply headers of RFC 5531 §9, laid over bytes: bodies stay where they are.

`protocols/rpc_msg` holds the same layouts as the compiler makes them from
the RFC's own text; a test holds both against each other. They are written out
here because a server must answer a broken header by its place in the message
(the xid, the RPC version and the credential each have an answer of their own),
and because the header is most of the cost of a small call.
"""

from struct import Struct, error
from typing import Final, NamedTuple

from nfsrpc.protocols.rpc_msg import accept_stat, auth_flavor, auth_stat, msg_type, reject_stat, reply_stat

from .errors import (
    AuthRefused,
    BadReply,
    GarbageArguments,
    ProcedureUnavailable,
    ProgramMismatch,
    ProgramUnavailable,
    RemoteSystemError,
    RpcMismatch,
)

RPC_VERSION: Final = 2
MAX_AUTH_BYTES: Final = 400
"""Longest body of a credential or verifier (RFC 5531 §8.2)."""

_WORD: Final = Struct(">I")
_TWO: Final = Struct(">2I")
_CALL: Final = Struct(">8I")
XID_AND_LENGTH: Final = Struct(">I24xI")
"""Of a call: its xid, and the length of its credential's body."""
_REPLY: Final = Struct(">3I")
_CALL_INT: Final = int(msg_type.CALL)
_REPLY_INT: Final = int(msg_type.REPLY)
_ACCEPTED: Final = int(reply_stat.MSG_ACCEPTED)
_DENIED: Final = int(reply_stat.MSG_DENIED)
_AUTH_ERROR: Final = _TWO.pack(_DENIED, reject_stat.AUTH_ERROR)
_ZERO_PADDING: Final = (b"", b"\0\0\0", b"\0\0", b"\0")


class OpaqueAuth(NamedTuple):
    """A credential or verifier as it travels (RFC 5531 §8.2): flavour and body."""

    flavor: int
    body: bytes


NULL_AUTH: Final = OpaqueAuth(int(auth_flavor.AUTH_NONE), b"")


class CallHeader(NamedTuple):
    """Header of a call; the arguments begin at `body` of the message, `verifier_at` ends the signed part."""

    xid: int
    program: int
    version: int
    procedure: int
    credential: OpaqueAuth
    verifier: OpaqueAuth
    verifier_at: int
    body: int


class Refusal(Exception):
    """A call whose header forbids going on; `reply` is the whole answer, or None if RFC 5531 leaves none to give."""

    def __init__(self, reply: bytes | None) -> None:
        super().__init__("refused")
        self.reply = reply


class Rejected(Exception):
    """The server half of a flavour refuses a credential or verifier with `stat`, an auth_stat."""

    def __init__(self, stat: int) -> None:
        super().__init__(f"auth_stat {stat}")
        self.stat = stat


def _opaque_auth(data: bytes, flavor: int, length: int, at: int) -> OpaqueAuth:
    """The body of a credential or verifier, fill bytes checked. ValueError if it is longer than the law or the data."""
    end = at + length
    if length > MAX_AUTH_BYTES or end > len(data):
        raise ValueError
    if data[end : end + (-length & 3)] != _ZERO_PADDING[length & 3]:
        raise ValueError
    return OpaqueAuth(flavor, data[at:end])


def decode_call(data: bytes) -> CallHeader:
    """Take the header of the call `data` apart.

    Raises `Refusal`: with no reply where there is nobody to answer (not a whole
    header up to the procedure number, or no call at all), with RPC_MISMATCH 2..2
    for another RPC version, with AUTH_BADCRED or AUTH_BADVERF where a
    credential or verifier cannot be read: the xid has a fixed place, so even
    such a caller is answered (RFC 5531 §9).
    """
    try:
        xid, mtype, rpcvers, program, version, procedure, flavor, length = _CALL.unpack_from(data)
    except error:
        return _short_call(data)
    if mtype != _CALL_INT:
        raise Refusal(None)
    if rpcvers != RPC_VERSION:
        raise Refusal(rpc_mismatch(xid))
    if length:
        try:
            credential = _opaque_auth(data, flavor, length, 32)
        except ValueError:
            raise Refusal(auth_error(xid, auth_stat.AUTH_BADCRED)) from None
    else:
        credential = OpaqueAuth(flavor, b"")
    at = 32 + length + (-length & 3)
    try:
        flavor, length = _TWO.unpack_from(data, at)
        verifier = _opaque_auth(data, flavor, length, at + 8) if length else OpaqueAuth(flavor, b"")
    except (error, ValueError):
        raise Refusal(auth_error(xid, auth_stat.AUTH_BADVERF)) from None
    return CallHeader(xid, program, version, procedure, credential, verifier, at, at + 8 + length + (-length & 3))


def _short_call(data: bytes) -> CallHeader:
    """Answer what is too short for a call header by how far it goes; always raises `Refusal`."""
    words = len(data) // 4
    if words < 3 or _WORD.unpack_from(data, 4)[0] != _CALL_INT:
        raise Refusal(None)
    (xid,) = _WORD.unpack_from(data)
    if _WORD.unpack_from(data, 8)[0] != RPC_VERSION:
        raise Refusal(rpc_mismatch(xid))
    if words < 6:
        raise Refusal(None)
    raise Refusal(auth_error(xid, auth_stat.AUTH_BADCRED))


def encode_call(
    xid: int, program: int, version: int, procedure: int, credential: tuple[int, bytes], verifier: tuple[int, bytes]
) -> bytes:
    """Header of a call, up to where its arguments begin."""
    return call_head(xid, program, version, procedure, credential) + auth_bytes(verifier)


def call_head(xid: int, program: int, version: int, procedure: int, credential: tuple[int, bytes]) -> bytes:
    """Header of a call up to the end of its credential: what a verifier may sign (RFC 2203 §5.3.1)."""
    flavor, body = credential
    head = _CALL.pack(xid, _CALL_INT, RPC_VERSION, program, version, procedure, flavor, len(body))
    return b"".join((head, body, _ZERO_PADDING[len(body) & 3]))


def auth_bytes(auth: tuple[int, bytes]) -> bytes:
    """A credential or verifier as it travels."""
    flavor, body = auth
    return _TWO.pack(flavor, len(body)) + body + _ZERO_PADDING[len(body) & 3]


_PLAIN_SUCCESS_TAIL: Final = Struct(">5I").pack(_REPLY_INT, _ACCEPTED, *NULL_AUTH[:1], 0, int(accept_stat.SUCCESS))


def is_plain_success(data: bytes) -> bool:
    """Whether `data` is an accepted, successful reply without a verifier: its result begins at `PLAIN_RESULT`."""
    return data[4:PLAIN_RESULT] == _PLAIN_SUCCESS_TAIL


PLAIN_RESULT: Final = 4 + len(_PLAIN_SUCCESS_TAIL)


def success(xid: int, verifier: OpaqueAuth = NULL_AUTH) -> bytes:
    """Header of an accepted, successful reply; the result follows it."""
    if verifier is NULL_AUTH:
        return _WORD.pack(xid) + _PLAIN_SUCCESS_TAIL
    return accepted(xid, accept_stat.SUCCESS, verifier)


def accepted(xid: int, stat: accept_stat, verifier: OpaqueAuth = NULL_AUTH) -> bytes:
    """Reply of an accepted call with `stat`, for every status that carries nothing (PROG_UNAVAIL, GARBAGE_ARGS, …)."""
    return _REPLY.pack(xid, _REPLY_INT, _ACCEPTED) + auth_bytes(verifier) + _WORD.pack(stat)


def program_mismatch(xid: int, low: int, high: int, verifier: OpaqueAuth = NULL_AUTH) -> bytes:
    """PROG_MISMATCH with the versions that are really there."""
    return accepted(xid, accept_stat.PROG_MISMATCH, verifier) + _TWO.pack(low, high)


def rpc_mismatch(xid: int) -> bytes:
    """MSG_DENIED, RPC_MISMATCH 2..2."""
    return _REPLY.pack(xid, _REPLY_INT, _DENIED) + Struct(">3I").pack(reject_stat.RPC_MISMATCH, 2, 2)


def auth_error(xid: int, stat: int) -> bytes:
    """MSG_DENIED, AUTH_ERROR with `stat`."""
    return _REPLY.pack(xid, _REPLY_INT, _DENIED) + _TWO.pack(reject_stat.AUTH_ERROR, stat)


class Reply:
    """An accepted and successful reply: the verifier, and where in the message the result begins."""

    __slots__ = ("body", "verifier", "xid")

    def __init__(self, xid: int, verifier: OpaqueAuth, body: int) -> None:
        self.xid = xid
        self.verifier = verifier
        self.body = body


_ACCEPT_ERRORS: Final = {
    int(accept_stat.PROG_UNAVAIL): ProgramUnavailable,
    int(accept_stat.PROC_UNAVAIL): ProcedureUnavailable,
    int(accept_stat.GARBAGE_ARGS): GarbageArguments,
    int(accept_stat.SYSTEM_ERR): RemoteSystemError,
}


def reply_xid(data: bytes) -> int | None:
    """The xid of what looks like a reply, None if `data` is none."""
    if len(data) < 8:
        return None
    xid, mtype = _TWO.unpack_from(data)
    return xid if mtype == _REPLY_INT else None


def is_call(data: bytes) -> bool:
    """Whether `data` looks like a call."""
    return len(data) >= 8 and data[4:8] == b"\0\0\0\0"


def auth_refusal(data: bytes) -> int | None:
    """The auth_stat of what looks like a reply that refuses the caller's authentication; None for any other."""
    if len(data) < 20 or data[8:16] != _AUTH_ERROR:
        return None
    return int(_WORD.unpack_from(data, 16)[0])


def decode_reply(data: bytes) -> Reply:
    """Take a reply header apart; anything but success raises the error of `nfsrpc.rpc.errors` that says so.

    A denied or failed reply ends with its status: whatever a hostile server
    puts behind it is never decoded. Raises `BadReply` for what is no reply.
    """
    try:
        return _decode_reply(data)
    except (error, ValueError):
        raise BadReply(f"a reply of {len(data)} bytes ends inside its header, or holds an illegal verifier") from None


def _decode_reply(data: bytes) -> Reply:
    xid, mtype, stat = _REPLY.unpack_from(data)
    if mtype != _REPLY_INT:
        raise BadReply("a call where a reply should be")
    if stat == _DENIED:
        raise _denied(data)
    if stat != _ACCEPTED:
        raise BadReply(f"reply_stat {stat} does not exist")
    flavor, length = _TWO.unpack_from(data, 12)
    verifier = _opaque_auth(data, flavor, length, 20) if length else OpaqueAuth(flavor, b"")
    at = 20 + length + (-length & 3)
    (stat,) = _WORD.unpack_from(data, at)
    if stat == 0:
        return Reply(xid, verifier, at + 4)
    if stat == accept_stat.PROG_MISMATCH:
        raise ProgramMismatch(*_TWO.unpack_from(data, at + 4))
    failure = _ACCEPT_ERRORS.get(stat)
    if failure is None:
        raise BadReply(f"accept_stat {stat} does not exist")
    raise failure()


def _denied(data: bytes) -> Exception:
    (stat,) = _WORD.unpack_from(data, 12)
    if stat == reject_stat.RPC_MISMATCH:
        return RpcMismatch(*_TWO.unpack_from(data, 16))
    if stat == reject_stat.AUTH_ERROR:
        return AuthRefused(_WORD.unpack_from(data, 16)[0])
    return BadReply(f"reject_stat {stat} does not exist")
