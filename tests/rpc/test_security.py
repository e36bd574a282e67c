"""What every flavour shares: peers as text and as neighbours, and the flavour that changes nothing."""

import pytest

from nfsrpc.rpc.message import NULL_AUTH, OpaqueAuth
from nfsrpc.rpc.security import Accept, Peer, PlainAuth


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("::ffff:127.0.0.1", True), ("local", True),
        ("128.0.0.1", False), ("10.127.0.1", False), ("::2", False), ("", False),
    ],
)  # fmt: skip
def test_who_is_on_this_machine(host, near):
    assert Peer(host, 700, "udp").is_loopback is near


def test_peers_as_text():
    assert str(Peer("192.0.2.1", 700, "udp")) == "192.0.2.1:700/udp"
    assert str(Peer("2001:db8::1", 700, "tcp6")) == "[2001:db8::1]:700/tcp6"


def test_what_is_accepted_has_no_other_fields():
    accept = Accept("somebody")
    assert (accept.verifier, accept.seal) == (NULL_AUTH, None)
    assert not hasattr(accept, "__dict__")


def test_the_flavour_that_changes_nothing():
    auth = PlainAuth((1, b"body"))
    assert (auth.credential, auth.sealed, auth.renewed) == ((1, b"body"), False, False)
    assert auth.verifier(b"head") == NULL_AUTH
    assert auth.wrap(b"args") == b"args"
    assert auth.unwrap(b"message", 5) == (b"message", 5)
    assert auth.check(OpaqueAuth(9, b"anything")) is None
