"""The server's readiness loop: gather what is ready, run it as one turn, send the replies."""

import errno
import logging
import socket
import sys
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, Protocol

from nfsrpc.rpc.dispatch import Peer, Reply, Taken
from nfsrpc.rpc.later import Held, Later
from nfsrpc.xdr import DEFAULT_LIMITS, Limits

from .address import numeric_host
from .connection import Connection, shared_memory
from .datagrams import Datagrams, datagrams
from .endpoints import Endpoint
from .readiness import READ, WRITE, Readiness

if TYPE_CHECKING:
    import ssl

_log = logging.getLogger(__name__)
_SWEEP: Final = 5.0
"""Seconds between two looks for idle connections, at most."""
_REST: Final = 1.0
"""Seconds that accept rests after the descriptors ran out."""
_DRAIN: Final = 5.0
"""Seconds that a stopping loop gives slow readers to take their last replies."""
_LOOKS: Final = 64
"""How often a stopping loop looks whether more has come: a peer's kernel sends on as ours makes room."""
_LOOK: Final = 0.02
"""Seconds that one such look waits."""
_FAREWELL: Final = 0.5
"""Seconds that peers have to notice the end of their connections, so that no reply is lost to a reset."""
_ACCEPTS: Final = 64
"""Connections taken from one listener in one turn at most."""
_UCRED: Final = Struct("=iII")
_OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_PATIENCE: Final = 0.01
"""Seconds that calls which change something wait for others to share their commit, at most."""


class Answering(Protocol):
    """What a loop wants of `nfsrpc.rpc.dispatch.Dispatcher`."""

    def take(self, batch: Sequence[tuple[bytes, Peer]]) -> list[Taken]:
        """The replies to the calls of a turn, `Held` for those that wait for `commit`."""

    def commit(self) -> list[Reply]:
        """The replies to those that have waited."""


class Loop:
    """Serves endpoints until `stop`.

    Calls that change something wait until no others come at once, or for as long as the last commit took: what is
    asked meanwhile is answered, and what is to be changed shares the commit.

    `local` are listening UNIX sockets to serve as well. `tls` is asked at each new connection with what it may
    be protected. The loop owns the connections it accepts, not the endpoints' sockets.
    """

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        answering: Answering,
        limits: Limits = DEFAULT_LIMITS,
        local: Sequence[socket.socket] = (),
        tls: "Callable[[], ssl.SSLContext | None]" = lambda: None,
    ) -> None:
        self._tls = tls
        self._answering = answering
        self._limits = limits
        self._room, self._share = limits.turn_calls, limits.turn_calls_per_peer
        self._readiness = Readiness()
        self._connections: OrderedDict[Connection, float] = OrderedDict()
        self._memory = shared_memory()
        self._per_host: Counter[str] = Counter()
        self._ready: dict[Connection, None] = {}
        self._datagrams: list[Datagrams] = []
        self._listeners = [endpoint.tcp for endpoint in endpoints] + list(local)
        self._rest_ends: float | None = None
        self._stopping = False
        self._successor = False
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._calls: list[tuple[bytes, Peer]] = []
        self._belated: deque[tuple[Any, Any, list[bytes] | None]] = deque()
        self._origins: list[tuple[Any, Any]] = []
        self._held: list[tuple[Any, Any]] = []
        self._owing: set[Connection] = set()
        self._commit_seconds = 0.0
        self._readiness.register(self._wake_in, READ, self._woken)
        for endpoint in endpoints:
            source = datagrams(endpoint.udp, endpoint.wildcard)
            self._datagrams.append(source)
            self._readiness.register(endpoint.udp, READ, partial(self._gather_datagrams, source))
        # Half of a turn at most is for datagrams, so that a flood of them leaves room for connections.
        self._datagram_room = max(1, limits.turn_calls // (2 * len(self._datagrams) or 1))
        self._sweep_pause = min(_SWEEP, limits.idle_seconds / 2, limits.record_seconds / 2, limits.unsent_seconds / 2)
        self._listen()

    def stop(self, successor: bool = False) -> None:
        """End `run` after the turn under way. May be called from a signal handler or another thread.

        With a `successor` that has the same sockets, what the kernel still holds in them is left to it.
        """
        self._successor = successor
        self._stopping = True
        try:
            self._wake_out.send(b"\0")
        except OSError as error:  # full: it will wake anyway; closed: it has ended
            _log.debug("waking the loop: %s", error)

    def attend(self, readable: Any, act: Callable[[], None]) -> None:
        """Call `act` between turns whenever `readable`, which has a descriptor, is readable."""
        self._readiness.register(readable, READ, partial(self._let, act))

    def _let(self, act: Callable[[], None], _mask: int) -> None:
        self._commit()
        act()

    def disregard(self, readable: Any) -> None:
        """End `attend`."""
        self._readiness.unregister(readable)

    def watch(self, descriptor: int) -> None:
        """Stop when `descriptor` becomes readable: the end of a pipe whose other end a supervisor holds."""
        self.attend(descriptor, self.stop)

    def replace(self, answering: Answering) -> None:
        """From the next turn on, `answering` answers."""
        self._answering = answering

    @property
    def connections(self) -> int:
        """Open TCP connections."""
        return len(self._connections)

    def run(self) -> None:
        """Serve until stopped, then answer what was received, and close every connection."""
        swept = time.monotonic()
        try:
            while not self._stopping:
                self._step(0 if self._ready else self._sweep_pause if self._rest_ends is None else _REST)
                now = time.monotonic()
                if now - swept >= self._sweep_pause:
                    swept = now
                    self._sweep(now)
                if self._rest_ends is not None and now >= self._rest_ends:
                    self._rest_ends = None
                    self._listen()
            self._drain()
        finally:
            for connection in list(self._connections):
                self._close(connection)
            self._readiness.close()
            self._wake_in.close()
            self._wake_out.close()

    def _step(self, timeout: float) -> None:
        """Wait for readiness, gather one turn, run it, answer it; commit what it changes."""
        self._look(timeout)
        self._run_turn()
        if self._held:
            self._gather()
            self._commit()

    def _gather(self) -> None:
        """Run turns as long as calls come without a wait."""
        until = time.monotonic() + min(self._commit_seconds, _PATIENCE)
        while self._look(0) or self._ready:
            self._run_turn()
            if not self._held or len(self._held) >= self._room or time.monotonic() >= until:
                return

    def _commit(self) -> None:
        """Make durable what calls have changed, and send their replies."""
        if not self._held:
            return
        held, self._held = self._held, []
        began = time.monotonic()
        replies = self._answering.commit()
        self._commit_seconds = time.monotonic() - began
        for (sink, origin), reply in zip(held, replies, strict=True):
            self._reply(sink, origin, reply)
        self._flush_datagrams()
        owing, self._owing = self._owing, set()
        for connection in owing:
            if connection in self._connections:
                connection.flush()
                self._settle(connection)

    def _reply(self, sink: Any, origin: Any, reply: Reply) -> None:
        if type(reply) is Later:
            reply.then(partial(self._promise_kept, sink, origin))
        elif reply is not None:
            sink.reply(origin, reply)

    def _look(self, timeout: float) -> int:
        """Wait for readiness, and deal with it; of how many there was any."""
        ready = self._readiness.wait(timeout)
        now = time.monotonic()
        for who, mask in ready:
            if type(who) is Connection:
                self._stir(who, mask, now)
            else:
                who(mask)
        return len(ready)

    def _run_turn(self) -> None:
        self._gather_records()
        calls, origins = self._calls, self._origins
        if calls:
            self._calls, self._origins = [], []
            for (sink, origin), reply in zip(origins, self._answering.take(calls), strict=True):
                if isinstance(reply, Held):
                    self._held.append((sink, origin))
                    if type(sink) is Connection:
                        self._owing.add(sink)
                else:
                    self._reply(sink, origin, reply)
            self._flush_datagrams()
        for connection in list(self._ready):
            connection.flush()
            self._settle(connection)

    def _flush_datagrams(self) -> None:
        for source in self._datagrams:
            source.flush()

    def _gather_datagrams(self, source: Datagrams, _mask: int) -> None:
        source.receive(self._datagram_room, self._calls, self._origins)

    def _gather_records(self) -> None:
        """Every connection that has calls gets its share of the turn; who got one goes to the end of the queue."""
        calls, origins = self._calls, self._origins
        for connection in list(self._ready):
            waiting, peer, origin = connection.calls, connection.peer, (connection, None)
            room = min(self._share, self._room - len(calls), len(waiting))
            for _ in range(room):
                calls.append((waiting.popleft(), peer))
                origins.append(origin)
            if room:
                del self._ready[connection]
                self._ready[connection] = None

    def _stir(self, connection: Connection, mask: int, now: float) -> None:
        """Read from or write to a connection that is ready for it."""
        if connection not in self._connections:  # closed earlier in this very step
            return
        if mask & WRITE:
            connection.flush()
        if mask & READ:
            connection.receive()
        self._connections[connection] = now
        self._connections.move_to_end(connection)
        self._ready[connection] = None

    def _settle(self, connection: Connection) -> None:
        """After a turn: close what is finished, and wait for what each connection needs next."""
        if not connection.calls and connection in self._ready:
            del self._ready[connection]
        if connection.finished and connection not in self._owing:
            self._close(connection)
            return
        wanted = (READ if connection.wants_read else 0) | (WRITE if connection.wants_write else 0)
        if wanted != connection.expects:
            self._expect(connection, wanted)

    def _expect(self, connection: Connection, wanted: int) -> None:
        current, connection.expects = connection.expects, wanted
        if not current:
            self._readiness.register(connection.sock, wanted, connection)
        elif not wanted:
            self._readiness.unregister(connection.sock)
        else:
            self._readiness.modify(connection.sock, wanted, connection)

    def _listen(self) -> None:
        for listener in self._listeners:
            self._readiness.register(listener, READ, partial(self._accept, listener))

    def _accept(self, listener: socket.socket, _mask: int) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_DESCRIPTORS:
                    self._rest(error)
                return
            self._admit(sock, _peer(sock, address))

    def _admit(self, sock: socket.socket, peer: Peer) -> None:
        """Take a connection up; over a cap, close the one that has been quiet longest, of that host or of all."""
        if self._per_host[peer.host] >= self._limits.connections_per_peer:
            self._close(next(other for other in self._connections if other.peer.host == peer.host))
        elif len(self._connections) >= self._limits.connections:
            self._close(next(iter(self._connections)))
        connection = Connection(sock, peer, self._limits, self._memory, self._tls())
        self._connections[connection] = time.monotonic()
        self._per_host[peer.host] += 1
        self._expect(connection, READ)

    def _rest(self, error: OSError) -> None:
        """Out of descriptors: leave new connections in the backlog for a while, not spinning; make room for one."""
        if self._rest_ends is not None:
            return
        _log.error("cannot accept a connection: %s; trying again in %g s", error, _REST)
        for listener in self._listeners:
            self._readiness.unregister(listener)
        self._rest_ends = time.monotonic() + _REST
        if self._connections:
            self._close(next(iter(self._connections)))

    def _sweep(self, now: float) -> None:
        """Close connections that have been quiet too long, or owe us something for too long."""
        for connection, active in list(self._connections.items()):
            if now - active >= self._limits.idle_seconds:
                self._close(connection)
            elif (reason := connection.overdue(now)) is not None:
                _log.info("%s: %s", connection.peer, reason, extra={"peer": str(connection.peer)})
                self._close(connection)

    def _close(self, connection: Connection) -> None:
        if self._connections.pop(connection, None) is None:
            return
        host = connection.peer.host
        self._per_host[host] -= 1
        if not self._per_host[host]:
            del self._per_host[host]
        self._ready.pop(connection, None)
        if connection.expects:
            self._expect(connection, 0)
        connection.close()

    def _woken(self, _mask: int) -> None:
        with suppress(BlockingIOError):
            self._wake_in.recv(4096)
        self._send_belated()

    def _promise_kept(self, sink: Any, origin: Any, reply: list[bytes] | None) -> None:
        """A reply that was to come later is there. Runs in the thread that made it."""
        self._belated.append((sink, origin, reply))
        try:
            self._wake_out.send(b"\0")
        except OSError as error:  # full: it will wake anyway; closed: nobody is left to tell
            _log.debug("waking the loop: %s", error)

    def _send_belated(self) -> None:
        while self._belated:
            sink, origin, reply = self._belated.popleft()
            gone = isinstance(sink, Connection) and sink not in self._connections
            if reply is None or gone:
                continue
            sink.reply(origin, reply)
            if isinstance(sink, Connection):
                self._ready[sink] = None
        self._flush_datagrams()

    def _drain(self) -> None:
        """Answer every call that has been received, give the replies time to leave, and say goodbye."""
        deadline = time.monotonic() + _DRAIN
        if self._successor:
            self._leave_the_rest()
        for _ in range(_LOOKS):
            if not (self._ready or self._readiness.wait(_LOOK)):
                break
            self._step(0)
        while self._ready and time.monotonic() < deadline:
            self._run_turn()
            self._commit()
        waiting = [connection for connection in self._connections if connection.wants_write]
        while waiting and time.monotonic() < deadline:
            time.sleep(_DRAIN / 500)
            for connection in waiting:
                connection.flush()
            waiting = [connection for connection in waiting if connection.wants_write]
        self._part(time.monotonic() + _FAREWELL)

    def _leave_the_rest(self) -> None:
        """Datagrams and connections that the kernel still holds are the successor's."""
        for source in self._datagrams:
            self._readiness.unregister(source.sock)
        if self._rest_ends is None:
            for listener in self._listeners:
                self._readiness.unregister(listener)

    def _part(self, deadline: float) -> None:
        """End every connection so that its peer gets to read all replies before it learns of the end."""
        parting = list(self._connections)
        for connection in parting:
            connection.say_goodbye()
        while parting and time.monotonic() < deadline:
            parting = [connection for connection in parting if not connection.finish()]
            if parting:
                time.sleep(_FAREWELL / 100)


def _peer(sock: socket.socket, address: Any) -> Peer:
    if sock.family == socket.AF_UNIX:
        return Peer("local", 0, "local", _peer_uid(sock))
    return Peer(numeric_host(address), int(address[1]), "tcp6" if sock.family == socket.AF_INET6 else "tcp")


def _peer_uid(sock: socket.socket) -> int | None:
    """The user at the other end of a connected UNIX socket, None where this system does not tell."""
    if sys.platform != "linux":
        return None
    _, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)
