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
from .client import CALL_TIMEOUT
from .client_udp import MAX_DATAGRAM, MessageTooLong, connected, window_of

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
        table.window = window_of(sock)
        self._loop.add_reader(sock, self._readable)

    @property
    def peer(self) -> str:
        """The server's address, as text."""
        return str(self._to)

    def _send(self, calls: list[PendingCall]) -> None:
        for call in calls:
            self._send_one(call)

    def _send_one(self, call: PendingCall) -> None:
        try:
            self._sock.send(call.message)
        except BlockingIOError:
            # The queue to the network is full: as good as lost on the way, the schedule sends it again.
            return
        except OSError as trouble:
            if trouble.errno == errno.EMSGSIZE:
                self._table.fail(call, MessageTooLong(f"a call of {len(call.message)} bytes does not fit a datagram"))
                self._wake()
                return
            self._table.note(f"{self._to}: {trouble.strerror}")

    def _readable(self) -> None:
        now = self._loop.time()
        try:
            for _ in range(min(max(1, len(self._table)), _BATCH)):
                self._take(self._sock.recv(MAX_DATAGRAM + 1), now)
        except BlockingIOError:
            return
        except OSError as trouble:  # an ICMP error is no verdict: the server may be starting up
            self._table.note(f"{self._to}: {trouble.strerror}")

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
            sock = connected(to, source_ports)
        except OSError as error:
            trouble = error
            continue
        own = NoneCredential() if credential is None else credential
        return AsyncUdpClient(host, to, CallTable(policy, limits), own, timeout, sock)
    raise RpcError(f"no way to the server: {trouble}")
