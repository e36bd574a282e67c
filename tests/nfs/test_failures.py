"""A disk that fails: who gets the failure, and that the server goes on."""

import errno
import os

import pytest
from nfs2_calls import UNSET, create, getattr_, made, names, read, sattr, setattr_, where, write

from nfsrpc.nfs.status import PASSING
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s
from nfsrpc.rpc.dispatch import Peer
from nfsrpc.store.volume import log
from nfsrpc.store.volume.accounts import WHOLE
from nfsrpc.store.volume.quota import Limits, set_limits

PROCEDURES = v2.NFS_PROGRAM_2_service.procedures
OK = bytes(4)


@pytest.fixture
def failing(site, monkeypatch):
    """Lets syncs of one content file fail with an errno while it is set."""
    state = {"errno": 0, "file": None}

    def sync(descriptor, real=os.fdatasync):
        if state["errno"] and (os.fstat(descriptor).st_ino == state["file"]):
            raise OSError(state["errno"], "injected")
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", sync)
    return state


def inode_of_only_content(site):
    (path,) = (site.path / "data").glob("*/*")
    return path.stat().st_ino


def turn(site, *calls):
    caller = site.caller()
    batch = [
        (caller.message(PROCEDURES[number], (arg,), next(site.xids)), Peer("127.0.0.1", 700, "tcp"))
        for number, arg in calls
    ]
    return [None if reply is None else b"".join(reply)[24:28] for reply in site.dispatcher.turn(batch)]


def four_calls(site, file):
    return (
        (v2.NFSPROC_GETATTR, site.root),
        (v2.NFSPROC_WRITE, v2.writeargs(file, 0, 0, 0, b"new")),
        (v2.NFSPROC_CREATE, v2.createargs(where(site.root, b"other"), sattr(mode=0o644, size=0))),
        (v2.NFSPROC_LOOKUP, where(site.root, b"f")),
    )


@pytest.mark.parametrize(("number", "status"), [(errno.EIO, s.NFSERR_IO), (errno.ENOSPC, s.NFSERR_NOSPC)])
def test_only_the_call_to_blame_fails(site, failing, number, status):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f")
    write(nfs, file, 0, b"old")
    failing.update(errno=number, file=inode_of_only_content(site))
    assert turn(site, *four_calls(site, file)) == [OK, int(status).to_bytes(4), OK, OK]
    failing["errno"] = 0
    assert sorted(names(nfs, site.root)) == [b".", b"..", b"f", b"other"]
    assert write(nfs, file, 0, b"again").status == s.NFS_OK
    site.restart()
    assert read(site.nfs(), file) == b"again"


@pytest.mark.parametrize("number", sorted(PASSING))
def test_what_will_pass_gets_no_answer_and_is_not_remembered(site, monkeypatch, number):
    message = site.caller().message(PROCEDURES[v2.NFSPROC_REMOVE], (where(site.root, b"f"),), 77)
    made(site.nfs(), site.root, b"f")
    with monkeypatch.context() as broken:

        def busy(*_):
            raise OSError(number, "injected")

        broken.setattr(type(site.volume), "unlink", busy)
        assert site.dispatcher.turn([(message, Peer("127.0.0.1", 700, "udp"))]) == [None]
    (reply,) = site.dispatcher.turn([(message, Peer("127.0.0.1", 700, "udp"))])
    assert b"".join(reply)[24:] == OK
    assert names(site.nfs(), site.root) == [b".", b".."]


def test_a_fault_of_our_own_ends_no_worker(site, monkeypatch, caplog):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f")
    with monkeypatch.context() as broken:

        def commit(_):
            raise KeyError("a bug")

        broken.setattr(type(site.volume), "commit", commit)
        assert create(nfs, site.root, b"g").status == s.NFSERR_IO
        assert nfs.NFSPROC_GETATTR(file).status == s.NFSERR_IO
    assert "a bug" in caplog.text
    assert getattr_(nfs, file).size == 0
    assert names(nfs, site.root) == [b".", b"..", b"f"]


def test_a_list_of_mounts_that_cannot_be_written_keeps_nobody_from_mounting(site, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, "injected")

    monkeypatch.setattr(os, "pwrite", full)
    assert site.mount().MOUNTPROC_MNT(b"/vol").directory == site.root.data
    assert "list of mounts" in caplog.text


def test_a_forged_handle_touches_no_store(site, monkeypatch):
    def begin(*_):
        raise AssertionError("the store was asked")

    monkeypatch.setattr(type(site.volume), "begin", begin)
    *kept, last = site.root.data
    forged = v2.nfs_fh(bytes([*kept, last ^ 1]))
    assert site.nfs().NFSPROC_SETATTR(v2.sattrargs(forged, sattr(mode=0))).status == s.NFSERR_STALE


def test_existing_names_are_told_before_missing_permission(site):
    root, user = site.nfs(0), site.nfs(1000)
    directory = root.NFSPROC_MKDIR(v2.createargs(where(site.root, b"d"), sattr(mode=0o755))).diropres.file
    file = made(root, directory, b"f")
    wanted = sattr(mode=0o755, size=UNSET)
    for name, status in ((b"f", s.NFSERR_EXIST), (b"g", s.NFSERR_ACCES)):
        place = where(directory, name)
        assert user.NFSPROC_MKDIR(v2.createargs(place, wanted)).status == status
        assert user.NFSPROC_LINK(v2.linkargs(file, place)) == status
        assert user.NFSPROC_SYMLINK(v2.symlinkargs(place, b"x", wanted)) == status


@pytest.mark.parametrize("kind", ["directory"], indirect=True)
def test_in_a_plain_directory_nothing_is_done_twice(site, monkeypatch):
    """What was done on the host stays done: who is not to blame gets the answer of the first time."""
    nfs = site.nfs()
    file, gone = made(nfs, site.root, b"f"), made(nfs, site.root, b"gone")
    number = (site.path / "f").stat().st_ino

    def sync(descriptor, real=os.fsync):
        if os.fstat(descriptor).st_ino == number:
            raise OSError(errno.EIO, "injected")
        real(descriptor)

    calls = (
        (v2.NFSPROC_GETATTR, file),
        (v2.NFSPROC_REMOVE, where(site.root, b"gone")),
        (v2.NFSPROC_WRITE, v2.writeargs(file, 0, 0, 0, b"new")),
        (v2.NFSPROC_MKDIR, v2.createargs(where(site.root, b"d"), sattr(mode=0o755))),
    )
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", sync)
        assert turn(site, *calls) == [OK, OK, s.NFSERR_IO.to_bytes(4), OK]
    assert sorted(os.listdir(site.path)) == ["d", "f"]
    assert nfs.NFSPROC_GETATTR(gone).status == s.NFSERR_STALE
    assert write(nfs, file, 0, b"newer").status == s.NFS_OK
    assert (site.path / "f").read_bytes() == b"newer"


def refused_half_way(nfs, file, chunk):
    """Appends until it is refused; (the status, bytes that were taken)."""
    size = 0
    while (status := write(nfs, file, size, chunk).status) == s.NFS_OK:
        size += len(chunk)
    return status, size


@pytest.mark.parametrize("kind", ["volume"], indirect=True)
@pytest.mark.parametrize(("owner", "status"), [(1000, s.NFSERR_DQUOT), (WHOLE, s.NFSERR_NOSPC)], ids=["user", "volume"])
def test_at_a_limit(site, owner, status):
    """The call that would pass it is refused as a whole, the others of its turn are not."""
    user = site.nfs(1000)
    file = made(user, site.root, b"f")
    set_limits(site.path, owner, Limits(used=100 * 1024, inodes=4))
    assert refused_half_way(user, file, b"x" * 8192) == (status, 96 * 1024)
    assert getattr_(user, file).size == 96 * 1024
    left = 3 if owner != WHOLE else 2  # the root directory is one of the volume's
    answers = [create(user, site.root, b"n%d" % number).status for number in range(5)]
    assert answers == [s.NFS_OK] * left + [status] * (5 - left)
    assert len(names(user, site.root)) == 2 + 1 + left
    setattr_(user, file, size=0)
    assert write(user, file, 0, b"x" * 8192).status == s.NFS_OK
    if owner == WHOLE:
        room = user.NFSPROC_STATFS(site.root).reply
        assert room.blocks * room.bsize == 100 * 1024
        assert room.bfree * room.bsize == 100 * 1024 - 4096 - 8192
    else:
        assert write(site.nfs(0), made(site.nfs(0), site.root, b"root's"), 0, b"x" * 8192).status == s.NFS_OK
    site.restart()
    assert read(site.nfs(1000), file) == b"x" * 8192


@pytest.mark.parametrize("kind", ["volume"], indirect=True)
@pytest.mark.interpreted
def test_a_log_that_stays_off_the_disk(site, monkeypatch):
    """What changes something fails until the disk is well; then its retransmission gets the first answer."""
    nfs = site.nfs()
    file = made(nfs, site.root, b"f")
    calls = four_calls(site, file)
    caller = site.caller()
    batch = [
        (caller.message(PROCEDURES[number], (arg,), next(site.xids)), Peer("127.0.0.1", 700, "tcp"))
        for number, arg in calls
    ]

    def statuses():
        return [b"".join(reply)[24:28] for reply in site.dispatcher.turn(batch)]

    def fail(*arguments):
        raise OSError(errno.EIO, "injected")

    with monkeypatch.context() as broken:
        broken.setattr(log, "sync_data", fail)
        broken.setattr(log.Log, "_fold", fail)
        assert statuses() == [OK, s.NFSERR_IO.to_bytes(4), s.NFSERR_IO.to_bytes(4), OK]
    assert statuses() == [OK] * 4
    assert read(nfs, file)[:3] == b"new"
    assert sorted(names(nfs, site.root)) == [b".", b"..", b"f", b"other"]
