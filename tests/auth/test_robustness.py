"""Every flavour over a bad network, through asyncio, and under bytes that mean nothing."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kerberos import REALM, Realm
from whoami import ECHO, WHO, Whoami, Whoserved

from nfsrpc.auth import (
    IssuingSysAuthenticator,
    NoneAuthenticator,
    ShortAuthenticator,
    Shorthands,
    SysCredential,
    des,
)
from nfsrpc.auth.base import Peer
from nfsrpc.auth.dh import DhAuthenticator, DhCredential
from nfsrpc.auth.gss import GssCredential
from nfsrpc.auth.gss_server import GssAuthenticator
from nfsrpc.auth.idmap import IdMap, Unix
from nfsrpc.auth.keys import OwnKeys, UnknownNetname
from nfsrpc.rpc.dispatch import Binding, Dispatcher
from nfsrpc.rpc.later import Later
from nfsrpc.rpc.retry import RetryPolicy
from nfsrpc.testing.chaos import Chaos
from nfsrpc.testing.faults import Faults
from nfsrpc.transport.client_udp import connect_udp

pytestmark = pytest.mark.hostile

pytest.importorskip("Crypto", reason="needs pycryptodome")
pytest.importorskip("gssapi", reason="needs python-gssapi")

USER, SERVER = "unix.1000@example.com", "unix.vm@example.com"
SECRET = {USER: "1" * 48, SERVER: "2" * 48}
IDMAP = IdMap({USER: Unix(1000, 100, ()), f"alice@{REALM}": Unix(1000, 100, ())})
PEER = Peer("192.0.2.1", 700, "udp")
HASTY = RetryPolicy(first=0.05, factor=1.2, ceiling=0.3)


def public(netname: str) -> str:
    if netname not in SECRET:
        raise UnknownNetname(netname)
    return des.public_of(SECRET[netname])


def flavors():
    shorthands = Shorthands()
    return [
        NoneAuthenticator(),
        IssuingSysAuthenticator(shorthands),
        ShortAuthenticator(shorthands),
        DhAuthenticator(OwnKeys(SECRET[SERVER], public), IDMAP),
        GssAuthenticator(IDMAP),
    ]


CREDENTIALS = {
    "short": lambda: SysCredential(1000, 100, (), b"m"),
    "dh": lambda: DhCredential(OwnKeys(SECRET[USER], public), USER, SERVER),
    "krb5": lambda: GssCredential("krb5"),
    "krb5p": lambda: GssCredential("krb5p"),
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_no_call_is_lost_on_a_bad_network(realm: Realm, name: str) -> None:
    """Lost calls, lost replies, duplicates: C servers and clients of AUTH_DH and RPCSEC_GSS get stuck on some of it."""
    faults = Faults(drop=0.15, duplicate=0.15, pause=0.02)
    with Whoserved(flavors()) as served, Chaos(("127.0.0.1", served.port), up=faults, down=faults, seed=7) as chaos:
        chaos.start()
        port = chaos.address[1]
        with connect_udp("localhost", port, credential=CREDENTIALS[name](), policy=HASTY, timeout=120.0) as client:
            for number in range(60):
                text = b"%d" % number
                assert client.call(ECHO, (text,)) == text
        assert chaos.counts("down")["drop"]


@pytest.mark.parametrize("name", [*CREDENTIALS, "version 2"])
def test_asyncio_clients(realm: Realm, name: str) -> None:
    from nfsrpc.transport.aio_tcp import connect_tcp

    credential = GssCredential("krb5i", version=2) if name == "version 2" else CREDENTIALS[name]()

    async def calls(port: int) -> list[bytes]:
        async with await connect_tcp("localhost", port, credential=credential) as client:
            assert b"1000 100" in await client.call(WHO, ())
            return await asyncio.gather(*(client.call(ECHO, (b"%d" % number,)) for number in range(40)))

    with Whoserved(flavors()) as served:
        assert asyncio.run(calls(served.port)) == [b"%d" % number for number in range(40)]


bodies = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda head, tail: struct.pack(f">{len(head)}I", *head) + tail,
        st.lists(st.sampled_from([0, 1, 2, 3, 5, 16, 21, 255, 256, 0x80000000, 0xFFFFFFFF]), max_size=8),
        st.binary(max_size=40),
    ),
)


@given(
    flavor=st.sampled_from([0, 1, 2, 3, 6]),
    body=bodies,
    verifier_flavor=st.sampled_from([0, 3, 6]),
    verifier=bodies,
    args=bodies,
    procedure=st.integers(0, 3),
)
@settings(max_examples=300)
def test_no_bytes_bring_a_server_down(flavor, body, verifier_flavor, verifier, args, procedure) -> None:
    head = struct.pack(">6I", 1, 0, 2, WHO.program, WHO.version, procedure)
    parts = [head]
    for kind, data in ((flavor, body[:400]), (verifier_flavor, verifier[:400])):
        parts.append(struct.pack(">2I", kind, len(data)) + data + bytes(-len(data) % 4))
    (reply,) = SERVED.turn([(b"".join([*parts, args]), PEER)])
    if type(reply) is Later:
        reply = reply.wait(60)
    if reply is not None:
        assert b"".join(reply)[:8] == struct.pack(">2I", 1, 1)


SERVED = Dispatcher([Binding(Whoami())], flavors())
