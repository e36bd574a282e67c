"""Bad networks, servers that go away and come back, stale handles, errors of writes that went behind."""

from __future__ import annotations

import errno
import hashlib
import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from by_hand import DIRECTORY, MOUNT, NFS, Answer, ByHand, chain, fattr, opaque, word

from nfsrpc.client import mount
from nfsrpc.rpc.errors import RpcError
from nfsrpc.testing.chaos import Chaos
from nfsrpc.testing.faults import Faults
from nfsrpc.testing.served import Served

MIB = 1 << 20
DATAGRAMS = Faults(drop=0.01, duplicate=0.02, reorder=0.02, delay=0.01, pause=0.01)
EXPECTED = {"udp": ("drop", "duplicate", "reorder"), "tcp": ("split", "delay")}
STREAMS = Faults(split=0.02, delay=0.01, cut=0.002, pause=0.005)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Served]:
    """A server that a test may kill."""
    with Served(tmp_path) as server:
        yield server


def blocks(size: int) -> Iterator[bytes]:
    """The same bytes each time, a MiB at a time."""
    chance = random.Random(size)
    for _ in range(size // MIB):
        yield chance.randbytes(MIB)


@pytest.mark.parametrize("size", [6 * MIB, pytest.param(1 << 30, marks=[pytest.mark.full, pytest.mark.timeout(3000)])])
@pytest.mark.parametrize(("proto", "faults"), [("udp", DATAGRAMS), ("tcp", STREAMS)])
def test_transfers_through_a_bad_network_and_restarts_arrive_whole(
    own: Served, proto: str, faults: Faults, size: int
) -> None:
    restarts = {size // MIB // 3: own.stop, size // MIB * 2 // 3: own.kill}
    sent, received = hashlib.sha256(), hashlib.sha256()
    with Chaos(("127.0.0.1", own.port), up=faults, down=faults, seed=size) as link:
        url = f"nfs://127.0.0.1:{link.address[1]}/export?proto={proto}&uid=0&gid=0&timeo=50"
        with mount(url) as m:
            with m.open("f", "wb", 0) as file:
                for number, block in enumerate(blocks(size)):
                    if number in restarts:
                        restarts[number]()
                        own.start()
                    sent.update(block)
                    file.write(block)
            with m.open("f", "rb", 0) as file:
                for number in itertools.count():
                    if number in restarts:
                        restarts[number]()
                        own.start()
                    block = file.read(MIB)
                    if not block:
                        break
                    received.update(block)
        for way in ("up", "down"):
            struck = link.counts(way)
            assert all(struck[fault] for fault in EXPECTED[proto]), struck
    assert received.digest() == sent.digest()
    direct = hashlib.sha256()
    with mount(own.url(uid=0, gid=0)) as m, m.open("f", "rb") as file:
        while block := file.read(MIB):
            direct.update(block)
    assert direct.digest() == sent.digest()


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_hard_mount_goes_on_when_the_server_is_back(own: Served, proto: str) -> None:
    with mount(own.url(proto=proto, uid=0, gid=0), timeout=0.3, retrans=0) as m:
        m.write_text("before", "x")
        own.stop()
        done: list[str] = []
        worker = threading.Thread(target=lambda: (m.mkdir("d"), done.extend(m.listdir())))
        worker.start()
        worker.join(1.2)
        assert worker.is_alive()
        own.start()
        worker.join(60)
        assert sorted(done) == ["before", "d"]


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_soft_mount_gives_up_and_can_be_used_when_the_server_is_back(own: Served, proto: str) -> None:
    with mount(own.url(uid=0, gid=0)) as other:
        other.write_text("f", "x")
    with mount(own.url(proto=proto, uid=0, gid=0), hard=False, timeout=0.3, retrans=1) as m:
        own.stop()
        with pytest.raises(TimeoutError) as raised:
            m.mkdir("d")
        assert (raised.value.errno, raised.value.filename) == (errno.ETIMEDOUT, "/export/d")
        assert isinstance(raised.value.__cause__, RpcError)
        own.start()
        with mount(own.url(uid=0)) as other:
            other.exists("d")
        for _ in range(50):
            try:
                assert m.read_text("f") == "x"
                return
            except TimeoutError:
                continue
        raise AssertionError("the mount did not recover")


def test_closing_the_mount_ends_what_waits_for_ever(own: Served) -> None:
    m = mount(own.url(uid=0, gid=0), timeout=0.2)
    own.stop()
    failures: list[BaseException] = []

    def wait() -> None:
        try:
            m.mkdir("d")
        except OSError as error:
            failures.append(error)

    worker = threading.Thread(target=wait)
    worker.start()
    worker.join(0.5)
    m.close()
    worker.join(30)
    assert len(failures) == 1


# --- servers by hand

NfsAnswers = dict[int, Answer | bytes]


@pytest.fixture
def by_hand() -> Iterator[Callable[..., tuple[ByHand, str]]]:
    """A server whose root is a directory; `answers` are the procedures of NFS. Its URL."""
    running: list[ByHand] = []

    def make(answers: NfsAnswers, root: Answer | bytes = b"R" * 32) -> tuple[ByHand, str]:
        mounted: Answer | bytes = word(0) + root if isinstance(root, bytes) else root
        every: dict[tuple[int, int], Answer | bytes] = {
            (MOUNT, 5): chain(opaque(b"/x") + chain()),
            (MOUNT, 1): mounted,
            (MOUNT, 3): b"",
            (NFS, 1): word(0) + DIRECTORY,
        }
        every.update({(NFS, number): answer for number, answer in answers.items()})
        server = ByHand(every).__enter__()
        running.append(server)
        return server, f"nfs://127.0.0.1:{server.port}/x"

    yield make
    for server in running:
        server.__exit__(None, None, None)


FILE = word(0) + b"F" * 32


@pytest.mark.hostile
@pytest.mark.parametrize("status", [28, 69, 5, 27, 10003, 4711])
def test_errors_of_writes_are_told_when_the_file_is_closed_or_synced(by_hand: Any, status: int) -> None:
    _, url = by_hand({4: FILE + fattr(), 8: word(status)})
    expected = {28: errno.ENOSPC, 69: errno.EDQUOT, 27: errno.EFBIG}.get(status, errno.EIO)
    with mount(url) as m:
        file = m.open("f", "r+b", 0)
        file.write(bytes(10_000))
        with pytest.raises(OSError) as synced:
            file.fsync()
        assert (synced.value.errno, synced.value.filename) == (expected, "/x/f")
        file.fsync()  # it was told once
        file.write(b"more")
        with pytest.raises(OSError) as closed:
            file.close()
        assert closed.value.errno == expected
        assert file.closed
        buffered = m.open("f", "r+b")
        buffered.write(b"x")
        with pytest.raises(OSError):
            m.fsync(buffered)
        buffered.close()


def test_a_file_that_grows_or_is_cut_while_it_is_read(by_hand: Any) -> None:
    contents = bytearray(os.urandom(300_000))
    version = itertools.count(1)
    stamp = [0]

    def attributes() -> bytes:
        return word(1, 0o100644, 1, 0, 0, len(contents), 4096, 0, 8, 1, 1, 100, 0, stamp[0], 0, stamp[0], 0)

    def read(arguments: bytes) -> bytes:
        offset, count = (int.from_bytes(arguments[at : at + 4]) for at in (32, 36))
        return word(0) + attributes() + opaque(bytes(contents[offset : offset + count]))

    _, url = by_hand({4: lambda arguments: FILE + attributes(), 6: read})
    with mount(url, read_ahead=16384) as m, m.open("f", "rb", 0) as file:
        assert file.read(8192) == contents[:8192]
        contents[100_000:] = b"y" * 50_000
        stamp[0] = next(version)
        assert file.read(200_000)[-10_000:] == b"y" * 10_000
        assert file.read(1) == b""


def test_short_reads_are_asked_on_and_nothing_is_an_error(by_hand: Any) -> None:
    contents = bytes(range(256)) * 79
    limit = [1000]

    def read(arguments: bytes) -> bytes:
        offset, count = (int.from_bytes(arguments[at : at + 4]) for at in (32, 36))
        return word(0) + fattr(size=len(contents)) + opaque(contents[offset : offset + min(count, limit[0])])

    _, url = by_hand({4: FILE + fattr(size=len(contents)), 6: read})
    with mount(url) as m:
        assert m.read_bytes("f") == contents
    with mount(url) as m:
        limit[0] = 0
        with pytest.raises(OSError, match="nothing at 0 of"):
            m.read_bytes("f")


class Reborn:
    """A server whose handles change: those of another epoch are stale. One file, one directory."""

    def __init__(self) -> None:
        self.epoch = 0
        self.fileid = 7
        self.contents = os.urandom(50_000)

    def handle(self, kind: bytes) -> bytes:
        return kind * 31 + bytes([self.epoch])

    def checked(self, answer: Callable[[bytes], bytes]) -> Answer:
        return lambda arguments: answer(arguments) if arguments[31] == self.epoch else word(70)

    def attributes(self) -> bytes:
        return fattr(size=len(self.contents), fileid=self.fileid)

    def getattr(self, arguments: bytes) -> bytes:
        return word(0) + (DIRECTORY if arguments[:1] == b"R" else self.attributes())

    def lookup(self, arguments: bytes) -> bytes:
        return word(0) + self.handle(b"F") + self.attributes()

    def read(self, arguments: bytes) -> bytes:
        offset, count = (int.from_bytes(arguments[at : at + 4]) for at in (32, 36))
        return word(0) + self.attributes() + opaque(self.contents[offset : offset + count])

    def write(self, arguments: bytes) -> bytes:
        offset, size = (int.from_bytes(arguments[at : at + 4]) for at in (36, 44))
        data = bytearray(self.contents)
        data[offset : offset + size] = arguments[48 : 48 + size]
        self.contents = bytes(data)
        return word(0) + self.attributes()

    def answers(self) -> NfsAnswers:
        by_number = {1: self.getattr, 4: self.lookup, 6: self.read, 8: self.write}
        return {number: self.checked(answer) for number, answer in by_number.items()}


def test_a_stale_handle_is_replaced_by_walking_again(by_hand: Any) -> None:
    server = Reborn()
    _, url = by_hand(server.answers(), lambda arguments: word(0) + server.handle(b"R"))
    with mount(url, read_ahead=0) as m:
        assert m.stat("f").st_size == 50_000
        with m.open("f", "r+b", 0) as file:
            assert file.read(8192) == server.contents[:8192]
            server.epoch = 1
            assert file.read(100_000) == server.contents[8192:]
            server.epoch = 2
            file.pwrite(b"new", 0)
            file.fsync()
            assert server.contents[:3] == b"new"
        server.epoch = 3
        assert m.read_bytes("f") == server.contents
        server.epoch = 4
        m._tree.nodes.clear()
        assert m.stat("f", follow_symlinks=False).st_size == 50_000


def test_another_file_of_that_name_is_not_taken_for_a_stale_one(by_hand: Any) -> None:
    server = Reborn()
    _, url = by_hand(server.answers(), lambda arguments: word(0) + server.handle(b"R"))
    with mount(url, read_ahead=0) as m, m.open("f", "rb", 0) as file:
        file.read(10)
        server.epoch, server.fileid = 1, 8
        with pytest.raises(OSError) as raised:
            file.pread(10, 20_000)
        assert raised.value.errno == errno.ESTALE


@pytest.mark.hostile
@pytest.mark.parametrize("status", [3, 7, 10001, 10006, 10008, 0xFFFFFFFF])
def test_status_codes_that_the_rfc_does_not_know(by_hand: Any, status: int) -> None:
    _, url = by_hand({4: word(status)})
    with mount(url) as m, pytest.raises(OSError) as raised:
        m.stat("f")
    assert raised.value.filename == "/x/f"


LINK = word(0) + b"L" * 32 + fattr(5, 0o120777, 4)


def test_a_server_whose_every_name_is_a_link_is_left_in_the_end(by_hand: Any) -> None:
    _, url = by_hand({4: LINK, 5: word(0) + opaque(b"/".join([b"a"] * 512))})
    with mount(url) as m:
        for work in (m.stat, m.open):
            with pytest.raises(OSError) as raised:
                work("a")
            assert raised.value.errno == errno.ELOOP


def test_a_server_whose_directories_have_no_bottom_is_left_in_the_end(by_hand: Any) -> None:
    _, url = by_hand({4: word(0) + b"D" * 32 + DIRECTORY})
    with mount(url) as m, pytest.raises(OSError) as raised:
        m.stat("d/" * 5000)
    assert raised.value.errno == errno.ENAMETOOLONG


def test_an_empty_link_target_leads_nowhere(by_hand: Any) -> None:
    _, url = by_hand({4: LINK, 5: word(0) + opaque(b"")})
    with mount(url) as m, pytest.raises(FileNotFoundError):
        m.stat("a")
