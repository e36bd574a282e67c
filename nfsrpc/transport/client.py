"""The blocking client: one association, any number of calls in flight, any number of threads.

The state machine is `nfsrpc.rpc.calls`; what is here moves bytes between it
and a socket. Whichever thread waits for a call first reads the socket for all
of them; the others sleep until it has something for them or goes.
"""

import contextlib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Final, Self

from nfsrpc.auth.base import Credential
from nfsrpc.rpc.calls import CallTable, PendingCall
from nfsrpc.rpc.dispatch import Dispatcher
from nfsrpc.rpc.errors import AuthRefused, Disconnected, RpcError
from nfsrpc.rpc.later import Later
from nfsrpc.rpc.message import is_call
from nfsrpc.rpc.security import Answer, CallAuth, ControlCall, Peer
from nfsrpc.xdr import Procedure

CALL_TIMEOUT: Final = 30.0
"""Seconds that a call may take where the caller names no other time: no call waits for ever."""
CONNECT_TIMEOUT: Final = 10.0
"""Seconds that a TCP connection may take to come about."""
REFRESHES: Final = 2
"""Times that a refused call is made again with renewed authentication: one for a forgotten session, one for a race."""


class Client(ABC):
    """A blocking client of one server: what UDP and TCP have in common. Made by `connect_udp` and `connect_tcp`.

    It is a `nfsrpc.xdr.Caller`, so that a generated client class can be built on it;
    `submit` and `wait` keep several calls in flight. It may be used by several
    threads at once. As a context manager it closes itself. What `serves` has, the
    server may call over the same association while a call is waited for, or during `attend`.
    """

    def __init__(
        self,
        host: str,
        table: CallTable,
        credential: Credential,
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
        serves: Dispatcher | None = None,
    ) -> None:
        self._serves = serves
        self._table = table
        self._session = credential.session(host)
        self._handshaking = threading.Lock()
        self._timeout = timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._turn_over = threading.Condition(self._lock)
        self._reading = False
        self._closed = False

    def call(self, procedure: Procedure, args: tuple[Any, ...], *, timeout: float | None = None) -> Any:
        """Call `procedure`, wait at most `timeout` seconds (None: the client's own time), return the decoded result.

        Raises the errors of `nfsrpc.rpc.errors`: `RpcTimeout` at the deadline, `Disconnected` when
        the connection is lost for good, `BadReply`, or what the server answered;
        `nfsrpc.xdr.XdrEncodeError` for arguments that do not fit their types.
        """
        return self.wait(self.submit(procedure, args, timeout=timeout))

    def submit(self, procedure: Procedure, args: tuple[Any, ...], *, timeout: float | None = None) -> PendingCall:
        """Send a call and return without waiting. The deadline runs from now; `wait` brings the result.

        Where the flavour of authentication has to be set up first, that is waited for.
        """
        self._shake_hands(procedure)
        return self._submit(procedure, args, self._session.begin, self._timeout if timeout is None else timeout)

    def submit_all(
        self, procedure: Procedure, arguments: Iterable[tuple[Any, ...]], *, timeout: float | None = None
    ) -> list[PendingCall]:
        """Send one call for each of `arguments`, with one deadline; they leave together. Otherwise as `submit`."""
        self._shake_hands(procedure)
        begin, table = self._session.begin, self._table
        with self._lock:
            self._check_open()
            now = self._clock()
            deadline = now + (self._timeout if timeout is None else timeout)
            calls = table.open_all(procedure, arguments, begin, now=now, deadline=deadline)
            self._transmit(now)
            if self._reading:
                self._wake()
        return calls

    def _submit(
        self, procedure: Procedure, args: tuple[Any, ...], begin: Callable[[], CallAuth], timeout: float
    ) -> PendingCall:
        with self._lock:
            self._check_open()
            now = self._clock()
            call = self._table.open(procedure, args, begin, now=now, deadline=now + timeout)
            self._transmit(now)
            if self._reading:
                self._wake()
        return call

    def wait(self, call: PendingCall) -> Any:
        """The decoded result of `call`, once it is there. Raises as `call` does."""
        if not call.done:
            self._settle(call)
        try:
            return call.result()
        except AuthRefused:
            self._refresh(call)
        return call.result()

    def _refresh(self, call: PendingCall) -> None:
        """Make a refused call again with other authentication, as long as the flavour sees sense in it."""
        for _ in range(REFRESHES):
            stat = call.refused
            if stat is None or not self._session.refresh(stat, call.auth):
                return
            self._shake_hands(call.procedure)
            with self._lock:
                self._check_open()
                self._table.renew(call, self._clock())
            self._settle(call)

    def again(self, call: PendingCall, *, timeout: float | None = None) -> None:
        """Send `call`, which has failed for want of a reply, once more, with its old xid; `wait` brings the result.

        A connection that has been silent for as long as the call may take is made anew. Raises
        `Disconnected` if the client has been closed.
        """
        patience = self._timeout if timeout is None else timeout
        with self._lock:
            self._check_open()
            now = self._clock()
            self._doubt(now - patience)
            if not call.done:
                return  # another thread has done it
            self._table.again(call, now=now, deadline=now + patience)
            self._transmit(now)
            if self._reading:
                self._wake()

    def _check_open(self) -> None:
        if self._closed:
            raise Disconnected("the client has been closed")

    def _settle(self, call: PendingCall) -> None:
        """Wait until `call` is done."""
        try:
            while not call.done:
                self._turn(call)
        except BaseException:
            self.cancel(call)
            raise

    def _shake_hands(self, procedure: Procedure) -> None:
        """Make the calls that the flavour wants made before a call of `procedure`'s program, if there are any."""
        session = self._session
        steps = session.handshake(procedure.program, procedure.version)
        if steps is None:
            return
        with self._handshaking:
            steps = session.handshake(procedure.program, procedure.version)  # another thread may have done it
            if steps is None:
                return
            try:
                control = next(steps)
                while True:
                    try:
                        answer = self._control(control)
                    except RpcError as refused:
                        control = steps.throw(refused)
                    else:
                        control = steps.send(answer)
            except StopIteration:
                return

    def _control(self, control: ControlCall) -> Answer:
        call = self._submit(control.procedure, control.args, lambda: control.auth, self._timeout)
        self._settle(call)
        return call.answer()

    def post(self, procedure: Procedure, args: tuple[Any, ...]) -> None:
        """Send a call that no reply is awaited for (RFC 5531 §6, batching): executed once or not at all.

        Over TCP such calls leave together: with the next other call, when `flush` says so, or when there are many.
        """
        self._shake_hands(procedure)
        with self._lock:
            self._check_open()
            self._hold_back()
            call = self._table.open(
                procedure, args, self._session.begin, now=self._clock(), deadline=self._clock() + self._timeout
            )
            self._transmit(self._clock())
            self._table.fail(call, RpcError(f"nobody waits for {procedure.name}"))

    @property
    def window(self) -> int | None:
        """Calls with much data that the way to the server takes at once; None: the transport itself sees to that."""
        window = self._table.window
        return None if window is None else window.size

    def flush(self) -> None:
        """Send every call of `post` that has not left yet."""
        with self._lock:
            self._let_go()

    def attend(self, timeout: float) -> None:
        """Answer what the server calls (see `serves`) for `timeout` seconds, without a call of our own."""
        deadline = self._clock() + timeout
        while (left := deadline - self._clock()) > 0:
            with self._lock:
                if self._closed:
                    return
                others = self._reading
                if others:
                    self._turn_over.wait(left)
                else:
                    self._transmit(self._clock())
                    self._reading = True
            if not others:
                self._read(left)

    def cancel(self, call: PendingCall) -> None:
        """Give `call` up: a reply that still comes is ignored. The server may have executed it."""
        with self._lock:
            self._table.fail(call, RpcError(f"{call.procedure.name} was given up"))

    def _turn(self, call: PendingCall) -> None:
        """Bring `call` a step nearer to its end: read for everybody, or sleep until the thread that does has news."""
        with self._lock:
            if self._reading:
                self._turn_over.wait()
                return
            now = self._clock()
            self._transmit(now)
            when = self._table.next_time()
            if when is None or call.done:
                self._turn_over.notify_all()
                return
            self._reading = True
        self._read(max(0.0, when - now))

    def _read(self, timeout: float) -> None:
        """Take what comes within `timeout` seconds, for every thread: the caller has set `_reading`."""
        messages: list[bytes] = []
        try:
            messages = self._exchange(timeout)
        except RpcError as broken:
            with self._lock:
                self._table.fail_all(broken)
        finally:
            with self._lock:
                self._reading = False
                take, now = self._table.receive, self._clock()
                calls = [message for message in messages if take(message, now) is None and is_call(message)]
                self._turn_over.notify_all()
        if self._serves is not None and calls:
            self._answer(self._serves, calls)

    def _answer(self, serves: Dispatcher, calls: list[bytes]) -> None:
        for reply in serves.turn([(call, self._server) for call in calls]):
            parts = reply.wait(self._timeout) if isinstance(reply, Later) else reply
            if parts is not None:
                with self._lock:
                    self._say(parts)

    @property
    @abstractmethod
    def _server(self) -> Peer:
        """The server as the caller of our own programs."""

    @abstractmethod
    def _say(self, parts: list[bytes]) -> None:
        """Send one message without waiting. Called with the lock held."""

    @abstractmethod
    def _hold_back(self) -> None:
        """The next call may leave later, with others. Called with the lock held."""

    @abstractmethod
    def _let_go(self) -> None:
        """Send what was held back. Called with the lock held."""

    def _transmit(self, now: float) -> None:
        timeouts = self._table.timeouts
        calls = self._table.due(now)
        if calls:
            self._send(calls)
        if self._table.timeouts != timeouts:
            self._overdue()

    def close(self) -> None:
        """End the association; calls still pending fail with `Disconnected`."""
        with self._lock:
            if self._closed:
                return
        self._say_farewell()
        with self._lock:
            self._closed = True
            self._table.fail_all(Disconnected("the client has been closed"))
            if self._reading:
                self._wake()
                self._turn_over.wait_for(lambda: not self._reading)
            self._shut()

    def _say_farewell(self) -> None:
        """Let the server forget what it keeps for this session. Its answer is not waited for."""
        control = self._session.farewell()
        if control is not None:
            with contextlib.suppress(RpcError):
                self._submit(control.procedure, control.args, lambda: control.auth, 0.1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    @abstractmethod
    def peer(self) -> str:
        """The address that calls go to now, as text."""

    @abstractmethod
    def _send(self, calls: list[PendingCall]) -> None:
        """Send the calls' bytes without waiting. Called with the lock held; never raises for what a network does."""

    @abstractmethod
    def _exchange(self, timeout: float) -> list[bytes]:
        """Wait at most `timeout` seconds for something to happen, return the messages that came.

        Called without the lock, by one thread at a time. `RpcError` ends every pending call.
        """

    @abstractmethod
    def _wake(self) -> None:
        """Make the `_exchange` of another thread return."""

    @abstractmethod
    def _overdue(self) -> None:
        """A call has just failed at its deadline. Called with the lock held."""

    @abstractmethod
    def _doubt(self, since: float) -> None:
        """A call got no reply: do not go on with a connection that has been silent since then. The lock is held."""

    @abstractmethod
    def _shut(self) -> None:
        """Give up all descriptors. Called with the lock held."""
