"""Which flavours a server takes: those it was given, from wherever they come."""

from __future__ import annotations

import subprocess
import sys

import pytest
from whoami import WHO, Whoami, Whoserved

from nfsrpc.auth import Accept, NoneAuthenticator, Principal, Rejected, SysAuthenticator, SysCredential
from nfsrpc.auth.base import Peer, PlainAuth, PlainSession
from nfsrpc.protocols.rpc_msg import auth_stat
from nfsrpc.rpc.dispatch import Binding, Dispatcher
from nfsrpc.rpc.errors import AuthRefused
from nfsrpc.rpc.message import auth_refusal, encode_call
from nfsrpc.transport.client_tcp import connect_tcp

PEER = Peer("192.0.2.1", 700, "udp")


def ask(dispatcher: Dispatcher, credential: tuple[int, bytes], verifier: tuple[int, bytes] = (0, b"")) -> bytes:
    message = encode_call(1, WHO.program, WHO.version, WHO.number, credential, verifier)
    (reply,) = dispatcher.turn([(message, PEER)])
    return b"".join(reply)


@pytest.mark.parametrize("flavor", [2, 3, 4, 5, 6, 7, 390003, 0xFFFF_FFFF], ids=lambda number: f"flavour {number}")
def test_a_flavour_that_is_not_there_is_rejected(flavor: int) -> None:
    """4 is AUTH_KERB4: no implementation is left to speak it with."""
    dispatcher = Dispatcher([Binding(Whoami())], [NoneAuthenticator(), SysAuthenticator()])
    assert auth_refusal(ask(dispatcher, (flavor, b""))) == auth_stat.AUTH_REJECTEDCRED


class TokenAuthenticator:
    """A flavour that this package does not know: a shared word."""

    flavor = 390999
    single_use = False

    def accept(self, header, message, peer):
        if header.verifier.body != b"open sesame!":
            raise Rejected(auth_stat.AUTH_BADVERF)
        return Accept(Principal(self.flavor, "token:" + header.credential.body.decode(), 7, 8, security="token"))


class _TokenCall(PlainAuth):
    def verifier(self, head):
        return (TokenAuthenticator.flavor, b"open sesame!")


class TokenCredential:
    def __init__(self, name: bytes) -> None:
        self._name = name

    def session(self, host):
        return PlainSession(_TokenCall((TokenAuthenticator.flavor, self._name)))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_flavour_from_outside(workers: int) -> None:
    with Whoserved([TokenAuthenticator()], workers) as served:
        with connect_tcp("127.0.0.1", served.port, credential=TokenCredential(b"ali")) as client:
            assert client.call(WHO, ()) == b"token token:ali 7 8 "
        with (
            connect_tcp("127.0.0.1", served.port, credential=SysCredential()) as client,
            pytest.raises(AuthRefused, match=r"AUTH_SYS authentication refused.*AUTH_REJECTEDCRED") as refused,
        ):
            client.call(WHO, ())
        assert (refused.value.stat, refused.value.flavor) == (2, 1)


WITHOUT = """
import sys
sys.modules["{module}"] = None
from nfsrpc.auth.des import MissingExtra
import nfsrpc.nfs.security as security
try:
    security.authenticators(["{name}"], security.SecurityOptions())
except MissingExtra as missing:
    print(missing)
from nfsrpc.client.identity import credential_of
from nfsrpc.client.url import parse_url
try:
    credential_of(parse_url("nfs://h/p?sec={name}"))
except MissingExtra as missing:
    print(missing)
"""


@pytest.mark.parametrize(
    ("module", "name", "line"),
    [
        ("gssapi", "krb5p", "RPCSEC_GSS needs an optional part of this package: pip install 'nfsrpc[gss]'"),
        ("Crypto.Cipher.DES", "dh", "AUTH_DH needs an optional part of this package: pip install 'nfsrpc[dh]'"),
    ],
)
def test_a_missing_extra_is_told_with_the_line_to_type(module: str, name: str, line: str) -> None:
    pytest.importorskip(module.partition(".")[0])
    script = WITHOUT.format(module=module, name=name)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines() == [line, line], done.stderr


# --- AUTH_NONE and AUTH_SYS -------------------------------------------------------------


@pytest.mark.parametrize("body", [b"\0", b"1234"])
def test_auth_none_has_no_body(body: bytes) -> None:
    dispatcher = Dispatcher([Binding(Whoami())], [NoneAuthenticator()])
    assert b"none none None None" in ask(dispatcher, (0, b""))
    assert auth_refusal(ask(dispatcher, (0, body))) == auth_stat.AUTH_BADCRED


def test_auth_sys_bounds() -> None:
    dispatcher = Dispatcher([Binding(Whoami())], [SysAuthenticator()])
    most = SysCredential(0xFFFF_FFFF, 0xFFFF_FFFE, range(40), b"m" * 300)
    assert len(most.gids) == 16
    assert b"sys sys:4294967295:4294967294 4294967295 4294967294 0,1,2,3" in ask(dispatcher, most.opaque())
    word = bytes(4)
    for broken in (
        b"",
        word,
        word + bytes([0, 0, 1, 0]) + b"m" * 256 + word * 3,  # a machine name of 256 bytes
        word * 4 + bytes([0, 0, 0, 17]) + word * 17,  # 17 groups
        word * 5 + b"\0",
        word * 6,  # one word too many
        word * 4 + b"\xff\xff\xff\xff",
        word + bytes([0, 0, 0, 1]) + b"mxxx" + word * 3,  # padding that is not zero
    ):
        assert auth_refusal(ask(dispatcher, (1, broken))) == auth_stat.AUTH_BADCRED, broken


def test_auth_sys_accepts_whatever_verifier() -> None:
    dispatcher = Dispatcher([Binding(Whoami())], [SysAuthenticator()])
    assert b"sys sys:1:2" in ask(dispatcher, SysCredential(1, 2, (), b"").opaque(), (0, b""))
