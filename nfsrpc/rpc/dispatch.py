"""From a message to its reply: header, identity, procedure, unit of work, and back (RFC 5531 §8, §9).

Knows no socket. `Dispatcher.turn` takes the calls that one turn of a server's
loop has gathered and returns their replies, after everything they changed is
durable.
"""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from struct import Struct
from typing import Any, NamedTuple, Protocol

from nfsrpc.protocols.rpc_msg import accept_stat, auth_stat
from nfsrpc.xdr import DEFAULT_LIMITS, Limits, Procedure, XdrError

from .errors import GarbageArguments, ProcedureUnavailable, RpcError
from .message import CallHeader, Refusal, Rejected, accepted, auth_error, decode_call, program_mismatch, success
from .recent import RecentReplies
from .security import Accept, Peer, ServerFlavor
from .work import Work

__all__ = ["Binding", "Call", "Dispatcher", "Drop", "Encoded", "Peer", "Reply", "Service", "replay_key"]

_log = logging.getLogger(__name__)
_KEY_HEAD = Struct(">3I")
_XID = Struct(">I")
_DIGEST = 16
"""Bytes of the digest in a replay key. SHA-256 because it is what processors have instructions for."""

Reply = list[bytes] | None
"""The parts of a reply message, or None where the call gets no answer."""


class Service(Protocol):
    """What the compiler's abstract service classes have."""

    @property
    def program(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def procedures(self) -> Mapping[int, Procedure]: ...


class Encoded(NamedTuple):
    """Returned by a handler that has the encoded result at hand."""

    data: bytes


class Drop(Exception):
    """Raised by a handler that wants its call to stay unanswered, so that the client asks again later."""


@dataclass(frozen=True, slots=True)
class Binding:
    """One program version as a server offers it.

    work
        Given the encoded arguments of a call, the unit of work it belongs to;
        None for a service, or a call, that has no store behind it.
    once
        Procedures that change the store. Their results are remembered in the
        same unit as the change, so that a retransmission gets the first answer.
    failure
        Turns an OSError that left a handler, or the commit behind it, into the
        procedure's own result. Without it such a call is answered SYSTEM_ERR.
    """

    service: Service
    work: Callable[[bytes, int], Work | None] | None = None
    once: frozenset[int] = frozenset()
    failure: Callable[[Procedure, OSError], Any] | None = None


@dataclass(slots=True)
class Call:
    """One call on its way through the server, and the context that a handler gets.

    The plain arguments begin at `body` of `message`.
    """

    peer: Peer
    accept: Accept = field(repr=False)
    principal: Any
    xid: int
    target: "_Target"
    message: bytes = field(repr=False)
    body: int


class _Target(NamedTuple):
    """A procedure as it is found by its numbers."""

    procedure: Procedure
    handler: Callable[..., Any]
    binding: Binding
    once: bool


class Dispatcher:
    """Finds and runs procedures for calls; one per worker.

    `bindings` are the program versions served, `flavors` the server halves of
    the authentication flavours taken; another flavour is refused with
    AUTH_REJECTEDCRED.
    """

    def __init__(
        self, bindings: Iterable[Binding], flavors: Iterable[ServerFlavor], limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._limits = limits
        self._flavors = {flavor.flavor: flavor for flavor in flavors}
        self._recent = RecentReplies()
        self._targets: dict[tuple[int, int, int], _Target] = {}
        self._versions: dict[int, list[int]] = {}
        for binding in bindings:
            service = binding.service
            self._versions.setdefault(service.program, []).append(service.version)
            for number, procedure in service.procedures.items():
                self._targets[service.program, service.version, number] = _Target(
                    procedure, getattr(service, procedure.name), binding, number in binding.once
                )

    def turn(self, batch: Sequence[tuple[bytes, Peer]]) -> list[Reply]:
        """Run the calls of `batch`, return their replies in the same order.

        Calls that share a unit of work run in it, in their order of arrival.
        """
        replies: list[Reply] = [None] * len(batch)
        units: dict[Work, list[tuple[int, Call]]] = {}
        for place, (message, peer) in enumerate(batch):
            try:
                call = self._accept(message, peer)
            except Refusal as refusal:
                replies[place] = None if refusal.reply is None else [refusal.reply]
                continue
            find = call.target.binding.work
            work = None if find is None else find(message, call.body)
            if work is None:
                replies[place] = self._answer(call)
            else:
                units.setdefault(work, []).append((place, call))
        for work, calls in units.items():
            self._run_unit(work, calls, replies)
        self._recent.settle(batch, replies)
        return replies

    def _accept(self, message: bytes, peer: Peer) -> Call:
        """Header and identity of one message; everything that forbids going on raises `Refusal`."""
        header = decode_call(message)
        flavor = self._flavors.get(header.credential.flavor)
        if flavor is None:
            raise Refusal(auth_error(header.xid, auth_stat.AUTH_REJECTEDCRED))
        if flavor.single_use:
            self._recent.admit(message, peer)
        try:
            accept = flavor.accept(header, message, peer)
        except Rejected as rejected:
            raise Refusal(auth_error(header.xid, rejected.stat)) from None
        target = self._targets.get((header.program, header.version, header.procedure))
        if target is None:
            raise Refusal(self._unavailable(header, accept))
        if accept.seal is None:
            return Call(peer, accept, accept.principal, header.xid, target, message, header.body)
        try:
            message, body = accept.seal.unwrap(message, header.body)
        except GarbageArguments:
            raise Refusal(accepted(header.xid, accept_stat.GARBAGE_ARGS, accept.verifier)) from None
        return Call(peer, accept, accept.principal, header.xid, target, message, body)

    def _unavailable(self, header: CallHeader, accept: Accept) -> bytes:
        versions = self._versions.get(header.program)
        if versions is None:
            return accepted(header.xid, accept_stat.PROG_UNAVAIL, accept.verifier)
        if header.version not in versions:
            return program_mismatch(header.xid, min(versions), max(versions), accept.verifier)
        return accepted(header.xid, accept_stat.PROC_UNAVAIL, accept.verifier)

    def _run_unit(self, work: Work, calls: list[tuple[int, Call]], replies: list[Reply]) -> None:
        """Run `calls` in one unit of `work`. If it cannot be made durable, each call fails and none has happened."""
        try:
            work.begin(any(call.target.once for _, call in calls))
            for place, call in calls:
                replies[place] = self._answer_once(work, call) if call.target.once else self._answer(call)
            work.commit()
        except OSError as failure:
            _log.error("a unit of %d calls was undone: %s", len(calls), failure)
            work.abort()
            for place, call in calls:
                replies[place] = self._failed(call, failure)
        except BaseException:
            work.abort()
            raise

    def _answer_once(self, work: Work, call: Call) -> Reply:
        """The reply of a call that changes the store: a remembered one, or that of running it now."""
        key = replay_key(call)
        result = work.recall(key)
        if result is not None:
            return _succeeded(call, [result])
        try:
            args = self._arguments(call)
            with work.step():
                parts = self._result(call, call.target.handler(*args, call))
        except OSError as failure:
            if call.target.binding.failure is None:
                return self._failed(call, failure)
            parts = self._result(call, call.target.binding.failure(call.target.procedure, failure))
        except Exception as error:
            return _error_reply(call, error)
        work.remember(key, call.peer.host.encode(), b"".join(parts))
        return _succeeded(call, parts)

    def _answer(self, call: Call) -> Reply:
        try:
            return _succeeded(call, self._result(call, call.target.handler(*self._arguments(call), call)))
        except OSError as failure:
            return self._failed(call, failure)
        except Exception as error:
            return _error_reply(call, error)

    def _arguments(self, call: Call) -> tuple[Any, ...]:
        try:
            args, end = call.target.procedure.decode_args(call.message, call.body, self._limits)
        except XdrError as error:
            _log.debug("%s: %s of %s", call.target.procedure.name, error, call.peer)
            raise GarbageArguments from None
        if end != len(call.message) and not self._limits.accept_trailing_bytes:
            raise GarbageArguments
        return tuple(args)

    def _result(self, call: Call, value: Any) -> list[bytes]:
        if type(value) is Encoded:
            return [value.data]
        parts: list[bytes] = []
        call.target.procedure.encode_result(value, parts)
        return parts

    def _failed(self, call: Call, failure: OSError) -> Reply:
        make = call.target.binding.failure
        if make is None:
            return _error_reply(call, failure)
        return _succeeded(call, self._result(call, make(call.target.procedure, failure)))


def _succeeded(call: Call, result: list[bytes]) -> list[bytes]:
    accept = call.accept
    if accept.seal is not None:
        result = [accept.seal.wrap(b"".join(result))]
    result.insert(0, success(call.xid, accept.verifier))
    return result


def replay_key(call: Call) -> bytes:
    """20 bytes that are the same for a call and its retransmissions, and for no other call.

    Made of the client's address without its port (a client that re-connects is
    recognised), the principal (another user of that host is not taken for it),
    the xid, what is called, and the plain arguments. The xid comes first in
    clear: clients count it up, so the keys of one client arrive nearly sorted.
    """
    procedure = call.target.procedure
    digest = sha256(_KEY_HEAD.pack(procedure.program, procedure.version, procedure.number))
    digest.update(f"{call.peer.host}\0{call.principal.name}\0".encode())
    digest.update(memoryview(call.message)[call.body :])
    return _XID.pack(call.xid) + digest.digest()[:_DIGEST]


_RAISED: Mapping[type[Exception], accept_stat] = {
    GarbageArguments: accept_stat.GARBAGE_ARGS,
    ProcedureUnavailable: accept_stat.PROC_UNAVAIL,
}


def _error_reply(call: Call, error: Exception) -> Reply:
    """What a handler's exception means on the wire; one that is no `RpcError` is the server's fault, and logged.

    `Rejected` is for a handler that wants a stronger flavour than the call came with.
    """
    if type(error) is Drop:
        return None
    if type(error) is Rejected:
        return [auth_error(call.xid, error.stat)]
    if not isinstance(error, RpcError):
        _log.error("%s failed for %s", call.target.procedure.name, call.peer, exc_info=error)
    return [accepted(call.xid, _RAISED.get(type(error), accept_stat.SYSTEM_ERR), call.accept.verifier)]
