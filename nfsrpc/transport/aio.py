"""The asyncio client: the twin of `nfsrpc.transport.client`, on the same state machine (`nfsrpc.rpc.calls`).

Several calls are in flight as soon as several tasks call; everything runs in the
event loop's thread.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any, Self

from nfsrpc.auth.base import Credential
from nfsrpc.rpc.calls import CallTable, PendingCall
from nfsrpc.rpc.errors import AuthRefused, Disconnected, RpcError
from nfsrpc.rpc.security import Answer, CallAuth, ControlCall, Handshake
from nfsrpc.xdr import Procedure

from .client import REFRESHES


class AsyncClient(ABC):
    """An asyncio client of one server, made by `nfsrpc.transport.aio_udp.connect_udp` and `aio_tcp.connect_tcp`.

    It is a `nfsrpc.xdr.Caller` whose calls are awaitable: the methods of a
    generated client class built on it are awaited. An asynchronous context manager.
    """

    def __init__(self, host: str, table: CallTable, credential: Credential, timeout: float) -> None:
        self._table = table
        self._session = credential.session(host)
        self._handshaking = asyncio.Lock()
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[PendingCall, asyncio.Future[None]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._closed = False

    async def call(self, procedure: Procedure, args: tuple[Any, ...], *, timeout: float | None = None) -> Any:
        """Call `procedure`, return the decoded result; raises as `nfsrpc.transport.client.Client.call` does."""
        if self._session.handshake(procedure.program, procedure.version) is not None:
            await self._shake_hands(procedure)
        return await self.wait(self._open(procedure, args, self._session.begin, timeout))

    async def submit(self, procedure: Procedure, args: tuple[Any, ...], *, timeout: float | None = None) -> PendingCall:
        """Send a call and return without waiting for its reply: `wait` brings the result."""
        await self._shake_hands(procedure)
        return self._open(procedure, args, self._session.begin, timeout)

    async def submit_all(
        self, procedure: Procedure, arguments: Iterable[tuple[Any, ...]], *, timeout: float | None = None
    ) -> list[PendingCall]:
        """Send one call for each of `arguments`, with one deadline; they leave together. See `submit`."""
        await self._shake_hands(procedure)
        now, deadline = self._begin(timeout)
        calls = self._table.open_all(procedure, arguments, self._session.begin, now=now, deadline=deadline)
        self._pump(now)
        return calls

    async def wait(self, call: PendingCall) -> Any:
        """The decoded result of `call`, once it is there."""
        if not call.done:
            await self._settle(call)
        try:
            return call.result()
        except AuthRefused:
            await self._refresh(call)
        return call.result()

    async def _refresh(self, call: PendingCall) -> None:
        """Make a refused call again with other authentication, as long as the flavour sees sense in it."""
        for _ in range(REFRESHES):
            stat = call.refused
            if stat is None or not self._session.refresh(stat, call.auth):
                return
            await self._shake_hands(call.procedure)
            self._check_open()
            now = self._loop.time()
            self._table.renew(call, now)
            self._pump(now)
            await self._settle(call)

    def again(self, call: PendingCall, *, timeout: float | None = None) -> None:
        """Send `call`, which has failed for want of a reply, once more; see `nfsrpc.transport.client.Client.again`."""
        self._check_open()
        patience = self._timeout if timeout is None else timeout
        now = self._loop.time()
        self._doubt(now - patience)
        self._table.again(call, now=now, deadline=now + patience)
        self._pump(now)

    def post(self, procedure: Procedure, args: tuple[Any, ...]) -> None:
        """Send a call that no reply is awaited for (RFC 5531 §6, batching): executed once or not at all.

        Flavours that have to be set up first must have been, by a call before.
        """
        call = self._open(procedure, args, self._session.begin, None)
        self._table.fail(call, RpcError(f"nobody waits for {procedure.name}"))

    @property
    def window(self) -> int | None:
        """See `nfsrpc.transport.client.Client.window`."""
        window = self._table.window
        return None if window is None else window.size

    def _open(
        self, procedure: Procedure, args: tuple[Any, ...], begin: Callable[[], CallAuth], timeout: float | None
    ) -> PendingCall:
        now, deadline = self._begin(timeout)
        call = self._table.open(procedure, args, begin, now=now, deadline=deadline)
        self._pump(now)
        return call

    def _check_open(self) -> None:
        if self._closed:
            raise Disconnected("the client has been closed")

    def _begin(self, timeout: float | None) -> tuple[float, float]:
        """The time now, and the deadline of what begins now."""
        self._check_open()
        now = self._loop.time()
        return now, now + (self._timeout if timeout is None else timeout)

    async def _settle(self, call: PendingCall) -> None:
        if call.done:
            return
        future = self._waiting[call] = self._loop.create_future()
        try:
            await future
        except BaseException:
            self._waiting.pop(call, None)
            self._table.fail(call, RpcError(f"{call.procedure.name} was given up"))
            raise

    async def _shake_hands(self, procedure: Procedure) -> None:
        """As `Client._shake_hands`; steps that may block (a KDC is asked) run in a thread."""
        session = self._session
        if session.handshake(procedure.program, procedure.version) is None:
            return
        async with self._handshaking:
            steps = session.handshake(procedure.program, procedure.version)
            if steps is None:
                return
            answer: Answer | RpcError | None = None
            while True:
                control = await self._loop.run_in_executor(None, _step, steps, answer)
                if control is None:
                    return
                try:
                    answer = await self._control(control)
                except RpcError as refused:
                    answer = refused

    async def _control(self, control: ControlCall) -> Answer:
        call = self._open(control.procedure, control.args, lambda: control.auth, None)
        await self._settle(call)
        return call.answer()

    def _pump(self, now: float) -> None:
        """Send what is due, wake those whose time is up, and come back in time."""
        timeouts = self._table.timeouts
        calls = self._table.due(now)
        if calls:
            self._send(calls)
        if self._table.timeouts != timeouts:
            self._wake()
            self._overdue()
        when = self._table.next_time()
        if when is None or (self._timer is not None and self._timer_at <= when):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(when, self._ring)
        self._timer_at = when

    def _ring(self) -> None:
        self._timer = None
        self._pump(self._loop.time())

    def _wake(self) -> None:
        """Wake everybody whose call is done."""
        for call in [call for call in self._waiting if call.done]:
            self._settled(call)

    def _settled(self, call: PendingCall) -> None:
        """Wake whoever waits for `call`."""
        future = self._waiting.pop(call, None)
        if future is not None and not future.done():
            future.set_result(None)

    def _take(self, message: bytes, now: float) -> bool:
        """A message has come; whether it answered a call."""
        call = self._table.receive(message, now)
        if call is None:
            return False
        self._settled(call)
        return True

    def _fail_all(self, error: RpcError) -> None:
        self._table.fail_all(error)
        self._wake()

    async def close(self) -> None:
        """End the association; calls still pending fail with `Disconnected`."""
        if self._closed:
            return
        control = self._session.farewell()
        if control is not None:
            with contextlib.suppress(RpcError):
                self._open(control.procedure, control.args, lambda: control.auth, 0.1)
        self._closed = True
        self._fail_all(Disconnected("the client has been closed"))
        if self._timer is not None:
            self._timer.cancel()
        await self._shut()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    @abstractmethod
    def peer(self) -> str:
        """The address that calls go to now, as text."""

    @abstractmethod
    def _send(self, calls: list[PendingCall]) -> None:
        """Send the calls' bytes without waiting; never raises for what a network does."""

    @abstractmethod
    def _overdue(self) -> None:
        """A call has just failed at its deadline."""

    @abstractmethod
    def _doubt(self, since: float) -> None:
        """A call got no reply: do not go on with a connection that has been silent since then."""

    @abstractmethod
    async def _shut(self) -> None:
        """Give up all descriptors."""


def _step(steps: Handshake, answer: Answer | RpcError | None) -> ControlCall | None:
    """The next call of a handshake, None at its end. A StopIteration cannot travel through a future."""
    try:
        if answer is None:
            return next(steps)
        return steps.throw(answer) if isinstance(answer, RpcError) else steps.send(answer)
    except StopIteration:
        return None
