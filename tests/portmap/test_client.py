"""Asking and telling a portmapper: against one of hand-written bytes, honest and hostile."""

import contextlib
import struct
from collections.abc import Iterator

import pytest
from by_hand import PORTMAP, Answer, ByHand, chain, word

from nfsrpc.portmap.client import LIMITS, Portmapper, Refused, Registration, answers
from nfsrpc.portmap.entry import Registered, Transport
from nfsrpc.rpc.errors import BadReply, RpcTimeout
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp

NFS_UDP = Registered(100003, 2, Transport.UDP, 2049)
NFS_TCP = Registered(100003, 2, Transport.TCP, 2049)
MOUNT_UDP = Registered(100005, 1, Transport.UDP, 2049)


class Table:
    """What rpcbind does for version 2, as measured: UNSET takes every protocol, SET never replaces another port."""

    def __init__(self, *lines: Registered) -> None:
        self.lines = list(lines)
        self.asked: list[tuple[int, ...]] = []

    def procedures(self) -> dict[tuple[int, int], Answer | bytes]:
        return {(PORTMAP, 1): self.set, (PORTMAP, 2): self.unset, (PORTMAP, 3): self.getport, (PORTMAP, 4): self.dump}

    def _line(self, number: int, arguments: bytes) -> Registered:
        line = Registered(*struct.unpack(">4I", arguments))
        self.asked.append((number, *line))
        return line

    def _at(self, line: Registered) -> list[Registered]:
        return [other for other in self.lines if other[:3] == line[:3]]

    def set(self, arguments: bytes) -> bytes:
        line = self._line(1, arguments)
        if any(other.port != line.port for other in self._at(line)):
            return word(0)
        if not self._at(line):
            self.lines.append(line)
        return word(1)

    def unset(self, arguments: bytes) -> bytes:
        line = self._line(2, arguments)
        kept = [other for other in self.lines if other[:2] != line[:2]]
        taken, self.lines = len(self.lines) - len(kept), kept
        return word(int(taken > 0))

    def getport(self, arguments: bytes) -> bytes:
        found = self._at(self._line(3, arguments))
        return word(found[0].port if found else 0)

    def dump(self, arguments: bytes) -> bytes:
        return chain(*(word(*line) for line in self.lines))


@contextlib.contextmanager
def mapper(procedures: dict[tuple[int, int], Answer | bytes]) -> Iterator[Portmapper]:
    with ByHand(procedures) as server, connect_udp("127.0.0.1", server.port, timeout=5, limits=LIMITS) as client:
        yield Portmapper(client)


def test_each_question_and_its_answer() -> None:
    table = Table(NFS_UDP)
    with mapper(table.procedures()) as portmapper:
        assert portmapper.getport(100003, 2, Transport.UDP) == 2049
        assert portmapper.getport(100003, 3, Transport.UDP) is None
        assert portmapper.dump() == [NFS_UDP]
        assert portmapper.set(MOUNT_UDP)
        assert not portmapper.set(MOUNT_UDP._replace(port=1))
        assert portmapper.unset(100003, 2)
        assert not portmapper.unset(100003, 2)
    assert table.lines == [MOUNT_UDP]
    assert table.asked[0] == (3, 100003, 2, 17, 0)


HOSTILE = [
    ("a port over 65535", (PORTMAP, 3), word(65536)),
    ("a negative port", (PORTMAP, 3), word(0xFFFFFFFF)),
    ("no port", (PORTMAP, 3), b""),
    ("a port and more", (PORTMAP, 3), word(111, 0)),
    ("a listed port over 65535", (PORTMAP, 4), chain(word(1, 2, 6, 70000))),
    ("a list that ends inside", (PORTMAP, 4), word(1, 1, 2, 6)),
    ("a list without its end", (PORTMAP, 4), word(1, 1, 2, 6, 111)),
    ("a boolean of 2", (PORTMAP, 4), word(2, 1, 2, 6, 111, 0)),
    ("bytes behind a long list", (PORTMAP, 4), chain(*[word(1, 2, 6, 111)] * 3000) + word(1)),
]


@pytest.mark.hostile
@pytest.mark.parametrize(("entry", "body"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
def test_an_answer_that_cannot_be_meant_is_a_bad_reply(entry: tuple[int, int], body: bytes) -> None:
    with mapper({entry: body}) as portmapper, pytest.raises(BadReply):
        portmapper.getport(1, 1, 6) if entry[1] == 3 else portmapper.dump()


def test_more_registrations_than_a_host_has_are_refused() -> None:
    with (
        ByHand({(PORTMAP, 4): chain(*[word(1, 2, 6, 111)] * 5000)}) as server,
        connect_tcp("127.0.0.1", server.port, timeout=5, limits=LIMITS) as client,
        pytest.raises(BadReply),
    ):
        Portmapper(client).dump()


def registration(server: ByHand, *lines: Registered) -> Registration:
    return Registration(lines, port=server.port, timeout=0.5)


def test_a_registration_lasts_as_long_as_its_block() -> None:
    foreign = Registered(100000, 2, Transport.UDP, 111)
    table = Table(foreign)
    with ByHand(table.procedures()) as server:
        with registration(server, NFS_UDP, NFS_TCP, MOUNT_UDP):
            assert sorted(table.lines) == sorted([foreign, NFS_UDP, NFS_TCP, MOUNT_UDP])
        assert table.lines == [foreign]


def test_registering_twice_is_the_same_as_once() -> None:
    table = Table(NFS_UDP)
    with ByHand(table.procedures()) as server, registration(server, NFS_UDP):
        assert table.lines == [NFS_UDP]


def test_a_dead_predecessor_s_entries_are_replaced() -> None:
    with ByHand({}) as gone:
        dead = gone.port
    table = Table(NFS_UDP._replace(port=dead), NFS_TCP._replace(port=dead))
    with ByHand(table.procedures()) as server, registration(server, NFS_UDP, NFS_TCP):
        assert sorted(table.lines) == sorted([NFS_UDP, NFS_TCP])


def test_a_living_program_s_entry_is_left_alone_and_what_was_entered_is_taken_back() -> None:
    with ByHand({(100003, 1): b""}) as alive:
        theirs = NFS_UDP._replace(port=alive.port)
        table = Table(theirs)
        with ByHand(table.procedures()) as server:
            with pytest.raises(Refused, match=f"already runs at port {alive.port}"):
                registration(server, MOUNT_UDP, NFS_UDP).register()
            assert table.lines == [theirs]


def test_what_another_has_entered_since_stays_at_the_end() -> None:
    table = Table()
    with ByHand(table.procedures()) as server:
        ours = registration(server, NFS_UDP, MOUNT_UDP)
        ours.register()
        table.lines = [NFS_UDP._replace(port=4000), MOUNT_UDP]
        ours.withdraw()
        assert table.lines == [NFS_UDP._replace(port=4000)]
        before = len(server.calls)
        ours.withdraw()
        assert len(server.calls) == before


def test_a_portmapper_that_takes_nothing_is_refused() -> None:
    procedures = {**Table().procedures(), (PORTMAP, 1): word(0)}
    with ByHand(procedures) as server, pytest.raises(Refused, match="does not take"):
        registration(server, NFS_UDP).register()


def test_no_portmapper_is_a_timeout() -> None:
    with ByHand({}) as gone:
        pass
    with pytest.raises(RpcTimeout, match="Connection refused"):
        registration(gone, NFS_UDP).register()


@pytest.mark.parametrize("protocol", list(Transport))
def test_a_program_answers_if_anything_of_it_does(protocol: Transport) -> None:
    with ByHand({(100003, 1): b""}) as server:
        line = Registered(100003, 2, protocol, server.port)
        assert answers("127.0.0.1", line, timeout=5)
        assert not answers("127.0.0.1", line._replace(program=100004), timeout=5)
    assert not answers("127.0.0.1", line, timeout=0.2)
