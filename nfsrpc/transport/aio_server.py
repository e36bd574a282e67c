"""Serving programs from an asyncio event loop, for programs that have one already; handlers may be coroutines.

One process, no store: what needs workers, upgrades and durable changes is `nfsrpc.transport.server`.
"""

import asyncio
import logging
import ssl
from collections import OrderedDict, deque
from collections.abc import Iterable
from functools import partial
from types import TracebackType
from typing import Any, Self

from nfsrpc.auth import Authenticator, NoneAuthenticator, SysAuthenticator
from nfsrpc.rpc.dispatch import Binding
from nfsrpc.rpc.dispatch_async import AsyncDispatcher
from nfsrpc.rpc.errors import RecordError
from nfsrpc.rpc.security import Peer
from nfsrpc.xdr import DEFAULT_LIMITS, Limits

from .address import numeric_host
from .endpoints import Endpoint, bind
from .stream import TlsFailed, server_stream

_log = logging.getLogger(__name__)
_SWEEP = 5.0
"""Seconds between two looks for idle connections, at most."""
_DRAIN = 5.0
"""Seconds that `close` gives running handlers to end."""


class AsyncServer:
    """Programs served on one UDP and TCP port; an asynchronous context manager.

    The port is bound at once (0: a free one; `PortInUse`, OSError as `nfsrpc.transport.endpoints.bind`
    says), and served from `start` to `close`. `tls` as for `nfsrpc.transport.server.Server`.
    """

    def __init__(
        self,
        bindings: Iterable[Binding],
        host: str = "127.0.0.1",
        port: int = 0,
        limits: Limits = DEFAULT_LIMITS,
        flavors: Iterable[Authenticator] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.tls = tls
        own = (NoneAuthenticator(), SysAuthenticator()) if flavors is None else flavors
        self.dispatcher = AsyncDispatcher(bindings, own, limits)
        self.limits = limits
        self.streams: OrderedDict[_Stream, float] = OrderedDict()
        (self._endpoint,) = bind(host, port)
        self._tasks: set[asyncio.Task[None]] = set()
        self._datagrams: asyncio.DatagramTransport | None = None
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    @property
    def port(self) -> int:
        """The port of both transports."""
        return self._endpoint.port

    @property
    def endpoint(self) -> Endpoint:
        """The two sockets."""
        return self._endpoint

    async def start(self) -> None:
        """Begin to answer."""
        loop = asyncio.get_running_loop()
        self._datagrams, _ = await loop.create_datagram_endpoint(partial(_Datagrams, self), sock=self._endpoint.udp)
        self._listener = await loop.create_server(partial(_Stream, self), sock=self._endpoint.tcp)
        self._sweep()

    def _sweep(self) -> None:
        """Close connections that have been quiet too long, or owe us something for too long, and come back."""
        loop, limits = asyncio.get_running_loop(), self.limits
        for stream, active in list(self.streams.items()):
            if loop.time() - active >= limits.idle_seconds:
                stream.abort()
            elif (reason := stream.overdue(loop.time())) is not None:
                stream.tell(reason)
                stream.abort()
        pause = min(_SWEEP, limits.idle_seconds / 2, limits.record_seconds / 2, limits.unsent_seconds / 2)
        self._sweeper = loop.call_later(pause, self._sweep)

    def run(self, work: Any) -> asyncio.Task[None]:
        """Run a coroutine as a task that `close` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self) -> None:
        """Take no more calls, wait some seconds for running ones, answer them, and end."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        if self._listener is not None:
            self._listener.close()
        for stream in list(self.streams):
            stream.pause()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=_DRAIN)
            for task in late:
                task.cancel()
        for stream in list(self.streams):
            stream.close()
        if self._datagrams is not None:
            self._datagrams.close()
        await asyncio.sleep(0)
        self._endpoint.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: AsyncServer) -> None:
        self._server = server
        self._running = 0

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.DatagramTransport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        # Beyond the cap datagrams are dropped, as a full socket would drop them: they are sent again.
        if self._running < self._server.limits.turn_calls:
            self._running += 1
            self._server.run(self._answer(data, addr))

    async def _answer(self, data: bytes, address: Any) -> None:
        try:
            peer = Peer(numeric_host(address), int(address[1]), "udp6" if len(address) == 4 else "udp")
            reply = await self._server.dispatcher.answer(data, peer)
            if reply is not None:
                self._transport.sendto(b"".join(reply), address)
        finally:
            self._running -= 1


class _Stream(asyncio.Protocol):
    """One connection: nothing is read while too many of its calls run, or too many of its replies wait."""

    def __init__(self, server: AsyncServer) -> None:
        self._server = server
        self._stream = server_stream(server.limits, server.tls)
        self._calls: deque[bytes] = deque()
        self._running = 0
        self._congested = False
        self._ended = False
        self._record_since: float | None = None
        self._unsent: tuple[int, float] | None = None
        """Bytes that waited for the peer at the last look, and since when they have been as many."""

    def overdue(self, now: float) -> str | None:
        """What the peer owes for longer than the limits allow, in words; None: nothing."""
        limits, waiting = self._server.limits, self._transport.get_write_buffer_size()
        if self._record_since is not None and now - self._record_since > limits.record_seconds:
            return f"no whole record in {limits.record_seconds:g} s"
        if not waiting or self._unsent is None or self._unsent[0] != waiting:
            self._unsent = (waiting, now) if waiting else None
        elif now - self._unsent[1] > limits.unsent_seconds:
            return f"took no reply for {limits.unsent_seconds:g} s"
        return None

    def tell(self, reason: object) -> None:
        """Log why the connection ends."""
        _log.info("%s: %s", self._peer, reason, extra={"peer": str(self._peer)})

    def connection_made(self, transport: Any) -> None:
        self._transport: asyncio.Transport = transport
        address = transport.get_extra_info("peername")
        self._peer = Peer(numeric_host(address), int(address[1]), "tcp6" if len(address) == 4 else "tcp")
        transport.set_write_buffer_limits(high=self._server.limits.unsent)
        streams = self._server.streams
        same_host = [other for other in streams if other._peer.host == self._peer.host]
        if len(same_host) >= self._server.limits.connections_per_peer:
            same_host[0].abort()
        elif len(streams) >= self._server.limits.connections:
            next(iter(streams)).abort()
        self._touch()

    def _touch(self) -> None:
        self._server.streams[self] = asyncio.get_running_loop().time()
        self._server.streams.move_to_end(self)

    def data_received(self, data: bytes) -> None:
        self._touch()
        try:
            self._calls.extend(self._stream.feed(data))
        except (RecordError, TlsFailed) as error:
            self.tell(error)
            self._ended = True
        if urgent := self._stream.urgent():
            self._transport.write(b"".join(urgent))
        if self._peer.tls is None and self._stream.tls is not None:
            self._peer = self._peer._replace(tls=self._stream.tls)
        self._ended = self._ended or self._stream.broken
        if not self._stream.pending:
            self._record_since = None
        elif self._record_since is None or self._calls:
            self._record_since = asyncio.get_running_loop().time()
        self._go_on()

    def _go_on(self) -> None:
        """Start what may run now; read, wait or end accordingly."""
        most = self._server.limits.turn_calls_per_peer
        while self._calls and self._running < most and not self._congested:
            self._running += 1
            self._server.run(self._answer(self._calls.popleft()))
        if self._ended and not self._calls and not self._running:
            self._transport.close()
        elif self._calls or self._congested or self._ended:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    async def _answer(self, message: bytes) -> None:
        try:
            reply = await self._server.dispatcher.answer(message, self._peer)
            if reply is not None and not self._transport.is_closing():
                self._transport.write(b"".join(self._stream.seal(reply)))
        except TlsFailed as error:
            self.tell(error)
            self.abort()
        finally:
            self._running -= 1
            if not self._transport.is_closing():
                self._go_on()

    def pause_writing(self) -> None:
        self._congested = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._congested = False
        self._go_on()

    def eof_received(self) -> bool:
        self._ended = True
        self._go_on()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._calls.clear()
        self._server.streams.pop(self, None)

    def pause(self) -> None:
        """Read no more."""
        self._transport.pause_reading()

    def close(self) -> None:
        """End after the replies that wait."""
        self._transport.close()

    def abort(self) -> None:
        """End now."""
        self._transport.abort()
        self._server.streams.pop(self, None)
