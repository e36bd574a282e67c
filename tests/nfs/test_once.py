"""A call that changes something runs once, however often and from wherever it arrives, restarts included."""

import pytest
from nfs2_calls import getattr_, made, mkdir, names, read, sattr, where, write

from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s
from nfsrpc.rpc.dispatch import Peer

KINDS = ("volume", "directory")

PROCEDURES = v2.NFS_PROGRAM_2_service.procedures


def send(site, message, peer=Peer("10.0.0.1", 700, "udp")):
    (reply,) = site.dispatcher.turn([(message, peer)])
    return b"".join(reply)


def messages(site):
    """One message of each procedure that changes something, and a state where its second run would differ."""
    nfs, root = site.nfs(), site.root
    file = made(nfs, root, b"file")
    write(nfs, file, 0, b"0123456789")
    for name in (b"gone", b"old"):
        made(nfs, root, name)
    mkdir(nfs, root, b"empty")
    args = {
        v2.NFSPROC_SETATTR: v2.sattrargs(file, sattr(size=3)),
        v2.NFSPROC_WRITE: v2.writeargs(file, 0, 1, 0, b"abc"),
        v2.NFSPROC_CREATE: v2.createargs(where(root, b"new"), sattr(mode=0o644, size=0)),
        v2.NFSPROC_REMOVE: where(root, b"gone"),
        v2.NFSPROC_RENAME: v2.renameargs(where(root, b"old"), where(root, b"renamed")),
        v2.NFSPROC_LINK: v2.linkargs(file, where(root, b"hard")),
        v2.NFSPROC_SYMLINK: v2.symlinkargs(where(root, b"soft"), b"to", sattr()),
        v2.NFSPROC_MKDIR: v2.createargs(where(root, b"dir"), sattr(mode=0o755)),
        v2.NFSPROC_RMDIR: where(root, b"empty"),
    }
    caller = site.caller()
    return {n: caller.message(PROCEDURES[n], (arg,), 0x7000 + n) for n, arg in args.items()}


NINE = [2, 8, 9, 10, 11, 12, 13, 14, 15]


@pytest.mark.parametrize("number", NINE, ids=lambda n: PROCEDURES[n].name)
@pytest.mark.parametrize("restart", [False, True], ids=["same server", "after a restart"])
def test_a_retransmission_gets_the_first_answer(site, number, restart):
    message = messages(site)[number]
    first = send(site, message)
    before = names(site.nfs(), site.root)
    if restart:
        site.restart()
    assert send(site, message) == first
    assert send(site, message, Peer("10.0.0.1", 999, "tcp")) == first
    assert names(site.nfs(), site.root) == before


def test_two_copies_in_one_turn(site):
    message = messages(site)[v2.NFSPROC_REMOVE]
    peer = Peer("10.0.0.1", 700, "udp")
    first, second = site.dispatcher.turn([(message, peer), (message, peer)])
    assert b"".join(first) == b"".join(second)
    assert b"".join(first)[-4:] == bytes(4)


def test_a_late_duplicate_write_or_truncate_changes_nothing(site):
    nfs = site.nfs()
    late = messages(site)
    file = nfs.NFSPROC_LOOKUP(where(site.root, b"file")).diropres.file
    send(site, late[v2.NFSPROC_WRITE])
    send(site, late[v2.NFSPROC_SETATTR])
    write(nfs, file, 0, b"newer contents")
    read(nfs, file)  # a host may note the first time
    before = getattr_(nfs, file)
    site.restart()
    send(site, late[v2.NFSPROC_WRITE])
    send(site, late[v2.NFSPROC_SETATTR])
    assert read(site.nfs(), file) == b"newer contents"
    assert getattr_(site.nfs(), file) == before


def test_failures_are_remembered_too(site):
    caller = site.caller()
    message = caller.message(PROCEDURES[v2.NFSPROC_REMOVE], (where(site.root, b"f"),), 1)
    first = send(site, message)
    made(site.nfs(), site.root, b"f")
    assert send(site, message) == first
    assert b"f" in names(site.nfs(), site.root)


def test_what_is_not_the_same_call_runs(site):
    remove = PROCEDURES[v2.NFSPROC_REMOVE]
    made(site.nfs(), site.root, b"a")
    message = site.caller().message(remove, (where(site.root, b"a"),), 5)
    other_user = site.caller(1000).message(remove, (where(site.root, b"a"),), 5)
    other_name = site.caller().message(remove, (where(site.root, b"b"),), 5)
    assert send(site, message)[-4:] == bytes(4)
    noent = int(s.NFSERR_NOENT).to_bytes(4)
    assert send(site, other_user)[-4:] == noent
    assert send(site, other_name)[-4:] == noent
    assert send(site, message, Peer("10.0.0.2", 700, "udp"))[-4:] == noent
    assert send(site, message)[-4:] == bytes(4)


def test_reading_is_never_answered_from_memory(site):
    nfs, caller = site.nfs(), site.caller()
    file = made(nfs, site.root, b"f")
    message = caller.message(PROCEDURES[v2.NFSPROC_GETATTR], (file,), 9)
    before = send(site, message)
    write(nfs, file, 0, b"x")
    assert send(site, message) != before
