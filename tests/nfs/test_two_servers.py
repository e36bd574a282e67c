"""Two servers on one volume: refused, unless both are told to share; then each sees at once what the other did."""

import os
import signal
import socket
import subprocess
import sys
import threading
from itertools import count

import pytest
from nfs2_calls import create, lookup, made, mkdir, names, read, setattr_, where, write

from nfsrpc.auth import SysCredential
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s
from nfsrpc.rpc.message import NULL_AUTH, decode_reply, encode_call
from nfsrpc.rpc.retry import RetryPolicy
from nfsrpc.store.volume import make_volume
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.testing.served import Served
from nfsrpc.transport import connect_tcp

ROOT = SysCredential(0, 0, (), b"h")
PATIENT = RetryPolicy(0.1, 1.5, 1.0, 0.1)


class Server:
    """One of the servers of a volume, and a client of it."""

    def __init__(self, base, volume, *options):
        base.mkdir()
        self.served = Served(base, "--shared", *options)
        self.served.volume = volume
        self.start()

    def start(self):
        self.served.start()
        self.connection = connect_tcp("127.0.0.1", self.served.port, credential=ROOT, policy=PATIENT, timeout=60)
        path = self.served.export.encode()
        self.mounted = v2.nfs_fh(mnt.MOUNTPROG_1_client(self.connection).MOUNTPROC_MNT(path).directory)
        self.nfs = v2.NFS_PROGRAM_2_client(self.connection)

    def send(self, message):
        """A call as one datagram; what follows the header of its reply."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            sock.sendto(message, ("127.0.0.1", self.served.port))
            reply = sock.recv(65536)
        return reply[decode_reply(reply).body :]

    def close(self):
        self.connection.close()
        self.served.stop()


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """Two, with two workers each; each test has a directory of its own."""
    base = tmp_path_factory.mktemp("shared")
    make_volume(base / "volume", uid=0, gid=0)
    started = [Server(base / name, base / "volume", "--workers", "2") for name in ("a", "b")]
    yield started
    for server in started:
        server.close()
    assert [finding for finding in check_volume(base / "volume") if not finding.leftover] == []


@pytest.fixture
def pair(servers, request):
    directory = mkdir(servers[0].nfs, servers[0].mounted, request.node.name.encode())
    for server in servers:
        server.root = directory
    return servers


def test_the_second_is_refused(tmp_path):
    with Served(tmp_path) as served:
        for options in ([], ["--shared"]):
            command = [sys.executable, "-m", "nfsrpc", "serve", served.volume, "--port", "0", "--no-portmap", *options]
            refused = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
            why = "the volume is in use by a running server; several can have it if all are started with --shared"
            assert (refused.returncode, refused.stderr) == (1, f"nfsrpc: {served.volume}: {why}\n")


def test_each_sees_at_once_what_the_other_did(pair):
    assert pair[0].mounted == pair[1].mounted, "handles of one are handles of the other"
    for number, (one, other) in enumerate((pair, pair[::-1]) * 3):
        name = b"f%d" % number
        file = made(one.nfs, one.root, name)
        write(one.nfs, file, 0, b"one" * 2000)
        assert lookup(other.nfs, other.root, name).diropres.file == file
        assert read(other.nfs, file) == b"one" * 2000
        setattr_(other.nfs, file, size=5)
        write(other.nfs, file, 5, b"other")
        assert read(one.nfs, file) == b"oneonother"
        directory = mkdir(other.nfs, other.root, b"d%d" % number)
        moved = v2.renameargs(where(other.root, name), where(directory, b"moved"))
        assert other.nfs.NFSPROC_RENAME(moved) == s.NFS_OK
        assert lookup(one.nfs, one.root, name).status == s.NFSERR_NOENT
        assert one.nfs.NFSPROC_REMOVE(where(directory, b"moved")) == s.NFS_OK
        assert read(other.nfs, file) == s.NFSERR_STALE
        assert names(other.nfs, directory) == [b".", b".."]


def test_a_call_runs_once_whichever_server_it_is_sent_to(pair):
    xids = count(0x5000)
    for number, (one, other) in enumerate((pair, pair[::-1]) * 2):
        name = b"f%d" % number
        made(one.nfs, one.root, name)
        procedure = v2.NFS_PROGRAM_2_service.procedures[v2.NFSPROC_REMOVE]
        called = (procedure.program, procedure.version, procedure.number)
        parts = [encode_call(next(xids), *called, ROOT.opaque(), NULL_AUTH)]
        procedure.encode_args((where(one.root, name),), parts)
        message = b"".join(parts)
        assert one.send(message) == other.send(message) == one.send(message) == bytes(4)


def test_one_is_killed_under_load(pair):
    """Nothing that either has acknowledged is missing, nothing is there twice, and the other goes on meanwhile."""
    done = {0: [], 1: []}
    stop = threading.Event()

    def change(place):
        server = pair[place]
        for number in count():
            name = b"%d-%d" % (place, number)
            try:
                answer = create(server.nfs, server.root, name)
            except OSError:
                return
            assert answer.status == s.NFS_OK
            done[place].append((name, answer.diropres.file.data))
            if stop.is_set():
                return

    threads = [threading.Thread(target=change, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    while min(map(len, done.values())) < 20:
        stop.wait(0.01)
    children = f"/proc/{pair[0].served.pid}/task/{pair[0].served.pid}/children"
    with open(children) as file:
        workers = [int(pid) for pid in file.read().split()]
    os.kill(pair[0].served.pid, signal.SIGSTOP)
    for pid in (*workers, pair[0].served.pid):
        os.kill(pid, signal.SIGKILL)
    so_far = len(done[1])
    pair[0].served.stop()
    pair[0].served.start()
    while len(done[1]) < so_far + 20:
        stop.wait(0.01)
    stop.set()
    for thread in threads:
        thread.join(60)
    made_names = [name for place in (0, 1) for name, _ in done[place]]
    found = names(pair[1].nfs, pair[1].root)
    assert len(found) == len(set(found)) == len(made_names) + 2
    assert set(found) == {b".", b"..", *made_names}
    assert len({handle for place in (0, 1) for _, handle in done[place]}) == len(made_names)
    for place in (0, 1):
        for name, handle in done[place]:
            assert lookup(pair[1 - place].nfs, pair[0].root, name).diropres.file.data == handle


def test_each_adds_to_what_the_other_has_counted(pair):
    """The size that a server appends at is the one that the other has left."""
    file = made(pair[0].nfs, pair[0].root, b"log")
    for number in range(40):
        server = pair[number % 2]
        size = server.nfs.NFSPROC_GETATTR(file).attributes.size
        assert size == number * 9
        assert write(server.nfs, file, size, b"line %03d\n" % number).status == s.NFS_OK
    assert read(pair[0].nfs, file) == b"".join(b"line %03d\n" % number for number in range(40))


def test_attributes_of_one_are_those_of_the_other(pair):
    file = made(pair[0].nfs, pair[0].root, b"f")
    for mode in (0o600, 0o640, 0o644):
        for one, other in (pair, pair[::-1]):
            assert setattr_(one.nfs, file, mode=mode).status == s.NFS_OK
            assert other.nfs.NFSPROC_GETATTR(file).attributes.mode & 0o777 == mode
