"""Calls that wait for a commit: which others come first, how long they wait, and who gets which reply."""

import os
import socket
import ssl
import struct
from collections.abc import Iterator

import pytest
from certificates import make_certificates
from in_threads import looping

from nfsrpc.rpc.later import HELD
from nfsrpc.transport.endpoints import Endpoint, bind
from nfsrpc.transport.loop import Loop
from nfsrpc.transport.tls import client_context, server_context
from nfsrpc.xdr import Limits

READS = 400
PROBE = struct.pack(">10I", 7, 0, 2, 9999, 2, 0, 7, 0, 0, 0)


class Ledger:
    """Answers what begins with ``r`` at once, and holds all else; `said` is what it was asked to do, in order."""

    def __init__(self) -> None:
        self.said: list[bytes] = []
        self._held: list[bytes] = []

    def take(self, batch):
        messages = [message for message, _ in batch]
        self.said += messages
        self._held += [message for message in messages if message[:1] != b"r"]
        return [[b"ok ", message] if message[:1] == b"r" else HELD for message in messages]

    def commit(self):
        if self._held:
            self.said.append(b"commit")
        held, self._held = self._held, []
        return [None if message == b"silent" else [b"done ", message] for message in held]


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def endpoint(ledger: Ledger) -> Iterator[Endpoint]:
    (endpoint,) = bind("127.0.0.1", 0)
    with looping(Loop([endpoint], ledger, Limits(turn_calls_per_peer=10))):
        yield endpoint
    endpoint.close()


def record(message: bytes) -> bytes:
    return struct.pack(">I", 0x80000000 | len(message)) + message


def udp(endpoint: Endpoint) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(30)
    sock.connect(("127.0.0.1", endpoint.port))
    return sock


def exchange(endpoint: Endpoint, *messages: bytes) -> list[bytes]:
    """Send all `messages` over TCP in one go, and then no more; the replies up to the end of the stream."""
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=30) as sock:
        sock.sendall(b"".join(map(record, messages)))
        sock.shutdown(socket.SHUT_WR)
        data = b""
        while more := sock.recv(1 << 16):
            data += more
    replies = []
    while data:
        size = struct.unpack_from(">I", data)[0] & 0x7FFFFFFF
        replies.append(data[4 : 4 + size])
        data = data[4 + size :]
    return replies


def test_what_is_asked_is_answered_before_the_commit(endpoint, ledger):
    assert exchange(endpoint, b"w1", b"r2", b"w3") == [b"ok r2", b"done w1", b"done w3"]
    assert ledger.said == [b"w1", b"r2", b"w3", b"commit"]


def test_who_sends_no_more_still_gets_the_reply(endpoint, ledger):
    """Also one that is not the last: the others are silence."""
    assert exchange(endpoint, b"w1", b"silent", b"w2", b"silent") == [b"done w1", b"done w2"]
    assert exchange(endpoint, b"silent") == []


def test_a_stream_of_questions_keeps_no_change_waiting(endpoint, ledger):
    """As long as the last commit took: it took no time, so there is one turn more."""
    replies = exchange(endpoint, b"w", *[b"r%d" % number for number in range(READS)])
    assert len(replies) == READS + 1
    assert ledger.said.index(b"commit") <= 1 + 3 * 10


def test_datagrams_wait_like_calls_of_connections(endpoint, ledger):
    with udp(endpoint) as one, udp(endpoint) as two:
        one.send(b"w1")
        two.send(b"w2")
        two.send(b"r3")
        assert one.recv(100) == b"done w1"
        assert {two.recv(100), two.recv(100)} == {b"ok r3", b"done w2"}


def test_what_is_held_is_committed_before_anything_else_is_done():
    """A signal's handler may put others in the place of those that hold it."""
    here, there = socket.socketpair()

    class Signalled(Ledger):
        def take(self, batch):
            there.send(b"x")
            return super().take(batch)

    def act() -> None:
        here.recv(1)
        ledger.said.append(b"act")

    (endpoint,), ledger = bind("127.0.0.1", 0), Signalled()
    loop = Loop([endpoint], ledger)
    loop.attend(here, act)
    with here, there, looping(loop):
        assert exchange(endpoint, b"w") == [b"done w"]
    assert ledger.said[:3] == [b"w", b"commit", b"act"]
    endpoint.close()


def test_tls_that_breaks_while_a_call_is_held_ends_that_connection_alone(tmp_path):
    keys = make_certificates(tmp_path)
    secure = server_context(str(keys / "server.pem"), str(keys / "server.key"), str(keys / "ca.pem"), False)
    broken: list[socket.socket] = []

    class Breaking(Ledger):
        def take(self, batch):
            while broken:
                broken.pop().sendall(bytes.fromhex("17 03 03 00 20") + bytes(32))
            return super().take(batch)

    def connect() -> ssl.SSLSocket:
        sock = socket.create_connection(("127.0.0.1", endpoint.port), timeout=30)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(record(PROBE))
        assert b"STARTTLS" in sock.recv(100)
        return client_context(str(keys / "ca.pem")).wrap_socket(sock, server_hostname="localhost")

    (endpoint,), ledger = bind("127.0.0.1", 0), Breaking()
    with looping(Loop([endpoint], ledger, tls=lambda: secure)):
        with connect() as first, socket.socket(fileno=os.dup(first.fileno())) as below:
            broken.append(below)
            first.sendall(record(b"w1"))
            with pytest.raises((ssl.SSLError, ConnectionError)):
                while first.recv(100):
                    pass
                raise ConnectionError
        with connect() as second:
            second.sendall(record(b"w2"))
            assert second.recv(100) == record(b"done w2")
    assert ledger.said == [b"w1", b"commit", b"w2", b"commit"]
    endpoint.close()
