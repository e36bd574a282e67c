"""The blocking client over UDP (RFC 5531 §10): one datagram a message, sent again until a reply or the deadline."""

import contextlib
import errno
import select
import socket
import time
from collections.abc import Callable, Iterable
from typing import Final

from nfsrpc.auth.base import Credential
from nfsrpc.auth.none import NoneCredential
from nfsrpc.rpc.calls import CallTable, PendingCall
from nfsrpc.rpc.dispatch import Dispatcher
from nfsrpc.rpc.errors import RpcError
from nfsrpc.rpc.retry import AT_LEAST_ONCE, RetryPolicy
from nfsrpc.rpc.security import Peer
from nfsrpc.xdr import DEFAULT_LIMITS, Limits

from .address import SocketAddress, resolve
from .association import associate, connect, window_of
from .client import CALL_TIMEOUT, Client
from .waker import Waker

_MAX_BATCH: Final = 64
_FULL_QUEUE: Final = 0.05


class MessageTooLong(RpcError):
    """The call does not fit a datagram."""


class UdpClient(Client):
    """A `Client` over a connected UDP socket: what comes from any other address never reaches it.

    An ICMP error ("port unreachable") is no verdict: the server may be starting
    up. The next address of the host is tried, after the last one the calls go on
    being sent until their deadlines.
    """

    def __init__(
        self,
        host: str,
        addresses: list[SocketAddress],
        table: CallTable,
        credential: Credential,
        timeout: float,
        *,
        source_ports: Iterable[int] = (),
        clock: Callable[[], float] = time.monotonic,
        serves: Dispatcher | None = None,
    ) -> None:
        super().__init__(host, table, credential, timeout, clock, serves)
        self._source_ports = tuple(source_ports)
        self._addresses = list(addresses)
        self._untried = len(self._addresses)
        self._answered = False
        self._trouble: OSError | None = None
        self._waker = Waker()
        self._connect()

    def _connect(self) -> None:
        """Take the first address of the list that the machine has a route to."""
        trouble: OSError | None = None
        while self._addresses:
            to = self._addresses[0]
            try:
                self._sock = connect(to, self._source_ports)
            except OSError as error:
                trouble = error
                self._addresses.pop(0)
                continue
            self._to = to
            self._association = associate(self._sock)
            self._table.window = window_of(self._sock)
            self._waker.watch(self._sock, select.POLLIN)
            return
        self._waker.close()
        raise RpcError(f"no way to the server: {trouble}")

    @property
    def peer(self) -> str:
        """The server's address, as text."""
        return str(self._to)

    def _send(self, calls: list[PendingCall]) -> None:
        failed = self._association.send(calls)
        while failed and (stuck := self._not_sent(failed)):
            # The queue to the network is full: it empties in moments, a retransmission would take much longer.
            select.select((), (self._sock,), (), _FULL_QUEUE)
            failed = self._association.send(stuck)
            if len(failed) == len(stuck):
                return

    def _not_sent(self, failed: list[tuple[PendingCall, OSError]]) -> list[PendingCall]:
        """Of calls that could not leave, those that there was no room for."""
        stuck = []
        for call, trouble in failed:
            if trouble.errno == errno.EAGAIN:
                stuck.append(call)
            elif trouble.errno == errno.EMSGSIZE:
                size = len(call.message)
                self._table.fail(call, MessageTooLong(f"a call of {size} bytes does not fit a datagram"))
            else:
                # Refused by ICMP for an earlier datagram, no route at the moment: as good as lost on the way.
                self._trouble = trouble
        return stuck

    @property
    def _server(self) -> Peer:
        return self._to.as_peer("udp")

    def _say(self, parts: list[bytes]) -> None:
        with contextlib.suppress(OSError):
            self._sock.send(b"".join(parts))

    def _hold_back(self) -> None:
        """Datagrams wait for nothing."""

    def _let_go(self) -> None:
        """Nothing is ever held back."""

    def _exchange(self, timeout: float) -> list[bytes]:
        messages: list[bytes] = []
        if self._trouble is None:
            self._waker.wait(timeout)
            self._drain(messages)
        if self._trouble is not None:
            with self._lock:
                self._unreachable(self._trouble)
        return messages

    def _drain(self, messages: list[bytes]) -> None:
        try:
            self._association.receive(min(max(1, len(self._table)), _MAX_BATCH), messages)
        except OSError as trouble:
            self._trouble = trouble
        self._answered = self._answered or bool(messages)

    def _unreachable(self, trouble: OSError) -> None:
        self._trouble = None
        self._table.note(f"{self._to}: {trouble.strerror}")
        if self._answered or len(self._addresses) == 1:
            return
        self._addresses.append(self._addresses.pop(0))
        self._waker.forget(self._sock)
        self._sock.close()
        self._connect()
        if self._untried > 1:
            self._untried -= 1
            self._table.resend(self._clock())

    def _wake(self) -> None:
        self._waker.wake()

    def _overdue(self) -> None:
        """Nothing to do: a datagram socket has no state that could have gone bad."""

    def _doubt(self, since: float) -> None:
        """Nothing to do, either."""

    def _shut(self) -> None:
        self._sock.close()
        self._waker.close()


def connect_udp(
    host: str,
    port: int,
    *,
    credential: Credential | None = None,
    timeout: float = CALL_TIMEOUT,
    limits: Limits = DEFAULT_LIMITS,
    policy: RetryPolicy = AT_LEAST_ONCE,
    source_ports: Iterable[int] = (),
    serves: Dispatcher | None = None,
) -> UdpClient:
    """A blocking client of the server at `host` (name, IPv4 or IPv6 address) and `port`, over UDP.

    `timeout` is what a call may take in seconds unless it says otherwise; `policy` when it
    is sent again (`MAYBE`: never); `source_ports` the local ports to try first; `serves` what the server
    may call. Nothing is sent yet. Raises `HostUnknown`, or `RpcError` where no address has a route.
    """
    table = CallTable(policy, limits)
    own = NoneCredential() if credential is None else credential
    addresses = resolve(host, port, socket.SOCK_DGRAM)
    return UdpClient(host, addresses, table, own, timeout, source_ports=source_ports, serves=serves)
