"""The UDP side: replies leave from the address that was asked, and one that no datagram can hold is told so."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from in_threads import looping

from nfsrpc.rpc.dispatch import Peer
from nfsrpc.transport.batches import AVAILABLE, COUNT, PARTS
from nfsrpc.transport.datagrams import BatchedDatagrams, Datagrams, SingleDatagrams
from nfsrpc.transport.endpoints import bind
from nfsrpc.transport.loop import Loop

XID = b"\1\2\3\4"
SYSTEM_ERR = XID + struct.pack(">5I", 1, 0, 0, 0, 5)


class Thousandfold:
    """Answers each message with 1000 times itself."""

    def take(self, batch):
        return [[message, message * 999] for message, _ in batch]

    def commit(self):
        return []


@pytest.fixture
def echo(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a loop on the host given as parameter that answers each message with 1000 times itself."""
    (endpoint,) = bind(request.param, 0)
    with looping(Loop([endpoint], Thousandfold())):
        yield endpoint.port
    endpoint.close()


def ask(address: str, port: int, message: bytes) -> bytes:
    """One datagram to `address`, and a reply that must come from there: the socket takes none from elsewhere."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.connect((address, port))
        sock.send(message)
        return sock.recv(65536)


CASES = [
    ("0.0.0.0", "127.0.0.1"),
    ("0.0.0.0", "127.0.0.9"),
    ("127.0.0.7", "127.0.0.7"),
    ("::", "::1"),
    ("::", "127.0.0.9"),
    ("::1", "::1"),
]


@pytest.mark.parametrize(("echo", "address"), CASES, indirect=["echo"])
def test_the_reply_leaves_from_the_address_that_was_asked(echo: int, address: str) -> None:
    assert ask(address, echo, b"ab") == b"ab" * 1000


@pytest.mark.parametrize("echo", ["127.0.0.1", "0.0.0.0"], indirect=True)
def test_a_reply_longer_than_any_datagram_is_the_servers_failure(echo: int) -> None:
    assert ask("127.0.0.1", echo, XID + b"x" * 100) == SYSTEM_ERR


@pytest.mark.parametrize("echo", ["127.0.0.1"], indirect=True)
def test_a_peer_that_has_gone_stops_nothing(echo: int) -> None:
    for _ in range(3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"abcd", ("127.0.0.1", echo))
    assert ask("127.0.0.1", echo, b"ab") == b"ab" * 1000


KINDS = {"single": SingleDatagrams, **({"batched": BatchedDatagrams} if AVAILABLE else {})}
HOSTS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Callable[[socket.socket], Datagrams]:
    return KINDS[request.param]


@pytest.fixture(params=HOSTS, ids=["IPv4", "IPv6"])
def sock(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A server's socket."""
    with socket.socket(request.param, socket.SOCK_DGRAM) as sock:
        sock.bind((HOSTS[request.param], 0))
        sock.setblocking(False)
        yield sock


@contextmanager
def callers(server: socket.socket, count: int) -> Iterator[list[socket.socket]]:
    """So many clients' sockets, connected."""
    with ExitStack() as stack:
        made = [stack.enter_context(socket.socket(server.family, socket.SOCK_DGRAM)) for _ in range(count)]
        for caller in made:
            caller.settimeout(20)
            caller.connect(server.getsockname())
        yield made


def receive(datagrams: Datagrams, room: int) -> tuple[list[tuple[bytes, Peer]], list[tuple[Any, Any]]]:
    calls: list[tuple[bytes, Peer]] = []
    origins: list[tuple[Any, Any]] = []
    datagrams.receive(room, calls, origins)
    return calls, origins


def test_more_datagrams_than_a_batch_has_each_get_their_own_reply(
    kind: Callable[[socket.socket], Datagrams], sock: socket.socket
) -> None:
    datagrams = kind(sock)
    with callers(sock, 3) as clients:
        sent = [(client, b"%d" % number * number) for number in range(2 * COUNT) for client in clients[number % 3 :]]
        for client, message in sent:
            client.send(message)
        calls, origins = receive(datagrams, 1000)
        assert [message for message, _ in calls] == [message for _, message in sent]
        assert [peer.port for _, peer in calls] == [client.getsockname()[1] for client, _ in sent]
        assert {peer.host for _, peer in calls} == {HOSTS[sock.family]}
        for (sink, origin), (message, _) in zip(origins, calls, strict=True):
            sink.reply(origin, [message, b"!"])
        datagrams.flush()
        assert [client.recv(1000) for client, _ in sent] == [message + b"!" for _, message in sent]


def test_no_more_is_taken_than_there_is_room_for(
    kind: Callable[[socket.socket], Datagrams], sock: socket.socket
) -> None:
    datagrams = kind(sock)
    with callers(sock, 1) as (client,):
        for number in range(COUNT + 8):
            client.send(b"%d" % number)
        taken = [len(receive(datagrams, room)[0]) for room in (3, COUNT + 2, 1000, 1000)]
    assert taken == [3, COUNT + 2, 3, 0]


def test_of_many_replies_only_what_fits_no_datagram_fails(
    kind: Callable[[socket.socket], Datagrams], sock: socket.socket
) -> None:
    datagrams = kind(sock)
    longest = 65507 if sock.family == socket.AF_INET else 65527
    with callers(sock, 4) as clients:
        for client in clients:
            client.send(XID)
        _, origins = receive(datagrams, 4)
        for (sink, origin), size in zip(origins, (10, longest + 1, longest, 70000), strict=True):
            sink.reply(origin, [XID, bytes(size - 4)])
        datagrams.flush()
        answers = [client.recv(70000) for client in clients]
    assert answers == [XID + bytes(6), SYSTEM_ERR, XID + bytes(longest - 4), SYSTEM_ERR]


def test_an_empty_datagram_is_a_message_too(kind: Callable[[socket.socket], Datagrams], sock: socket.socket) -> None:
    datagrams = kind(sock)
    with callers(sock, 1) as (client,):
        client.send(b"")
        calls, _ = receive(datagrams, 4)
    assert [message for message, _ in calls] == [b""]


@pytest.mark.parametrize("count", [1, PARTS, PARTS + 1, 10 * PARTS])
def test_a_reply_has_any_number_of_parts(
    kind: Callable[[socket.socket], Datagrams], sock: socket.socket, count: int
) -> None:
    datagrams = kind(sock)
    parts = [b"%d," % number for number in range(count)]
    with callers(sock, 1) as (client,):
        client.send(XID)
        _, ((sink, origin),) = receive(datagrams, 1)
        sink.reply(origin, parts)
        datagrams.flush()
        assert client.recv(10000) == b"".join(parts)
