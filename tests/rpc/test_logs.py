"""What the log says of calls: text for people, and xid, peer and procedure as fields of their own."""

import logging

import pytest
from defects import XID, call, w

from nfsrpc.rpc.dispatch import Dispatcher, Peer

PEER = Peer("192.0.2.7", 700, "udp")
WHO = "xid 0x01020304 of {peer}: "
NO_CALL = WHO + "no call, or one that cannot be answered"
REFUSED = {
    "nothing": (b"", "{peer}: a message of 0 bytes"),
    "no word": (b"abc", "{peer}: a message of 3 bytes"),
    "an xid": (w(XID), NO_CALL),
    "a reply": (call(mtype=1), NO_CALL),
    "another RPC version": (call(rpcvers=3), WHO + "the server speaks RPC versions 2 to 2, not 2"),
    "another program": (call(program=77), WHO + "the server does not have this program"),
    "another version": (call(version=7), WHO + "the server has versions 2 to 2 of this program"),
    "another procedure": (call(procedure=7), WHO + "the server does not have this procedure"),
    "another flavour": (
        call(cred=w(77, 0)),
        WHO + "authentication refused: the server wants a new credential or does not take this flavour "
        "(AUTH_REJECTEDCRED)",
    ),
}


@pytest.mark.parametrize(("message", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_told_at_debug(dispatcher: Dispatcher, caplog, message, text):
    caplog.set_level(logging.DEBUG, "nfsrpc.rpc")
    dispatcher.turn([(message, PEER)])
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert record.getMessage() == text.format(peer=PEER)
    assert record.peer == str(PEER)
    assert getattr(record, "xid", None) == ("0x01020304" if len(message) >= 4 else None)


def test_nothing_is_told_unless_asked_for(dispatcher: Dispatcher, caplog):
    caplog.set_level(logging.INFO, "nfsrpc.rpc")
    dispatcher.turn([(message, PEER) for message, _ in REFUSED.values()])
    assert caplog.records == []
