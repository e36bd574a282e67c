"""The UDP side: replies leave from the address that was asked, and one that no datagram can hold is told so."""

import errno
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import datagram_exchange
import pytest
from datagram_exchange import exchange
from in_threads import looping

from nfsrpc.transport.datagrams import datagrams
from nfsrpc.transport.endpoints import bind
from nfsrpc.transport.loop import Loop
from nfsrpc.transport.segments import bursts

EXCHANGE = datagram_exchange.__file__
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


def sizes(messages: list[list[bytes]]) -> list[list[int]]:
    return [[len(message) for message in burst] for burst in messages]


BURSTS = [
    ([96] * 4, 65507, [[96] * 4]),
    ([96, 96, 24, 24], 65507, [[96, 96, 24], [24]]),
    ([24, 96, 96], 65507, [[24], [96, 96]]),
    ([96] * 65, 65507, [[96] * 64, [96]]),
    ([30000] * 3, 65507, [[30000] * 2, [30000]]),
    ([8000, 8000, 96, 96], 1472, [[8000], [8000], [96, 96]]),
    ([96, 96], 0, [[96], [96]]),
    ([96, 0, 0, 96], 65507, [[96], [0], [0], [96]]),
    ([], 65507, []),
]


@pytest.mark.parametrize(("lengths", "longest", "expected"), BURSTS)
def test_what_leaves_at_once_is_of_one_size_and_the_last_may_be_shorter(
    lengths: list[int], longest: int, expected: list[list[int]]
) -> None:
    assert sizes(bursts([bytes(length) for length in lengths], longest)) == expected


@pytest.mark.parametrize(("host", "address"), CASES)
@pytest.mark.parametrize("lengths", [[96], [96] * 4, [96, 96, 24, 24, 96], [8192] * 4, [20000, 20000, 96, 96]])
def test_replies_of_one_turn_arrive_whole_and_in_order(host: str, address: str, lengths: list[int]) -> None:
    exchange(host, address, lengths)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="takes root, unshare and ip")
def test_replies_over_the_mtu_are_fragmented_as_ever() -> None:
    subprocess.run(["unshare", "--net", sys.executable, EXCHANGE, "1500"], check=True)


@pytest.mark.parametrize(("refusal", "tries"), [(errno.EINVAL, 1), (errno.EIO, 1), (errno.ENOBUFS, 2)])
def test_where_the_kernel_refuses_each_goes_by_itself(refusal: int, tries: int) -> None:
    """The refusal is all that is made up: devices that refuse are rare. What it says of sizes is remembered."""

    class Refused(socket.socket):
        asked = 0

        def sendmsg(self, *_: Any) -> int:
            self.asked += 1
            raise OSError(refusal, os.strerror(refusal))

    with Refused(socket.AF_INET, socket.SOCK_DGRAM) as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(20)
        source = datagrams(sock, wildcard=False)
        for _ in range(2):
            for at in range(3):
                source.reply(peer.getsockname(), [bytes([at]) * 96])
            source.flush()
            assert [peer.recv(96)[0] for _ in range(3)] == [0, 1, 2]
        assert sock.asked == tries
