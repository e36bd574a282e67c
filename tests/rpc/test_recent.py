"""The first look at retransmissions of flavours whose verifiers are good once."""

import pytest

from nfsrpc.rpc.later import Later
from nfsrpc.rpc.message import Refusal
from nfsrpc.rpc.recent import RecentReplies
from nfsrpc.rpc.security import Peer

HERE, THERE = Peer("192.0.2.1", 700, "udp"), Peer("192.0.2.1", 701, "udp")


def refused(recent: RecentReplies, message: bytes, peer: Peer = HERE) -> bytes | None:
    with pytest.raises(Refusal) as refusal:
        recent.admit(message, peer)
    return refusal.value.reply


def exchange(recent: RecentReplies, message: bytes, reply: list[bytes] | Later | None) -> None:
    recent.admit(message, HERE)
    recent.settle([(message, HERE)], [reply])


def test_the_same_bytes_from_the_same_place_get_the_same_reply() -> None:
    recent = RecentReplies()
    exchange(recent, b"call", [b"re", b"ply"])
    assert refused(recent, b"call") == b"reply"
    assert refused(recent, b"call") == b"reply"
    recent.admit(b"call", THERE)
    recent.admit(b"cal1", HERE)


def test_while_it_is_under_way_a_second_one_gets_silence() -> None:
    recent = RecentReplies()
    recent.admit(b"call", HERE)
    assert refused(recent, b"call") is None
    recent.settle([(b"call", HERE), (b"call", HERE)], [[b"reply"], None])
    assert refused(recent, b"call") == b"reply"


@pytest.mark.parametrize("reply", [None, Later()])
def test_what_got_no_reply_is_looked_at_again(reply: Later | None) -> None:
    recent = RecentReplies()
    exchange(recent, b"call", reply)
    recent.admit(b"call", HERE)


def test_the_oldest_make_room() -> None:
    recent = RecentReplies(kept=2)
    for message in (b"1", b"2", b"3"):
        exchange(recent, message, [b"reply " + message])
    assert [refused(recent, message) for message in (b"2", b"3")] == [b"reply 2", b"reply 3"]
    recent.admit(b"1", HERE)
    small = RecentReplies(size=20)
    exchange(small, b"1", [bytes(10)])
    exchange(small, b"2", [bytes(10)])
    small.admit(b"1", HERE)
    assert refused(small, b"2") == bytes(10)
