"""A bad network between our client and our server: no call is lost, none is executed twice.

CREATE, LINK, RENAME, REMOVE, SYMLINK, MKDIR and RMDIR run in an order in which a second
execution of any of them would answer EEXIST or ENOENT, or leave a name or a link too
many; WRITE and truncation in one in which a late duplicate would bring old contents back.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nfsrpc.auth import SysCredential
from nfsrpc.client.mountd import MountService
from nfsrpc.client.nfs2 import Nfs2, attributes_to_set, read, write
from nfsrpc.protocols import nfs_prot
from nfsrpc.rpc.message import NULL_AUTH, encode_call
from nfsrpc.rpc.retry import RetryPolicy
from nfsrpc.testing.chaos import Chaos
from nfsrpc.testing.faults import Faults
from nfsrpc.transport.client import Client
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.xdr import Procedure

pytestmark = pytest.mark.hostile

ROOT_USER = SysCredential(0, 0, (), b"lossy")
IMPATIENT = RetryPolicy(first=0.04, factor=1.5, ceiling=0.3, jitter=0.3)
DATAGRAMS = Faults(drop=0.1, duplicate=0.25, reorder=0.1, delay=0.1, pause=0.15)
STREAMS = Faults(split=0.3, delay=0.1, cut=0.03, truncate=0.02, pause=0.01)
BLOCK = 4096


def connected(proto: str, port: int) -> Client:
    connect: Callable[..., Client] = connect_udp if proto == "udp" else connect_tcp
    return connect("127.0.0.1", port, credential=ROOT_USER, policy=IMPATIENT, timeout=60)


def root_of(client: Client, export: str) -> bytes:
    return MountService(client).mnt(os.fsencode(export))


class Journal:
    """One writer in a directory of its own: what it has done, and what must be there in the end."""

    def __init__(self, nfs: Nfs2, home: bytes, seed: int) -> None:
        self.nfs = nfs
        self.home = home
        self.random = random.Random(seed)
        self.contents: dict[bytes, bytes] = {}
        self.links: dict[bytes, int] = {}

    def names(self, turn: int) -> None:
        """Names come and go; every one of these calls fails if an earlier one of them is executed again."""
        nfs, home, plain = self.nfs, self.home, attributes_to_set(mode=0o644)
        a, b, c = (b"%s%d" % (letter, turn) for letter in (b"a", b"b", b"c"))
        handle, _ = nfs.create(home, a, plain)
        nfs.link(handle, home, b)
        nfs.rename(home, a, home, c)
        nfs.mkdir(home, a, attributes_to_set(mode=0o755))
        nfs.rmdir(home, a)
        nfs.symlink(home, a, b"target", attributes_to_set(mode=0o777))
        nfs.remove(home, a)
        other, _ = nfs.create(home, a, plain)
        nfs.rename(home, a, home, b)
        nfs.link(other, home, a)
        nfs.remove(home, b)
        self.contents[c], self.links[c] = b"", 1
        self.contents[a], self.links[a] = b"", 1

    def data(self, turn: int) -> None:
        """One file is written over, cut and written again: only the last state may be there in the end."""
        handle, _ = self.nfs.create(self.home, b"file", attributes_to_set(mode=0o644))
        old, new, last = (self.random.randbytes(BLOCK) for _ in range(3))
        self.nfs.write(handle, 0, old + old)
        self.nfs.write(handle, 0, new)
        self.nfs.setattr(handle, attributes_to_set(size=0))
        self.nfs.write(handle, 100, last)
        self.contents[b"file"], self.links[b"file"] = bytes(100) + last, 1

    def check(self, nfs: Nfs2) -> None:
        """Look at the directory over a network without faults."""
        listed = sorted(entry.name for entry in nfs.readdir(self.home) if entry.name not in (b".", b".."))
        assert listed == sorted(self.contents)
        for name, contents in self.contents.items():
            handle, attributes = nfs.lookup(self.home, name)
            assert (attributes.size, attributes.nlink) == (len(contents), self.links[name]), name
            if contents:
                assert nfs.read(handle, 0, 8192)[0] == contents, name


@pytest.mark.parametrize(("proto", "faults"), [("udp", DATAGRAMS), ("tcp", STREAMS)], ids=["udp", "tcp"])
@pytest.mark.parametrize("workers", [1, 2])
def test_no_call_is_lost_and_none_executed_twice(
    make_server: Callable[..., Any], request: pytest.FixtureRequest, proto: str, faults: Faults, workers: int
) -> None:
    turns = 150 if request.config.getoption("--full") else 12
    server = make_server("--workers", str(workers))
    with Chaos(("127.0.0.1", server.port), up=faults, down=faults, seed=workers) as chaos:
        journals = _write(proto, chaos.address[1], server.export, turns)
        counts = chaos.counts("up") + chaos.counts("down")
    for fault in ("drop", "duplicate", "reorder", "delay") if proto == "udp" else ("cut", "split"):
        assert counts[fault] > 0, fault
    with connect_tcp("127.0.0.1", server.port, credential=ROOT_USER) as client:
        for journal in journals:
            journal.check(Nfs2(client))
    server.stop()
    fsck = [sys.executable, "-m", "nfsrpc", "fsck", server.export]
    subprocess.run(fsck, check=True, capture_output=True, timeout=120)


def _write(proto: str, port: int, export: str, turns: int) -> list[Journal]:
    """Four writers: two with a client each, two threads on one client."""

    def work(journal: Journal) -> Journal:
        for turn in range(turns):
            journal.names(turn)
            journal.data(turn)
        return journal

    with connected(proto, port) as one, connected(proto, port) as two, connected(proto, port) as three:
        root = root_of(one, export)
        journals = []
        for number, client in enumerate((one, two, three, three)):
            nfs = Nfs2(client)
            home, _ = nfs.mkdir(root, b"home%d" % number, attributes_to_set(mode=0o755))
            journals.append(Journal(nfs, home, number))
        with ThreadPoolExecutor(len(journals)) as pool:
            return list(pool.map(work, journals))


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_contents_with_many_calls_in_flight_arrive_whole(make_server: Callable[..., Any], proto: str) -> None:
    server = make_server()
    data = random.Random(7).randbytes(60 * 8192 + 11)
    faults = DATAGRAMS if proto == "udp" else STREAMS
    with (
        Chaos(("127.0.0.1", server.port), up=faults, down=faults, seed=3) as chaos,
        connected(proto, chaos.address[1]) as client,
    ):
        nfs = Nfs2(client)
        handle, _ = nfs.create(root_of(client, server.export), b"big", attributes_to_set(mode=0o644))
        sent = [nfs.submit(write(handle, at, data[at : at + 8192])) for at in range(0, len(data), 8192)]
        for call in reversed(sent):
            nfs.wait(call)
        asked = [nfs.submit(read(handle, at, 8192)) for at in range(0, len(data), 8192)]
        assert b"".join(nfs.wait(call)[0] for call in asked) == data


# --- late duplicates, byte for byte


class Wire:
    """UDP sockets with source ports of their own, and calls as bytes."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._sockets: dict[str, socket.socket] = {}
        self._xid = random.Random(port).getrandbits(31)

    def call(self, procedure: Procedure, argument: Any, user: SysCredential = ROOT_USER) -> bytes:
        """A new call."""
        self._xid += 1
        head = encode_call(
            self._xid, procedure.program, procedure.version, procedure.number, user.opaque(), NULL_AUTH
        )
        parts = [head]
        procedure.encode_args((argument,), parts)
        return b"".join(parts)

    def exchange(self, name: str, message: bytes) -> bytes:
        """Send `message` from the socket called `name`; the reply to it, sending again as long as none comes."""
        sock = self._sockets.setdefault(name, socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        sock.settimeout(1.0)
        for _ in range(20):
            sock.sendto(message, self._to)
            try:
                reply = sock.recv(65536)
            except OSError:
                continue
            if reply[:4] == message[:4]:
                return reply
        raise AssertionError("no reply")

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()


@pytest.fixture
def server_of_two(make_server: Callable[..., Any]) -> Any:
    return make_server("--workers", "2")


@pytest.fixture
def wire(server_of_two: Any) -> Iterator[Wire]:
    wire = Wire(server_of_two.port)
    yield wire
    wire.close()


PROCEDURES = nfs_prot.NFS_PROGRAM_2_service.procedures
UNSET = nfs_prot.nfstime(0xFFFFFFFF, 0xFFFFFFFF)


def write_of(handle: bytes, data: bytes) -> tuple[Procedure, Any]:
    return PROCEDURES[8], nfs_prot.writeargs(nfs_prot.nfs_fh(handle), 0, 0, 0, data)


def size_of(handle: bytes, size: int) -> tuple[Procedure, Any]:
    return PROCEDURES[2], nfs_prot.sattrargs(nfs_prot.nfs_fh(handle), attributes_to_set(size=size))


OLD = {
    "write": lambda handle: write_of(handle, b"old contents"),
    "truncation": lambda handle: size_of(handle, 0),
    "extension": lambda handle: size_of(handle, 5000),
}


@pytest.mark.parametrize("crash", [False, True], ids=["same server", "killed and started again"])
@pytest.mark.parametrize("old", list(OLD.values()), ids=list(OLD))
def test_a_late_duplicate_changes_nothing_from_any_port(
    server_of_two: Any, wire: Wire, old: Callable[[bytes], tuple[Procedure, Any]], crash: bool
) -> None:
    with connect_tcp("127.0.0.1", server_of_two.port, credential=ROOT_USER, policy=IMPATIENT) as client:
        nfs = Nfs2(client)
        handle, _ = nfs.create(root_of(client, server_of_two.export), b"f", attributes_to_set(mode=0o644))
        nfs.write(handle, 0, b"first")
        late = wire.call(*old(handle))
        answer = wire.exchange("a", late)
        assert answer[24:28] == struct.pack(">I", 0)
        nfs.setattr(handle, attributes_to_set(size=0))
        nfs.write(handle, 0, b"new")
        before = nfs.getattr(handle)
        if crash:
            server_of_two.kill()
            server_of_two.start()
        for name in ("a", "b", "c", "d", "e", "f"):
            assert wire.exchange(name, late) == answer
        assert nfs.read(handle, 0, 8192)[0] == b"new"
        after = nfs.getattr(handle)
        assert (after.mtime, after.ctime, after.size) == (before.mtime, before.ctime, before.size)


def test_the_same_xid_with_other_arguments_or_from_another_user_is_another_call(
    server_of_two: Any, wire: Wire
) -> None:
    with connect_tcp("127.0.0.1", server_of_two.port, credential=ROOT_USER) as client:
        nfs = Nfs2(client)
        handle, _ = nfs.create(root_of(client, server_of_two.export), b"f", attributes_to_set(mode=0o666))
        first = wire.call(*write_of(handle, b"one"))
        second = first[:4] + wire.call(*write_of(handle, b"two"))[4:]
        wire.exchange("a", first)
        wire.exchange("a", second)
        assert nfs.read(handle, 0, 10)[0] == b"two"
        wire.exchange("a", first)
        assert nfs.read(handle, 0, 10)[0] == b"two"
        stranger = wire.call(*write_of(handle, b"one"), SysCredential(4711, 4711, (), b"lossy"))
        wire.exchange("a", first[:4] + stranger[4:])
        assert nfs.read(handle, 0, 10)[0] == b"one"
