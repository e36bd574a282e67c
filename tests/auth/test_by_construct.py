"""What AUTH_SYS, AUTH_SHORT, AUTH_DH and AUTH_TLS send, against declarations made by hand from the RFCs."""

from __future__ import annotations

import ssl

import by_construct_auth as hand
import pytest
from by_construct import record, rpc_msg
from whoami import WHO, Whoami

from nfsrpc.auth import IssuingSysAuthenticator, ShortAuthenticator, Shorthands, SysCredential
from nfsrpc.auth.base import Peer
from nfsrpc.rpc.dispatch import Binding, Dispatcher
from nfsrpc.rpc.message import NULL_AUTH, OpaqueAuth, encode_call
from nfsrpc.transport.tls import ClientStart, ClientTls, ServerStream
from nfsrpc.xdr import DEFAULT_LIMITS

WHO_AND_VERSION = (WHO.program, WHO.version)
PEER = Peer("192.0.2.1", 700, "tcp")


def verifier_of(reply):
    return rpc_msg.parse(b"".join(reply)).body.reply.verf


def asked(dispatcher, credential, verifier=NULL_AUTH, xid=1):
    message = encode_call(xid, WHO.program, WHO.version, WHO.number, credential, verifier)
    (reply,) = dispatcher.turn([(message, PEER)])
    return rpc_msg.parse(message).body, verifier_of(reply)


@pytest.mark.parametrize("gids", [(), (7,), tuple(range(16))])
@pytest.mark.parametrize("machine", [b"", b"vm", b"m" * 255])
def test_sys_and_its_shorthand(machine, gids):
    shorthands = Shorthands(4)
    dispatcher = Dispatcher([Binding(Whoami())], [IssuingSysAuthenticator(shorthands), ShortAuthenticator(shorthands)])
    call, verifier = asked(dispatcher, SysCredential(1000, 2**32 - 1, gids, machine).opaque())
    parms = hand.authsys_parms.parse(call.cred.body)
    assert (parms.machinename, parms.uid, parms.gid, tuple(parms.gids)) == (machine, 1000, 2**32 - 1, gids)
    assert (call.cred.flavor, verifier.flavor) == (1, 2)
    short = hand.short_verifier.parse(verifier.body)
    _, again = asked(dispatcher, (short.flavor, short.body), xid=2)
    assert (again.flavor, again.body) == (0, b"")


def test_dh_by_full_name_and_nickname(monkeypatch):
    ciphers = pytest.importorskip("Crypto.Cipher.DES", reason="needs pycryptodome")
    from nfsrpc.auth import des
    from nfsrpc.auth.conversations import Conversations
    from nfsrpc.auth.dh import DhAuthenticator, DhCredential
    from nfsrpc.auth.idmap import IdMap
    from nfsrpc.auth.keys import OwnKeys

    key, now = bytes.fromhex("0123456789abcdef"), 1_000_000.25
    secrets = {"unix.1000@example.com": "1" * 48, "unix.vm@example.com": "2" * 48}
    user, server = secrets
    public = {name: des.public_of(secret) for name, secret in secrets.items()}
    monkeypatch.setattr(des, "new_conversation_key", lambda: key)
    conversations = Conversations(8, lambda: now - 1000)
    flavor = DhAuthenticator(OwnKeys(secrets[server], public.__getitem__), IdMap({}), conversations, lambda: now)
    dispatcher = Dispatcher([Binding(Whoami())], [flavor])
    session = DhCredential(OwnKeys(secrets[user], public.__getitem__), user, server, 300, lambda: now).session("vm")
    block = ciphers.new(key, ciphers.MODE_ECB)

    def call(xid):
        auth = session.begin()
        sent, answered = asked(dispatcher, auth.credential, auth.verifier(b""), xid)
        auth.check(OpaqueAuth(answered.flavor, answered.body))
        assert answered.flavor == sent.cred.flavor == sent.verf.flavor == 3
        return (
            hand.dh_credential.parse(sent.cred.body),
            hand.dh_call_verifier.parse(sent.verf.body),
            hand.dh_reply_verifier.parse(answered.body),
        )

    credential, proof, answer = call(1)
    assert (credential.namekind, credential.name.name) == (0, user.encode())
    common = ciphers.new(des.common_key(secrets[server], public[user]), ciphers.MODE_ECB)
    assert common.decrypt(credential.name.key) == key
    chained = ciphers.new(key, ciphers.MODE_CBC, iv=bytes(8))
    secret = hand.dh_full_secret.parse(chained.decrypt(proof.timestamp + credential.name.window + proof.winverf))
    assert (secret.timestamp.seconds, secret.timestamp.useconds, secret.window) == (1_000_000, 250_000, 300)
    before = hand.timestamp.parse(block.decrypt(answer.timeverf))
    assert (before.seconds, before.useconds) == (999_999, 250_000)
    nickname, proof, answer_again = call(2)
    assert (nickname.namekind, nickname.name) == (1, answer.nickname)
    later = hand.timestamp.parse(block.decrypt(proof.timestamp))
    assert (later.seconds, later.useconds) == (1_000_000, 250_001)
    before = hand.timestamp.parse(block.decrypt(answer_again.timeverf))
    assert (before.seconds, before.useconds) == (999_999, 250_001)


def test_the_probe_for_tls():
    client = ClientStart(ClientTls(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), *WHO_AND_VERSION), "vm", DEFAULT_LIMITS)
    server = ServerStream(DEFAULT_LIMITS, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    (asked_for,) = record.parse(client.probe)
    call = rpc_msg.parse(asked_for.data).body
    assert (call.prog, call.vers, call.proc) == (*WHO_AND_VERSION, 0)
    assert [(auth.flavor, auth.body) for auth in (call.cred, call.verf)] == [(7, b""), (0, b"")]
    assert server.feed(client.probe) == []
    (answer,) = record.parse(b"".join(server.urgent()))
    reply = rpc_msg.parse(answer.data).body
    assert (reply.stat, reply.reply.stat) == (0, 0)
    verifier = reply.reply.verf
    hand.starttls.parse(verifier.flavor.to_bytes(4) + len(verifier.body).to_bytes(4) + verifier.body)
