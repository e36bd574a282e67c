"""What a loop that is told to stop still answers: all that has come, and what peers' kernels still hold of it."""

import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from nfsrpc.auth import NoneAuthenticator
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
from nfsrpc.rpc.dispatch import Binding, Dispatcher
from nfsrpc.transport.endpoints import Endpoint, bind
from nfsrpc.transport.loop import Loop

WINDOW = 1 << 15
CALLS = 200


def call(xid: int, procedure: int, args: bytes) -> bytes:
    message = struct.pack(">10I", xid, 0, 2, 9999, 2, procedure, 0, 0, 0, 0) + args
    return struct.pack(">I", 0x80000000 | len(message)) + message


def write(xid: int) -> bytes:
    return call(xid, 1, struct.pack(">3I", 1, 0, 1000) + bytes(1000))


READ = call(0, 2, struct.pack(">3I", 1, 0, 0))


class Held(FILEREADWRITE_2_service):
    """READ takes until `go`, as a worker that had no time to look at its sockets."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def READ(self, arg, call):
        self.reached.set()
        assert self.go.wait(60)
        return b""

    def WRITE(self, arg, call):
        return None


@pytest.fixture
def held() -> Iterator[tuple[Held, Loop, Endpoint]]:
    (endpoint,) = bind("127.0.0.1", 0)
    endpoint.tcp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, WINDOW)  # which its connections have too
    service = Held()
    loop = Loop([endpoint], Dispatcher([Binding(service)], [NoneAuthenticator()]))
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield service, loop, endpoint
    loop.stop()
    service.go.set()
    thread.join()
    endpoint.close()


def connect(endpoint: Endpoint) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * CALLS * 1000)
    sock.settimeout(30)
    sock.connect(("127.0.0.1", endpoint.port))
    return sock


def xids(sock: socket.socket) -> list[int]:
    """The xids of all replies up to the end of the stream."""
    data = b""
    while more := sock.recv(1 << 16):
        data += more
    found = []
    while data:
        size = int.from_bytes(data[:4]) & 0x7FFFFFFF
        found.append(int.from_bytes(data[4:8]))
        data = data[4 + size :]
    return found


@pytest.mark.parametrize("successor", [False, True])
def test_calls_that_the_peers_kernel_holds_are_answered(held, successor):
    """More than fits the window: most of it can only come while the loop is ending already."""
    service, loop, endpoint = held
    with connect(endpoint) as sock:
        sock.sendall(READ)
        assert service.reached.wait(30)
        sock.sendall(b"".join(map(write, range(1, CALLS))))
        loop.stop(successor)
        service.go.set()
        assert xids(sock) == list(range(CALLS))


def test_a_connection_that_waits_to_be_accepted_is_answered(held):
    service, loop, endpoint = held
    with connect(endpoint) as busy, connect(endpoint) as late:
        busy.sendall(READ)
        assert service.reached.wait(30)
        with connect(endpoint) as later:
            for sock in (late, later):
                sock.sendall(write(1) + write(2))
            loop.stop()
            service.go.set()
            assert [xids(sock) for sock in (busy, late, later)] == [[0], [1, 2], [1, 2]]


def test_a_peer_that_never_ends_does_not_keep_the_loop(held):
    _, loop, endpoint = held
    with connect(endpoint) as sock:
        sock.sendall(write(1))
        assert sock.recv(100)
        loop.stop()
        with pytest.raises(ConnectionError):
            while True:
                sock.sendall(write(2))
