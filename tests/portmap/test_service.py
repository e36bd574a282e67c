"""The portmapper's table and its procedures, asserted on bytes."""

import os
import struct

import pytest

from nfsrpc.auth import NoneAuthenticator
from nfsrpc.portmap.entry import Registered, Transport
from nfsrpc.portmap.registry import CAPACITY, Registry
from nfsrpc.portmap.service import PortMapper
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Peer

LOCAL, REMOTE = Peer("127.0.0.1", 5, "udp"), Peer("192.0.2.1", 5, "udp")
SET, UNSET, GETPORT, DUMP, CALLIT = 1, 2, 3, 4, 5


def w(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


class Mapper:
    def __init__(self) -> None:
        self.registry = Registry()
        self.dispatcher = Dispatcher([Binding(PortMapper(self.registry))], [NoneAuthenticator()])

    def ask(self, procedure: int, *words: int, peer: Peer = LOCAL) -> tuple[int, ...] | None:
        message = w(7, 0, 2, 100000, 2, procedure, 0, 0, 0, 0, *words)
        (reply,) = self.dispatcher.turn([(message, peer)])
        if reply is None:
            return None
        data = b"".join(reply)
        assert data[:24] == w(7, 1, 0, 0, 0, 0)
        return struct.unpack(f">{len(data) // 4 - 6}I", data[24:])


@pytest.fixture
def mapper() -> Mapper:
    return Mapper()


def test_set_getport_unset(mapper):
    assert mapper.ask(0) == ()
    assert mapper.ask(GETPORT, 300, 1, 17, 0) == (0,)
    assert mapper.ask(SET, 300, 1, 17, 4000) == (1,)
    assert mapper.ask(SET, 300, 1, 17, 4001) == (0,)
    assert mapper.ask(SET, 300, 1, 6, 4001) == (1,)
    assert mapper.ask(SET, 300, 2, 6, 4002) == (1,)
    assert mapper.ask(GETPORT, 300, 1, 17, 99) == (4000,)
    assert mapper.ask(GETPORT, 300, 1, 6, 0) == (4001,)
    assert mapper.ask(GETPORT, 300, 3, 6, 0) in {(4001,), (4002,)}  # showmount asks for a version that is not there
    assert mapper.ask(GETPORT, 301, 2, 17, 0) == (0,)
    assert mapper.ask(UNSET, 300, 1, 0, 0) == (1,)
    assert mapper.ask(UNSET, 300, 1, 0, 0) == (0,)
    assert mapper.ask(GETPORT, 300, 1, 17, 0) == (0,)
    assert mapper.ask(GETPORT, 300, 1, 6, 0) == (4002,)
    assert mapper.ask(GETPORT, 300, 2, 6, 0) == (4002,)


def test_dump_is_a_linked_list(mapper):
    assert mapper.ask(DUMP) == (0,)
    mapper.ask(SET, 300, 1, 17, 4000)
    mapper.ask(SET, 301, 2, 6, 4001)
    assert mapper.ask(DUMP) == (1, 300, 1, 17, 4000, 1, 301, 2, 6, 4001, 0)


def test_strangers_may_look_but_not_change(mapper):
    mapper.ask(SET, 300, 1, 17, 4000)
    assert mapper.ask(SET, 301, 1, 17, 4000, peer=REMOTE) == (0,)
    assert mapper.ask(UNSET, 300, 1, 0, 0, peer=REMOTE) == (0,)
    assert mapper.ask(GETPORT, 300, 1, 17, 0, peer=REMOTE) == (4000,)


@pytest.mark.parametrize(("protocol", "port"), [(17, 0), (17, 65536), (17, 2**32 - 1), (0, 80), (255, 80)])
def test_what_is_no_port_or_protocol_is_not_taken(mapper, protocol, port):
    assert mapper.ask(SET, 300, 1, protocol, port) == (0,)
    assert mapper.ask(DUMP) == (0,)


def test_own_entries_stay(mapper):
    mapper.registry.set(Registered(100003, 2, Transport.UDP, 2049), own=True)
    assert mapper.ask(UNSET, 100003, 2, 0, 0) == (0,)
    assert mapper.ask(GETPORT, 100003, 2, 17, 0) == (2049,)


def test_callit_is_never_answered(mapper):
    assert mapper.ask(CALLIT, 100000, 2, 0, 0) is None


def test_a_full_table_refuses(mapper):
    registry = mapper.registry
    assert all(registry.set(Registered(n, 1, 6, 1000)) for n in range(1, CAPACITY + 1))
    assert mapper.ask(SET, 99999, 1, 17, 4000) == (0,)
    assert registry.unset(5, 1)
    assert mapper.ask(SET, 99999, 1, 17, 4000) == (1,)


def test_processes_forked_from_one_share_the_table(mapper):
    child = os.fork()
    if child == 0:
        os._exit(0 if mapper.registry.set(Registered(300, 1, 17, 4000)) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert mapper.ask(GETPORT, 300, 1, 17, 0) == (4000,)
