"""Portmapper and rpcbind, asserted on bytes; the table behind them."""

import os
import socket
import struct
from typing import Any

import pytest

from nfsrpc.auth import NoneAuthenticator, SysAuthenticator
from nfsrpc.portmap.entry import Service
from nfsrpc.portmap.forward import Forwarder
from nfsrpc.portmap.own import own_entries
from nfsrpc.portmap.registry import CAPACITY, OURS, SUPERUSER, Registry
from nfsrpc.portmap.service import Mapper as Program
from nfsrpc.portmap.uaddr import Place, from_taddr, from_uaddr, to_taddr, to_uaddr
from nfsrpc.protocols import rpcb_prot as rb
from nfsrpc.rpc.allowance import LISTS, Allowance
from nfsrpc.rpc.dispatch import Dispatcher, Peer
from nfsrpc.rpc.later import Later
from nfsrpc.rpc.message import encode_call
from nfsrpc.xdr import decode

LOCAL, REMOTE = Peer("127.0.0.1", 5, "udp"), Peer("192.0.2.1", 5, "udp")
USER = Peer("127.0.0.1", 40000, "tcp")
SET, UNSET, GETPORT, DUMP, CALLIT = 1, 2, 3, 4, 5


def w(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def sys_of(uid: int) -> tuple[int, bytes]:
    return 1, w(0, 0, uid, 0, 0)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Mapper:
    def __init__(self, forwarder: Forwarder | None = None) -> None:
        self.clock = Clock()
        self.registry = Registry(clock=self.clock)
        self.program = Program(self.registry, forwarder=forwarder, lists=Allowance(LISTS, self.clock))
        self.dispatcher = Dispatcher(self.program.bindings(), [NoneAuthenticator(), SysAuthenticator()])

    def raw(self, version: int, procedure: int, body: bytes, peer: Peer, cred=(0, b"")) -> bytes | None:
        message = encode_call(7, 100000, version, procedure, cred, (0, b"")) + body
        (reply,) = self.dispatcher.turn([(message, peer)])
        if isinstance(reply, Later):
            reply = reply.wait(30)
        return None if reply is None else b"".join(reply)

    def ask(self, procedure: int, *words: int, peer: Peer = LOCAL) -> tuple[int, ...] | None:
        """Version 2, in words."""
        data = self.raw(2, procedure, w(*words), peer)
        if data is None:
            return None
        assert data[:24] == w(7, 1, 0, 0, 0, 0)
        return struct.unpack(f">{len(data) // 4 - 6}I", data[24:])

    def rpcb(self, name: str, *args: Any, version: int = 4, peer: Peer = LOCAL, cred=(0, b"")) -> Any:
        """Versions 3 and 4, in values."""
        service = {3: rb.RPCBPROG_3_service, 4: rb.RPCBPROG_4_service}[version]
        procedure = next(p for p in service.procedures.values() if p.name == f"RPCBPROC_{name}")
        parts: list[bytes] = []
        procedure.encode_args(args, parts)
        data = self.raw(version, procedure.number, b"".join(parts), peer, cred)
        if data is None:
            return None
        assert data[:24] == w(7, 1, 0, 0, 0, 0)
        return decode(procedure.decode_result, data[24:])


@pytest.fixture
def mapper() -> Mapper:
    return Mapper()


def line(program: int, version: int, netid: str = "", address: str = "") -> rb.rpcb:
    return rb.rpcb(program, version, netid.encode(), address.encode(), b"whoever")


def listed(mapper: Mapper, version: int = 4) -> list[tuple[int, int, bytes, bytes, bytes]]:
    found, link = [], mapper.rpcb("DUMP", version=version)
    while link is not None:
        entry = link.rpcb_map
        found.append((entry.r_prog, entry.r_vers, entry.r_netid, entry.r_addr, entry.r_owner))
        link = link.rpcb_next
    return found


# --- version 2


def test_set_getport_unset(mapper):
    assert mapper.ask(0) == ()
    assert mapper.ask(GETPORT, 300, 1, 17, 0) == (0,)
    assert mapper.ask(SET, 300, 1, 17, 4000) == (1,)
    assert mapper.ask(SET, 300, 1, 17, 4000) == (1,)  # it is so already
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
    for entry in own_entries(100003, 2, "0.0.0.0", 2049):
        mapper.registry.set(entry)
    assert mapper.ask(UNSET, 100003, 2, 0, 0) == (0,)
    assert mapper.ask(GETPORT, 100003, 2, 17, 0) == (2049,)


def test_a_full_table_refuses(mapper):
    registry = mapper.registry
    assert all(registry.set(Service(n, 1, "tcp", "0.0.0.0.1.1")) for n in range(1, CAPACITY + 1))
    assert mapper.ask(SET, 99999, 1, 17, 4000) == (0,)
    assert registry.unset(5, 1, "", SUPERUSER)
    assert mapper.ask(SET, 99999, 1, 17, 4000) == (1,)


def test_processes_forked_from_one_share_the_table(mapper):
    child = os.fork()
    if child == 0:
        os._exit(0 if mapper.registry.set(Service(300, 1, "udp", "0.0.0.0.15.160")) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert mapper.ask(GETPORT, 300, 1, 17, 0) == (4000,)


# --- versions 3 and 4


@pytest.mark.parametrize("version", [3, 4])
def test_all_versions_are_one_table(mapper, version):
    assert mapper.rpcb("SET", line(300, 1, "udp", "127.0.0.1.15.160"), version=version) is True
    assert mapper.rpcb("SET", line(300, 1, "tcp6", "::1.15.161"), version=version) is True
    assert mapper.ask(DUMP) == (1, 300, 1, 17, 4000, 0)
    assert mapper.ask(SET, 301, 1, 6, 4002) == (1,)
    assert listed(mapper, version) == [
        (300, 1, b"udp", b"127.0.0.1.15.160", b"superuser"),
        (300, 1, b"tcp6", b"::1.15.161", b"superuser"),
        (301, 1, b"tcp", b"0.0.0.0.15.162", b"superuser"),
    ]
    assert mapper.rpcb("UNSET", line(300, 1, "udp"), version=version) is True
    assert mapper.ask(GETPORT, 300, 1, 17, 0) == (0,)
    assert mapper.rpcb("UNSET", line(300, 1), version=version) is True
    assert mapper.rpcb("UNSET", line(300, 1), version=version) is False


@pytest.mark.parametrize("version", [3, 4])
def test_getaddr_answers_for_the_transport_of_the_question(mapper, version):
    mapper.rpcb("SET", line(300, 1, "udp", "127.0.0.1.15.160"))
    mapper.rpcb("SET", line(300, 1, "tcp", "127.0.0.1.15.161"))
    asked = line(300, 1, "udp6")
    assert mapper.rpcb("GETADDR", asked, version=version) == b"127.0.0.1.15.160"
    assert mapper.rpcb("GETADDR", asked, version=version, peer=USER) == b"127.0.0.1.15.161"
    assert mapper.rpcb("GETADDR", asked, version=version, peer=Peer("::1", 9, "tcp6")) == b""


def test_a_service_on_every_address_is_at_the_one_that_leads_to_the_caller(mapper):
    mapper.rpcb("SET", line(300, 1, "tcp", "0.0.0.0.15.161"))
    mapper.rpcb("SET", line(300, 1, "tcp6", "::.15.161"))
    assert mapper.rpcb("GETADDR", line(300, 1), peer=USER) == b"127.0.0.1.15.161"
    assert mapper.rpcb("GETADDR", line(300, 1), peer=Peer("::1", 9, "tcp6")) == b"::1.15.161"


def test_getversaddr_wants_the_version(mapper):
    mapper.rpcb("SET", line(300, 1, "udp", "127.0.0.1.15.160"))
    assert mapper.rpcb("GETADDR", line(300, 9)) == b"127.0.0.1.15.160"
    assert mapper.rpcb("GETVERSADDR", line(300, 9)) == b""
    assert mapper.rpcb("GETVERSADDR", line(300, 1)) == b"127.0.0.1.15.160"


def test_getaddrlist(mapper):
    mapper.rpcb("SET", line(300, 1, "udp", "127.0.0.1.15.160"))
    mapper.rpcb("SET", line(300, 1, "tcp6", "::1.15.161"))
    first = mapper.rpcb("GETADDRLIST", line(300, 1))
    second = first.rpcb_entry_next
    assert first.rpcb_entry_map == rb.rpcb_entry(b"127.0.0.1.15.160", b"udp", 1, b"inet", b"udp")
    assert second.rpcb_entry_map == rb.rpcb_entry(b"::1.15.161", b"tcp6", 3, b"inet6", b"tcp")
    assert second.rpcb_entry_next is None


def test_only_the_owner_or_root_removes(mapper):
    mapper.rpcb("SET", line(300, 1, "udp", "127.0.0.1.15.160"), peer=USER, cred=sys_of(1000))
    mapper.rpcb("SET", line(301, 1, "udp", "127.0.0.1.15.160"), peer=USER)
    assert [entry[4] for entry in listed(mapper)] == [b"1000", b"unknown"]
    assert mapper.rpcb("UNSET", line(300, 1), peer=USER, cred=sys_of(1001)) is False
    assert mapper.rpcb("UNSET", line(300, 1), peer=USER) is False
    assert mapper.rpcb("UNSET", line(300, 1), peer=USER, cred=sys_of(1000)) is True
    assert mapper.rpcb("UNSET", line(301, 1)) is True


@pytest.mark.parametrize(
    "address", ["", "127.0.0.1", "127.0.0.1.0.0", "127.0.0.1.256.1", "host.8.1", "1.2.3.8.1", "a" * 500]
)
@pytest.mark.parametrize("version", [3, 4])
def test_what_is_no_address_is_not_taken(mapper, version, address):
    assert mapper.rpcb("SET", line(300, 1, "udp", address), version=version) is False
    assert listed(mapper) == []


@pytest.mark.parametrize("netid", ["", "sctp", "local", "ticlts", "udp" * 100])
def test_transports_that_nobody_knows_are_not_taken(mapper, netid):
    assert mapper.rpcb("SET", line(300, 1, netid, "127.0.0.1.15.160")) is False


def test_strangers_do_not_set(mapper):
    assert mapper.rpcb("SET", line(300, 1, "udp", "127.0.0.1.15.160"), peer=REMOTE) is False


def test_time_and_addresses(mapper):
    assert abs(mapper.rpcb("GETTIME") - __import__("time").time()) < 60
    taddr = mapper.rpcb("UADDR2TADDR", b"192.0.2.7.8.1")
    assert taddr.buf == struct.pack("=H", socket.AF_INET) + b"\x08\x01\xc0\x00\x02\x07" + bytes(8)
    assert taddr.maxlen == 16
    assert mapper.rpcb("TADDR2UADDR", taddr) == b"192.0.2.7.8.1"
    assert mapper.rpcb("UADDR2TADDR", b"no address").buf == b""
    assert mapper.rpcb("TADDR2UADDR", rb.netbuf(3, b"abc")) == b""


@pytest.mark.parametrize(
    ("text", "place"), [("127.0.0.1.8.1", ("127.0.0.1", 2049)), ("fe80::1.255.255", ("fe80::1", 65535))]
)
def test_universal_addresses(text, place):
    assert from_uaddr(text) == place
    assert to_uaddr(*place) == text
    assert from_taddr(to_taddr(Place(*place))) == place


def test_statistics(mapper):
    mapper.rpcb("SET", line(300, 1, "udp", "127.0.0.1.15.160"))
    mapper.rpcb("GETADDR", line(300, 1))
    mapper.rpcb("GETADDR", line(301, 1), version=3)
    mapper.ask(GETPORT, 300, 1, 17, 0)
    two, three, four = mapper.rpcb("GETSTAT")
    assert (two.info[3], three.info[3], four.info[1], four.info[12], four.setinfo) == (1, 1, 1, 1, 1)
    found = four.addrinfo
    assert (found.prog, found.success, found.failure, found.netid) == (300, 1, 0, b"udp")
    assert (three.addrinfo.prog, three.addrinfo.success, three.addrinfo.failure) == (301, 0, 1)


# --- dead services


def test_the_entry_of_a_service_that_has_gone_vanishes(mapper):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as alive:
        alive.bind(("127.0.0.1", 0))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dead:
            dead.bind(("127.0.0.1", 0))
            ports = alive.getsockname()[1], dead.getsockname()[1]
        for program, port in zip((300, 301), ports, strict=True):
            assert mapper.ask(SET, program, 1, 17, port) == (1,)
        mapper.registry.set(Service(302, 1, "udp", to_uaddr("0.0.0.0", ports[1]), OURS))
        mapper.clock.now += 60
        mapper.program._undertaker._looked -= 60
        assert mapper.ask(DUMP) == (1, 300, 1, 17, ports[0], 1, 302, 1, 17, ports[1], 0)


def test_a_caller_of_ipv4_on_a_socket_for_both_is_one_of_ipv4(mapper):
    mapper.ask(SET, 300, 1, 17, 4000)
    mapped = Peer("::ffff:127.0.0.1", 5, "udp6")
    assert mapper.rpcb("GETADDR", line(300, 1), peer=mapped) == b"127.0.0.1.15.160"
    assert mapper.rpcb("GETADDR", line(300, 1), peer=Peer("::1", 5, "udp6")) == b""


def test_lists_over_udp_are_kept_to_a_rate(mapper):
    mapper.ask(SET, 300, 1, 17, 4000)
    answers = [mapper.ask(DUMP, peer=REMOTE) for _ in range(20)]
    assert answers[0] == (1, 300, 1, 17, 4000, 0)
    assert answers[-1] is None
    assert mapper.rpcb("DUMP", peer=REMOTE) is None
    assert mapper.ask(DUMP, peer=REMOTE._replace(netid="tcp")) == answers[0]
    assert mapper.ask(DUMP) == answers[0]


# --- calls on behalf of others


@pytest.mark.parametrize(("version", "name"), [(3, "CALLIT"), (4, "BCAST")])
def test_forwarding_is_off(mapper, version, name):
    assert mapper.ask(CALLIT, 300, 1, 0, 0) is None
    assert mapper.rpcb(name, rb.rpcb_rmtcallargs(300, 1, 0, b""), version=version) is None
    assert mapper.rpcb("INDIRECT", rb.rpcb_rmtcallargs(300, 1, 0, b"")) is None


@pytest.fixture
def service():
    """A program 300 that answers procedure 1 with its arguments, and procedure 2 with SYSTEM_ERR."""
    import threading

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def answer() -> None:
            while (data := sock.recvfrom(9000))[0]:
                call, peer = data
                good = call[20:24] == w(1)
                sock.sendto(call[:4] + w(1, 0, 0, 0, 0 if good else 5) + (call[40:] if good else b""), peer)

        thread = threading.Thread(target=answer)
        thread.start()
        yield sock.getsockname()[1]
        sock.sendto(b"", sock.getsockname())
        thread.join()


def test_forwarding_when_asked_for(service):
    clock = Clock()
    mapper = Mapper(Forwarder(rate=4, clock=clock))
    mapper.ask(SET, 300, 1, 17, service)
    assert mapper.ask(CALLIT, 300, 1, 1, 8, 7, 9, peer=REMOTE) == (service, 8, 7, 9)
    result = mapper.rpcb("INDIRECT", rb.rpcb_rmtcallargs(300, 1, 1, w(7)))
    assert (result.addr, result.results) == (f"127.0.0.1.{service >> 8}.{service & 255}".encode(), w(7))
    assert mapper.ask(CALLIT, 300, 1, 2, 0, peer=REMOTE) is None, "only successes"
    assert mapper.raw(4, 10, w(300, 1, 2, 0), LOCAL) == w(7, 1, 0, 0, 0, 5), "INDIRECT tells of failures"
    assert mapper.ask(CALLIT, 300, 1, 1, 0, peer=REMOTE) is None, "not too often"
    clock.now += 1
    assert mapper.ask(CALLIT, 300, 1, 1, 0, peer=REMOTE) == (service, 0)
    assert mapper.ask(CALLIT, 100000, 2, 0, 0) is None, "never to itself"
    assert mapper.ask(CALLIT, 999, 1, 0, 0) is None
    two, _, four = mapper.rpcb("GETSTAT")
    none = rb.rpcbs_rmtcalllist(999, 1, 0, 0, 1, 0, b"udp", None)
    failed = rb.rpcbs_rmtcalllist(300, 1, 2, 0, 1, 0, b"udp", none)
    assert two.rmtinfo == rb.rpcbs_rmtcalllist(300, 1, 1, 2, 0, 0, b"udp", failed)
    failed = rb.rpcbs_rmtcalllist(300, 1, 2, 0, 1, 1, b"udp", None)
    assert four.rmtinfo == rb.rpcbs_rmtcalllist(300, 1, 1, 1, 0, 1, b"udp", failed)
