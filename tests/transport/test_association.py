"""The UDP side of a client: what goes out and comes in through a socket with one peer."""

import errno
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nfsrpc.auth.base import PlainAuth
from nfsrpc.rpc.calls import CallTable, PendingCall
from nfsrpc.transport import association
from nfsrpc.transport.address import resolve
from nfsrpc.transport.association import Association, BatchedAssociation, SingleAssociation, connect
from nfsrpc.transport.batches import AVAILABLE, COUNT
from nfsrpc.transport.ping import null_procedure

KINDS = {"single": SingleAssociation, **({"batched": BatchedAssociation} if AVAILABLE else {})}
LONGEST = 65507


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(20)
        yield sock


@pytest.fixture
def client(server: socket.socket) -> Iterator[socket.socket]:
    """A socket connected to `server`."""
    (to,) = resolve(*server.getsockname(), socket.SOCK_DGRAM)
    with connect(to, ()) as sock:
        yield sock


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Callable[[socket.socket], Association]:
    return KINDS[request.param]


def calls(messages: list[bytes]) -> list[PendingCall]:
    """Calls that are these messages."""
    table, auth = CallTable(), PlainAuth((0, b""))
    made = table.open_all(null_procedure(1, 1), [()] * len(messages), lambda: auth, now=0.0, deadline=1.0)
    for call, message in zip(made, messages, strict=True):
        call.message = message
    return made


def receive(datagrams: Association, most: int) -> list[bytes]:
    messages: list[bytes] = []
    datagrams.receive(most, messages)
    return messages


def test_more_messages_than_a_batch_has_go_out_and_come_in(kind, server, client) -> None:
    datagrams = kind(client)
    messages = [b"%d" % number * number for number in range(2 * COUNT + 3)]
    assert datagrams.send(calls(messages)) == []
    assert [server.recv(65536) for _ in messages] == messages
    for message in messages:
        server.sendto(message, client.getsockname())
    assert receive(datagrams, 3) == messages[:3]
    assert receive(datagrams, COUNT + 2) == messages[3 : COUNT + 5]
    assert receive(datagrams, 1000) == messages[COUNT + 5 :]
    assert receive(datagrams, 1000) == []


def test_what_fits_no_datagram_is_named_and_the_rest_leaves(kind, server, client) -> None:
    messages = [b"a", bytes(LONGEST + 1), b"b" * LONGEST, bytes(70000), b"c"]
    made = calls(messages)
    failed = kind(client).send(made)
    assert [(call, error.errno) for call, error in failed] == [(made[1], errno.EMSGSIZE), (made[3], errno.EMSGSIZE)]
    assert [server.recv(65536) for _ in range(3)] == [b"a", b"b" * LONGEST, b"c"]


def test_what_fails_in_a_later_batch_is_named_as_well(kind, server, client) -> None:
    made = calls([b"a"] * (COUNT + 1) + [bytes(LONGEST + 1)])
    failed = kind(client).send(made)
    assert [call for call, _ in failed] == [made[-1]]
    assert [server.recv(10) for _ in range(COUNT + 1)] == [b"a"] * (COUNT + 1)


@pytest.mark.parametrize("count", [1, 2, 3, COUNT, COUNT + 1])
def test_that_nobody_is_there_is_told_by_the_next_look(kind, count, server, client) -> None:
    server.close()
    datagrams = kind(client)
    told = [error.errno for _, error in datagrams.send(calls([b"a"] * count))]
    try:
        assert receive(datagrams, 1) == []
    except ConnectionRefusedError as error:
        told.append(error.errno)
    assert told
    assert set(told) == {errno.ECONNREFUSED}
    assert receive(datagrams, 1) == []


def test_nothing_goes_where_the_socket_was_once_it_is_closed(kind, client) -> None:
    datagrams = kind(client)
    ours, theirs = socket.socketpair(type=socket.SOCK_DGRAM)
    number = client.fileno()
    client.close()
    with ours, theirs, socket.socket(fileno=os.dup2(ours.fileno(), number)):
        ((_, error),) = datagrams.send(calls([b"a"]))
        assert error.errno == errno.EBADF
        with pytest.raises(OSError, match="Bad file descriptor"):
            receive(datagrams, 1)
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(1)


@pytest.mark.interpreted
def test_what_a_stranger_sent_before_the_socket_was_connected_is_not_read(monkeypatch, server) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as stranger:
        made = association.open_socket

        def bound(*what: Any) -> socket.socket:
            sock = made(*what)
            sock.bind(("127.0.0.1", 0))
            for size in (0, 1, 100):
                stranger.sendto(bytes(size), sock.getsockname())
            return sock

        monkeypatch.setattr(association, "open_socket", bound)
        (to,) = resolve(*server.getsockname(), socket.SOCK_DGRAM)
        with connect(to, ()) as sock:
            server.sendto(b"reply", sock.getsockname())
            assert sock.recv(100) == b"reply"
