"""Answers that are given again: never one that is not right any more, and never to whom it was not given."""

import errno
import os
import signal

import pytest
from nfs2_calls import lookup, made, sattr, setattr_, where, write
from site_in_memory import FLAVORS

from nfsrpc.nfs import nfs2
from nfsrpc.nfs.exports import Exports
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s
from nfsrpc.rpc.dispatch import Dispatcher
from nfsrpc.store.volume.identity import rekey_volume

HOUR = 3600 * 10**9
TIMES = 3
"""The first answer, one that is kept, and the same again."""


@pytest.fixture
def file(site):
    """A file with some data."""
    file = made(site.nfs(), site.root, b"file")
    write(site.nfs(), file, 0, b"before")
    return file


def asked(site, file, *identity, **more):
    """What whoever it is sees of `file` and its directory by each procedure that changes nothing."""
    nfs = site.nfs(*identity, **more)
    return {
        "GETATTR": nfs.NFSPROC_GETATTR(file),
        "LOOKUP": nfs.NFSPROC_LOOKUP(where(site.root, b"file")),
        "LOOKUP of nothing": nfs.NFSPROC_LOOKUP(where(site.root, b"new")),
        "READ": nfs.NFSPROC_READ(v2.readargs(file, 0, 8192, 0)),
        "READDIR": nfs.NFSPROC_READDIR(v2.readdirargs(site.root, bytes(4), 4096)),
        "READLINK": nfs.NFSPROC_READLINK(file),
        "STATFS": nfs.NFSPROC_STATFS(file).status,
    }


def often(site, file, *identity, **more):
    """The same of the last of some times; they all must be alike."""
    first, *others = (asked(site, file, *identity, **more) for _ in range(TIMES))
    assert all(other == first for other in others)
    return first


class Worker:
    """Another worker of a site: a store and a dispatcher of its own."""

    def __init__(self, site):
        self.store = site.held.attach()
        self.dispatcher = Dispatcher([nfs2.binding(Exports([site.spec], {str(site.path): self.store}))], FLAVORS)
        self.root = site.root
        self._site = site

    def nfs(self):
        caller = self._site.caller(0)
        caller.dispatcher = self.dispatcher
        return v2.NFS_PROGRAM_2_client(caller)


@pytest.fixture
def other(site):
    other = Worker(site)
    yield other
    other.store.close()


CHANGES = {
    "WRITE": lambda nfs, root, file: write(nfs, file, 0, b"after"),
    "SETATTR": lambda nfs, root, file: setattr_(nfs, file, mode=0o640),
    "CREATE": lambda nfs, root, file: made(nfs, root, b"new"),
    "RENAME": lambda nfs, root, file: nfs.NFSPROC_RENAME(v2.renameargs(where(root, b"file"), where(root, b"new"))),
    "LINK": lambda nfs, root, file: nfs.NFSPROC_LINK(v2.linkargs(file, where(root, b"new"))),
    "SYMLINK": lambda nfs, root, file: nfs.NFSPROC_SYMLINK(v2.symlinkargs(where(root, b"new"), b"to", sattr())),
    "MKDIR": lambda nfs, root, file: nfs.NFSPROC_MKDIR(v2.createargs(where(root, b"new"), sattr(mode=0o755))),
    "REMOVE": lambda nfs, root, file: nfs.NFSPROC_REMOVE(v2.diropargs(root, b"file")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("by_another_worker", [False, True])
def test_after_a_change_everything_is_as_it_is_then(site, file, other, change, by_another_worker):
    before = often(site, file)
    change(other.nfs() if by_another_worker else site.nfs(), site.root, file)
    after = often(site, file)
    assert after != before
    site.restart()
    assert asked(site, file) == after


def test_a_change_that_was_undone_leaves_one_truth(site, file, other, monkeypatch):
    """Its data may have been written over all the same."""
    often(site, file)

    def refused(_):
        raise OSError(errno.EIO, "injected")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", refused)
        assert write(other.nfs(), file, 0, b"refused").status == s.NFSERR_IO
    seen = [often(site, file), asked(other, file)]
    site.restart()
    assert seen == [asked(site, file)] * 2


def test_what_stands_is_answered_without_the_store(site, file, monkeypatch):
    told = often(site, file)

    def closed(*_):
        raise OSError(errno.EIO, "injected")

    monkeypatch.setattr(type(site.volume), "begin", closed)
    answers = asked(site, file)
    failed = {name for name, answer in answers.items() if getattr(answer, "status", answer) == s.NFSERR_IO}
    assert failed == {"STATFS", "LOOKUP of nothing", "READLINK"}, "the room may change, and failures do not stand"
    assert all(answers[name] == told[name] for name in answers.keys() - failed)


def test_by_a_handle_that_expires_everything_is_asked_anew(site, file, monkeypatch):
    rekey_volume(site.path, HOUR)
    site.restart()
    old, new = file, lookup(site.nfs(), site.root, b"file").diropres.file
    assert old != new
    for _ in range(TIMES):
        assert site.nfs().NFSPROC_GETATTR(old) == site.nfs().NFSPROC_GETATTR(new)

    def closed(*_):
        raise OSError(errno.EIO, "injected")

    monkeypatch.setattr(type(site.volume), "begin", closed)
    assert site.nfs().NFSPROC_GETATTR(new).status == s.NFS_OK
    assert site.nfs().NFSPROC_GETATTR(old).status == s.NFSERR_IO


def test_who_is_killed_while_he_writes_leaves_one_truth(site, file, other):
    often(site, file)
    (child := os.fork()) or written_and_killed(site)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert site.volume.count() == -1
    seen = [often(site, file), asked(other, file)]
    site.restart()
    assert seen == [asked(site, file)] * 2
    assert site.volume.count() > 0
    assert seen[0]["READ"].reply.data == b"killed"


def written_and_killed(site):
    """In a process of its own: a worker that dies between writing and its commit."""
    store = site.held.attach()
    store.begin(True)
    with store.step():
        store.write(store.lookup(store.root, b"file").ufid, 0, b"killed")
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_store_that_is_closed_is_no_ground(site, file):
    """As after a reload that took it away and then failed: calls for it fail, and no others."""
    often(site, file)
    site.volume.close()
    assert asked(site, file)["GETATTR"].status == s.NFSERR_IO
    assert site.nfs().NFSPROC_NULL() is None


@pytest.mark.parametrize("kind", ["directory"], indirect=True)
def test_what_others_do_to_a_plain_directory_is_seen_at_once(site, file):
    for size in (1, 2, 3):
        for _ in range(TIMES):
            asked(site, file)
        (site.path / "file").write_bytes(bytes(size))
        assert asked(site, file)["READ"].reply.data == bytes(size)
        (site.path / f"new {size}").touch()
        assert lookup(site.nfs(), site.root, b"new %d" % size).status == s.NFS_OK


@pytest.mark.parametrize("stranger", [{"host": "192.0.2.1"}, {"host": "10.0.0.1", "port": 40000}], ids=["host", "port"])
def test_who_is_not_let_in_is_not_told_what_others_are(make_site, stranger):
    site = make_site(line="10.0.0.0/8(rw,no_root_squash)")
    friend = {"host": "10.0.0.1"}
    file = made(site.nfs(**friend), site.root, b"file")
    told = often(site, file, **friend)
    refused = often(site, file, **stranger)
    assert {getattr(answer, "status", answer) for answer in refused.values()} == {s.NFSERR_ACCES}
    assert often(site, file, **friend) == told


def test_each_user_has_the_answers_of_his_own(site, file):
    assert setattr_(site.nfs(), file, mode=0o600, uid=1000).status == s.NFS_OK
    for uid, status in ((1000, s.NFS_OK), (1001, s.NFSERR_ACCES), (1000, s.NFS_OK), (1001, s.NFSERR_ACCES)):
        assert often(site, file, uid)["READ"].status == status


def test_rights_that_are_decided_anew_end_what_stands(make_site):
    """As when a netgroup has changed: the export forgets whom it knows."""
    site = make_site(line="10.0.0.0/8(rw,no_root_squash)")
    file = made(site.nfs(host="10.0.0.1"), site.root, b"file")
    often(site, file, host="10.0.0.1")
    (export,) = site.exports
    export._rules = []
    export.forget()
    refused = asked(site, file, host="10.0.0.1")
    assert {getattr(answer, "status", answer) for answer in refused.values()} == {s.NFSERR_ACCES}
