"""From a message to its reply: header, identity, procedure, unit of work, and back (RFC 5531 §8, §9).

Knows no socket. `Dispatcher.take` runs the calls that one turn of a server's
loop has gathered, and holds those that change a store until `Dispatcher.commit`:
their replies come when all they changed is durable.
"""

import errno
import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from nfsrpc.protocols.rpc_msg import accept_stat
from nfsrpc.xdr import DEFAULT_LIMITS, Limits, XdrError

from .admission import Admission
from .counters import Counters, Recorder
from .errors import (
    AuthRefused,
    GarbageArguments,
    ProcedureUnavailable,
    ProgramMismatch,
    ProgramUnavailable,
    RpcError,
)
from .history import Full, History, Kept, Lost, UnderWay
from .later import HELD, Held, Later, Postponed
from .logs import log_refusal
from .message import Refusal, Rejected, accepted, auth_error, program_mismatch, success
from .recent import RecentReplies
from .security import Peer, ServerFlavor
from .service import NO_GROUND, Binding, Call, Drop, Encoded, Ground, Reply, Service, Taken, at_most_once, replay_key
from .standing import LONGEST, StandingAnswers
from .work import Work

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = [
    "NO_GROUND",
    "Binding",
    "Call",
    "Dispatcher",
    "Drop",
    "Encoded",
    "Ground",
    "Peer",
    "Reply",
    "Service",
    "Taken",
    "at_most_once",
    "postponed",
    "replay_key",
]

_log = logging.getLogger(__name__)
_FAILED: Final = Kept(accept_stat.SYSTEM_ERR, b"")


class Dispatcher:
    """Finds and runs procedures for calls; one per worker.

    `bindings` are the program versions served, `flavors` the server halves of
    the authentication flavours taken; another flavour is refused with
    AUTH_REJECTEDCRED. `recorder` counts (one of its own unless given).
    """

    def __init__(
        self,
        bindings: Iterable[Binding],
        flavors: Iterable[ServerFlavor],
        limits: Limits = DEFAULT_LIMITS,
        recorder: Recorder | None = None,
    ) -> None:
        self._recorder = Counters().recorder(0) if recorder is None else recorder
        self._limits = limits
        self._recent = RecentReplies()
        self._admission = Admission(bindings, flavors, self._recorder, self._recent)
        self._standing = StandingAnswers(self._admission.lasts)
        self._held: list[tuple[Work, Call, bytes]] = []
        self._held_since = 0.0

    def turn(self, batch: Sequence[tuple[bytes, Peer]]) -> list[Reply]:
        """Run the calls of `batch`, return their replies in the same order: `take`, and `commit` behind it."""
        taken = self.take(batch)
        committed = iter(self.commit())
        return [next(committed) if isinstance(reply, Held) else reply for reply in taken]

    def take(self, batch: Sequence[tuple[bytes, Peer]]) -> list[Taken]:
        """Run the calls of `batch`, return their replies in the same order; `HELD` for those that `commit` will run.

        They are those that change a store: others need not wait for its disk. Calls that share a unit of work
        run in it, in their order of arrival.
        """
        replies: list[Taken] = [None] * len(batch)
        began = time.monotonic()
        deadline = began + self._limits.call_seconds
        rows: list[int] = []
        units: dict[Work, list[tuple[int, Call]]] = {}
        standing, answers = self._standing, self._standing.answers
        standing.begin()
        for place, (message, peer) in enumerate(batch):
            answer = answers.get(message[4:]) if len(message) <= LONGEST else None
            if answer is not None and answer.holds(peer):
                rows.append(answer.row)
                replies[place] = answer.reply(message)
                continue
            try:
                call = self._admission.admit(message, peer, deadline)
            except Refusal as refusal:
                replies[place] = None if refusal.reply is None else [refusal.reply]
                log_refusal(message, peer, refusal.reply)
                rows.append(self._recorder.refused)
                continue
            except Postponed as postponed:
                replies[place] = postponed.later
                continue
            target = call.target
            find = target.binding.work
            work = None if find is None else find(call.message, call.body)
            if work is not None and target.once:
                replies[place] = HELD
                if not self._held:
                    self._held_since = began
                self._held.append((work, call, message))
                continue
            rows.append(target.row)
            if work is None:
                if target.ground is not None:
                    standing.watch(None, ((place, call),))
                history = target.history
                replies[place] = self._answer(call) if history is None else self._answer_claimed(history, call)
            else:
                units.setdefault(work, []).append((place, call))
        for work, calls in units.items():
            standing.watch(work, calls)
            self._run_unit(work, calls, replies)
        standing.settle(replies)
        self._recent.settle(batch, replies)
        self._recorder.turn(rows, began)
        return replies

    def commit(self) -> list[Reply]:
        """Run the calls that are held, return their replies in the order in which they were taken.

        Those of one store are one unit of work, and so share a commit.
        """
        if not self._held:
            return []
        held, self._held = self._held, []
        replies: list[Reply] = [None] * len(held)
        units: dict[Work, list[tuple[int, Call]]] = {}
        for place, (work, call, _) in enumerate(held):
            units.setdefault(work, []).append((place, call))
        for work, calls in units.items():
            self._run_unit(work, calls, replies)
        self._recent.release()
        self._recent.settle([(message, call.peer) for _, call, message in held], replies)
        self._recorder.turn([call.target.row for _, call, _ in held], self._held_since)
        return replies

    def _run_unit(self, work: Work, calls: list[tuple[int, Call]], replies: list[Taken] | list[Reply]) -> None:
        """Run `calls` in one unit of `work`. If it cannot be made durable, each has another try by itself.

        Of a unit that failed nothing has happened that `recall` does not know, so
        running again is safe, and only the calls that are to blame get the failure.
        """
        failure = self._try_unit(work, calls, replies)
        if failure is None:
            return
        if len(calls) > 1:
            for sole in calls:
                self._run_unit(work, [sole], replies)
        else:
            ((place, call),) = calls
            replies[place] = self._failed(call, failure)

    def _try_unit(
        self, work: Work, calls: list[tuple[int, Call]], replies: list[Taken] | list[Reply]
    ) -> OSError | None:
        """Run `calls` in one unit; what kept it from becoming durable."""
        try:
            keys = {place: replay_key(call) for place, call in calls if call.target.once}
            work.begin(bool(keys))
            results = work.recall(list(keys.values())) if keys else {}
            for place, call in calls:
                key = keys.get(place)
                replies[place] = self._answer(call) if key is None else self._answer_once(work, call, key, results)
            work.commit()
        except OSError as failure:
            _log.error("a unit of %d calls was undone: %s", len(calls), failure)
            work.abort()
            return failure
        except Exception:
            _log.exception("a unit of %d calls was undone", len(calls))
            work.abort()
            return OSError(errno.EIO, os.strerror(errno.EIO))
        except BaseException:
            work.abort()
            raise
        return None

    def _answer_once(self, work: Work, call: Call, key: bytes, results: dict[bytes, bytes]) -> Reply:
        """The reply of a call that changes the store: from the `results` there are, or that of running it now."""
        result = results.get(key)
        if result is not None:
            self._recorder.replayed(call.target.row)
            return _succeeded(call, Encoded(result))
        try:
            args = self._arguments(call)
            with work.step():
                result = _result(call, call.target.handler(*args, call))
        except OSError as failure:
            if call.target.binding.failure is None:
                return self._failed(call, failure)
            try:
                result = _result(call, call.target.binding.failure(call.target.procedure, failure))
            except Drop:
                return None
        except Exception as error:
            return self._fail(call, error)
        results[key] = result
        work.remember(key, call.peer.host.encode(), result)
        return _succeeded(call, Encoded(result))

    def _answer_claimed(self, history: History, call: Call) -> Reply:
        """The reply of a call that must not run twice and has no store: the entry comes first, then the handler."""
        try:
            args = self._arguments(call)
            key = replay_key(call)
            kept = history.claim(key)
            if kept is None:
                kept = self._run_claimed(history, key, args, call)
            else:
                self._recorder.replayed(call.target.row)
        except UnderWay:
            return None
        except Full:
            _log_full(call)
            return None
        except Lost:
            kept = _FAILED
        except (Drop, RpcError, Rejected) as error:
            return self._fail(call, error)
        return self._kept(call, kept)

    def _kept(self, call: Call, kept: Kept) -> list[bytes]:
        """The reply of a call that has run, now or before."""
        if kept.stat == accept_stat.SUCCESS:
            return _succeeded(call, Encoded(kept.result))
        self._recorder.failed(call.target.row)
        return [accepted(call.xid, accept_stat(kept.stat), call.accept.verifier)]

    def _run_claimed(self, history: History, key: bytes, args: tuple[Any, ...], call: Call) -> Kept:
        """Run a claimed call. A handler that raises a typed error did nothing; of any other, who knows."""
        try:
            kept = Kept(accept_stat.SUCCESS, _result(call, call.target.handler(*args, call)))
        except (Drop, RpcError, Rejected):
            history.release(key)
            raise
        except Exception as error:
            _log_failure(call, error)
            kept = _FAILED
        history.settle(key, kept)
        return kept

    def _answer(self, call: Call) -> Reply:
        try:
            return _succeeded(call, call.target.handler(*self._arguments(call), call))
        except Postponed as postponed:
            return postponed.later
        except OSError as failure:
            return self._failed(call, failure)
        except Exception as error:
            return self._fail(call, error)

    def _arguments(self, call: Call) -> tuple[Any, ...]:
        args: tuple[Any, ...]
        try:
            args, end = call.target.decode(call.message, call.body, self._limits)
        except XdrError as error:
            _log.debug("%s of %s: %s", *_named(call), error, extra=call.fields)
            raise GarbageArguments from None
        if end != len(call.message) and not self._limits.accept_trailing_bytes:
            raise GarbageArguments
        return args

    def _fail(self, call: Call, error: Exception) -> list[bytes] | None:
        """The reply of a call that is not answered with SUCCESS, counted."""
        call.failed = True
        self._recorder.failed(call.target.row)
        return _error_reply(call, error)

    def _failed(self, call: Call, failure: OSError) -> Reply:
        call.failed = True
        make = call.target.binding.failure
        if make is None:
            return self._fail(call, failure)
        try:
            return _succeeded(call, make(call.target.procedure, failure))
        except Drop:
            return None


def postponed(call: Call, result: "Future[Any]") -> Postponed:
    """What a handler raises that has its result made elsewhere: the reply of `call` is sent when `result` is there.

    For services without a store and without a history. What `result` raises is what a handler would.
    """
    later = Later()

    def give(done: "Future[Any]") -> None:
        try:
            reply: list[bytes] | None = _succeeded(call, done.result())
        except Exception as error:
            reply = _error_reply(call, error)
        later.give(reply)

    result.add_done_callback(give)
    return Postponed(later)


def _named(call: Call) -> tuple[str, Peer]:
    return call.target.procedure.name, call.peer


def _log_full(call: Call) -> None:
    _log.warning("no room in the history of calls: %s of %s must wait", *_named(call), extra=call.fields)


def _log_failure(call: Call, error: Exception) -> None:
    _log.error("xid %#010x: %s of %s failed", call.xid, *_named(call), exc_info=error, extra=call.fields)


def _succeeded(call: Call, value: Any) -> list[bytes]:
    """The reply that `value` makes, which is what a handler returns."""
    accept = call.accept
    parts = [success(call.xid, accept.verifier)]
    if accept.seal is not None:
        parts.append(accept.seal.wrap(_result(call, value)))
    elif type(value) is Encoded:
        parts += value.parts
    else:
        call.target.encode(value, parts)
    return parts


def _result(call: Call, value: Any) -> bytes:
    """What a handler returns, encoded, in one piece."""
    if type(value) is Encoded:
        return b"".join(value.parts)
    parts: list[bytes] = []
    call.target.encode(value, parts)
    return b"".join(parts)


_RAISED: Final[Mapping[type[Exception], accept_stat]] = {
    GarbageArguments: accept_stat.GARBAGE_ARGS,
    ProcedureUnavailable: accept_stat.PROC_UNAVAIL,
    ProgramUnavailable: accept_stat.PROG_UNAVAIL,
}


def _error_reply(call: Call, error: Exception) -> list[bytes] | None:
    """What a handler's exception means on the wire; one that is no `RpcError` is the server's fault, and logged.

    `Rejected` and `AuthRefused` are for a handler that wants a stronger flavour than the call came with.
    """
    if isinstance(error, Drop):
        return None
    if isinstance(error, (Rejected, AuthRefused)):
        return [auth_error(call.xid, error.stat)]
    if isinstance(error, ProgramMismatch):
        return [program_mismatch(call.xid, error.low, error.high, call.accept.verifier)]
    if not isinstance(error, RpcError):
        _log_failure(call, error)
    return [accepted(call.xid, _RAISED.get(type(error), accept_stat.SYSTEM_ERR), call.accept.verifier)]
