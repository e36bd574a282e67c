"""The blocking client over TCP (RFC 5531 §11): records on a stream, which is made anew when it breaks."""

import errno
import os
import select
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nfsrpc.auth.base import Credential
from nfsrpc.auth.none import NoneCredential
from nfsrpc.rpc.calls import CallTable, PendingCall
from nfsrpc.rpc.dispatch import Dispatcher
from nfsrpc.rpc.errors import Disconnected, RecordError, RpcTimeout
from nfsrpc.rpc.record import RecordReader, frame, framed
from nfsrpc.rpc.retry import AT_LEAST_ONCE, Backoff, RetryPolicy
from nfsrpc.rpc.security import Peer
from nfsrpc.xdr import DEFAULT_LIMITS, Limits

from .address import SocketAddress, open_socket, resolve
from .client import CALL_TIMEOUT, CONNECT_TIMEOUT, Client
from .stream import TlsFailed
from .waker import Waker

if TYPE_CHECKING:
    from .tls import Channel, ClientTls

_CHUNK: Final = 1 << 16
"""Bytes taken at once: from 128 KiB on, glibc maps and unmaps fresh memory for each read, which costs 13 µs."""
_CHUNKS: Final = 4
"""Times that so much is taken before the calls that it answers are looked at."""
_IOV: Final = 64
"""Buffers handed to one sendmsg; far below IOV_MAX everywhere."""

_HELD_BACK: Final = 512
"""Buffers of batched calls that are held back at most: two for each call."""


class TcpClient(Client):
    """A `Client` over one TCP connection at a time.

    A lost connection is made anew, at once the first time and then after the
    pauses of `policy`, and every call whose deadline has not come is sent again
    with its old xid, so that a server that keeps its replies does not execute it
    twice. With the policy `MAYBE` pending calls fail with `Disconnected` instead.
    A call that runs into its deadline takes the connection with it: one that
    has gone dead without a word is not used again.
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
        connect_timeout: float = CONNECT_TIMEOUT,
        source_ports: Iterable[int] = (),
        clock: Callable[[], float] = time.monotonic,
        serves: Dispatcher | None = None,
        tls: "ClientTls | None" = None,
    ) -> None:
        self._host = host
        self._tls = tls
        self._channel: Channel | None = None
        super().__init__(host, table, credential, timeout, clock, serves)
        self._addresses = deque(addresses)
        self._limits = limits
        self._policy = policy
        self._connect_timeout = connect_timeout
        self._source_ports = tuple(source_ports)
        self._waker = Waker()
        self._unsent: deque[memoryview] = deque()
        self._holding_back = False
        self._sock: socket.socket | None = None
        self._up = False
        self._next_attempt = 0.0
        self._backoff = Backoff(policy)
        self._attempt_ends = 0.0
        self._refusals = 0
        self._reason = "not connected"
        self._silent = False
        self._heard = 0.0
        self._doubtful = False
        self._reader = RecordReader(limits)
        try:
            self._first_connection()
        except BaseException:
            self._shut()
            raise

    def _first_connection(self) -> None:
        """Connect to the first address that answers. Nothing listening is said at once, not retried."""
        while not self._up:
            self._connect_step(self._connect_timeout)
            if self._refusals == len(self._addresses):
                raise RpcTimeout(self._reason) if self._silent else Disconnected(self._reason)

    @property
    def peer(self) -> str:
        """The server's address, as text."""
        return str(self._addresses[0])

    def _send(self, calls: list[PendingCall]) -> None:
        if self._up:
            self._queue(framed([call.message for call in calls]))
        if self._holding_back and len(self._unsent) < _HELD_BACK:
            self._holding_back = False
            return
        self._flush()

    @property
    def _server(self) -> Peer:
        return self._addresses[0].as_peer("tcp")

    def _say(self, parts: list[bytes]) -> None:
        if self._up:
            self._queue(frame(parts))
            self._flush()

    def _queue(self, parts: list[bytes]) -> None:
        data = b"".join(parts)
        if self._channel is not None:
            self._channel.write(data)
            data = self._channel.take()
        self._unsent.append(memoryview(data))

    def _hold_back(self) -> None:
        self._holding_back = True

    def _let_go(self) -> None:
        self._holding_back = False
        self._flush()

    def _flush(self) -> None:
        """Send what the socket takes now. Called with the lock held."""
        unsent = self._unsent
        try:
            while unsent and self._sock is not None:
                if len(unsent) == 1:
                    sent = self._sock.send(unsent[0])
                else:
                    sent = self._sock.sendmsg([unsent[at] for at in range(min(len(unsent), _IOV))])
                while sent:
                    head = unsent.popleft()
                    if sent < len(head):
                        unsent.appendleft(head[sent:])
                        break
                    sent -= len(head)
        except BlockingIOError:
            return
        except OSError:
            # The reading side learns of it in a moment, with whatever the server still had to say.
            unsent.clear()

    def _exchange(self, timeout: float) -> list[bytes]:
        if self._doubtful:
            self._lost(f"{self.peer} has been silent for too long")
        if not self._up:
            self._connect_step(timeout)
            return []
        assert self._sock is not None
        events = select.POLLIN | select.POLLOUT if self._unsent else select.POLLIN
        self._waker.watch(self._sock, events)
        ready = self._waker.wait(timeout)
        if ready & select.POLLOUT:
            with self._lock:
                self._flush()
        if not ready & ~select.POLLOUT:
            return []
        return self._receive(self._sock)

    def _receive(self, sock: socket.socket) -> list[bytes]:
        """The messages that have come. What ends the connection is seen when there are none before it."""
        messages: list[bytes] = []
        data, chunks = b"", 0
        while not chunks or (len(data) == _CHUNK and chunks < _CHUNKS):
            try:
                data = sock.recv(_CHUNK)
                if data:
                    messages += self._reader.feed(data if self._channel is None else self._channel.feed(data))
            except BlockingIOError:
                break
            except OSError as broken:
                if not messages:
                    self._lost(f"{self.peer}: {broken.strerror}")
                break
            except (RecordError, TlsFailed):
                if messages:
                    break  # feeding it says so again
                with self._lock:
                    self._drop()
                raise
            if not data and not messages:
                self._lost(f"{self.peer} closed the connection")
            chunks += 1
        if messages:
            self._heard = self._clock()
            self._backoff = Backoff(self._policy)
            self._next_attempt = 0.0
        return messages

    def _lost(self, reason: str) -> None:
        with self._lock:
            self._drop()
            self._reason = reason
            self._table.note(reason)
            if self._policy.transmissions == 1:
                self._table.fail_all(Disconnected(reason))

    def _drop(self) -> None:
        if self._sock is not None:
            self._waker.forget(self._sock)
            self._sock.close()
        self._sock = None
        self._up = False
        self._doubtful = False
        self._unsent.clear()

    def _connect_step(self, timeout: float) -> None:
        """One step towards a connection: wait out a pause, begin an attempt, or see how one ended."""
        now = self._clock()
        if self._sock is None:
            pause = self._next_attempt - now
            if pause > 0:
                self._waker.wait(min(timeout, pause))
            else:
                self._begin_attempt(now)
            return
        self._waker.watch(self._sock, select.POLLOUT)
        if self._waker.wait(min(timeout, max(0.0, self._attempt_ends - now))):
            self._end_attempt(self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        elif self._clock() >= self._attempt_ends:
            self._end_attempt(errno.ETIMEDOUT)

    def _begin_attempt(self, now: float) -> None:
        self._attempt_ends = now + self._connect_timeout
        try:
            self._sock, outcome = _connecting(self._addresses[0], self._source_ports)
        except OSError as unusable:
            outcome = unusable.errno or errno.EIO
        if outcome not in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            self._end_attempt(outcome)

    def _protect(self) -> int:
        """Take the new connection into TLS, if that is wanted; 0, or the errno that says why the attempt has failed.

        `TlsFailed` ends the pending calls: they are never sent in clear text instead.
        """
        if self._tls is None:
            return 0
        assert self._sock is not None
        from .tls import start_tls

        try:
            self._channel = start_tls(self._sock, self._tls, self._host, self._limits, self._connect_timeout)
        except TlsFailed:
            with self._lock:
                self._drop()
            raise
        except TimeoutError:
            return errno.ETIMEDOUT
        except OSError as broken:
            return broken.errno or errno.ECONNRESET
        return 0

    def _end_attempt(self, outcome: int) -> None:
        outcome = outcome or self._protect()
        with self._lock:
            if outcome == 0:
                self._up = True
                self._heard = self._clock()
                self._refusals = 0
                self._reader = RecordReader(self._limits)
                # The pause of the next attempt counts from here unless a reply comes first: a server that takes
                # connections only to close them is not stormed.
                self._next_attempt = self._clock() + self._backoff.next()
                self._table.resend(self._clock())
                return
            self._silent = outcome == errno.ETIMEDOUT
            self._reason = f"{self.peer}: {os.strerror(outcome)}"
            self._drop()
            self._table.note(self._reason)
            self._addresses.rotate(-1)
            self._refusals += 1
            if self._refusals % len(self._addresses) == 0:
                self._next_attempt = self._clock() + self._backoff.next()

    def _wake(self) -> None:
        self._waker.wake()

    def _overdue(self) -> None:
        if self._up and not self._reading and not len(self._table):
            self._drop()

    def _doubt(self, since: float) -> None:
        if self._up and self._heard <= since:
            # Whoever reads next, perhaps another thread right now, gives it up.
            self._doubtful = True

    def _shut(self) -> None:
        self._drop()
        self._waker.close()


def _connecting(to: SocketAddress, source_ports: tuple[int, ...]) -> tuple[socket.socket, int]:
    """A socket that has begun to connect, and the errno of it.

    A source port that the same two ends have used within the last minute is
    not free yet (TIME_WAIT, EADDRNOTAVAIL): the next one is taken.
    """
    while True:
        sock = open_socket(to, source_ports)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            outcome = sock.connect_ex(to.address)
            used = sock.getsockname()[1]
        except OSError:
            sock.close()
            raise
        if outcome != errno.EADDRNOTAVAIL or used not in source_ports:
            return sock, outcome
        sock.close()
        source_ports = source_ports[source_ports.index(used) + 1 :]


def connect_tcp(
    host: str,
    port: int,
    *,
    credential: Credential | None = None,
    timeout: float = CALL_TIMEOUT,
    connect_timeout: float = CONNECT_TIMEOUT,
    limits: Limits = DEFAULT_LIMITS,
    policy: RetryPolicy = AT_LEAST_ONCE,
    source_ports: Iterable[int] = (),
    serves: Dispatcher | None = None,
    tls: "ClientTls | None" = None,
) -> TcpClient:
    """A blocking client, connected to the server at `host` (name, IPv4 or IPv6 address) and `port`, over TCP.

    `timeout` is what a call may take in seconds unless it says otherwise, `connect_timeout` what
    the connection may take; `policy` paces re-connection, `MAYBE` forbids to send a call twice;
    `source_ports` are the local ports to try first, `serves` is what the server may call,
    `tls` protects the connection, or `TlsFailed` is raised. Raises `HostUnknown`, `Disconnected` where
    nothing listens, `RpcTimeout` where nothing answers.
    """
    own = NoneCredential() if credential is None else credential
    return TcpClient(
        host,
        resolve(host, port, socket.SOCK_STREAM),
        # A stream delivers or breaks: nothing is sent twice by the clock alone.
        CallTable(replace(policy, transmissions=1), limits),
        own,
        timeout,
        policy=policy,
        limits=limits,
        connect_timeout=connect_timeout,
        source_ports=source_ports,
        serves=serves,
        tls=tls,
    )
