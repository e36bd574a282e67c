"""Headers that are known already: whoever sends one again is answered without asking the flavour, or asked again."""

import struct

import pytest

from nfsrpc.auth import NoneAuthenticator, SysAuthenticator
from nfsrpc.auth.none import ANONYMOUS
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
from nfsrpc.rpc import admission
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Peer
from nfsrpc.rpc.security import Accept

PEER = Peer("127.0.0.1", 1, "tcp")
SYS_BODY = struct.pack(">I I4s II I", 1, 4, b"host", 7, 8, 0)


def call(xid: int, procedure: int = 0, flavor: int = 0, body: bytes = b"", verifier: bytes = b"") -> bytes:
    head = struct.pack(">8I", xid, 0, 2, 9999, 2, procedure, flavor, len(body))
    return head + body + bytes(-len(body) % 4) + struct.pack(">2I", 0, len(verifier)) + verifier


class Files(FILEREADWRITE_2_service):
    def __init__(self) -> None:
        self.written: list[tuple[int, int, bytes]] = []

    def WRITE(self, arg, call):
        self.written.append((arg.f, arg.position, arg.data))

    def READ(self, arg, call):
        return b""


class Watched:
    """A flavour around another one that counts how often it is asked."""

    single_use = False

    def __init__(self, inner, lasting: bool) -> None:
        self._inner, self._lasting = inner, lasting
        self.flavor = inner.flavor
        self.asked = 0

    def accept(self, header, message, peer):
        self.asked += 1
        return Accept(self._inner.accept(header, message, peer).principal, lasting=self._lasting)


class Anybody:
    """Takes any credential, for good."""

    flavor, single_use = 1, False

    def __init__(self) -> None:
        self.lengths: list[int] = []

    def accept(self, header, message, peer):
        self.lengths.append(header.body)
        return Accept(ANONYMOUS, lasting=True)


def answers(dispatcher: Dispatcher, *messages: bytes, peer: Peer = PEER) -> list[bytes]:
    return [b"".join(reply) for reply in dispatcher.turn([(message, peer) for message in messages])]


@pytest.mark.parametrize(("flavor", "body"), [(NoneAuthenticator(), b""), (SysAuthenticator(), SYS_BODY)])
@pytest.mark.parametrize(("lasting", "asked"), [(True, 1), (False, 3)])
def test_a_flavour_is_asked_once_for_what_lasts(flavor, body, lasting, asked):
    watched = Watched(flavor, lasting)
    dispatcher = Dispatcher([Binding(Files())], [watched])
    replies = answers(dispatcher, *(call(xid, 0, flavor.flavor, body) for xid in (5, 6, 7)))
    assert replies == [struct.pack(">6I", xid, 1, 0, 0, 0, 0) for xid in (5, 6, 7)]
    assert watched.asked == asked


def test_arguments_begin_where_the_known_header_ends():
    files = Files()
    dispatcher = Dispatcher([Binding(files)], [SysAuthenticator()])
    for xid, data in ((1, b"abcd"), (2, b"wxyz")):
        arguments = struct.pack(">III4s", 3, 4 * (xid - 1), 4, data)
        answers(dispatcher, call(xid, 1, 1, SYS_BODY) + arguments)
    assert files.written == [(3, 0, b"abcd"), (3, 4, b"wxyz")]


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 5, 6, 7, 8, 399, 400])
def test_a_known_header_has_a_credential_of_any_length(size):
    files, anybody = Files(), Anybody()
    dispatcher = Dispatcher([Binding(files)], [anybody])
    head = call(0, 1, 1, b"c" * size)[4:]
    for xid in (7, 8):
        (reply,) = answers(dispatcher, struct.pack(">I", xid) + head + struct.pack(">III4s", 3, xid, 4, b"data"))
        assert reply == struct.pack(">6I", xid, 1, 0, 0, 0, 0)
    assert files.written == [(3, 7, b"data"), (3, 8, b"data")]
    assert anybody.lengths == [4 + len(head)]


NEAR = {
    "a verifier": call(9, verifier=b"four"),
    "another procedure": call(9, procedure=2),
    "a credential that none may have": call(9, body=b"four"),
    "an unknown flavour": call(9, flavor=77),
    "an end inside the verifier": call(9)[:-4],
    "an end inside the header": call(9)[:26],
    "arguments that a void procedure has not": call(9) + bytes(4),
    "a credential longer than any": call(9)[:28] + b"\x7f\xff\xff\xff" + bytes(12),
}


@pytest.mark.parametrize("message", NEAR.values(), ids=NEAR)
def test_what_resembles_a_known_header_is_answered_as_if_it_were_new(message):
    def fresh() -> Dispatcher:
        return Dispatcher([Binding(Files())], [NoneAuthenticator()])

    knowing = fresh()
    answers(knowing, call(1), call(2))
    assert knowing.turn([(message, PEER)]) == fresh().turn([(message, PEER)])


def test_a_caller_in_clear_text_does_not_come_in_behind_one_with_tls():
    dispatcher = Dispatcher([Binding(Files(), tls_required=True)], [NoneAuthenticator()])
    message = call(1, 2) + struct.pack(">III", 1, 0, 0)
    (inside,) = answers(dispatcher, message, peer=PEER._replace(tls=""))
    (outside,) = answers(dispatcher, message)
    assert inside[8:12] == bytes(4)
    assert outside[8:] == struct.pack(">3I", 1, 1, 5)  # MSG_DENIED, AUTH_ERROR, AUTH_TOOWEAK


def test_several_are_known_at_a_time():
    watched = Watched(SysAuthenticator(), lasting=True)
    dispatcher = Dispatcher([Binding(Files())], [watched])
    bodies = [struct.pack(">I I4s II I", 1, 4, b"host", uid, 8, 0) for uid in range(3)]
    for body in bodies * 2:
        answers(dispatcher, call(1, 0, 1, body))
    assert watched.asked == 3


@pytest.mark.interpreted
def test_so_many_are_known_and_no_more(monkeypatch):
    monkeypatch.setattr(admission, "_HEADS", 4)
    watched = Watched(SysAuthenticator(), lasting=True)
    dispatcher = Dispatcher([Binding(Files())], [watched])
    bodies = [struct.pack(">I I4s II I", 1, 4, b"host", uid, 8, 0) for uid in range(5)]
    for body in (*bodies, *bodies[:4], bodies[4]):
        answers(dispatcher, call(1, 0, 1, body))
    assert watched.asked == 5 + 4 + 1
