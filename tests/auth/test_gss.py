"""RPCSEC_GSS: our client and server with a real KDC, and what the server answers to everything that is wrong."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from kerberos import REALM, Realm
from whoami import ECHO, WHO, Whoami, Whoserved

from nfsrpc.auth.base import Peer
from nfsrpc.auth.gss import GssCredential, GssSession
from nfsrpc.auth.gss_library import GssFailed
from nfsrpc.auth.gss_server import GssAuthenticator
from nfsrpc.auth.gss_unclaimed import UnclaimedContexts
from nfsrpc.auth.gss_wire import GssCredentialBody, opaque, word
from nfsrpc.auth.idmap import IdMap, Unix
from nfsrpc.protocols import rpcsec_gss as gss
from nfsrpc.rpc.dispatch import Binding, Dispatcher
from nfsrpc.rpc.errors import AuthRefused
from nfsrpc.rpc.later import Later
from nfsrpc.rpc.message import auth_bytes, auth_refusal, call_head, decode_reply
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.xdr import decode

gssapi = pytest.importorskip("gssapi", reason="needs python-gssapi")

PEER = Peer("192.0.2.1", 700, "udp")
ALICE = f"alice@{REALM}"
BOB = f"bob@{REALM}"
IDMAP = IdMap({ALICE: Unix(1000, 100, (7, 8))})
CREDPROBLEM, CTXPROBLEM = 13, 14
CONTINUE_NEEDED = 1


@pytest.mark.parametrize("connect", [connect_udp, connect_tcp])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("security", ["krb5", "krb5i", "krb5p"])
def test_both_halves(realm: Realm, connect, workers: int, security: str) -> None:
    with Whoserved([GssAuthenticator(IDMAP)], workers) as served:
        for _ in range(4):  # other source ports: other workers
            with connect("localhost", served.port, credential=GssCredential(security)) as client:
                assert client.call(WHO, ()).decode() == f"{security} gss:{ALICE} 1000 100 7,8"
                calls = [client.submit(ECHO, (bytes([number]) * number * 7,)) for number in range(30)]
                assert [client.wait(call) for call in calls] == [bytes([n]) * n * 7 for n in range(30)]


def test_the_unmapped_are_nobody(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5CCNAME", realm.cache("bob"))
    with (
        Whoserved([GssAuthenticator(IDMAP)]) as served,
        connect_tcp("localhost", served.port, credential=GssCredential()) as client,
    ):
        assert client.call(WHO, ()).decode() == f"krb5 gss:{BOB} None None "


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_that_forgot_the_context_gets_another(realm: Realm, workers: int) -> None:
    with (
        Whoserved([GssAuthenticator(IDMAP)], workers) as served,
        connect_udp("localhost", served.port, credential=GssCredential("krb5p")) as client,
    ):
        client.call(WHO, ())
        session = client._session
        for number in range(6):  # through other workers, whose context it is not
            with connect_udp("localhost", served.port, credential=GssCredential("krb5p")) as other:
                other._session = session
                if workers == 1:
                    session._context.handle = bytes([number]) * 16
                assert other.call(WHO, ()).startswith(b"krb5p gss:alice")
                other._session = GssCredential().session("localhost")


def test_the_second_version_falls_back_to_the_first(realm: Realm) -> None:
    with (
        Whoserved([GssAuthenticator(IDMAP)]) as served,
        connect_tcp("localhost", served.port, credential=GssCredential("krb5i", version=2)) as client,
    ):
        assert client.call(WHO, ()).startswith(b"krb5i")
        assert client._session._version == 1


def test_the_end_of_the_sequence_numbers_is_a_new_context(realm: Realm) -> None:
    with (
        Whoserved([GssAuthenticator(IDMAP)]) as served,
        connect_tcp("localhost", served.port, credential=GssCredential()) as client,
    ):
        client.call(WHO, ())
        first = client._session._context
        first.sequence = (1 << 31) - 2  # one more call, one for the end of the context
        assert client.call(WHO, ()).startswith(b"krb5")
        assert client._session._context is first
        assert client.call(WHO, ()).startswith(b"krb5")
        assert client._session._context is not first


def test_expired_contexts_are_made_anew(realm: Realm) -> None:
    clock = [0.0]
    with (
        Whoserved([GssAuthenticator(IDMAP)]) as served,
        connect_tcp("localhost", served.port, credential=GssCredential(clock=lambda: clock[0])) as client,
    ):
        client.call(WHO, ())
        first = client._session._context
        clock[0] = 1e6
        client.call(WHO, ())
        assert client._session._context is not first


def test_a_server_whose_contexts_never_live_is_given_up(realm: Realm) -> None:
    with (
        Whoserved([GssAuthenticator(IDMAP, lifetime=0.0)]) as served,
        connect_tcp("localhost", served.port, credential=GssCredential()) as client,
        pytest.raises(AuthRefused) as refused,
    ):
        client.call(WHO, ())
    assert refused.value.stat == CREDPROBLEM


def test_refusals_have_words(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    with Whoserved([GssAuthenticator(IDMAP)]) as served:
        with (
            connect_tcp("localhost", served.port, credential=GssCredential(service="ftp")) as client,
            pytest.raises(GssFailed, match=r"ftp@localhost.*not found in Kerberos database"),
        ):
            client.call(WHO, ())
        with (
            connect_tcp("localhost", served.port, credential=GssCredential(service="host")) as client,
            pytest.raises(GssFailed, match="the server refused the context for host@localhost"),
        ):
            client.call(WHO, ())
        monkeypatch.setenv("KRB5CCNAME", f"FILE:{realm.directory}/nothing")
        with (
            connect_tcp("localhost", served.port, credential=GssCredential()) as client,
            pytest.raises(GssFailed, match=r"(?i)no (credentials cache|kerberos)"),
        ):
            client.call(WHO, ())


# --- message by message ----------------------------------------------------------------


class Raw:
    """A server in memory, and contexts with it whose every byte is ours to choose."""

    def __init__(self, **options) -> None:
        self.flavor = GssAuthenticator(IDMAP, **options)
        self.dispatcher = Dispatcher([Binding(Whoami())], [self.flavor])
        self.xid = 0

    def send(self, message: bytes, peer: Peer = PEER) -> bytes:
        (reply,) = self.dispatcher.turn([(message, peer)])
        if type(reply) is Later:
            reply = reply.wait(60)
        return b"" if reply is None else b"".join(reply)

    def message(self, body: bytes, verifier, args: bytes = b"", procedure: int = 1) -> bytes:
        self.xid += 1
        head = call_head(self.xid, WHO.program, WHO.version, procedure, (6, body))
        flavor, proof = verifier(head) if callable(verifier) else verifier
        return head + auth_bytes((flavor, proof)) + args

    def init(self, token: bytes, kind: int = 1, handle: bytes = b"", verifier=(0, b""), procedure: int = 0, version=1):
        body = GssCredentialBody(version, kind, 0, 1, handle).encode()
        return self.send(self.message(body, verifier, opaque(token), procedure))


def initiator(flags):
    """The library's half of a context with the server."""
    return gssapi.SecurityContext(
        name=gssapi.Name("nfs@localhost", gssapi.NameType.hostbased_service),
        usage="initiate",
        mech=gssapi.MechType.kerberos,
        flags=flags,
    )


THREE_MESSAGES = gssapi.RequirementFlag.mutual_authentication | gssapi.RequirementFlag.dce_style
"""With these, Kerberos sends a third message: the server has to say CONTINUE_NEEDED after the first."""


def init_result(reply: bytes) -> tuple[bytes, int, int, bytes]:
    """Handle, major status, window and token."""
    result = decode(gss.decode_rpc_gss_init_res, reply[decode_reply(reply).body :])
    return result.handle, result.gss_major, result.seq_window, result.gss_token


class Party:
    """One principal's context with a `Raw` server."""

    def __init__(self, raw: Raw) -> None:
        self.raw = raw
        self.security = initiator(gssapi.RequirementFlag.mutual_authentication)
        reply = raw.init(self.security.step())
        self.handle, major, self.window, token = init_result(reply)
        assert major == 0
        self.security.step(token)
        self.security.verify_signature(word(self.window), decode_reply(reply).verifier.body)

    def mic(self, head: bytes) -> tuple[int, bytes]:
        return 6, self.security.get_signature(head)

    def message(
        self, sequence: int, *, service=1, kind=0, handle=None, verifier=None, args=b"", procedure=1, version=1
    ) -> bytes:
        body = GssCredentialBody(version, kind, sequence, service, self.handle if handle is None else handle).encode()
        return self.raw.message(body, verifier or self.mic, args, procedure)

    def call(self, sequence: int, **what) -> bytes:
        return self.raw.send(self.message(sequence, **what))

    def signed(self, sequence: int, args: bytes = b"") -> bytes:
        body = word(sequence) + args
        return opaque(body) + opaque(self.security.get_signature(body))

    def encrypted(self, sequence: int, args: bytes = b"", conf: bool = True) -> bytes:
        return opaque(self.security.wrap(word(sequence) + args, conf).message)


@pytest.fixture
def raw(realm: Realm) -> Raw:
    return Raw()


@pytest.fixture
def party(raw: Raw) -> Party:
    return Party(raw)


def answered(reply: bytes) -> bool:
    return bool(reply) and auth_refusal(reply) is None and b"gss:alice" in reply


def test_each_sequence_number_is_taken_once_within_the_window(party: Party) -> None:
    for sequence in (1, 3, 2, 200, 73, 74, 100):
        assert answered(party.call(sequence)), sequence
    for sequence in (1, 3, 2, 200, 73, 100, 72, 0):
        assert party.call(sequence) == b"", sequence
    assert answered(party.call(99))


def test_the_window_is_an_option(realm: Realm) -> None:
    party = Party(Raw(window=4))
    assert party.window == 4
    assert answered(party.call(10))
    assert answered(party.call(7))
    assert party.call(6) == b""


def test_the_same_bytes_get_the_same_reply_there_and_silence_elsewhere(party: Party) -> None:
    message = party.message(1)
    first = party.raw.send(message)
    assert answered(first)
    assert party.raw.send(message) == first
    assert party.raw.send(message, PEER._replace(port=701)) == b""
    assert party.raw.send(message, PEER._replace(host="192.0.2.2")) == b""


def test_the_largest_sequence_number(party: Party) -> None:
    assert auth_refusal(party.call(0x80000001)) == CTXPROBLEM
    assert auth_refusal(party.call(0xFFFFFFFF)) == CTXPROBLEM
    assert answered(party.call(0x80000000))
    assert party.call(1) == b""


@pytest.mark.parametrize(
    "what",
    [
        {"verifier": (6, b"")},
        {"verifier": (0, b"")},
        {"verifier": (6, bytes(28))},
        {"handle": b""},
        {"handle": bytes(16)},
        {"handle": b"\xff" * 4},
        {"handle": b"\xff" * 300},
    ],
)
def test_calls_without_a_context_are_credential_problems(party: Party, what) -> None:
    assert auth_refusal(party.call(1, **what)) == CREDPROBLEM
    assert answered(party.call(1))


def test_a_signature_over_other_bytes_is_none(party: Party) -> None:
    for change in (lambda head: head + b"x", lambda head: head[:-4], lambda head: b"\0" * 4 + head[4:]):
        reply = party.call(1, verifier=lambda head, change=change: party.mic(change(head)))
        assert auth_refusal(reply) == CREDPROBLEM
    for cut in range(28):
        reply = party.call(1, verifier=lambda head, cut=cut: (6, party.mic(head)[1][:cut]))
        assert auth_refusal(reply) == CREDPROBLEM, cut
    signed = party.message(1)
    for bit in range(0, 8 * len(signed), 7):
        if 32 <= bit < 96 or 192 <= bit < 256:
            continue  # message type and RPC version; flavour and length of the credential: other refusals
        changed = bytearray(signed)
        changed[bit // 8] ^= 1 << bit % 8
        reply = party.raw.send(bytes(changed))
        assert auth_refusal(reply) in (1, 3, CREDPROBLEM), bit
    assert answered(party.raw.send(signed))


def test_a_context_belongs_to_its_principal(party: Party, realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KRB5CCNAME", realm.cache("bob"))
    bob = Party(party.raw)
    assert f"gss:{BOB}".encode() in bob.call(1)
    assert auth_refusal(bob.call(2, handle=party.handle)) == CREDPROBLEM
    assert auth_refusal(bob.call(2, verifier=party.mic)) == CREDPROBLEM
    assert answered(party.call(1))


@pytest.mark.parametrize(
    ("what", "stat"),
    [
        ({"version": 2}, 1),
        ({"version": 3}, 1),
        ({"version": 0}, 1),
        ({"service": 0}, 1),
        ({"service": 4}, 1),
        ({"service": 9}, 1),
        ({"kind": 4}, 1),
        ({"kind": 7}, 1),
        ({"kind": 3, "procedure": 1}, 7),
        ({"kind": 3, "procedure": 0, "verifier": (6, b"")}, CREDPROBLEM),
        ({"kind": 3, "procedure": 0, "verifier": (0, b"")}, CREDPROBLEM),
    ],
)
def test_credentials_that_mean_nothing(party: Party, what, stat: int) -> None:
    assert auth_refusal(party.call(1, **what)) == stat
    assert answered(party.call(2))


@pytest.mark.parametrize("cut", range(1, 37))
def test_truncated_credentials(party: Party, cut: int) -> None:
    body = GssCredentialBody(1, 0, 1, 1, party.handle).encode()[:-cut]
    assert auth_refusal(party.raw.send(party.raw.message(body, party.mic))) == 1


def test_destroy_ends_a_context_and_only_with_its_signature(party: Party) -> None:
    reply = party.call(1, kind=3, procedure=0)
    party.security.verify_signature(word(1), decode_reply(reply).verifier.body)
    assert len(reply) == decode_reply(reply).body
    assert auth_refusal(party.call(2)) == CREDPROBLEM
    assert party.raw.flavor.contexts == 0


def accept_stat(reply: bytes) -> int:
    at = 20 + (struct.unpack_from(">I", reply, 16)[0] + 3) // 4 * 4
    return struct.unpack_from(">I", reply, at)[0]


def test_bodies_that_were_tampered_with_are_garbage(party: Party) -> None:
    good = party.signed(1)
    assert accept_stat(party.call(1, service=2, args=good)) == 0
    wrong = [
        (2, lambda n: party.signed(n + 1)),
        (2, lambda n: party.signed(n)[:-1]),
        (2, lambda n: party.signed(n) + bytes(4)),
        (2, lambda n: opaque(word(n) + b"more") + opaque(party.security.get_signature(word(n)))),
        (2, lambda n: opaque(word(n)) + opaque(b"")),
        (2, lambda n: opaque(b"") + opaque(party.security.get_signature(b""))),
        (2, lambda n: b""),
        (2, lambda n: b"\xff\xff\xff\xff"),
        (2, party.encrypted),
        (3, lambda n: party.encrypted(n + 1)),
        (3, lambda n: party.encrypted(n, conf=False)),
        (3, lambda n: party.encrypted(n)[:-4]),
        (3, lambda n: party.encrypted(n) + bytes(4)),
        (3, party.signed),
        (3, lambda n: opaque(b"abcd")),
        (3, lambda n: b""),
    ]
    for number, (service, args) in enumerate(wrong, 2):
        reply = party.call(number, service=service, args=args(number))
        assert accept_stat(reply) == 4, number
    assert answered_sealed(party, 50)


def answered_sealed(party: Party, sequence: int) -> bool:
    reply = party.call(sequence, service=3, args=party.encrypted(sequence))
    at = decode_reply(reply).body
    (length,) = struct.unpack_from(">I", reply, at)
    plain = party.security.unwrap(reply[at + 4 : at + 4 + length]).message
    return plain[:4] == word(sequence) and b"krb5p gss:alice" in plain


def test_nothing_readable_travels_with_privacy(party: Party) -> None:
    secret = b"a secret that nobody else may read"
    args = party.encrypted(1, opaque(secret))
    message = party.message(1, service=3, args=args, procedure=2)
    assert secret not in message
    assert secret not in party.raw.send(message)


def test_a_context_may_take_more_than_one_exchange(raw: Raw) -> None:
    security = initiator(THREE_MESSAGES)
    reply = raw.init(security.step())
    handle, major, _, token = init_result(reply)
    assert (major, len(handle), decode_reply(reply).verifier) == (CONTINUE_NEEDED, 16, (0, b""))
    assert raw.flavor.contexts == 1
    body = GssCredentialBody(1, 0, 1, 1, handle).encode()
    early = raw.message(body, lambda head: (6, bytes(28)))
    assert auth_refusal(raw.send(early)) == CREDPROBLEM
    reply = raw.init(security.step(token), 2, handle)
    again, major, window, token = init_result(reply)
    assert (again, major, token) == (handle, 0, b"")
    security.verify_signature(word(window), decode_reply(reply).verifier.body)
    assert answered(raw.send(raw.message(body, lambda head: (6, security.get_signature(head)))))


@pytest.mark.parametrize("connect", [connect_udp, connect_tcp])
@pytest.mark.parametrize("workers", [1, 2])
def test_our_client_goes_on_as_long_as_the_server_says(
    realm: Realm, monkeypatch: pytest.MonkeyPatch, connect, workers: int
) -> None:
    monkeypatch.setattr(GssSession, "_initiator", lambda self: initiator(THREE_MESSAGES))
    with (
        Whoserved([GssAuthenticator(IDMAP)], workers) as served,
        connect("localhost", served.port, credential=GssCredential("krb5i")) as client,
    ):
        assert client.call(WHO, ()).decode() == f"krb5i gss:{ALICE} 1000 100 7,8"


def test_a_thousand_callers_who_never_finish_take_no_room_from_those_who_did(realm: Realm) -> None:
    raw = Raw(contexts=64, per_peer=16)
    party = Party(raw)
    assert answered(party.call(1))
    token = initiator(THREE_MESSAGES).step()
    for number in range(1000):
        body = GssCredentialBody(1, 1, 0, 1, b"").encode()
        message = raw.message(body, (0, b""), opaque(token), 0)
        host = PEER.host if number % 2 else f"192.0.2.{number % 200}"
        assert init_result(raw.send(message, PEER._replace(host=host)))[1] == CONTINUE_NEEDED
        assert raw.flavor.contexts <= 64
    assert answered(party.call(2))
    assert answered(Party(raw).call(1))


def test_steps_that_wait_for_a_thread_are_bounded(raw: Raw) -> None:
    """Whoever comes when there is no room gets silence, and is served when he asks again."""
    go = Event()
    raw.flavor._threads = ThreadPoolExecutor(1)
    raw.flavor._threads.submit(go.wait)
    token = initiator(THREE_MESSAGES).step()
    body = GssCredentialBody(1, 1, 0, 1, b"").encode()
    messages = [(raw.message(body, (0, b""), opaque(token), 0), PEER) for _ in range(400)]
    replies = raw.dispatcher.turn(messages)
    waiting = [reply for reply in replies if type(reply) is Later]
    assert (len(waiting), replies.count(None)) == (256, 144)
    go.set()
    assert [init_result(b"".join(reply.wait(60)))[1] for reply in waiting] == [CONTINUE_NEEDED] * 256
    assert answered(Party(raw).call(1))


def test_a_context_takes_one_step_at_a_time(raw: Raw) -> None:
    security = initiator(THREE_MESSAGES)
    handle, _, _, token = init_result(raw.init(security.step()))
    body = GssCredentialBody(1, 2, 0, 1, handle).encode()
    token = security.step(token)
    messages = [(raw.message(body, (0, b""), opaque(token), 0), PEER) for _ in range(2)]
    first, second = raw.dispatcher.turn(messages)
    assert init_result(b"".join(first.wait(60)))[1] == 0
    assert second is None


@pytest.mark.parametrize("token", [b"", b"garbage!", b"\x60\x03abc", bytes(2000), bytes(70000)])
def test_broken_tokens_are_told_the_status_and_leave_nothing_behind(raw: Raw, token: bytes) -> None:
    handle, major, _, _ = init_result(raw.init(token))
    assert handle == b""
    assert major not in (0, CONTINUE_NEEDED)
    assert raw.flavor.contexts == 0


@pytest.mark.parametrize(
    ("what", "stat"),
    [
        ({"kind": 2, "handle": bytes(16)}, CREDPROBLEM),
        ({"kind": 1, "handle": bytes(16)}, 1),
        ({"procedure": 1}, 7),
        ({"verifier": (6, b"x")}, 3),
        ({"version": 2}, 1),
    ],
)
def test_context_set_up_that_is_refused(raw: Raw, what, stat: int) -> None:
    assert auth_refusal(raw.init(b"token", **what)) == stat
    assert raw.flavor.contexts == 0


def test_half_made_contexts_go_first(realm: Realm) -> None:
    raw = Raw(contexts=64, per_peer=16)
    party, new = Party(raw), Party(raw)
    assert answered(party.call(1))
    for number in range(1000):
        raw.flavor._table.open(f"192.0.2.{number % 200}", 60.0)
        assert raw.flavor.contexts <= 64
    assert answered(party.call(2))
    for _ in range(1000):
        raw.flavor._table.open(PEER.host, 60.0)
    assert answered(party.call(3))
    assert answered(new.call(1))


def test_contexts_of_one_host_are_bounded_the_oldest_goes_first(realm: Realm) -> None:
    raw = Raw(per_peer=2)
    parties = [Party(raw) for _ in range(3)]
    for party in parties:
        assert answered(party.call(1))
    assert auth_refusal(parties[0].call(2)) == CREDPROBLEM
    assert answered(parties[1].call(2))
    assert answered(parties[2].call(2))
    assert raw.flavor.contexts == 2


class Worker:
    """A worker beside that of `raw`, as if both had been forked from one process."""

    def __init__(self, raw: Raw) -> None:
        self.flavor = GssAuthenticator(IDMAP)
        self.flavor._unclaimed = raw.flavor._unclaimed
        self.dispatcher = Dispatcher([Binding(Whoami())], [self.flavor])

    send = Raw.send


def test_a_new_context_belongs_to_the_worker_that_gets_its_first_call(raw: Raw) -> None:
    """rpc.gssd of Linux sets a context up over one connection, the kernel calls over another."""
    other, party = Worker(raw), Party(raw)
    assert (raw.flavor.contexts, other.flavor.contexts) == (0, 0)
    message = party.message(1)
    assert answered(other.send(message))
    assert auth_refusal(raw.send(message)) == CREDPROBLEM  # so no message is good in two workers
    assert auth_refusal(party.call(2)) == CREDPROBLEM
    assert answered(other.send(party.message(3)))
    assert (raw.flavor.contexts, other.flavor.contexts) == (0, 1)


def test_a_new_context_cannot_be_taken_without_its_key(raw: Raw) -> None:
    other, party = Worker(raw), Party(raw)
    for verifier in ((6, bytes(28)), (6, b""), (0, b"")):
        assert auth_refusal(other.send(party.message(1, verifier=verifier))) == CREDPROBLEM
    assert other.flavor.contexts == 0
    assert answered(party.call(1))


def test_contexts_without_a_call_are_bounded_the_oldest_goes_first(realm: Realm) -> None:
    raw = Raw()
    raw.flavor._unclaimed = UnclaimedContexts(2)
    parties = [Party(raw) for _ in range(3)]
    assert [answered(party.call(1)) for party in parties] == [False, True, True]
    assert auth_refusal(parties[0].call(2)) == CREDPROBLEM


def test_an_identity_that_is_too_large_to_pass_on_stays_with_its_worker(realm: Realm) -> None:
    raw = Raw()
    many = tuple(range(70000, 71000))
    raw.flavor._idmap = IdMap({ALICE: Unix(1000, 100, many)})
    party = Party(raw)
    assert raw.flavor.contexts == 1
    assert b"1000 100 70000,70001" in party.call(1)


def test_contexts_end_with_their_time(realm: Realm) -> None:
    clock = [0.0]
    raw = Raw(lifetime=10.0, clock=lambda: clock[0])
    party = Party(raw)
    clock[0] = 9.9
    assert answered(party.call(1))
    clock[0] = 10.0
    assert auth_refusal(party.call(2)) == CREDPROBLEM
    assert raw.flavor.contexts == 0
