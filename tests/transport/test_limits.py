"""Caps that hold: on connections, on time, on bytes that wait; and nobody is delayed by somebody else's sins."""

import contextlib
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from in_threads import awaiting, looping

from nfsrpc.auth import NoneAuthenticator
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Encoded
from nfsrpc.transport.aio_server import AsyncServer
from nfsrpc.transport.endpoints import bind
from nfsrpc.transport.loop import Loop
from nfsrpc.xdr import DEFAULT_LIMITS, Limits

NULL = struct.pack(">10I", 7, 0, 2, 9999, 2, 0, 0, 0, 0, 0)
PONG = struct.pack(">7I", 0x80000018, 7, 1, 0, 0, 0, 0)
BIG = struct.pack(">13I", 8, 0, 2, 9999, 2, 2, 0, 0, 0, 0, 1, 0, 1)
BIG_REPLY = 60_000


def record(message: bytes) -> bytes:
    return struct.pack(">I", 0x80000000 | len(message)) + message


class Big(FILEREADWRITE_2_service):
    def WRITE(self, arg, call):
        return None

    def READ(self, arg, call):
        return Encoded(bytes(BIG_REPLY))


@contextlib.contextmanager
def from_the_loop(limits: Limits) -> Iterator[int]:
    (endpoint,) = bind("127.0.0.1", 0)
    with looping(Loop([endpoint], Dispatcher([Binding(Big())], [NoneAuthenticator()], limits), limits)):
        yield endpoint.port
    endpoint.close()


@contextlib.contextmanager
def from_asyncio(limits: Limits) -> Iterator[int]:
    server = AsyncServer([Binding(Big())], limits=limits)
    with awaiting(server):
        yield server.port


@pytest.fixture(params=[from_the_loop, from_asyncio], ids=["loop", "asyncio"])
def serve(request) -> Iterator[Callable[..., int]]:
    """Serves with these limits, from the readiness loop or from asyncio; the port."""
    with contextlib.ExitStack() as stack:
        yield lambda limits=DEFAULT_LIMITS: stack.enter_context(request.param(limits))


def connect(port: int, source: str = "127.0.0.1") -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port), 20, (source, 0))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def ask(sock: socket.socket) -> bool:
    """Whether a call of procedure 0 gets its reply; False: the connection has been closed."""
    try:
        sock.sendall(record(NULL))
        data = b""
        while len(data) < len(PONG):
            more = sock.recv(100)
            if not more:
                return False
            data += more
    except ConnectionError:
        return False
    assert data == PONG
    return True


def closed(sock: socket.socket) -> bool:
    try:
        while sock.recv(1 << 16):
            continue
    except ConnectionError:
        return True
    return True


def test_the_quietest_connection_makes_room_for_a_new_one(serve):
    port = serve(DEFAULT_LIMITS._replace(connections=3))
    with contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(connect(port)) for _ in range(3))
        assert all(map(ask, (first, second, third, first)))
        fourth = stack.enter_context(connect(port))
        assert ask(fourth)
        assert closed(second)
        assert all(map(ask, (first, third, fourth)))


def test_a_host_over_its_share_loses_its_own_connections(serve):
    port = serve(DEFAULT_LIMITS._replace(connections=10, connections_per_peer=2))
    with contextlib.ExitStack() as stack:
        other = stack.enter_context(connect(port, "127.0.0.9"))
        assert ask(other)
        greedy = [stack.enter_context(connect(port)) for _ in range(2)]
        assert all(map(ask, greedy))
        for _ in range(20):
            greedy.append(stack.enter_context(connect(port)))
            assert ask(greedy[-1])
        assert all(map(closed, greedy[:-2]))
        assert all(map(ask, greedy[-2:]))
        assert ask(other)


IDLE = 1.0  # seconds


def test_an_idle_connection_is_closed_and_a_busy_one_is_not(serve):
    port = serve(DEFAULT_LIMITS._replace(idle_seconds=IDLE))
    while not outlived(port):
        pass


def outlived(port):
    """Whether a busy connection has outlived an idle one; False where all of this stood still for too long to tell."""
    asked = time.monotonic()
    with connect(port) as idle, connect(port) as busy:
        idle.setblocking(False)
        while True:
            before, asked = asked, time.monotonic()
            if not ask(busy):
                assert time.monotonic() - before > IDLE
                return False
            with contextlib.suppress(BlockingIOError):
                assert idle.recv(1) == b""
                return True


def test_a_record_that_trickles_in_is_not_awaited_for_ever(serve):
    port = serve(DEFAULT_LIMITS._replace(record_seconds=0.5))
    with connect(port) as slow, connect(port) as other:
        slow.sendall(struct.pack(">I", 0x80000000 | 100_000))
        slow.settimeout(0.05)
        while True:  # it is never idle
            try:
                slow.sendall(b"x")
                if slow.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except ConnectionError:
                break
        assert ask(other)


@pytest.mark.hostile
def test_a_peer_that_takes_no_replies_is_read_no_more_and_then_closed(serve):
    port = serve(DEFAULT_LIMITS._replace(unsent=1 << 20, unsent_seconds=1.0))
    with connect(port) as deaf, connect(port) as other:
        deaf.settimeout(0.2)
        while True:
            try:
                deaf.send(record(BIG) * 100)
            except TimeoutError:
                assert ask(other), "nobody else is delayed"
            except ConnectionError:
                break
        assert ask(other)


def test_a_flood_of_calls_on_one_connection_leaves_room_for_others(serve):
    port = serve()
    with connect(port) as flood, connect(port) as other:
        flood.settimeout(5)
        stop = threading.Event()

        def read() -> None:
            with contextlib.suppress(OSError):
                while not stop.is_set() and flood.recv(1 << 20):
                    continue

        def write() -> None:
            with contextlib.suppress(OSError):
                while not stop.is_set():
                    flood.sendall(record(NULL) * 500)

        threads = [threading.Thread(target=act) for act in (read, write)]
        for thread in threads:
            thread.start()
        assert all(ask(other) for _ in range(50))
        stop.set()
        flood.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("serve", [from_the_loop], indirect=True, ids=["loop"])
def test_running_out_of_descriptors_stops_nobody_who_is_connected(serve):
    """One process is both sides here: the limit leaves room for our ends, then for fewer and fewer of theirs.

    (asyncio itself leaves the others in the backlog for a second, and tries again.)
    """
    port = serve()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as stack:
        steady = stack.enter_context(connect(port))
        assert ask(steady)
        spare = [stack.enter_context(socket.socket()) for _ in range(20)]
        lowest = max(sock.fileno() for sock in spare) + 3
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
        try:
            waiting = []
            for sock in spare:
                sock.settimeout(20)
                sock.connect(("127.0.0.1", port))
                waiting.append(sock)
            assert any(map(ask, waiting[-3:])), "room is made for those who come"
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with connect(port) as late:
            assert ask(late)
