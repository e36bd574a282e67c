"""The asyncio client over UDP: the twin of `nfsrpc.transport.client_udp`."""

import asyncio
import errno
import socket
from collections.abc import Iterable
from typing import Final

from nfsrpc.auth.base import Credential
from nfsrpc.auth.none import NoneCredential
from nfsrpc.rpc.calls import CallTable, PendingCall
from nfsrpc.rpc.errors import RpcError
from nfsrpc.rpc.retry import AT_LEAST_ONCE, RetryPolicy
from nfsrpc.xdr import DEFAULT_LIMITS, Limits

from .address import SocketAddress, resolve
from .aio import AsyncClient
from .association import associate, connect, window_of
from .client import CALL_TIMEOUT
from .client_udp import MessageTooLong

_BATCH: Final = 64
"""Datagrams taken before other tasks get a turn."""


class AsyncUdpClient(AsyncClient):
    """An `AsyncClient` over a connected UDP socket; what comes from any other address never reaches it."""

    def __init__(
        self,
        host: str,
        to: SocketAddress,
        table: CallTable,
        credential: Credential,
        timeout: float,
        sock: socket.socket,
    ) -> None:
        super().__init__(host, table, credential, timeout)
        self._to = to
        self._sock = sock
        self._association = associate(sock)
        table.window = window_of(sock)
        self._loop.add_reader(sock, self._readable)

    @property
    def peer(self) -> str:
        """The server's address, as text."""
        return str(self._to)

    def _send(self, calls: list[PendingCall]) -> None:
        for call, trouble in self._association.send(calls):
            self._not_sent(call, trouble)

    def _not_sent(self, call: PendingCall, trouble: OSError) -> None:
        if trouble.errno == errno.EMSGSIZE:
            self._table.fail(call, MessageTooLong(f"a call of {len(call.message)} bytes does not fit a datagram"))
            self._wake()
        elif trouble.errno != errno.EAGAIN:
            # A full queue to the network is as good as a loss on the way, the schedule sends the call again.
            self._table.note(f"{self._to}: {trouble.strerror}")

    def _readable(self) -> None:
        now = self._loop.time()
        messages: list[bytes] = []
        told: OSError | None = None
        try:
            self._association.receive(min(max(1, len(self._table)), _BATCH), messages)
        except OSError as trouble:  # an ICMP error is no verdict: the server may be starting up
            told = trouble
        for message in messages:
            self._take(message, now)
        if told is not None:
            self._table.note(f"{self._to}: {told.strerror}")

    def _overdue(self) -> None:
        """Nothing to do: a datagram socket has no state that could have gone bad."""

    def _doubt(self, since: float) -> None:
        """Nothing to do, either."""

    async def _shut(self) -> None:
        self._loop.remove_reader(self._sock)
        self._sock.close()


async def connect_udp(
    host: str,
    port: int,
    *,
    credential: Credential | None = None,
    timeout: float = CALL_TIMEOUT,
    limits: Limits = DEFAULT_LIMITS,
    policy: RetryPolicy = AT_LEAST_ONCE,
    source_ports: Iterable[int] = (),
) -> AsyncUdpClient:
    """An asyncio client of the server at `host` and `port` over UDP; arguments and errors as the blocking one's."""
    loop = asyncio.get_running_loop()
    trouble: OSError | None = None
    for to in await loop.run_in_executor(None, resolve, host, port, socket.SOCK_DGRAM):
        try:
            sock = connect(to, source_ports)
        except OSError as error:
            trouble = error
            continue
        own = NoneCredential() if credential is None else credential
        return AsyncUdpClient(host, to, CallTable(policy, limits), own, timeout, sock)
    raise RpcError(f"no way to the server: {trouble}")
