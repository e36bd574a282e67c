"""The UDP side: replies leave from the address that was asked, and one that no datagram can hold is told so."""

import socket
import struct
from collections.abc import Iterator

import pytest
from in_threads import looping

from nfsrpc.transport.endpoints import bind
from nfsrpc.transport.loop import Loop

XID = b"\1\2\3\4"
SYSTEM_ERR = XID + struct.pack(">5I", 1, 0, 0, 0, 5)


@pytest.fixture
def echo(request: pytest.FixtureRequest) -> Iterator[int]:
    """The port of a loop on the host given as parameter that answers each message with 1000 times itself."""
    (endpoint,) = bind(request.param, 0)
    with looping(Loop([endpoint], lambda batch: [[message, message * 999] for message, _ in batch])):
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
