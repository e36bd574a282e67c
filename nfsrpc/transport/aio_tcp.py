"""The asyncio client over TCP: the twin of `nfsrpc.transport.client_tcp`."""

import asyncio
import errno
import os
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from nfsrpc.auth.base import Credential
from nfsrpc.auth.none import NoneCredential
from nfsrpc.rpc.calls import CallTable, PendingCall
from nfsrpc.rpc.dispatch_async import AsyncDispatcher
from nfsrpc.rpc.errors import Disconnected, RecordError, RpcError, RpcTimeout
from nfsrpc.rpc.message import is_call
from nfsrpc.rpc.record import RecordReader, frame, framed
from nfsrpc.rpc.retry import AT_LEAST_ONCE, Backoff, RetryPolicy
from nfsrpc.xdr import DEFAULT_LIMITS, Limits

from .address import SocketAddress, open_socket, resolve
from .aio import AsyncClient
from .client import CALL_TIMEOUT, CONNECT_TIMEOUT
from .stream import TlsFailed
from .tls import Channel, ClientStart, ClientTls

_CHUNK: Final = 1 << 16
"""Bytes taken at once while TLS begins."""


class _Stream(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, client: "AsyncTcpClient", limits: Limits, channel: Channel | None) -> None:
        self._client = client
        self._reader = RecordReader(limits)
        self._channel = channel

    def seal(self, data: bytes) -> bytes:
        """`data` as it travels."""
        if self._channel is None:
            return data
        self._channel.write(data)
        return self._channel.take()

    def data_received(self, data: bytes) -> None:
        try:
            messages = self._reader.feed(data if self._channel is None else self._channel.feed(data))
        except (RecordError, TlsFailed) as broken:
            self._client._broken(self, broken)
            return
        self._client._arrived(messages)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client._lost(self, exc)


class AsyncTcpClient(AsyncClient):
    """An `AsyncClient` over one TCP connection at a time, made anew as `nfsrpc.transport.client_tcp.TcpClient` does.

    With `serves`, calls that the server sends over this connection are answered by it (callbacks).
    """

    def __init__(
        self,
        host: str,
        addresses: list[SocketAddress],
        table: CallTable,
        credential: Credential,
        timeout: float,
        *,
        policy: RetryPolicy,
        limits: Limits,
        connect_timeout: float,
        source_ports: Iterable[int],
        serves: AsyncDispatcher | None,
        tls: ClientTls | None,
    ) -> None:
        self._host = host
        self._tls = tls
        super().__init__(host, table, credential, timeout)
        self._addresses = deque(addresses)
        self._policy = policy
        self._limits = limits
        self._connect_timeout = connect_timeout
        self._source_ports = tuple(source_ports)
        self._serves = serves
        self._serving: set[asyncio.Task[None]] = set()
        self._backoff = Backoff(policy)
        self._stream: _Stream | None = None
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._unsent: list[bytes] = []
        self._heard = 0.0

    @property
    def peer(self) -> str:
        """The server's address, as text."""
        return str(self._addresses[0])

    async def connect(self) -> None:
        """Connect to the first address that answers. `Disconnected` or `RpcTimeout` if none does."""
        for left in range(len(self._addresses), 0, -1):
            try:
                await self._attempt()
                return
            except RpcError:
                self._addresses.rotate(-1)
                if left == 1:
                    raise

    async def _attempt(self) -> None:
        to, ports = self._addresses[0], self._source_ports
        while True:
            sock = self._socket(to, ports)
            used = sock.getsockname()[1]
            try:
                await self._connect_on(sock, to)
                return
            except TimeoutError:
                raise RpcTimeout(f"{to}: {os.strerror(errno.ETIMEDOUT)}") from None
            except OSError as refused:
                if refused.errno != errno.EADDRNOTAVAIL or used not in ports:
                    raise Disconnected(f"{to}: {refused.strerror}") from None
                # The same two ends have used this port within the last minute (TIME_WAIT): the next one is taken.
                ports = ports[ports.index(used) + 1 :]

    def _socket(self, to: SocketAddress, ports: tuple[int, ...]) -> socket.socket:
        try:
            sock = open_socket(to, ports)
        except OSError as unusable:
            raise Disconnected(f"{to}: {unusable.strerror}") from None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return sock

    async def _connect_on(self, sock: socket.socket, to: SocketAddress) -> None:
        try:
            async with asyncio.timeout(self._connect_timeout):
                await self._loop.sock_connect(sock, to.address)
                tls = self._tls
                channel = None if tls is None else await _start_tls(sock, tls, self._host, self._limits)
            self._transport, self._stream = await self._loop.create_connection(
                lambda: _Stream(self, self._limits, channel), sock=sock
            )
            self._heard = self._loop.time()
        except BaseException:
            sock.close()
            raise

    def _send(self, calls: list[PendingCall]) -> None:
        if self._transport is None:
            self._reconnect()
            return
        if not self._unsent:
            # Calls of one round of the event loop leave together.
            self._loop.call_soon(self._flush)
        self._unsent += framed([call.message for call in calls])

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._transport is not None and self._stream is not None and unsent:
            self._transport.write(self._stream.seal(b"".join(unsent)))

    def _arrived(self, messages: list[bytes]) -> None:
        now = self._loop.time()
        for message in messages:
            if self._take(message, now):
                continue
            if self._serves is not None and is_call(message):
                task = self._loop.create_task(self._answer(self._serves, message))
                self._serving.add(task)
                task.add_done_callback(self._serving.discard)
        if messages:
            self._heard = now
            self._backoff = Backoff(self._policy)

    async def _answer(self, serves: AsyncDispatcher, message: bytes) -> None:
        reply = await serves.answer(message, self._addresses[0].as_peer("tcp"))
        if reply is not None and self._transport is not None and self._stream is not None:
            self._transport.write(self._stream.seal(b"".join(frame(reply))))

    def _broken(self, stream: _Stream, broken: RpcError) -> None:
        self._drop()
        self._fail_all(broken)

    def _lost(self, stream: _Stream, error: Exception | None) -> None:
        if stream is not self._stream:
            return
        self._drop()
        reason = f"{self.peer} closed the connection" if error is None else f"{self.peer}: {error}"
        self._table.note(reason)
        if self._policy.transmissions == 1:
            self._fail_all(Disconnected(reason))
        elif len(self._table) and not self._closed:
            self._reconnect()

    def _drop(self) -> None:
        if self._transport is not None:
            self._transport.abort()
        self._transport = self._stream = None
        self._unsent = []

    def _reconnect(self) -> None:
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._connect_again())

    async def _connect_again(self) -> None:
        """Until there is a connection, or no call that wants one."""
        try:
            while len(self._table) and not self._closed:
                try:
                    await self._attempt()
                except TlsFailed as refused:
                    self._fail_all(refused)
                    break
                except RpcError as refused:
                    self._table.note(str(refused))
                    self._addresses.rotate(-1)
                    await asyncio.sleep(self._backoff.next())
                    continue
                self._table.resend(self._loop.time())
                self._wake()
                break
        finally:
            self._connecting = None
        self._pump(self._loop.time())

    def _overdue(self) -> None:
        # A connection on which a call ran into its deadline may have gone dead without a word.
        if not len(self._table):
            self._drop()

    def _doubt(self, since: float) -> None:
        if self._transport is not None and self._heard <= since:
            stream = self._stream
            self._drop()
            self._table.note(f"{self.peer} has been silent for too long")
            if stream is not None:
                self._table.resend(self._loop.time())

    async def _shut(self) -> None:
        for task in [*self._serving, *([self._connecting] if self._connecting else [])]:
            task.cancel()
        self._flush()
        transport, self._transport, self._stream = self._transport, None, None
        if transport is not None:
            transport.close()
            await asyncio.sleep(0)


async def connect_tcp(
    host: str,
    port: int,
    *,
    credential: Credential | None = None,
    timeout: float = CALL_TIMEOUT,
    connect_timeout: float = CONNECT_TIMEOUT,
    limits: Limits = DEFAULT_LIMITS,
    policy: RetryPolicy = AT_LEAST_ONCE,
    source_ports: Iterable[int] = (),
    serves: AsyncDispatcher | None = None,
    tls: ClientTls | None = None,
) -> AsyncTcpClient:
    """An asyncio client, connected to `host` and `port` over TCP; arguments and errors as the blocking one's."""
    loop = asyncio.get_running_loop()
    client = AsyncTcpClient(
        host,
        await loop.run_in_executor(None, resolve, host, port, socket.SOCK_STREAM),
        CallTable(replace(policy, transmissions=1), limits),
        NoneCredential() if credential is None else credential,
        timeout,
        policy=policy,
        limits=limits,
        connect_timeout=connect_timeout,
        source_ports=source_ports,
        serves=serves,
        tls=tls,
    )
    await client.connect()
    return client


async def _start_tls(sock: socket.socket, tls: ClientTls, host: str, limits: Limits) -> Channel:
    """As `tls.start_tls`, in an event loop."""
    loop = asyncio.get_running_loop()
    start = ClientStart(tls, host, limits)
    await loop.sock_sendall(sock, start.probe)
    while True:
        data = await loop.sock_recv(sock, _CHUNK)
        if not data:
            raise TlsFailed("the server closed the connection instead of agreeing to TLS")
        try:
            channel = start.feed(data)
        finally:
            await loop.sock_sendall(sock, start.take())
        if channel is not None:
            return channel
