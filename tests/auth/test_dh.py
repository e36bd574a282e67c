"""AUTH_DH: vectors of other implementations, the server's table of answers, and both halves against each other."""

from __future__ import annotations

import struct

import pytest
from whoami import ECHO, WHO, Whoami, Whoserved

pytest.importorskip("Crypto", reason="needs pycryptodome")

from nfsrpc.auth import des
from nfsrpc.auth.base import Peer
from nfsrpc.auth.conversations import Conversation, Conversations
from nfsrpc.auth.dh import DhAuthenticator, DhCredential
from nfsrpc.auth.idmap import IdMap, Unix
from nfsrpc.auth.keys import OwnKeys, PublicKey, PublicKeyFile, UnknownNetname
from nfsrpc.rpc.dispatch import Binding, Dispatcher
from nfsrpc.rpc.errors import AuthRefused
from nfsrpc.rpc.message import auth_refusal, decode_reply, encode_call
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp

SECRET = {"unix.1000@example.com": "1" * 48, "unix.vm@example.com": "2" * 48, "unix.3999999999@example.com": "3" * 48}
USER, SERVER, OTHER = SECRET
PUBLIC = {name: des.public_of(secret) for name, secret in SECRET.items()}
KEY = bytes.fromhex("0123456789abcdef")
PEER = Peer("192.0.2.1", 700, "udp")
NOW = 0x4B3D3D3D


def public(netname: str) -> str:
    try:
        return PUBLIC[netname]
    except KeyError:
        raise UnknownNetname(netname) from None


SERVER_KEYS = OwnKeys(SECRET[SERVER], public)
IDMAP = IdMap({USER: Unix(1000, 100, (7, 8))})


# --- vectors: glibc's code, and OpenSSL's arithmetic -----------------------------------


@pytest.mark.parametrize(
    ("secret_a", "public_a", "secret_b", "public_b", "key", "encrypted"),
    [
        ("1" * 48, "72a35e16833a03d9b6cffe82c4f6bcfc7907e660ed58d140", "2" * 48,
         "5e7ee71f70f44572d5d98a61e482ab9814314651b13c4967", "46582001734a5d70", "ba6c08d7e3a38a04"),
        ("0123456789abcdef" * 3, "0893b637888aaa67c2507a72dce1d4107d4523d579cbb14a", "fedcba9876543210" * 3,
         "1601d46157191776898448d9150246a1fa2261be90e1fe83", "79687c49680b510b", "8acf43ca59c5f0fa"),
        (f"{2:048x}", f"{9:048x}", f"{3:048x}", f"{27:048x}", "0101010101010101", "617b3a0ce8f07100"),
    ],
)  # fmt: skip
def test_public_and_common_keys(secret_a, public_a, secret_b, public_b, key, encrypted) -> None:
    assert (des.public_of(secret_a), des.public_of(secret_b)) == (public_a, public_b)
    assert des.common_key(secret_a, public_b).hex() == des.common_key(secret_b, public_a).hex() == key
    assert des.ecb_encrypt(bytes.fromhex(key), KEY).hex() == encrypted


@pytest.mark.parametrize(
    ("given", "parity"), [("00020406080a0c0e", "01020407080b0d0e"), ("80fffe7f7ee6c0aa", "017f7f7f7f67402a")]
)
def test_parity_loses_the_top_bit(given: str, parity: str) -> None:
    assert des.set_parity(bytes.fromhex(given)).hex() == parity


def test_the_ciphers() -> None:
    assert des.ecb_encrypt(KEY, bytes(range(8))).hex() == "3260266c2cf202e2"
    plain = struct.pack(">4I", NOW, 123456, 60, 59)
    sealed = des.cbc_encrypt(KEY, plain)
    assert sealed.hex() == "144352da3a8ab06a470991e688a68b75"
    assert des.cbc_decrypt(KEY, sealed) == plain
    assert des.ecb_decrypt(KEY, bytes.fromhex("f8d4f4e1c59921d3")) == struct.pack(">2I", NOW - 1, 123456)


@pytest.mark.parametrize(
    ("password", "key"),
    [
        (b"secret", "674a46644a680101"),
        (b"rpc", "6461460101010101"),
        (b"longer than eight characters", "585e5d4f4a644068"),
    ],
)
def test_keys_of_passwords(password: bytes, key: str) -> None:
    assert des.password_key(password).hex() == key


def test_bsd_folds_a_long_password_and_its_files_are_read_all_the_same() -> None:
    long = b"longer than eight characters"
    assert des.wrapping_password_key(long).hex() == "0816233843524c7f"
    secret = "0123456789abcdef" * 3
    theirs = des.cbc_encrypt(des.wrapping_password_key(long), bytes.fromhex(secret + secret[:16])).hex()
    assert des.decrypt_secret(theirs, long) == secret


def test_secret_keys_under_a_password() -> None:
    secret = "0123456789abcdef" * 3
    encrypted = des.encrypt_secret(secret, b"secret")
    assert encrypted == "891398c8722530988a76f251ca8bcc255d9bc24b74839a57bf7dc782b4933e97"
    assert des.decrypt_secret(encrypted, b"secret") == secret
    assert des.decrypt_secret(encrypted, b"Secret") is None


def test_new_keys_are_keys() -> None:
    secret = des.new_secret()
    assert len(secret) == len(des.public_of(secret)) == 48
    assert des.new_secret() != secret
    key = des.new_conversation_key()
    assert des.set_parity(key) == key


def test_the_golden_call_on_the_wire(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([NOW + 0.123456, NOW + 1.5])
    monkeypatch.setattr(des, "new_conversation_key", lambda: KEY)
    keys = OwnKeys(SECRET[USER], public)
    session = DhCredential(keys, USER, SERVER, clock=lambda: next(times)).session("h")
    first = session.begin()
    assert first.credential[1].hex() == (
        "0000000000000015756e69782e31303030406578616d706c652e636f6d000000ba6c08d7e3a38a04470991e6"
    )
    assert first.verifier(b"") == (3, bytes.fromhex("144352da3a8ab06a88a68b75"))
    first.check(_verifier(bytes.fromhex("f8d4f4e1c59921d3") + bytes.fromhex("3f000000")))
    second = session.begin()
    assert second.credential == (3, bytes.fromhex("000000013f000000"))
    assert second.verifier(b"") == (3, bytes.fromhex("2f5877847596614500000000"))


def _verifier(body: bytes, flavor: int = 3):
    from nfsrpc.auth.base import OpaqueAuth

    return OpaqueAuth(flavor, body)


@pytest.mark.parametrize(
    "wrong",
    [_verifier(b""), _verifier(bytes(12)), _verifier(bytes.fromhex("f8d4f4e1c59921d3"), 3), _verifier(bytes(12), 0)],
)
def test_a_reply_that_proves_nothing_is_refused(wrong, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(des, "new_conversation_key", lambda: KEY)
    session = DhCredential(OwnKeys(SECRET[USER], public), USER, SERVER, clock=lambda: NOW + 0.5).session("h")
    with pytest.raises(AuthRefused) as refused:
        session.begin().check(wrong)
    assert refused.value.stat == 6


# --- the server's answers --------------------------------------------------------------


class Time:
    now = NOW + 100.0


class Raw:
    """Calls built here, answered in memory by a server whose clock stands still unless moved."""

    def __init__(self, capacity: int = 8) -> None:
        self.time = Time()
        self.time.now -= 1000
        self.conversations = Conversations(capacity, lambda: self.time.now)
        self.time.now += 1000
        self.restart()
        self.xid = 0

    def restart(self) -> None:
        flavor = DhAuthenticator(SERVER_KEYS, IDMAP, self.conversations, lambda: self.time.now)
        self.dispatcher = Dispatcher([Binding(Whoami())], [flavor])

    def ask(self, credential: bytes, verifier: bytes, peer: Peer = PEER, verifier_flavor: int = 3) -> bytes:
        self.xid += 1
        message = encode_call(
            self.xid, WHO.program, WHO.version, WHO.number, (3, credential), (verifier_flavor, verifier)
        )
        return self.send(message, peer)

    def send(self, message: bytes, peer: Peer = PEER) -> bytes:
        (reply,) = self.dispatcher.turn([(message, peer)])
        return b"" if reply is None else b"".join(reply)

    def full(self, late: float = 0.0, *, key=KEY, name=USER, secret=SECRET[USER], window=60, check=-1, usec=None):
        sec, micro = divmod(int((self.time.now - late) * 1e6), 1_000_000)
        sealed = des.cbc_encrypt(
            key, struct.pack(">4I", sec, micro if usec is None else usec, window, window + check & 0xFFFF_FFFF)
        )
        xkey = des.ecb_encrypt(des.common_key(secret, PUBLIC[SERVER]), key)
        text = name.encode()
        body = struct.pack(">2I", 0, len(text)) + text + bytes(-len(text) % 4) + xkey + sealed[8:12]
        return self.ask(body, sealed[:8] + sealed[12:])

    def nick(self, nickname: bytes, late: float = 0.0, *, key=KEY, usec=None, tail=bytes(4)):
        sec, micro = divmod(int((self.time.now - late) * 1e6), 1_000_000)
        proof = des.ecb_encrypt(key, struct.pack(">2I", sec, micro if usec is None else usec))
        return self.ask(struct.pack(">I", 1) + nickname, proof + tail)


def nickname(reply: bytes) -> bytes:
    verifier = decode_reply(reply).verifier
    assert verifier.flavor == 3
    return verifier.body[8:]


@pytest.fixture
def raw() -> Raw:
    return Raw()


def test_a_full_name_gets_a_nickname_and_the_time_less_one_second(raw: Raw) -> None:
    raw.time.now = NOW + 0.123456
    reply = raw.full()
    assert b"dh dh:unix.1000@example.com 1000 100 7,8" in reply
    assert decode_reply(reply).verifier.body[:8].hex() == "f8d4f4e1c59921d3"
    raw.time.now += 1
    assert b"dh:unix.1000@example.com" in raw.nick(nickname(reply))


@pytest.mark.parametrize(
    ("what", "stat"),
    [
        ({"name": "unix.4711@example.com"}, 1),
        ({"name": "unix.1000@example.com" + "x" * 240}, 1),
        ({"secret": SECRET[OTHER]}, 1),
        ({"check": 0}, 1),
        ({"window": 0}, 1),
        ({"late": 60.5}, 1),
        ({"late": 3600.0}, 1),
        ({"late": -60.5}, 1),
        ({"late": -3600.0}, 1),
        ({"usec": 1_000_000}, 3),
        ({"window": 0xFFFF_FFFF, "late": 86401.0}, 1),
    ],
)  # fmt: skip
def test_full_names_that_are_refused(raw: Raw, what, stat: int) -> None:
    assert auth_refusal(raw.full(**what)) == stat


@pytest.mark.parametrize(
    ("what", "stat"),
    [
        ({"late": 0.5}, 4),
        ({"late": 61.0}, 4),
        ({"late": -61.0}, 4),
        ({"late": -3600.0}, 4),
        ({"usec": 1_000_000, "late": -1.0}, 4),
        ({"key": bytes(8)}, 4),
    ],
)
def test_nicknamed_calls_that_are_refused(raw: Raw, what, stat: int) -> None:
    name = nickname(raw.full())
    assert auth_refusal(raw.nick(name, **what)) == stat
    assert auth_refusal(raw.nick(name, late=-1.0)) is None


@pytest.mark.parametrize("name", [b"\0\0\0\5", b"\5\0\0\0", bytes(4), b"\xff\xff\xff\xff"])
def test_unused_nicknames_are_bad_credentials(raw: Raw, name: bytes) -> None:
    raw.full()
    assert auth_refusal(raw.nick(name)) == 1


def test_a_full_name_repeats_no_timestamp(raw: Raw) -> None:
    raw.full()
    assert auth_refusal(raw.full(late=0.25)) == 2
    assert auth_refusal(raw.full()) == 2
    assert auth_refusal(raw.full(late=-0.25)) is None


def test_the_same_bytes_from_the_same_place_get_the_same_reply(raw: Raw) -> None:
    name = nickname(raw.full())
    raw.time.now += 1
    proof = des.ecb_encrypt(KEY, struct.pack(">2I", int(raw.time.now), 0)) + bytes(4)
    message = encode_call(77, WHO.program, WHO.version, 1, (3, struct.pack(">I", 1) + name), (3, proof))
    first = raw.send(message)
    assert raw.send(message) == first
    assert b"unix.1000" in first
    assert auth_refusal(raw.send(message, PEER._replace(port=701))) == 4
    batch = [(message[:3] + b"\x78" + message[4:], PEER)]
    assert auth_refusal(b"".join(raw.dispatcher.turn(batch)[0])) == 4


def test_no_message_is_good_in_two_workers(raw: Raw) -> None:
    other = Raw()
    other.time, other.conversations = raw.time, raw.conversations
    other.restart()
    name = nickname(raw.full())
    proof = des.ecb_encrypt(KEY, struct.pack(">2I", int(raw.time.now) + 1, 0)) + bytes(4)
    message = encode_call(77, WHO.program, WHO.version, 1, (3, struct.pack(">I", 1) + name), (3, proof))
    assert b"unix.1000" in raw.send(message)
    assert auth_refusal(other.send(message)) == 4
    assert auth_refusal(other.full()) == 2
    assert b"unix.1000" in other.nick(name, late=-2.0)


def test_a_retransmission_in_the_same_turn_is_left_to_the_first(raw: Raw) -> None:
    name = nickname(raw.full())
    proof = des.ecb_encrypt(KEY, struct.pack(">2I", int(raw.time.now) + 1, 0)) + bytes(4)
    message = encode_call(77, WHO.program, WHO.version, 1, (3, struct.pack(">I", 1) + name), (3, proof))
    first, second = raw.dispatcher.turn([(message, PEER), (message, PEER)])
    assert b"unix.1000" in b"".join(first)
    assert second is None


@pytest.mark.parametrize("length", [*range(12), 13, 16, 400])
def test_a_verifier_has_twelve_bytes(raw: Raw, length: int) -> None:
    name = nickname(raw.full())
    assert auth_refusal(raw.ask(struct.pack(">I", 1) + name, bytes(length))) == 3


def test_a_verifier_of_another_flavour_is_no_verifier(raw: Raw) -> None:
    name = nickname(raw.full())
    assert auth_refusal(raw.ask(struct.pack(">I", 1) + name, bytes(12), verifier_flavor=0)) == 3


def test_no_flipped_bit_of_credential_or_verifier_is_taken(raw: Raw) -> None:
    sealed = des.cbc_encrypt(KEY, struct.pack(">4I", int(raw.time.now), 0, 60, 59))
    xkey = des.ecb_encrypt(des.common_key(SECRET[USER], PUBLIC[SERVER]), KEY)
    text = USER.encode()
    body = struct.pack(">2I", 0, len(text)) + text + bytes(-len(text) % 4) + xkey + sealed[8:12]
    proof = sealed[:8] + sealed[12:]
    for bit in range(8 * (len(body) + len(proof))):
        changed = bytearray(body + proof)
        changed[bit // 8] ^= 1 << bit % 8
        stat = auth_refusal(raw.ask(bytes(changed[: len(body)]), bytes(changed[len(body) :])))
        assert stat in (1, 3), f"bit {bit}"
    assert auth_refusal(raw.ask(body, proof)) is None


@pytest.mark.parametrize("cut", range(1, 45))
def test_truncated_credentials_are_bad(raw: Raw, cut: int) -> None:
    body = struct.pack(">2I", 0, 21) + USER.encode() + bytes(3 + 12)
    assert auth_refusal(raw.ask(body[:-cut], bytes(12))) == 1


def test_a_conversation_belongs_to_its_netname(raw: Raw) -> None:
    """The same conversation key under another name is another conversation."""
    raw.full()
    reply = raw.full(name=OTHER, secret=SECRET[OTHER])
    assert b"dh dh:unix.3999999999@example.com None None" in reply
    assert auth_refusal(raw.full(name=OTHER)) == 1


def test_a_weak_key_does_not_raise(raw: Raw) -> None:
    weak = bytes.fromhex("0101010101010101")
    name = nickname(raw.full(key=weak))
    assert auth_refusal(raw.nick(name, late=-1.0, key=weak)) is None


def test_after_a_restart_what_is_older_than_the_start_is_refused() -> None:
    raw = Raw()
    name = nickname(raw.full())
    raw.conversations = Conversations(8, lambda: raw.time.now + 5)
    raw.restart()
    assert auth_refusal(raw.nick(name, late=-1.0)) == 1
    assert auth_refusal(raw.full(late=-4.0)) == 1
    assert auth_refusal(raw.full(late=-6.0)) is None


def test_conversations_are_bounded_and_a_forgotten_one_cannot_be_played_again() -> None:
    conversations = Conversations(4, lambda: 1.0)
    for number in range(6):
        conversations.begin(Conversation(bytes([number] * 8), USER, 60), (10 + number, 0))
    from nfsrpc.auth import Rejected

    with pytest.raises(Rejected) as refused:
        conversations.begin(Conversation(bytes(8), USER, 60), (10, 0))
    assert refused.value.stat == 1
    with pytest.raises(Rejected) as refused:
        conversations.begin(Conversation(bytes([5] * 8), USER, 60), (15, 0))
    assert refused.value.stat == 2


# --- our client to our server ---------------------------------------------------------


@pytest.mark.parametrize("connect", [connect_udp, connect_tcp])
@pytest.mark.parametrize("workers", [1, 2])
def test_both_halves(connect, workers: int) -> None:
    credential = DhCredential(OwnKeys(SECRET[USER], public), USER, SERVER)
    with (
        Whoserved([DhAuthenticator(SERVER_KEYS, IDMAP)], workers) as served,
        connect("127.0.0.1", served.port, credential=credential) as client,
    ):
        calls = [client.submit(ECHO, (bytes([number]) * number,)) for number in range(40)]
        assert [len(client.wait(call)) for call in calls] == list(range(40))
        last = client.submit(WHO, ())
        assert client.wait(last) == b"dh dh:unix.1000@example.com 1000 100 7,8"
        assert len(last.auth.credential[1]) == 8
        for _ in range(6):  # other source ports: other workers, the same conversation
            with connect("127.0.0.1", served.port, credential=credential) as other:
                other._session = client._session
                call = other.submit(WHO, ())
                assert other.wait(call).startswith(b"dh ")
                assert len(call.auth.credential[1]) == 8


def test_a_client_whose_clock_is_an_hour_off_is_refused_and_one_that_knows_it_is_not() -> None:
    import time

    keys = OwnKeys(SECRET[USER], public)
    with Whoserved([DhAuthenticator(SERVER_KEYS, IDMAP)]) as served:
        wrong = DhCredential(keys, USER, SERVER, clock=lambda: time.time() - 3600)
        with connect_udp("127.0.0.1", served.port, credential=wrong) as client, pytest.raises(AuthRefused) as refused:
            client.call(WHO, ())
        assert refused.value.stat == 1
        asked = []

        def synchronise():
            asked.append(1)
            return time.time

        knows = DhCredential(keys, USER, SERVER, clock=lambda: time.time() - 3600, synchronise=synchronise)
        with connect_udp("127.0.0.1", served.port, credential=knows) as client:
            assert client.call(WHO, ()).startswith(b"dh ")
            assert client.call(WHO, ()).startswith(b"dh ")
        assert asked == [1]


def test_the_public_key_file(tmp_path) -> None:
    path = tmp_path / "publickey"
    file = PublicKeyFile(path)
    with pytest.raises(FileNotFoundError):
        file.public(USER)
    path.write_text(f"# comment\n{USER}   {PUBLIC[USER].upper()}:{'a' * 64}\nbroken line\n{OTHER} {PUBLIC[OTHER]}:\n")
    assert file.key(USER) == PublicKey(PUBLIC[USER], "a" * 64)
    assert file.key(OTHER) == PublicKey(PUBLIC[OTHER], "")
    with pytest.raises(UnknownNetname, match="no public key is known for"):
        file.public(SERVER)
    file.put(USER, PublicKey("0" * 48, "b" * 64))
    assert file.key(USER).encrypted == "b" * 64
    assert file.key(OTHER).public == PUBLIC[OTHER]
    assert path.read_text().startswith("# comment\n")
