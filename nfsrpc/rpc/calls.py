"""Calls under way on one association: xids, matching, retransmission, deadlines. No socket, no clock of its own.

A transport drives a `CallTable` so: `open` a call, send what `due` hands out,
feed every message that arrives to `receive`, and come back at `next_time` at the
latest. The same table serves blocking and asyncio clients, datagrams and streams.
"""

import contextlib
import heapq
import secrets
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Final

from nfsrpc.xdr import DEFAULT_LIMITS, Limits, Procedure, XdrDecodeError

from .errors import AuthRefused, BadReply, Disconnected, RpcError, RpcTimeout
from .message import (
    PLAIN_RESULT,
    OpaqueAuth,
    auth_bytes,
    auth_refusal,
    call_head,
    decode_reply,
    is_plain_success,
    reply_xid,
)
from .retry import AT_LEAST_ONCE, JITTER, CongestionWindow, RetryPolicy, RoundTrips, Schedule
from .security import Answer, CallAuth, PlainAuth

_XIDS: Final = 1 << 32


class Together:
    """Calls of one procedure that were made at once: what they share, one schedule and one timer included.

    calls
        Those of them that wait for a reply, by xid.
    wake
        When the table has to look at them next.
    """

    __slots__ = ("begin", "calls", "limits", "procedure", "schedule", "wake")

    def __init__(self, procedure: Procedure, begin: Callable[[], CallAuth], schedule: Schedule, limits: Limits) -> None:
        self.procedure = procedure
        self.begin = begin
        self.schedule = schedule
        self.limits = limits
        self.calls: dict[int, PendingCall] = {}
        self.wake = inf


class PendingCall:
    """One call: its bytes, and in the end its outcome.

    The bytes stay the same however often they are sent, unless the flavour of
    authentication wants every transmission proved anew, or the server refused
    the first proof. The xid and the plain arguments never change, so that a
    server that keeps its results recognises the call.
    """

    __slots__ = ("_auths", "_error", "_plain", "_reply", "_together", "message", "trouble", "xid")

    def __init__(self, xid: int, together: Together, plain: bytes) -> None:
        self.xid = xid
        self.message = b""
        self.trouble: str | None = None
        """What stood in the way last (a refused port, a lost connection): the words of a time-out that follows."""
        self._together = together
        self._plain = plain
        self._reply: bytes | None = None
        self._error: Exception | None = None
        self._auths: tuple[CallAuth, ...] = ()

    @property
    def procedure(self) -> Procedure:
        """What is called."""
        return self._together.procedure

    def _encode(self, auth: CallAuth) -> None:
        """Make `message`, authenticated with `auth`."""
        self._auths += (auth,)
        if type(auth) is PlainAuth:
            self.message = b"".join((self.xid.to_bytes(4, "big"), auth.head(self._together.procedure), self._plain))
            return
        head = call_head(self.xid, *_number(self.procedure), auth.credential)
        args = auth.wrap(self._plain) if auth.sealed else self._plain
        self.message = b"".join((head, auth_bytes(auth.verifier(head)), args))

    @property
    def auth(self) -> CallAuth:
        """What the last transmission was authenticated with."""
        return self._auths[-1]

    @property
    def refused(self) -> int | None:
        """The auth_stat of a call that is done because the server refused its authentication, else None."""
        return None if self._reply is None else auth_refusal(self._reply)

    @property
    def done(self) -> bool:
        """Whether the call has a reply or has failed."""
        return self._reply is not None or self._error is not None

    def result(self) -> Any:
        """The decoded result of a call that is done, see `answer`."""
        data = self._reply
        if data is not None and is_plain_success(data) and type(self._auths[0]) is PlainAuth:
            # Nothing to prove or to unwrap, as nearly always.
            return self._decoded(data, PLAIN_RESULT)
        return self.answer().result

    def answer(self) -> Answer:
        """The verifier and decoded result of a call that is done.

        Raises the typed error of `nfsrpc.rpc.errors` that the reply says or that
        ended the call; `BadReply` (from the `XdrDecodeError` that says where) for
        a result that is not what the procedure returns, or that goes on after
        its end; `AuthRefused` with AUTH_INVALIDRESP for a reply that does not prove
        that the server sent it. A failed reply's body is never decoded.
        """
        if self._error is not None:
            raise self._error.with_traceback(None)
        if self._reply is None:
            raise RuntimeError(f"{self.procedure.name} has no reply yet")
        data = self._reply
        if (stat := auth_refusal(data)) is not None:
            raise AuthRefused(stat, self.auth.credential[0])
        header = decode_reply(data)
        auth = self._proved(header.verifier)
        body = header.body
        if auth.sealed:
            data, body = auth.unwrap(data, body)
        return Answer(header.verifier, self._decoded(data, body))

    def _decoded(self, data: bytes, body: int) -> Any:
        limits = self._together.limits
        try:
            value, end = self._together.procedure.decode_result(data, body, limits)
        except XdrDecodeError as broken:
            raise BadReply(f"the reply to {self.procedure.name} cannot be decoded: {broken}") from broken
        if end != len(data) and not limits.accept_trailing_bytes:
            raise BadReply(f"the reply to {self.procedure.name} has {len(data) - end} bytes too many")
        return value

    def _proved(self, verifier: OpaqueAuth) -> CallAuth:
        """The transmission that a reply with `verifier` answers: the last one, or one before it."""
        for auth in self._auths[:0:-1]:
            with contextlib.suppress(AuthRefused):
                auth.check(verifier)
                return auth
        self._auths[0].check(verifier)
        return self._auths[0]


class CallTable:
    """The calls that wait for a reply on one association.

    `policy` says when a call is sent again by the clock alone: over a stream
    that is never (`MAYBE`), there a lost connection is followed by `resend`.
    The first xid is random, so that neither a stranger nor a predecessor on the
    same port can guess or share it; the next ones count up.
    """

    def __init__(
        self,
        policy: RetryPolicy = AT_LEAST_ONCE,
        limits: Limits = DEFAULT_LIMITS,
        *,
        first_xid: int | None = None,
        random: Callable[[], float] = JITTER,
    ) -> None:
        self._policy = policy
        self._round_trips = None if policy.least is None else RoundTrips(policy)
        self._limits = limits
        self._next_xid = secrets.randbelow(_XIDS) if first_xid is None else first_xid
        self._random = random
        self._pending: dict[int, PendingCall] = {}
        self._fresh: deque[Together] = deque()
        self._timers: list[tuple[float, int, Together]] = []
        self._armed = 0
        self.window: CongestionWindow | None = None
        """How many calls the way to the peer takes at once, where it has to be found out."""
        self.timeouts = 0
        """Calls that have failed at their deadline so far."""

    def __len__(self) -> int:
        return len(self._pending)

    def open(
        self,
        procedure: Procedure,
        args: tuple[Any, ...],
        begin: Callable[[], CallAuth],
        *,
        now: float,
        deadline: float,
    ) -> PendingCall:
        """Make a call that is due at once. Raises `XdrEncodeError` for arguments that do not fit their types.

        `begin` is `ClientSession.begin`, asked for the authentication of each message that is made of the call.
        """
        parts: list[bytes] = []
        procedure.encode_args(args, parts)
        together = Together(procedure, begin, self._schedule(now, deadline), self._limits)
        xid, pending = self._next_xid, self._pending
        while xid in pending:
            xid = (xid + 1) % _XIDS
        call = PendingCall(xid, together, b"".join(parts))
        call._encode(begin())
        self._next_xid = (xid + 1) % _XIDS
        pending[xid] = together.calls[xid] = call
        self._fresh.append(together)
        return call

    def open_all(
        self,
        procedure: Procedure,
        arguments: Iterable[tuple[Any, ...]],
        begin: Callable[[], CallAuth],
        *,
        now: float,
        deadline: float,
    ) -> list[PendingCall]:
        """Make a call for each of `arguments`, which are sent together and have one deadline; see `open`."""
        encode = procedure.encode_args
        plains = []
        for args in arguments:
            parts: list[bytes] = []
            encode(args, parts)
            plains.append(b"".join(parts))
        together = Together(procedure, begin, self._schedule(now, deadline), self._limits)
        xid, pending, calls = self._next_xid, self._pending, []
        for plain in plains:
            while xid in pending:
                xid = (xid + 1) % _XIDS
            calls.append(PendingCall(xid, together, plain))
            xid = (xid + 1) % _XIDS
        _encode_all(calls, together)
        self._next_xid = xid
        together.calls = {call.xid: call for call in calls}
        pending.update(together.calls)
        self._fresh.append(together)
        return calls

    def _alone(self, call: PendingCall, schedule: Schedule, now: float) -> None:
        """`call` begins once more, on a schedule of its own."""
        old = call._together
        together = call._together = Together(old.procedure, old.begin, schedule, old.limits)
        self._pending[call.xid] = together.calls[call.xid] = call
        self._arm(together, now)

    def _schedule(self, now: float, deadline: float) -> Schedule:
        policy = self._policy if self._round_trips is None else self._round_trips.policy
        return Schedule(policy, now, deadline, self._random)

    def _arm(self, together: Together, when: float) -> None:
        together.wake = when
        self._armed += 1
        heapq.heappush(self._timers, (when, self._armed, together))
        if len(self._timers) > 64 + 4 * len(self._pending):
            # Answered calls leave their timers behind; a fast caller would pile them up until their deadlines.
            self._timers = [timer for timer in self._timers if timer[2].calls and timer[2].wake == timer[0]]
            heapq.heapify(self._timers)

    def next_time(self) -> float | None:
        """When `due` has something to do next; None while no call is pending."""
        for together in self._fresh:
            if together.calls:
                return together.schedule.due
        timers = self._timers
        while timers:
            when, _, together = timers[0]
            if together.calls and together.wake == when:
                return when
            heapq.heappop(timers)
        return None

    def due(self, now: float) -> list[PendingCall]:
        """The calls to send now, counted as sent; calls whose deadline has come fail with `RpcTimeout`."""
        calls: list[PendingCall] = []
        fresh = self._fresh
        while fresh and fresh[0].schedule.due <= now:
            together = fresh.popleft()
            if together.calls:
                calls += self._look_at(together, now)
        while self._timers and self._timers[0][0] <= now:
            when, _, together = heapq.heappop(self._timers)
            if together.calls and together.wake == when:
                calls += self._look_at(together, now)
        return calls

    def _look_at(self, together: Together, now: float) -> Iterable[PendingCall]:
        """The time of `together` has come: what there is of it to send."""
        schedule = together.schedule
        if schedule.expired(now):
            self.timeouts += len(together.calls)
            for call in list(together.calls.values()):
                self.fail(call, _timeout(call))
            return ()
        if schedule.transmissions:
            if self.window is not None:
                self.window.lost(schedule.first_sent, now)
            for call in together.calls.values():
                if call.auth.renewed:
                    call._encode(together.begin())
        schedule.sent(now)
        self._arm(together, schedule.due if schedule.due < schedule.deadline else schedule.deadline)
        return together.calls.values()

    def receive(self, message: bytes, now: float | None = None) -> PendingCall | None:
        """Take one message from the peer, at `now`; the call that it answers, which is done now.

        None for everything that answers nothing here: another association's
        reply, the late reply to a call that was given up, a second reply to an
        answered one, a call, or fewer bytes than an xid and a message type.
        """
        xid = reply_xid(message)
        call = None if xid is None else self._pending.pop(xid, None)
        if call is not None:
            call._reply = message
            together = call._together
            del together.calls[call.xid]
            if self._round_trips is not None and now is not None and together.schedule.transmissions == 1:
                self._round_trips.took(now - together.schedule.first_sent)
                if self.window is not None:
                    self.window.replied()
        return call

    def renew(self, call: PendingCall, now: float) -> None:
        """Begin `call`, which is done because its authentication was refused, once more: same xid, same deadline."""
        call._reply = None
        call._auths = ()
        call._encode(call._together.begin())
        self._alone(call, self._schedule(now, call._together.schedule.deadline), now)

    def again(self, call: PendingCall, *, now: float, deadline: float) -> None:
        """Begin `call`, which has failed, once more with a new deadline: same xid, so that a server may know it."""
        if call.xid in self._pending:
            raise RuntimeError(f"{call.procedure.name} has not failed yet, or its xid is in use again")
        call._error = None
        if call.auth.renewed:
            call._encode(call._together.begin())
        self._alone(call, self._schedule(now, deadline), now)

    def resend(self, now: float) -> None:
        """Every pending call is due again at once: the connection that carried it is gone.

        Those that it is too late to send again (see `RetryPolicy.window`) fail with `Disconnected`.
        """
        for together in {id(call._together): call._together for call in self._pending.values()}.values():
            if together.schedule.may_send(now):
                self._arm(together, now)
                continue
            for call in list(together.calls.values()):
                why = call.trouble or "the connection was lost"
                self.fail(call, Disconnected(f"{why}; it is too late to send {call.procedure.name} again"))

    def note(self, trouble: str) -> None:
        """Remember for every pending call what stood in its way, for the words of its error."""
        for call in self._pending.values():
            call.trouble = trouble

    def fail(self, call: PendingCall, error: RpcError) -> None:
        """End one call with `error`; a call that is done stays as it is."""
        if self._pending.get(call.xid) is call:
            del self._pending[call.xid], call._together.calls[call.xid]
            call._error = error

    def fail_all(self, error: RpcError) -> None:
        """End every pending call with `error`."""
        for call in list(self._pending.values()):
            self.fail(call, error)


def _number(procedure: Procedure) -> tuple[int, int, int]:
    return procedure.program, procedure.version, procedure.number


def _encode_all(calls: list[PendingCall], together: Together) -> None:
    """Make the messages of new calls."""
    auth = together.begin()
    if type(auth) is PlainAuth:
        head, auths = auth.head(together.procedure), (auth,)
        for call in calls:
            call._auths = auths
            call.message = b"".join((call.xid.to_bytes(4, "big"), head, call._plain))
        return
    for number, call in enumerate(calls):
        call._encode(together.begin() if number else auth)


def _timeout(call: PendingCall) -> RpcTimeout:
    times = call._together.schedule.transmissions
    sent = {0: "it was never sent", 1: "sent once"}.get(times, f"sent {times} times")
    last = f"; last trouble: {call.trouble}" if call.trouble else ""
    return RpcTimeout(f"no reply to {call.procedure.name} before its deadline ({sent}{last})")
