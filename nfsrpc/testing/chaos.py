"""A network that misbehaves: a proxy for one UDP and TCP port, with the faults of `nfsrpc.testing.faults`.

Run by `start` in a thread of its own, or by `run` in the caller's. Every UDP client
gets a socket of its own towards the server, so that the server tells them apart; every
client and every connection has its own sequence of fates, drawn from the seed and its number.
"""

import contextlib
import heapq
import itertools
import selectors
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from nfsrpc.transport.endpoints import bind

from .faults import Faults, Mischief

_CHUNK = 1 << 16
_CONNECT_TIMEOUT = 2.0
Observer = Callable[[str, bytes], None]


class _Loop:
    """Descriptors and timers of one proxy."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._later: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def watch(self, sock: socket.socket, act: Callable[[], None], events: int = selectors.EVENT_READ) -> None:
        self._selector.register(sock, events, act)

    def forget(self, sock: socket.socket) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(sock)

    def after(self, pause: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._later, (time.monotonic() + pause, next(self._order), act))

    def step(self) -> None:
        wait = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
        for key, _ in self._selector.select(wait):
            key.data()
        now = time.monotonic()
        while self._later and self._later[0][0] <= now:
            heapq.heappop(self._later)[2]()

    def close(self) -> None:
        self._selector.close()


class _Way:
    """One client's datagrams in one direction."""

    def __init__(self, loop: _Loop, mischief: Mischief, send: Callable[[bytes], Any]) -> None:
        self._loop = loop
        self._mischief = mischief
        self._send = send

    def carry(self, data: bytes) -> None:
        for pause, message in self._mischief.datagram(data):
            if pause:
                self._loop.after(pause, partial(self._deliver, message))
            else:
                self._deliver(message)
        if self._mischief.holding:
            self._loop.after(self._mischief.faults.pause, self._release)

    def _release(self) -> None:
        for message in self._mischief.release():
            self._deliver(message)

    def _deliver(self, message: bytes) -> None:
        with contextlib.suppress(OSError):
            self._send(message)


class _Stream:
    """One direction of one TCP connection: reads from `source` while little is queued, writes to `sink` with pauses."""

    def __init__(
        self,
        loop: _Loop,
        way: str,
        source: socket.socket,
        sink: socket.socket,
        mischief: Mischief,
        end: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._way = way
        self._source = source
        self._sink = sink
        self._end = end
        self._queue: deque[tuple[float, bytes]] = deque()
        self._closing = False
        self._open = True
        self.mischief = mischief

    def read(self, observe: Observer) -> None:
        """Take the next bytes of the source. Pieces go out one at a time, so that they leave as separate segments."""
        try:
            data = self._source.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            observe(self._way, data)
            pieces, self._closing = self.mischief.chunk(data)
            self._queue.extend(pieces)
        else:
            self._closing = True
        self._loop.forget(self._source)
        self._next()

    def _next(self) -> None:
        if not self._open:
            return
        if self._queue:
            pause, piece = self._queue.popleft()
            self._loop.after(pause, partial(self._write, piece))
        elif self._closing:
            self._end()
        else:
            self.resume()

    def _write(self, piece: bytes) -> None:
        if not self._open:
            return
        try:
            sent = self._sink.send(piece)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end()
            return
        if sent < len(piece):
            self._queue.appendleft((0.001, piece[sent:]))
        self._next()

    resume: Callable[[], None]

    def close(self) -> None:
        self._open = False


class Chaos:
    """Faults between clients of `address` on this host and the server at `server`, for UDP and TCP alike.

    `up` strikes what clients send, `down` what the server sends. `port` 0 takes a free
    one; `address` says which. `observe`, if given, is called with each datagram or
    chunk as it came: ``observe("up", data)``. Raises `OSError` if the port is taken.
    """

    def __init__(
        self,
        server: tuple[str, int],
        *,
        up: Faults,
        down: Faults,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        observe: Observer = lambda way, data: None,
    ) -> None:
        self._server = server
        self._faults = {"up": up, "down": down}
        self._changing = threading.Lock()
        self._seed = seed
        self._observe = observe
        self._loop = _Loop()
        self._numbers = itertools.count()
        self._mischiefs: dict[str, list[Mischief]] = {"up": [], "down": []}
        self._links: dict[Any, tuple[socket.socket, _Way]] = {}
        self._connections: list[tuple[socket.socket, socket.socket]] = []
        self._thread: threading.Thread | None = None
        self._running = True
        self._open(host, port)

    def _open(self, host: str, port: int) -> None:
        (endpoint,) = bind(host, port)
        self._listener, self._udp = endpoint.tcp, endpoint.udp
        self.address: tuple[str, int] = self._listener.getsockname()[:2]
        self._end, self._stop = socket.socketpair()
        self._loop.watch(self._listener, self._accept)
        self._loop.watch(self._udp, self._from_client)
        self._loop.watch(self._end, self._stopped)

    def strike(self, *, up: Faults | None = None, down: Faults | None = None) -> None:
        """From now on these faults instead, for what is connected already as well. None leaves a direction as it is."""
        for way, faults in (("up", up), ("down", down)):
            if faults is not None:
                with self._changing:
                    self._faults[way] = faults
                    for mischief in self._mischiefs[way]:
                        mischief.faults = faults

    def _new_mischief(self, way: str, seed: str) -> Mischief:
        with self._changing:
            mischief = Mischief(self._faults[way], f"{seed}:{way}")
            self._mischiefs[way].append(mischief)
        return mischief

    def url(self, url: str) -> str:
        """`url` with this link's address in the place of the server's."""
        host, port = self.address
        place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return urlsplit(url)._replace(netloc=place).geturl()

    def counts(self, way: str) -> Counter[str]:
        """How often each fault has happened in one direction ("up", "down"), and how many messages passed."""
        total: Counter[str] = Counter()
        for mischief in list(self._mischiefs[way]):
            total.update(mischief.counts)
        return total

    def start(self) -> Self:
        """Run in a thread until `close`."""
        self._thread = threading.Thread(target=self.run, name="chaos", daemon=True)
        self._thread.start()
        return self

    def run(self) -> None:
        """Pass messages on until `stop` is called, from a signal handler or another thread."""
        while self._running:
            self._loop.step()

    def stop(self) -> None:
        """Make `run` return."""
        self._stop.send(b"\0")

    def _stopped(self) -> None:
        self._running = False

    def _from_client(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, client = self._udp.recvfrom(_CHUNK)
                self._observe("up", data)
                self._link(client).carry(data)

    def _link(self, client: Any) -> _Way:
        known = self._links.get(client)
        if known is not None:
            return known[1]
        sock = socket.socket(socket.AF_INET6 if ":" in self._server[0] else socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.connect(self._server)
        seed = f"{self._seed}:{next(self._numbers)}"
        up = _Way(self._loop, self._new_mischief("up", seed), sock.send)
        down = _Way(self._loop, self._new_mischief("down", seed), lambda data: self._udp.sendto(data, client))
        self._links[client] = (sock, up)
        self._loop.watch(sock, partial(self._from_server, sock, down))
        return up

    def _from_server(self, sock: socket.socket, down: _Way) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = sock.recv(_CHUNK)
                self._observe("down", data)
                down.carry(data)

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError:
            return
        try:
            server = socket.create_connection(self._server, timeout=_CONNECT_TIMEOUT)
        except OSError:
            client.close()
            return
        seed = f"{self._seed}:{next(self._numbers)}"
        streams: list[_Stream] = []
        end = partial(self._hang_up, client, server, streams)
        for way, source, sink in (("up", client, server), ("down", server, client)):
            source.setblocking(False)
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            stream = _Stream(self._loop, way, source, sink, self._new_mischief(way, seed), end)
            stream.resume = partial(self._loop.watch, source, partial(stream.read, self._observe))
            streams.append(stream)
            stream.resume()
        self._connections.append((client, server))

    def _hang_up(self, client: socket.socket, server: socket.socket, streams: list[_Stream]) -> None:
        for stream in streams:
            stream.close()
        for sock in (client, server):
            self._loop.forget(sock)
            sock.close()
        self._connections.remove((client, server))

    def close(self) -> None:
        """Stop, drop what is on the way, and give up all sockets."""
        if self._thread is not None:
            self.stop()
            self._thread.join()
        for client, server in self._connections:
            client.close()
            server.close()
        for sock, _ in self._links.values():
            sock.close()
        for sock in (self._listener, self._udp, self._stop, self._end):
            sock.close()
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
