"""The server's readiness loop: gather what is ready, run it as one turn, send the replies."""

import errno
import logging
import selectors
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from nfsrpc.rpc.dispatch import Peer, Reply
from nfsrpc.xdr import DEFAULT_LIMITS, Limits

from .connection import Connection
from .datagrams import Datagrams, datagrams
from .endpoints import Endpoint

_log = logging.getLogger(__name__)
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE
_SWEEP = 5.0
"""Seconds between two looks for idle connections; also how long accept rests after the descriptors ran out."""
_DRAIN = 5.0
"""Seconds that a stopping loop gives slow readers to take their last replies."""

Turn = Callable[[Sequence[tuple[bytes, Peer]]], list[Reply]]


class Loop:
    """Serves endpoints until `stop`; `turn` is `Dispatcher.turn` or anything of its shape.

    The loop owns the connections it accepts, not the endpoints' sockets.
    """

    def __init__(self, endpoints: Sequence[Endpoint], turn: Turn, limits: Limits = DEFAULT_LIMITS) -> None:
        self._turn = turn
        self._limits = limits
        self._selector = selectors.DefaultSelector()
        self._connections: OrderedDict[Connection, float] = OrderedDict()
        self._ready: set[Connection] = set()
        self._listeners = [endpoint.tcp for endpoint in endpoints]
        self._resting = False
        self._stopping = False
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._calls: list[tuple[bytes, Peer]] = []
        self._origins: list[tuple[Any, Any]] = []
        self._selector.register(self._wake_in, _READ, self._woken)
        for endpoint in endpoints:
            source = datagrams(endpoint.udp, endpoint.wildcard)
            self._selector.register(endpoint.udp, _READ, partial(self._gather_datagrams, source))
        self._listen()

    @property
    def wake_fd(self) -> int:
        """A descriptor that ends the loop's wait when a byte is written to it (for `signal.set_wakeup_fd`)."""
        return self._wake_out.fileno()

    def stop(self) -> None:
        """End `run` after the turn under way. May be called from a signal handler or another thread."""
        self._stopping = True
        try:
            self._wake_out.send(b"\0")
        except OSError as error:  # full: it will wake anyway; closed: it has ended
            _log.debug("waking the loop: %s", error)

    def watch(self, descriptor: int) -> None:
        """Stop when `descriptor` becomes readable: the end of a pipe whose other end a supervisor holds."""
        self._selector.register(descriptor, _READ, lambda _: self.stop())

    def run(self) -> None:
        """Serve until stopped, then answer what was received, and close every connection."""
        swept = time.monotonic()
        try:
            while not self._stopping:
                self._step(0 if self._ready else _SWEEP)
                now = time.monotonic()
                if now - swept >= _SWEEP:
                    swept = now
                    self._sweep(now)
            self._drain()
        finally:
            for connection in list(self._connections):
                self._close(connection)
            self._selector.close()
            self._wake_in.close()
            self._wake_out.close()

    def _step(self, timeout: float) -> None:
        """Wait for readiness, gather one turn, run it, answer it."""
        for key, mask in self._selector.select(timeout):
            key.data(mask)
        self._gather_records()
        calls, origins = self._calls, self._origins
        if calls:
            self._calls, self._origins = [], []
            for (sink, origin), reply in zip(origins, self._turn(calls), strict=True):
                if reply is not None:
                    sink.reply(origin, reply)
        for connection in list(self._ready):
            connection.flush()
            self._settle(connection)

    def _gather_datagrams(self, source: Datagrams, _mask: int) -> None:
        for message, peer, origin in source.receive(self._limits.turn_calls - len(self._calls)):
            self._calls.append((message, peer))
            self._origins.append((source, origin))

    def _gather_records(self) -> None:
        """Every connection that has calls gets its share of the turn."""
        limits, calls = self._limits, self._calls
        for connection in list(self._ready):
            room = min(limits.turn_calls_per_peer, limits.turn_calls - len(calls), len(connection.calls))
            for _ in range(room):
                calls.append((connection.calls.popleft(), connection.peer))
                self._origins.append((connection, None))

    def _stir(self, connection: Connection, mask: int) -> None:
        """Read from or write to a connection that is ready for it."""
        if connection not in self._connections:  # closed earlier in this very step
            return
        if mask & _WRITE:
            connection.flush()
        if mask & _READ:
            connection.receive()
        self._connections[connection] = time.monotonic()
        self._connections.move_to_end(connection)
        self._ready.add(connection)

    def _settle(self, connection: Connection) -> None:
        """After a turn: close what is finished, and wait for what each connection needs next."""
        if not connection.calls:
            self._ready.discard(connection)
        if connection.finished:
            self._close(connection)
            return
        wanted = (_READ if connection.wants_read else 0) | (_WRITE if connection.wants_write else 0)
        self._expect(connection, wanted)

    def _expect(self, connection: Connection, wanted: int) -> None:
        current, connection.expects = connection.expects, wanted
        if current == wanted:
            return
        if not current:
            self._selector.register(connection.sock, wanted, partial(self._stir, connection))
        elif not wanted:
            self._selector.unregister(connection.sock)
        else:
            self._selector.modify(connection.sock, wanted, partial(self._stir, connection))

    def _listen(self) -> None:
        for listener in self._listeners:
            self._selector.register(listener, _READ, partial(self._accept, listener))

    def _accept(self, listener: socket.socket, _mask: int) -> None:
        try:
            sock, address = listener.accept()
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                self._rest(error)
            return
        if len(self._connections) >= self._limits.connections:
            self._close(next(iter(self._connections)))
        netid = "tcp6" if sock.family == socket.AF_INET6 else "tcp"
        connection = Connection(sock, Peer(str(address[0]), int(address[1]), netid), self._limits)
        self._connections[connection] = time.monotonic()
        self._expect(connection, _READ)

    def _rest(self, error: OSError) -> None:
        """Out of descriptors: leave new connections in the backlog until the next sweep instead of spinning."""
        _log.error("cannot accept a connection: %s; trying again in %g s", error, _SWEEP)
        for listener in self._listeners:
            self._selector.unregister(listener)
        self._resting = True

    def _sweep(self, now: float) -> None:
        """Close connections that have been quiet too long; take up accepting again after a rest."""
        for connection, active in list(self._connections.items()):
            if now - active < self._limits.idle_seconds:
                break
            self._close(connection)
        if self._resting:
            self._listen()
            self._resting = False

    def _close(self, connection: Connection) -> None:
        self._connections.pop(connection, None)
        self._ready.discard(connection)
        self._expect(connection, 0)
        connection.close()

    def _woken(self, _mask: int) -> None:
        try:
            self._wake_in.recv(4096)
        except BlockingIOError:
            return

    def _drain(self) -> None:
        """Answer every call that has been received, and give its reply time to leave."""
        deadline = time.monotonic() + _DRAIN
        while self._ready and time.monotonic() < deadline:
            self._step(0)
        waiting = [connection for connection in self._connections if connection.wants_write]
        while waiting and time.monotonic() < deadline:
            self._selector.select(0.05)
            for connection in waiting:
                connection.flush()
            waiting = [connection for connection in waiting if connection.wants_write]
