"""From a message to a call: its header, who calls, and the procedure that is called (RFC 5531 §8, §9)."""

from collections.abc import Iterable
from struct import error
from typing import Final

from nfsrpc.protocols.rpc_msg import accept_stat, auth_stat

from .counters import Recorder
from .errors import GarbageArguments
from .message import (
    XID_AND_LENGTH,
    CallHeader,
    Refusal,
    Rejected,
    accepted,
    auth_error,
    decode_call,
    program_mismatch,
)
from .recent import RecentReplies
from .security import Accept, Peer, ServerFlavor
from .service import Binding, Call, Target, called

_HEADS: Final = 4096
"""Headers that are known: some procedures each of the users of some hundred client machines."""


class Admission:
    """Finds the procedures of `bindings` for calls whose callers the `flavors` know.

    Another flavour is refused with AUTH_REJECTEDCRED. `recorder` says where each procedure is counted; `recent`
    answers copies of messages that cannot be accepted twice.
    """

    def __init__(
        self, bindings: Iterable[Binding], flavors: Iterable[ServerFlavor], recorder: Recorder, recent: RecentReplies
    ) -> None:
        self._flavors = {flavor.flavor: flavor for flavor in flavors}
        self._recent = recent
        self._heads: dict[bytes, tuple[Target, Accept]] = {}
        self._targets: dict[tuple[int, int, int], Target] = {}
        self._versions: dict[int, list[int]] = {}
        for binding in bindings:
            service = binding.service
            self._versions.setdefault(service.program, []).append(service.version)
            for number, procedure in service.procedures.items():
                self._targets[service.program, service.version, number] = Target(
                    procedure,
                    getattr(service, procedure.name),
                    binding,
                    number in binding.once,
                    binding.history if number in binding.once else None,
                    recorder.row(procedure),
                    binding.tls_required and number != 0,
                    called(service.program, service.version, number),
                )

    def admit(self, message: bytes, peer: Peer, deadline: float) -> Call:
        """The call that is in `message`, to be answered by `deadline`; all that forbids going on raises `Refusal`.

        A header that differs from an earlier one in its xid alone need not be looked at again.
        """
        xid: int
        length: int
        try:
            xid, length = XID_AND_LENGTH.unpack_from(message)
        except error:
            return self._admit_new(message, peer, b"", deadline)
        body = (length + 43) & ~3  # behind an empty verifier: 40 bytes, and a multiple of four for the credential
        head = message[4:body]
        known = self._heads.get(head)
        if known is None:
            return self._admit_new(message, peer, head, deadline)
        target, accept = known
        return Call(peer, accept, accept.principal, xid, target, message, body, deadline)

    def lasts(self, call: Call) -> bool:
        """Whether the next call with this header, but for the xid, will be admitted without another look at it."""
        return call.message[4 : call.body] in self._heads

    def _admit_new(self, message: bytes, peer: Peer, head: bytes, deadline: float) -> Call:
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
        if target.guarded and peer.tls is None:
            raise Refusal(auth_error(header.xid, auth_stat.AUTH_TOOWEAK))
        if accept.seal is None:
            if accept.lasting and not target.guarded and 4 + len(head) == header.body:
                self._keep(head, target, accept)
            return Call(peer, accept, accept.principal, header.xid, target, message, header.body, deadline)
        try:
            message, body = accept.seal.unwrap(message, header.body)
        except GarbageArguments:
            raise Refusal(accepted(header.xid, accept_stat.GARBAGE_ARGS, accept.verifier)) from None
        return Call(peer, accept, accept.principal, header.xid, target, message, body, deadline)

    def _keep(self, head: bytes, target: Target, accept: Accept) -> None:
        if len(self._heads) >= _HEADS:
            self._heads.clear()
        self._heads[head] = target, accept

    def _unavailable(self, header: CallHeader, accept: Accept) -> bytes:
        versions = self._versions.get(header.program)
        if versions is None:
            return accepted(header.xid, accept_stat.PROG_UNAVAIL, accept.verifier)
        if header.version not in versions:
            return program_mismatch(header.xid, min(versions), max(versions), accept.verifier)
        return accepted(header.xid, accept_stat.PROC_UNAVAIL, accept.verifier)
