"""An exchange with its contents: arguments, status and result, as the compiler's typed decoders give them."""

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Any

from nfsrpc.protocols.rpc_msg import accept_stat, auth_stat
from nfsrpc.rpc.errors import (
    AuthRefused,
    BadReply,
    GarbageArguments,
    ProcedureUnavailable,
    ProgramMismatch,
    ProgramUnavailable,
    RemoteSystemError,
    RpcError,
    RpcMismatch,
)
from nfsrpc.rpc.message import decode_reply
from nfsrpc.xdr import XdrDecodeError

from .exchanges import Exchange
from .programs import Named, Programs, decode_arguments, decode_result

_RPCSEC_GSS = 6
_GSS_CREDENTIAL = Struct(">4I")
_GSS_DATA, _GSS_PLAIN, _GSS_INTEGRITY, _GSS_PRIVACY = 0, 1, 2, 3
_GSS_NAMES = ("DATA", "INIT", "CONTINUE_INIT", "DESTROY")
_WORD = Struct(">I")
_STATUS = {
    ProgramUnavailable: accept_stat.PROG_UNAVAIL.name,
    ProcedureUnavailable: accept_stat.PROC_UNAVAIL.name,
    GarbageArguments: accept_stat.GARBAGE_ARGS.name,
    RemoteSystemError: accept_stat.SYSTEM_ERR.name,
    BadReply: "BAD_REPLY",
}
_MOUNT_ERRORS = {1: "EPERM", 2: "ENOENT", 5: "EIO", 13: "EACCES", 20: "ENOTDIR", 22: "EINVAL", 63: "ENAMETOOLONG"}
OK, NO_REPLY = "OK", "NO_REPLY"


@dataclass(slots=True)
class Decoded:
    """`status` is OK, the name of what went wrong (RPC's or the program's own), or NO_REPLY.

    `arguments` and `result` are None where they are not there or cannot be decoded; then `trouble`
    says why, unless the status does. `extra` counts bytes behind the arguments and behind the result.
    """

    exchange: Exchange
    program: str
    procedure: str
    status: str = NO_REPLY
    arguments: tuple[Any, ...] | None = None
    result: Any = None
    trouble: str = ""
    extra: tuple[int, int] = (0, 0)

    @property
    def ok(self) -> bool:
        """Whether the call was executed and says that it went well."""
        return self.status == OK


ENCRYPTED = "encrypted"
"""The trouble with a call under krb5p (RFC 2203 §5.3.2.3): nobody but its two ends can read it."""


class Decoder:
    """Makes `Decoded` of exchanges, by the programs it is given."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    def decode(self, exchange: Exchange) -> Decoded:
        """The exchange's contents. Never raises: what cannot be decoded is told in `trouble`."""
        number = (exchange.program, exchange.version, exchange.procedure)
        named = self._programs.find(*number)
        program = self._programs.program_name(exchange.program) if named is None else named.program
        decoded = Decoded(exchange, program, self._programs.procedure_name(*number))
        step, service = _gss(exchange) or (_GSS_DATA, _GSS_PLAIN)
        if step != _GSS_DATA:
            decoded.procedure = f"GSS_{_GSS_NAMES[step]}" if step < len(_GSS_NAMES) else "GSS"
            named = None
        elif service == _GSS_PRIVACY:
            named = None
            decoded.trouble = ENCRYPTED
        if named is not None:
            self._arguments(decoded, named, service)
        elif exchange.body is None:
            decoded.trouble = "a call header that cannot be read"
        if exchange.reply is not None:
            self._reply(decoded, named, exchange.reply, service)
        return decoded

    def _arguments(self, decoded: Decoded, named: Named, service: int) -> None:
        exchange = decoded.exchange
        if exchange.body is None:
            decoded.trouble = "a call header that cannot be read"
            return
        data, at = _payload(exchange.call, exchange.body, service)
        try:
            decoded.arguments, end = decode_arguments(named.procedure, data, at)
            decoded.extra = (len(data) - end, 0)
        except XdrDecodeError as broken:
            decoded.trouble = _why("call", broken, exchange.whole)

    def _reply(self, decoded: Decoded, named: Named | None, reply: bytes, service: int) -> None:
        try:
            header = decode_reply(reply)
        except RpcError as failure:
            decoded.status = failure_name(failure)
            if isinstance(failure, BadReply):
                decoded.trouble = str(failure)
            return
        decoded.status = OK
        if named is None:
            return
        data, at = _payload(reply, header.body, service)
        try:
            decoded.result, end = decode_result(named.procedure, data, at)
            decoded.extra = (decoded.extra[0], len(data) - end)
        except XdrDecodeError as broken:
            decoded.trouble = _why("reply", broken, decoded.exchange.reply_whole)
            decoded.status = "BAD_REPLY"
            return
        decoded.status = own_status(decoded.result)


def _why(which: str, broken: XdrDecodeError, whole: bool) -> str:
    return f"{which} undecodable: {broken}" if whole else f"{which} cut short by the capture"


def failure_name(failure: RpcError) -> str:
    """The status that RPC itself has given, by its name in RFC 5531 §9."""
    if isinstance(failure, ProgramMismatch):
        return f"PROG_MISMATCH {failure.low}..{failure.high}"
    if isinstance(failure, RpcMismatch):
        return f"RPC_MISMATCH {failure.low}..{failure.high}"
    if isinstance(failure, AuthRefused):
        known = failure.stat in set(auth_stat)
        return auth_stat(failure.stat).name if known else f"AUTH_ERROR {failure.stat}"
    return _STATUS.get(type(failure), "BAD_REPLY")


def own_status(result: Any) -> str:
    """The status that a result's first field carries, OK where it carries none; success is 0, or ends in _OK."""
    if isinstance(result, IntEnum):
        status: Any = result
    else:
        fields = getattr(result, "__slots__", ())
        if not fields or "stat" not in fields[0]:
            return OK
        status = getattr(result, fields[0])
    name = getattr(status, "name", "")
    if int(status) == 0 or name.endswith("_OK"):
        return OK
    return name if isinstance(status, IntEnum) else _MOUNT_ERRORS.get(status, f"error {status}")


def _gss(exchange: Exchange) -> tuple[int, int] | None:
    """(procedure, service) of an RPCSEC_GSS credential of version 1 (RFC 2203 §5), None for every other flavour."""
    flavor, body = exchange.credential
    if flavor != _RPCSEC_GSS or len(body) < _GSS_CREDENTIAL.size:
        return None
    version, procedure, _, service = _GSS_CREDENTIAL.unpack_from(body)
    return (procedure, service) if version == 1 else None


def _payload(data: bytes, at: int, service: int) -> tuple[bytes, int]:
    """Where arguments or result begin: under integrity they are wrapped behind a length and the sequence number."""
    if service != _GSS_INTEGRITY or len(data) < at + 8:
        return data, at
    (length,) = _WORD.unpack_from(data, at)
    return data[: at + 4 + length], at + 8
