"""The keyserver: every procedure of both versions, whose key it uses, and the commands around it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("Crypto", reason="needs pycryptodome")

from nfsrpc.auth import NoneAuthenticator, des
from nfsrpc.auth.idmap import IdMap, Unix
from nfsrpc.auth.keys import KeysUnavailable, OwnKeys, PublicKey, PublicKeyFile, UnknownNetname, own_netname
from nfsrpc.auth.sys import SysCredential
from nfsrpc.keyserv.client import KeyservKeys
from nfsrpc.keyserv.server import Keyserv, LocalAuthenticator
from nfsrpc.keyserv.service import Secrets, bindings
from nfsrpc.protocols import key_prot as kp
from nfsrpc.protocols.rpc_msg import auth_stat
from nfsrpc.rpc.dispatch import Dispatcher, Peer
from nfsrpc.rpc.message import auth_refusal
from nfsrpc.transport.unix import UnixCaller

MINE, THEIRS = "1" * 48, "2" * 48
ME, THEM = "unix.1000@example.com", "unix.vm@example.com"
KEY = bytes.fromhex("0123456789abcdef")
SHARED = "ba6c08d7e3a38a04"  # KEY under the common key of both
OK = kp.keystatus.KEY_SUCCESS


class Served:
    def __init__(self, directory: Path) -> None:
        self.path = str(directory / "socket")
        self.file = PublicKeyFile(directory / "publickey")
        self.file.put(ME, PublicKey(des.public_of(MINE), ""))
        self.file.put(THEM, PublicKey(des.public_of(THEIRS), ""))
        self.kept = directory / "kept"
        self.secrets = Secrets(self.kept)
        self.keyserv = Keyserv(self.path, self.secrets, self.file.public, IdMap({ME: Unix(1000, 100, (7, 8))}))
        self.loop = self.keyserv.loop()
        self._thread = threading.Thread(target=self.loop.run)
        self._thread.start()

    def close(self) -> None:
        self.loop.stop()
        self._thread.join()
        self.keyserv.close()

    def __call__(self, version: int = 2, uid: int = 4711):
        """A client, whose credential says whatever it likes."""
        caller = UnixCaller(self.path, 30.0, SysCredential(uid, uid, (), b"liar"))
        return (kp.KEY_PROG_1_client if version == 1 else kp.KEY_PROG_2_client)(caller)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    yield made
    made.close()


def found(key: str) -> kp.cryptkeyres:
    return kp.cryptkeyres(OK, bytes.fromhex(key))


@pytest.mark.parametrize("version", [1, 2])
def test_keys_are_used_for_whoever_stored_them(served: Served, version: int) -> None:
    stub = served(version)
    ask = kp.cryptkeyarg(THEM.encode(), KEY)
    assert stub.KEY_ENCRYPT(ask).status == kp.keystatus.KEY_NOSECRET
    assert stub.KEY_SET(MINE.encode()) == OK
    assert served.secrets.get(os.getuid()) == MINE  # the kernel's word counts, not the credential's
    assert served.secrets.get(4711) is None
    assert served(version, uid=0).KEY_ENCRYPT(ask) == found(SHARED)
    assert stub.KEY_DECRYPT(kp.cryptkeyarg(THEM.encode(), bytes.fromhex(SHARED))) == found(KEY.hex())
    assert stub.KEY_ENCRYPT(kp.cryptkeyarg(b"unix.5@nowhere", KEY)).status == kp.keystatus.KEY_UNKNOWN
    assert stub.KEY_SET(b"0" * 48) == OK
    assert stub.KEY_ENCRYPT(ask).status == kp.keystatus.KEY_NOSECRET
    assert stub.KEY_SET(b"x" * 48) == kp.keystatus.KEY_SYSTEMERR


@pytest.mark.parametrize("version", [1, 2])
def test_new_keys_and_identities(served: Served, version: int) -> None:
    stub = served(version)
    key = stub.KEY_GEN()
    assert des.set_parity(key) == key != stub.KEY_GEN()
    assert stub.KEY_GETCRED(ME.encode()) == kp.getcredres(OK, kp.unixcred(1000, 100, [7, 8]))
    assert stub.KEY_GETCRED(b"unix.host@nowhere").status == kp.keystatus.KEY_UNKNOWN


@pytest.mark.parametrize("tail", [b"", b"\0"])
def test_public_keys_brought_along(served: Served, tail: bytes) -> None:
    stub = served()
    public = des.public_of(THEIRS).encode() + tail
    assert stub.KEY_ENCRYPT_PK(kp.cryptkeyarg2(b"any", public, KEY)).status == kp.keystatus.KEY_NOSECRET
    stub.KEY_SET(MINE.encode())
    assert stub.KEY_ENCRYPT_PK(kp.cryptkeyarg2(b"any", public, KEY)) == found(SHARED)
    assert stub.KEY_DECRYPT_PK(kp.cryptkeyarg2(b"any", public, bytes.fromhex(SHARED))) == found(KEY.hex())
    assert stub.KEY_GET_CONV(public[:48]) == found(des.common_key(MINE, des.public_of(THEIRS)).hex())
    for wrong in (b"", b"1" * 47, b"g" * 48, b"1" * 49):
        assert stub.KEY_ENCRYPT_PK(kp.cryptkeyarg2(b"any", wrong, KEY)).status == kp.keystatus.KEY_SYSTEMERR


def test_net_put_and_get(served: Served) -> None:
    stub = served()
    assert stub.KEY_NET_GET().status == kp.keystatus.KEY_NOSECRET
    entry = kp.key_netstarg(MINE.encode(), des.public_of(MINE).encode(), ME.encode())
    assert stub.KEY_NET_PUT(entry) == OK
    assert stub.KEY_NET_GET() == kp.key_netstres(OK, entry)
    assert stub.KEY_GET_CONV(des.public_of(THEIRS).encode()).status == OK


def test_without_a_unix_socket_nobody_is_answered(served: Served) -> None:
    message = bytes.fromhex("00000001 00000000 00000002 000186bd 00000002 00000001") + bytes(16) + MINE.encode()
    for flavor, silent in ((NoneAuthenticator(), True), (LocalAuthenticator(0), False)):
        dispatcher = Dispatcher(bindings(served.secrets, served.file.public, IdMap()), [flavor])
        (reply,) = dispatcher.turn([(message, Peer("192.0.2.1", 700, "udp"))])
        assert reply is None if silent else auth_refusal(b"".join(reply)) == auth_stat.AUTH_TOOWEAK
    assert served.secrets.get(0) is None


def test_secret_keys_survive_a_restart_in_a_file_for_their_owner_alone(served: Served) -> None:
    served().KEY_SET(MINE.encode())
    assert served.kept.stat().st_mode & 0o777 == 0o600
    assert Secrets(served.kept).get(os.getuid()) == MINE


def test_the_client_half(served: Served) -> None:
    keys = KeyservKeys(served.file.public, served.path)
    with pytest.raises(KeysUnavailable, match="no secret key of this user"):
        keys.encrypt(THEM, KEY)
    keys.set_secret(MINE)
    assert keys.encrypt(THEM, KEY).hex() == SHARED
    assert keys.decrypt(THEM, bytes.fromhex(SHARED)) == KEY == OwnKeys(THEIRS, served.file.public).decrypt(
        ME, keys.encrypt(THEM, KEY)
    )
    with pytest.raises(UnknownNetname):
        keys.encrypt("unix.5@nowhere", KEY)
    keys.set_secret(None)
    with pytest.raises(KeysUnavailable):
        keys.encrypt(THEM, KEY)
    with pytest.raises(KeysUnavailable, match=r"no keyserv at .*; start one with `nfsrpc keyserv`"):
        KeyservKeys(served.file.public, served.path + "x").encrypt(THEM, KEY)


def test_a_second_keyserv_does_not_take_the_socket(served: Served) -> None:
    with pytest.raises(OSError, match="in use"):
        Keyserv(served.path, Secrets(), served.file.public, IdMap())


def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nfsrpc", *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def test_keygen_and_keylogin(served: Served) -> None:
    public_keys = ("--public-keys", served.file.path)
    assert run("keygen", *public_keys, text="secret\nsecret\n").returncode == 0
    mine = served.file.key(own_netname())
    wrong = run("keylogin", *public_keys, "--socket", served.path, text="wrong\n")
    assert wrong.returncode == 1
    assert "that is not the password of" in wrong.stderr
    done = run("keylogin", *public_keys, "--socket", served.path, text="secret\n")
    assert done.returncode == 0, done.stderr
    secret = served.secrets.get(os.getuid())
    assert des.public_of(secret) == mine.public
    assert run("keylogin", "--logout", *public_keys, "--socket", served.path).returncode == 0
    assert served.secrets.get(os.getuid()) is None
    line = run("keygen", "--netname", "unix.5@there", "--public-keys", "-", "--password", "pw")
    assert line.stdout.startswith("unix.5@there ")
    nobody = run("keylogin", "--netname", THEM, *public_keys, "--socket", served.path)
    assert "has no secret key of" in nobody.stderr
