"""A worker's memory depends on its declared caches, not on the number of files."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from nfs2_calls import UNSET, where

from nfsrpc.auth import SysCredential
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.testing.served import Served
from nfsrpc.transport import connect_tcp
from nfsrpc.transport.client import Client

LIMIT = 60 << 20
WINDOW = 64
NEVER = v2.nfstime(UNSET, UNSET)
PROCEDURES = v2.NFS_PROGRAM_2_service.procedures


def peak(pid: int) -> int:
    """Most resident memory that a process has had, in bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served(tmp_path) as server:
        yield server


def make_files(client: Client, directory: v2.nfs_fh, count: int) -> None:
    """`count` empty files, many calls in flight."""
    wanted = v2.sattr(0o644, UNSET, UNSET, 0, NEVER, NEVER)
    create = PROCEDURES[v2.NFSPROC_CREATE]
    for first in range(0, count, WINDOW):
        pending = [
            client.submit(create, (v2.createargs(where(directory, b"file-%08d" % n), wanted),))
            for n in range(first, min(first + WINDOW, count))
        ]
        assert all(client.wait(call).status == v2.nfsstat.NFS_OK for call in pending)


def visit_all(client: Client, directory: v2.nfs_fh) -> int:
    """Read the whole directory and look up every name in it; how many there are."""
    nfs = v2.NFS_PROGRAM_2_client(client)
    cookie, seen, eof = bytes(4), 0, False
    while not eof:
        page = nfs.NFSPROC_READDIR(v2.readdirargs(directory, cookie, 8192)).reply
        assert page is not None
        entry, names = page.entries, []
        while entry is not None:
            names.append(entry.name)
            cookie, entry = entry.cookie, entry.nextentry
        lookup = PROCEDURES[v2.NFSPROC_LOOKUP]
        pending = [client.submit(lookup, (where(directory, name),)) for name in names]
        assert all(client.wait(call).status == v2.nfsstat.NFS_OK for call in pending)
        seen += len(names)
        eof = page.eof
    return seen - 2


@pytest.mark.parametrize("count", [20_000, pytest.param(500_000, marks=[pytest.mark.full, pytest.mark.timeout(1800)])])
def test_a_worker_stays_small_however_many_files_there_are(served: Served, count: int) -> None:
    with connect_tcp("127.0.0.1", served.port, credential=SysCredential(0, 0, (), b"test"), timeout=60) as client:
        root = mnt.MOUNTPROG_1_client(client).MOUNTPROC_MNT(served.export.encode()).directory
        assert root is not None
        make_files(client, v2.nfs_fh(root), count)
        assert visit_all(client, v2.nfs_fh(root)) == count
    assert peak(served.pid) < LIMIT
