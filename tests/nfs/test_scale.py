"""A volume of millions: calls, start and recovery take as long as in an empty one, and a worker no more memory."""

import os
import random
import signal
import stat
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from itertools import count, islice
from pathlib import Path

import pytest
from nfs2_calls import sattr, where

from nfsrpc.auth import SysCredential
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.rpc.errors import RpcError
from nfsrpc.store.volume import Volume, VolumeLimits, make_volume
from nfsrpc.testing.served import Served
from nfsrpc.transport import connect_tcp

pytestmark = [pytest.mark.timeout(1500)]

UNIT = 10_000
FEW = 1_000
"""Names in a directory of the tree beside the large one; and in the volume that all is compared with."""
BATCH, BATCHES = 200, 6
SYNCED = 40
"""Calls in a batch of those that wait for the disk."""
MEMORY = 80 << 20
REG, DIR = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o777


def fill(volume, directory, names):
    while some := list(islice(names, UNIT)):
        with volume.work(changing=True):
            for name in some:
                with volume.step():
                    volume.create(directory, name, REG, 0, 0)


def build(path, large, inodes):
    """A volume with a directory of `large` names, and as many files in directories of `FEW` as make `inodes` in all."""
    make_volume(path, uid=0, gid=0)
    volume = Volume.open(path, limits=VolumeLimits(generation_block=1 << 16))
    used, number = 2 + large, 0
    with volume.work(changing=True), volume.step():
        top = volume.create(volume.root, b"large", DIR, 0, 0).ufid
    fill(volume, top, (b"f%07d" % number for number in range(large)))
    while used < inodes:
        files = min(FEW, inodes - used - 1)
        with volume.work(changing=True), volume.step():
            below = volume.create(volume.root, b"d%07d" % number, DIR, 0, 0).ufid
        fill(volume, below, (b"f%07d" % place for place in range(files)))
        used, number = used + 1 + files, number + 1
    volume.close()


class Site:
    """A served volume, and a connection to it."""

    def __init__(self, base, large, inodes):
        base.mkdir()
        self.large = large
        self.served = Served(base, "--workers", "1")
        build(self.served.volume, large, inodes)
        self.fresh = count()
        self.start()

    def start(self):
        """Seconds until calls are taken, the first being answered."""
        began = time.perf_counter()
        self.served.start()
        root_user = SysCredential(0, 0, (), b"h")
        self.connection = connect_tcp("127.0.0.1", self.served.port, credential=root_user, timeout=60)
        root = mnt.MOUNTPROG_1_client(self.connection).MOUNTPROC_MNT(self.served.export.encode()).directory
        self.nfs = v2.NFS_PROGRAM_2_client(self.connection)
        self.top = self.nfs.NFSPROC_LOOKUP(where(v2.nfs_fh(root), b"large")).diropres.file
        return time.perf_counter() - began

    def processes(self):
        """Process ids of the server and its workers; a single worker may be the server itself."""
        children = Path(f"/proc/{self.served.pid}/task/{self.served.pid}/children")
        return [self.served.pid, *map(int, children.read_text().split())]

    def kill(self):
        """SIGKILL for the whole server, in the middle of changes."""
        under_way = threading.Event()

        def change():
            with suppress(OSError, RpcError):
                while True:
                    self.create()
                    under_way.set()

        thread = threading.Thread(target=change)
        thread.start()
        assert under_way.wait(60)
        processes = self.processes()
        os.kill(self.served.pid, signal.SIGSTOP)
        for pid in processes:
            os.kill(pid, signal.SIGKILL)
        self.served.stop()
        self.connection.close()
        thread.join(60)

    def close(self):
        self.connection.close()
        self.served.stop()

    def lookup(self, number):
        name = b"f%07d" % number
        assert self.nfs.NFSPROC_LOOKUP(where(self.top, name)).status == v2.nfsstat.NFS_OK

    def create(self):
        wanted = v2.createargs(where(self.top, b"new %d" % next(self.fresh)), sattr(mode=0o644))
        assert self.nfs.NFSPROC_CREATE(wanted).status == v2.nfsstat.NFS_OK

    def seconds(self, call, arguments):
        """What a batch of calls takes, one after the other."""
        began = time.perf_counter()
        for argument in arguments:
            call(*argument)
        return time.perf_counter() - began


@contextmanager
def within(times, what):
    """The best of the large one's times is within so many times the best of the small one's, measured in turns."""
    taken = ([], [])
    yield taken
    ratio = min(taken[0]) / min(taken[1])
    print(f"{what}: {ratio:.2f} x the small one's ({min(taken[0]):.4f} s)")
    assert ratio < times


def turns(least, large, small):
    """Up to ten: what a busy machine adds to a time, more turns take away; what the volume adds, they do not."""
    for turn in range(1, 11):
        yield turn
        if turn >= least and min(large) < 2 * min(small):
            return


def check_lookup(sites):
    """Names that no cache has, beside names that it has."""
    rng = random.Random(1)
    with within(2, f"LOOKUP x {BATCH}") as taken:
        for _ in range(BATCHES):
            for site, times in zip(sites, taken, strict=True):
                times.append(site.seconds(site.lookup, [(rng.randrange(site.large),) for _ in range(BATCH)]))


def check_create(sites):
    with within(2, f"CREATE x {SYNCED}") as taken:
        for _ in range(BATCHES):
            for site, times in zip(sites, taken, strict=True):
                times.append(site.seconds(site.create, [()] * SYNCED))


def check_readdir(site):
    """The last tenth takes no longer than the first, and every name comes exactly once."""
    with within(2, "READDIR of the last tenths, beside the first") as (last, first):
        for _ in turns(2, last, first):
            tenths = tenths_of_readdir(site)
            last.append(min(tenths[-3:]))
            first.append(min(tenths[:3]))


def tenths_of_readdir(site):
    """What each tenth of the directory takes."""
    seen = set()
    tenths = []
    cookie, end = bytes(4), False
    while not end:
        began, before = time.perf_counter(), len(seen)
        while not end and len(seen) - before < site.large // 10:
            page = site.nfs.NFSPROC_READDIR(v2.readdirargs(site.top, cookie, 8192)).reply
            entry, end = page.entries, page.eof
            while entry is not None:
                assert entry.name not in seen
                seen.add(entry.name)
                cookie, entry = entry.cookie, entry.nextentry
        if not end:
            tenths.append(time.perf_counter() - began)
    assert seen >= {b"f%07d" % number for number in range(site.large)}
    return tenths


def check_start(sites):
    for what, end in ("start", Site.close), ("recovery", Site.kill):
        with within(2, what) as taken:
            for _ in turns(3, *taken):
                for site, times in zip(sites, taken, strict=True):
                    end(site)
                    times.append(site.start())


def check_memory(site):
    """After calls all over the volume, so that every cache is full."""
    rng = random.Random(2)
    for _ in range(12_000):
        site.lookup(rng.randrange(site.large))
    for _ in range(100):
        site.create()
    statuses = [Path(f"/proc/{pid}/status").read_text().splitlines() for pid in site.processes()]
    peak = max(int(line.split()[1]) << 10 for status in statuses for line in status if line.startswith("VmHWM:"))
    print(f"memory of a worker: {peak >> 20} MiB at most")
    assert peak < MEMORY


@pytest.mark.parametrize(
    ("large", "inodes"),
    [(100_000, 200_000), pytest.param(1_000_000, 2_000_000, marks=pytest.mark.full)],
)
def test_as_in_an_empty_volume(tmp_path, large, inodes):
    with ExitStack() as stack:
        sites = Site(tmp_path / "large", large, inodes), Site(tmp_path / "small", FEW, 0)
        for site in sites:
            stack.callback(site.close)
        check_lookup(sites)
        check_create(sites)
        check_readdir(sites[0])
        check_memory(sites[0])
        check_start(sites)
