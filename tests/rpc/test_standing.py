"""Answers that are given again without the handler: to whom, how long, and how many are kept."""

import struct
from contextlib import nullcontext
from itertools import count

import pytest

from nfsrpc.auth import NoneAuthenticator, SysAuthenticator
from nfsrpc.auth.none import ANONYMOUS
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
from nfsrpc.rpc import standing
from nfsrpc.rpc.counters import Counters
from nfsrpc.rpc.dispatch import NO_GROUND, Binding, Dispatcher, Drop, Encoded, Peer
from nfsrpc.rpc.history import MemoryHistory
from nfsrpc.rpc.security import Accept
from nfsrpc.xdr import DEFAULT_LIMITS, Limits

PEER, OTHER = Peer("192.0.2.7", 700, "udp"), Peer("192.0.2.8", 700, "udp")
WRITE, READ = 1, 2


def opaque(data):
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


def message(xid, procedure=READ, arguments=b"", flavor=0, credential=b"", verifier=b""):
    head = struct.pack(">7I", xid, 0, 2, 9999, 2, procedure, flavor)
    return head + opaque(credential) + struct.pack(">I", 0) + opaque(verifier) + arguments


def read(xid, file=1, **more):
    return message(xid, READ, struct.pack(">3I", file, 0, 100), **more)


def write(xid):
    return message(xid, WRITE, struct.pack(">2I", 1, 0) + opaque(b"data"))


class Numbered(FILEREADWRITE_2_service):
    """Each READ is answered with its number."""

    def __init__(self):
        self.numbers = count(1)
        self.outcome = None

    def READ(self, arg, call):
        number = next(self.numbers)
        if self.outcome is not None:
            raise self.outcome
        return b"%d" % number

    def WRITE(self, arg, call):
        return None


class Shelf:
    """A unit of work that says how often what is behind it was changed."""

    def __init__(self):
        self.changes = 0

    def count(self):
        return self.changes

    def begin(self, changing):
        self.changing = changing

    def commit(self):
        self.changes += self.changing

    def abort(self):
        pass

    def step(self):
        return nullcontext()

    def recall(self, keys):
        return {}

    def remember(self, key, client, result):
        pass


class Friends:
    """The ground of answers to those who are let in."""

    def __init__(self):
        self.hosts = {PEER.host}

    def holds(self, peer, principal):
        return peer.host in self.hosts


class Served:
    def __init__(self, shelf=None, flavor=None, limits=DEFAULT_LIMITS, **more):
        self.service, self.shelf, self.friends = Numbered(), shelf, Friends()
        more = {"ground": lambda call: self.friends, "once": frozenset({WRITE}), **more}
        find = None if shelf is None else lambda message, body: shelf
        self.counters = Counters()
        flavors = [flavor or NoneAuthenticator()]
        binding = Binding(self.service, work=find, **more)
        self.dispatcher = Dispatcher([binding], flavors, limits, self.counters.recorder(0))
        self.xids = count(1)

    def reply(self, *messages, peer=PEER):
        replies = self.dispatcher.turn([(message, peer) for message in messages])
        return [None if reply is None else b"".join(reply) for reply in replies]

    def reads(self, times=1, peer=PEER, make=read, **more):
        """The numbers with which as many READs are answered, each in a turn of its own."""
        numbers = []
        for xid in (next(self.xids) for _ in range(times)):
            (reply,) = self.reply(make(xid, **more), peer=peer)
            assert reply[:4] == struct.pack(">I", xid)
            assert reply[4:24] == struct.pack(">5I", 1, 0, 0, 0, 0)
            (length,) = struct.unpack_from(">I", reply, 24)
            assert len(reply) == 28 + length + -length % 4
            numbers.append(int(reply[28 : 28 + length]))
        return numbers


def test_who_asks_twice_is_told_the_same_ever_after():
    assert Served().reads(5) == [1, 2, 2, 2, 2]


def test_calls_that_are_answered_so_are_counted():
    served = Served()
    served.reads(5)
    (row,) = (row for row in served.counters.read() if row.name == "READ")
    assert (row.calls, row.failures, row.replays) == (5, 0, 0)


def test_another_call_is_another_answer():
    served = Served()
    assert served.reads(3) + served.reads(3, file=2) + served.reads() == [1, 2, 2, 3, 4, 4, 2]


def test_several_of_one_turn_are_each_run():
    served = Served()
    served.reply(read(101))
    replies = served.reply(read(102), read(103))
    assert [reply[28:29] for reply in replies] == [b"2", b"3"]
    assert served.reads(2) == [3, 3]


def test_without_a_ground_nothing_stands():
    assert Served(ground=None).reads(4) == [1, 2, 3, 4]
    assert Served(ground=lambda call: None).reads(4) == [1, 2, 3, 4]


def test_what_rests_on_nothing_stands_for_everybody():
    served = Served(ground=lambda call: NO_GROUND)
    assert served.reads(2) + served.reads(2, peer=OTHER) == [1, 2, 2, 2]


def test_it_stands_as_long_as_its_ground_holds():
    served = Served()
    assert served.reads(3) == [1, 2, 2]
    served.friends.hosts.clear()
    assert served.reads(2) == [3, 4]
    served.friends.hosts.add(PEER.host)
    assert served.reads(2) == [2, 2]


def test_a_stranger_is_not_told_what_a_friend_was():
    served = Served()
    assert served.reads(3) == [1, 2, 2]
    assert served.reads(3, peer=OTHER) == [3, 4, 5]
    assert served.reads(2) == [2, 2]


def test_it_stands_until_the_next_change():
    served = Served(Shelf())
    assert served.reads(4) == [1, 2, 2, 2]
    served.reply(write(99))
    assert served.reads(4) == [3, 4, 4, 4]


def test_a_change_of_another_process_counts_too():
    shelf = Shelf()
    served = Served(shelf)
    assert served.reads(3) == [1, 2, 2]
    shelf.changes += 2
    assert served.reads(3) == [3, 4, 4]


def test_nothing_stands_that_was_said_while_something_changed():
    class Disturbed(Shelf):
        """Somebody else commits in the middle of each unit."""

        def begin(self, changing):
            super().begin(changing)
            self.changes += 1

    assert Served(Disturbed()).reads(4) == [1, 2, 3, 4]


def test_nothing_stands_where_changes_are_not_known():
    class Unknown(Shelf):
        def count(self):
            return -1

    assert Served(Unknown()).reads(4) == [1, 2, 3, 4]


@pytest.mark.parametrize("outcome", [OSError(5, "for once"), ZeroDivisionError("a bug"), Drop()], ids=repr)
@pytest.mark.parametrize("shelf", [None, Shelf()], ids=["no work", "work"])
def test_a_failure_does_not_stand(shelf, outcome):
    served = Served(shelf, failure=lambda procedure, error: b"failed")
    served.reads()
    served.service.outcome = outcome
    served.reply(read(11), read(12))
    served.service.outcome = None
    assert served.reads(2) == [4, 4], "it was asked for before"


def test_what_must_not_run_twice_has_no_standing_answer():
    served = Served(once=frozenset({WRITE, READ}), history=MemoryHistory())
    served.service.outcome = ZeroDivisionError("a bug")
    for xid in (91, 92, 93):
        (reply,) = served.reply(read(xid))
        assert reply[20:] == struct.pack(">I", 5), "SYSTEM_ERR"
    served.service.outcome = None
    assert served.reads(3) == [4, 5, 6]


class Flavor:
    """Whoever calls with it is let in, `lasting` or not; whatever his verifier."""

    flavor, single_use = 4711, False

    def __init__(self, lasting):
        self.lasting = lasting

    def accept(self, header, message, peer):
        return Accept(ANONYMOUS, lasting=self.lasting)


@pytest.mark.parametrize(
    ("flavor", "more", "stands"),
    [
        (Flavor(True), {"flavor": 4711, "credential": b"me"}, True),
        (Flavor(True), {"flavor": 4711, "credential": b"me", "verifier": b"zero"}, False),
        (Flavor(True), {"flavor": 4711, "verifier": bytes(4)}, False),
        (Flavor(False), {"flavor": 4711, "credential": b"me"}, False),
        (SysAuthenticator(), {"flavor": 1, "credential": struct.pack(">I I4s II I", 1, 4, b"host", 7, 8, 0)}, True),
    ],
)
def test_only_whose_credential_is_good_for_ever_is_told_again(flavor, more, stands):
    numbers = Served(flavor=flavor).reads(4, **more)
    assert numbers == ([1, 2, 2, 2] if stands else [1, 2, 3, 4])


def test_who_must_come_by_tls_is_asked_each_time():
    served = Served(tls_required=True)
    inside = PEER._replace(tls="")
    assert served.reads(4, peer=inside) == [1, 2, 3, 4]
    (refusal,) = served.reply(read(99))
    assert refusal[4:] == struct.pack(">4I", 1, 1, 1, 5)


@pytest.mark.parametrize(("size", "stands"), [(standing.LONGEST, True), (standing.LONGEST + 4, False)])
def test_long_calls_are_not_looked_for(size, stands):
    served = Served(limits=Limits(accept_trailing_bytes=True))
    numbers = served.reads(4, make=lambda xid: read(xid).ljust(size, b"\0"))
    assert numbers == ([1, 2, 2, 2] if stands else [1, 2, 3, 4])


def test_long_answers_are_the_same_bytes():
    class Long(Numbered):
        def READ(self, arg, call):
            return Encoded(struct.pack(">I", 5001), bytes([next(self.numbers)]) * 5001, bytes(3))

    served = Served()
    served.dispatcher = Dispatcher([Binding(Long(), ground=lambda call: NO_GROUND)], [NoneAuthenticator()])
    replies = [served.reply(read(xid))[0] for xid in range(1, 5)]
    assert [reply[:4] for reply in replies] == [struct.pack(">I", xid) for xid in range(1, 5)]
    assert [reply[28] for reply in replies] == [1, 2, 2, 2]
    assert {len(reply) for reply in replies} == {28 + 5004}
    assert replies[1][4:] == replies[2][4:] == replies[3][4:]


def test_what_is_asked_for_again_too_late_is_new():
    """Two lots of 512 others are what is remembered."""
    served = Served()
    served.reads()
    for file in range(2, 2 + 511):
        served.reads(file=file)
    assert served.reads(2) == [513, 513], "the second time within the lot"
    served = Served()
    served.reads()
    for file in range(2, 2 + 1024):
        served.reads(file=file)
    assert served.reads(3) == [1026, 1027, 1027]


def test_what_has_fallen_remembers_nothing():
    """Answers that do not hold any more keep the state they rested on until they make room: it must be small."""
    shelf = Shelf()
    state = standing.Basis(shelf, shelf.count())
    asked = [state.again(1, 1), state.again(1, 512), state.again(2, 1), state.again(1, 1), state.again(2, 1)]
    assert asked == [False, True, False, True, True]
    assert state.look()
    shelf.changes += 1
    assert not state.look()
    assert [state.again(1, 1), state.again(2, 1)] == [False, False]


@pytest.mark.interpreted
@pytest.mark.parametrize(("bound", "value"), [("_KEPT", 3), ("_BYTES", 3 * (52 + 28) + 20)])
def test_the_oldest_make_room(monkeypatch, bound, value):
    monkeypatch.setattr(standing, bound, value)
    served = Served()
    for file in range(1, 5):
        served.reads(2, file=file)
    assert served.reads(1, file=2) + served.reads(1, file=3) + served.reads(1, file=4) == [4, 6, 8]
    assert served.reads(1, file=1) == [9], "the first one has gone"
    assert served.reads(1, file=3) + served.reads(1, file=4) == [6, 8]
    assert served.reads(1, file=2) == [10], "and the second one for it"


@pytest.mark.interpreted
def test_what_is_kept_anew_takes_its_room_once(monkeypatch):
    monkeypatch.setattr(standing, "_BYTES", 3 * (52 + 28) + 20)
    served = Served(Shelf())
    for turn in range(5):
        served.reply(write(900 + turn))
        numbers = [served.reads(2, file=file)[1] for file in (1, 2, 3)]
    assert [served.reads(1, file=file)[0] for file in (1, 2, 3)] == numbers
