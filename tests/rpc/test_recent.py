"""The first look at retransmissions of flavours whose verifiers are good once."""

import pytest

from nfsrpc.rpc import recent as recent_module
from nfsrpc.rpc.later import HELD, Later
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


def test_while_it_is_held_a_second_one_gets_silence_and_does_not_end_it() -> None:
    recent = RecentReplies()
    recent.admit(b"call", HERE)
    assert refused(recent, b"call") is None
    recent.settle([(b"call", HERE), (b"call", HERE)], [HELD, None])
    assert refused(recent, b"call") is None
    recent.admit(b"other", HERE)
    recent.settle([(b"call", HERE), (b"other", HERE)], [None, [b"done"]])
    recent.release()
    recent.settle([(b"call", HERE)], [[b"reply"]])
    assert [refused(recent, message) for message in (b"call", b"other")] == [b"reply", b"done"]


def test_what_is_held_makes_room_when_it_has_ended() -> None:
    recent = RecentReplies(kept=2)
    recent.admit(b"held", HERE)
    recent.settle([(b"held", HERE)], [HELD])
    for message in (b"1", b"2", b"3"):
        exchange(recent, message, [b"reply"])
    assert refused(recent, b"held") is None
    recent.release()
    recent.settle([(b"held", HERE)], [[b"reply"]])
    assert [refused(recent, message) for message in (b"2", b"3")] == [b"reply", b"reply"]
    recent.admit(b"held", HERE)


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


def test_bytes_are_counted_over_and_over() -> None:
    recent = RecentReplies(size=60)
    for number in range(100):
        exchange(recent, b"%010d" % number, [bytes(20)])
        assert number == 0 or refused(recent, b"%010d" % (number - 1)) == bytes(20)
        assert refused(recent, b"%010d" % number) == bytes(20)
        if number > 1:
            recent.admit(b"%010d" % (number - 2), HERE)
            recent.settle([(b"%010d" % (number - 2), HERE)], [None])


def test_a_batch_has_as_many_replies_as_calls() -> None:
    recent = RecentReplies()
    recent.admit(b"call", HERE)
    with pytest.raises(ValueError, match="zip"):
        recent.settle([(b"call", HERE), (b"other", HERE)], [[b"reply"]])


def test_the_sizes_that_bound_a_server() -> None:
    assert (recent_module._KEPT, recent_module._BYTES) == (1024, 8_388_608)
