"""AUTH_SHORT: shorthands given, used, refused and forgotten; by our client, libtirpc's and glibc's."""

from __future__ import annotations

import mmap
import struct
import subprocess

import pytest
from auth_peers import TIRPC, build, build_with, need_glibc
from whoami import WHO, Whoami, Whoserved

from nfsrpc.auth import IssuingSysAuthenticator, Rejected, ShortAuthenticator, Shorthands, SysCredential
from nfsrpc.auth.base import OpaqueAuth, Peer
from nfsrpc.protocols.rpc_msg import auth_stat
from nfsrpc.rpc.dispatch import Binding, Dispatcher
from nfsrpc.rpc.message import auth_refusal, encode_call
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp

PEER = Peer("192.0.2.1", 700, "udp")
USER = SysCredential(1000, 100, (7, 8), b"m")


def flavors(capacity: int = 16):
    shorthands = Shorthands(capacity)
    return [IssuingSysAuthenticator(shorthands), ShortAuthenticator(shorthands)]


class Memory:
    def __init__(self, capacity: int = 16) -> None:
        self.dispatcher = Dispatcher([Binding(Whoami())], flavors(capacity))

    def ask(self, credential: tuple[int, bytes], peer: Peer = PEER) -> bytes:
        message = encode_call(1, WHO.program, WHO.version, WHO.number, credential, (0, b""))
        (reply,) = self.dispatcher.turn([(message, peer)])
        return b"".join(reply)

    def shorthand(self, user: SysCredential = USER, peer: Peer = PEER) -> bytes:
        reply = self.ask(user.opaque(), peer)
        flavor, length, inner, inner_length = struct.unpack_from(">4I", reply, 12)
        assert (flavor, inner, length) == (2, 2, inner_length + 8)
        return reply[28 : 28 + inner_length]


def test_the_reply_verifier_holds_a_whole_opaque_auth_that_stands_for_the_credential() -> None:
    memory = Memory()
    token = memory.shorthand()
    assert b"sys sys:1000:100 1000 100 7,8" in memory.ask((2, token))
    assert memory.shorthand() == token


@pytest.mark.parametrize("other", [b"", b"\0" * 16, b"\0\0\0\1" + b"\xff" * 12, b"\xff" * 16, b"x" * 400])
def test_what_was_not_issued_is_rejected(other: bytes) -> None:
    memory = Memory()
    memory.shorthand()
    assert auth_refusal(memory.ask((2, other))) == auth_stat.AUTH_REJECTEDCRED


def test_a_shorthand_is_good_for_the_host_it_was_given_to_from_any_port() -> None:
    memory = Memory()
    token = memory.shorthand()
    assert auth_refusal(memory.ask((2, token), Peer("192.0.2.2", 700, "udp"))) == auth_stat.AUTH_REJECTEDCRED
    assert b"sys:1000" in memory.ask((2, token), Peer("192.0.2.1", 1, "tcp"))


def test_no_bit_of_a_shorthand_can_be_changed() -> None:
    memory = Memory()
    token = memory.shorthand()
    for bit in range(128):
        flipped = bytearray(token)
        flipped[bit // 8] ^= 1 << bit % 8
        assert auth_refusal(memory.ask((2, bytes(flipped)))) == auth_stat.AUTH_REJECTEDCRED


def test_the_table_is_bounded_and_whoever_lost_his_shorthand_gets_another() -> None:
    shorthands = Shorthands(4)
    tokens = [shorthands.issue("h", bytes([user])) for user in range(6)]
    assert [shorthands.find("h", token) for token in tokens] == [None, None, b"\2", b"\3", b"\4", b"\5"]
    memory = Memory(capacity=1)
    first = memory.shorthand()
    memory.shorthand(SysCredential(1, 1, (), b""))
    assert memory.shorthand() not in (first, b"")


@pytest.mark.parametrize("connect", [connect_udp, connect_tcp])
@pytest.mark.parametrize("workers", [1, 2])
def test_our_client_takes_a_shorthand_and_every_worker_knows_it(connect, workers) -> None:
    with Whoserved(flavors(), workers) as served, connect("127.0.0.1", served.port, credential=USER) as client:
        assert client.call(WHO, ()) == b"sys sys:1000:100 1000 100 7,8"
        call = client.submit(WHO, ())
        assert call.auth.credential[0] == 2
        assert client.wait(call) == b"sys sys:1000:100 1000 100 7,8"
        for _ in range(8):  # other source ports: other workers
            with connect("127.0.0.1", served.port, credential=USER) as other:
                other._session.take(call.auth.credential[1])
                again = other.submit(WHO, ())
                assert other.wait(again).startswith(b"sys sys:1000")
                assert again.auth.credential[0] == 2


def test_our_client_falls_back_to_the_full_credential() -> None:
    with Whoserved(flavors()) as served, connect_udp("127.0.0.1", served.port, credential=USER) as client:
        client._session.take(b"never issued")
        call = client.submit(WHO, ())
        assert call.auth.credential == (2, b"never issued")
        xid = call.xid
        assert client.wait(call).startswith(b"sys sys:1000")
        assert (call.auth.credential[0], call.xid) == (1, xid)


@pytest.mark.parametrize(
    ("verifier", "used"),
    [
        (struct.pack(">2I", 2, 8) + b"SHORTHND", b"SHORTHND"),
        (struct.pack(">2I", 2, 5) + b"SHORT\0\0\0", b"SHORT"),
        (b"SHORTHND", b"SHORTHND"),
        (b"SHORTHANDSHORTHAND", b"SHORTHANDSHORTHAND"),
    ],
)
def test_both_forms_of_the_reply_verifier_are_taken(verifier: bytes, used: bytes) -> None:
    session = USER.session("host")
    session.begin().check(OpaqueAuth(2, verifier))
    assert session.begin().credential == (2, used)


@pytest.fixture(scope="module", params=["libtirpc", "glibc"])
def c_client(request, tmp_path_factory):
    directory = tmp_path_factory.mktemp("short")
    if request.param == "glibc":
        need_glibc()
        return build(directory, "short_client.c", "-DGLIBC")
    return build_with(directory, "short_client.c", TIRPC, "short_client_tirpc")


class Counting(ShortAuthenticator):
    """Counts, across processes, the shorthands that come; every third one it no longer knows if it is `forgetful`."""

    def __init__(self, shorthands: Shorthands, forgetful: bool) -> None:
        super().__init__(shorthands)
        self._count = mmap.mmap(-1, 1)
        self._forgetful = forgetful

    @property
    def count(self) -> int:
        return self._count[0]

    def accept(self, header, message, peer):
        self._count[0] += 1
        if self._forgetful and self.count % 3 == 0:
            raise Rejected(auth_stat.AUTH_REJECTEDCRED)
        return super().accept(header, message, peer)


@pytest.mark.parametrize("forgetful", [False, True])
@pytest.mark.parametrize("workers", [1, 2])
def test_c_clients_use_our_shorthand_and_recover_from_its_refusal(c_client, workers: int, forgetful: bool) -> None:
    shorthands = Shorthands(16)
    short = Counting(shorthands, forgetful)
    with Whoserved([IssuingSysAuthenticator(shorthands), short], workers) as served:
        command = [str(c_client), str(served.port), "8"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(lines := done.stdout.splitlines()) == 8
    assert set(lines) == {lines[0]}
    assert short.count == 7
