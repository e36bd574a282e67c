"""What a hostile client tries: names, handles, identities, paths, replays and numbers; each line one way in."""

import os
import random
import stat

import pytest
from nfs2_calls import UNSET, create, getattr_, lookup, made, mkdir, names, read, sattr, setattr_, where, write
from site_in_memory import FLAVORS

from nfsrpc.auth import SysCredential
from nfsrpc.nfs import nfs2
from nfsrpc.nfs.export_spec import ExportSpec
from nfsrpc.nfs.exports import Exports
from nfsrpc.nfs.handles import HandleSealer
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s
from nfsrpc.protocols.rpc_msg import accept_stat
from nfsrpc.rpc.dispatch import Dispatcher, Peer
from nfsrpc.store import Ufid

PROCEDURES = v2.NFS_PROGRAM_2_service.procedures
MINUS = 2**32 - 1


def send(site, number, *args, uid=0, xid=None, peer=None, tail=b""):
    """One call as it is; (accept_stat, the bytes of the result), or None for silence."""
    caller = site.caller(uid)
    message = caller.message(PROCEDURES[number], args, next(site.xids) if xid is None else xid)
    (reply,) = site.dispatcher.turn([(message + tail, peer or caller.peer)])
    if reply is None:
        return None
    data = b"".join(reply)
    return int.from_bytes(data[20:24]), data[24:]


# --- names ----------------------------------------------------------------------------------------------------------

MAKERS = {
    "CREATE": lambda site, name: (v2.NFSPROC_CREATE, v2.createargs(where(site.root, name), sattr(mode=0o644))),
    "MKDIR": lambda site, name: (v2.NFSPROC_MKDIR, v2.createargs(where(site.root, name), sattr(mode=0o755))),
    "SYMLINK": lambda site, name: (v2.NFSPROC_SYMLINK, v2.symlinkargs(where(site.root, name), b"t", sattr())),
    "LINK": lambda site, name: (v2.NFSPROC_LINK, v2.linkargs(site.file, where(site.root, name))),
    "RENAME to": lambda site, name: (
        v2.NFSPROC_RENAME, v2.renameargs(where(site.root, b"file"), where(site.root, name))
    ),
}  # fmt: skip
TAKERS = {
    "REMOVE": lambda site, name: (v2.NFSPROC_REMOVE, where(site.root, name)),
    "RMDIR": lambda site, name: (v2.NFSPROC_RMDIR, where(site.root, name)),
    "RENAME from": lambda site, name: (
        v2.NFSPROC_RENAME, v2.renameargs(where(site.root, name), where(site.root, b"new"))
    ),
}  # fmt: skip
BAD_NAMES = [b"", b"/", b"a/b", b"../file", b"/etc/passwd", b"a\0b", b"\0", b"..", b"."]


@pytest.fixture
def tree(site):
    site.file = made(site.nfs(), site.root, b"file")
    site.before = names(site.nfs(), site.root)
    return site


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
@pytest.mark.parametrize("maker", MAKERS.values(), ids=MAKERS)
def test_no_file_gets_a_name_that_is_none(tree, maker, name):
    stat_, result = send(tree, *maker(tree, name))
    assert stat_ == accept_stat.SUCCESS
    assert int.from_bytes(result[:4]) in (s.NFSERR_INVAL, s.NFSERR_EXIST, s.NFSERR_ISDIR, s.NFSERR_NOTEMPTY)
    assert names(tree.nfs(), tree.root) == tree.before


@pytest.mark.parametrize("name", BAD_NAMES, ids=repr)
@pytest.mark.parametrize("taker", TAKERS.values(), ids=TAKERS)
def test_a_name_that_is_none_takes_nothing(tree, taker, name):
    stat_, result = send(tree, *taker(tree, name))
    assert stat_ == accept_stat.SUCCESS
    assert int.from_bytes(result[:4]) in (s.NFSERR_INVAL, s.NFSERR_NOENT)
    assert names(tree.nfs(), tree.root) == tree.before


@pytest.mark.parametrize("name", [b"", b"/", b"a/b", b"../file", b"/etc/passwd", b"a\0b"], ids=repr)
def test_a_path_is_no_name(tree, name):
    assert lookup(tree.nfs(), tree.root, name).status in (s.NFSERR_NOENT, s.NFSERR_INVAL)


GOOD_NAMES = [b"x" * 255, b"\xff" * 255, b"caf\xe9", b"\x80", b" ", b"-", b"a\nb", b"\x1b[2J", b"CON"]


@pytest.mark.parametrize("name", GOOD_NAMES, ids=repr)
def test_every_other_name_is_kept_to_the_byte(tree, name):
    for maker in ("CREATE", "RENAME to", "MKDIR"):
        assert send(tree, *MAKERS[maker](tree, name))[1][:4] in (bytes(4), bytes([0, 0, 0, s.NFSERR_EXIST]))
        assert name in names(tree.nfs(), tree.root)


@pytest.mark.parametrize("length", [256, 4096])
def test_a_name_longer_than_the_protocol_has_is_garbage(tree, length):
    """The XDR bound is checked before anything is allocated; encoded by hand, for our encoder refuses it."""
    data = tree.root.data + length.to_bytes(4) + b"x" * length
    caller = tree.caller()
    head = caller.message(PROCEDURES[v2.NFSPROC_LOOKUP], (where(tree.root, b""),), 1)[:-36]
    (reply,) = tree.dispatcher.turn([(head + data, caller.peer)])
    assert int.from_bytes(b"".join(reply)[20:24]) == accept_stat.GARBAGE_ARGS


# --- symbolic links -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [b"/etc", b"..", b"../../../etc/passwd", b"file", b"t" * 1024, b"a\0b", b""])
def test_the_server_follows_no_link(tree, target):
    nfs = tree.nfs()
    status = nfs.NFSPROC_SYMLINK(v2.symlinkargs(where(tree.root, b"l"), target, sattr()))
    if status != s.NFS_OK:
        assert target in (b"", b"a\0b")
        return
    link = lookup(nfs, tree.root, b"l").diropres
    assert link.attributes.type == v2.ftype.NFLNK
    assert nfs.NFSPROC_READLINK(link.file).data == target
    assert lookup(nfs, link.file, b"passwd").status == s.NFSERR_NOTDIR
    assert read(nfs, link.file) == s.NFSERR_INVAL
    assert write(nfs, link.file, 0, b"x").status == s.NFSERR_INVAL
    assert create(nfs, tree.root, b"l", size=0).status == s.NFSERR_EXIST
    assert nfs.NFSPROC_READDIR(v2.readdirargs(link.file, bytes(4), 1000)).status == s.NFSERR_NOTDIR
    assert nfs.NFSPROC_GETATTR(tree.file).status == s.NFS_OK


# --- handles ----------------------------------------------------------------------------------------------------------

HANDLE_OFFERS = 100_000


def offers(site, rng):
    """Handles that nobody was given, without end: random, cut, flipped in one to eight bits, of other servers."""
    good = (site.file.data, site.root.data)
    return (handle for handle in forgeries(site, rng, good) if handle not in good)


def forgeries(site, rng, good):
    _, node = site.exports.open(site.file.data)
    (export,) = site.exports
    foreign = [
        HandleSealer(export.store.fsid, os.urandom(32)),
        HandleSealer(export.store.fsid ^ 1, export.store.key),
        HandleSealer(rng.randrange(1 << 32), os.urandom(32)),
    ]
    while True:
        yield rng.randbytes(32)
        handle = rng.choice(good)
        bits = int.from_bytes(handle)
        for _ in range(rng.randrange(1, 9)):
            bits ^= 1 << rng.randrange(256)
        yield bits.to_bytes(32)
        cut = rng.randrange(32)
        yield handle[:cut] + bytes(32 - cut)
        yield handle[:cut] + rng.randbytes(32 - cut)
        yield rng.choice(foreign).seal(export.number, node)
        yield export.sealer.seal(export.number ^ rng.randrange(1, 1 << 16), node)
        yield export.handle(Ufid(node.inode, node.generation + rng.choice((-1, 1))))
        yield export.handle(Ufid(rng.randrange(1000, 1 << 32), rng.randrange(1 << 32)))


def test_handles_that_nobody_was_given_open_nothing(tree):
    """10^5 of them, each as a call of its own; those of one turn share a dispatcher's turn, as on a busy server."""
    caller, rng = tree.caller(), random.Random(4)
    stream = offers(tree, rng)
    stale = bytes(4) + int(s.NFSERR_STALE).to_bytes(4)
    prefix = caller.message(PROCEDURES[v2.NFSPROC_GETATTR], (tree.file,), 0)[:-32]
    for _ in range(HANDLE_OFFERS // 100):
        batch = [(prefix + next(stream), caller.peer) for _ in range(100)]
        for (message, _), reply in zip(batch, tree.dispatcher.turn(batch), strict=True):
            assert b"".join(reply)[20:] == stale, message[-32:].hex()
    assert getattr_(tree.nfs(), tree.file).fileid


TAKING_HANDLES = [n for n in PROCEDURES if n not in (v2.NFSPROC_NULL, v2.NFSPROC_ROOT, v2.NFSPROC_WRITECACHE)]


def with_handle(number, handle, good):
    """Arguments of procedure `number` with `handle` in the first place, and in the second if there are two."""
    fh = v2.nfs_fh(handle)
    arguments = {
        v2.NFSPROC_GETATTR: [fh],
        v2.NFSPROC_SETATTR: [v2.sattrargs(fh, sattr(mode=0o777))],
        v2.NFSPROC_LOOKUP: [where(fh, b"file")],
        v2.NFSPROC_READLINK: [fh],
        v2.NFSPROC_READ: [v2.readargs(fh, 0, 10, 0)],
        v2.NFSPROC_WRITE: [v2.writeargs(fh, 0, 0, 0, b"x")],
        v2.NFSPROC_CREATE: [v2.createargs(where(fh, b"n"), sattr(mode=0o644))],
        v2.NFSPROC_REMOVE: [where(fh, b"file")],
        v2.NFSPROC_RENAME: [
            v2.renameargs(where(fh, b"file"), where(good, b"n")), v2.renameargs(where(good, b"file"), where(fh, b"n"))
        ],
        v2.NFSPROC_LINK: [v2.linkargs(fh, where(good, b"n")), v2.linkargs(good, where(fh, b"n"))],
        v2.NFSPROC_SYMLINK: [v2.symlinkargs(where(fh, b"n"), b"t", sattr())],
        v2.NFSPROC_MKDIR: [v2.createargs(where(fh, b"n"), sattr(mode=0o755))],
        v2.NFSPROC_RMDIR: [where(fh, b"file")],
        v2.NFSPROC_READDIR: [v2.readdirargs(fh, bytes(4), 1000)],
        v2.NFSPROC_STATFS: [fh],
    }  # fmt: skip
    return arguments[number]


@pytest.mark.parametrize("number", TAKING_HANDLES, ids=lambda n: PROCEDURES[n].name)
def test_every_procedure_looks_at_every_handle(tree, number):
    stream = offers(tree, random.Random(number))
    for _ in range(24):
        for argument in with_handle(number, next(stream), tree.root):
            assert send(tree, number, argument) == (accept_stat.SUCCESS, int(s.NFSERR_STALE).to_bytes(4))
    assert names(tree.nfs(), tree.root) == tree.before


@pytest.fixture
def two(tree):
    """The same store exported twice; `tree` goes on with both, `roots` has their handles."""
    specs = [ExportSpec(path, str(tree.path)) for path in (b"/vol", b"/other")]
    tree.exports = Exports(specs, {str(tree.path): tree.volume})
    tree.dispatcher = Dispatcher([nfs2.binding(tree.exports)], FLAVORS)
    tree.roots = [v2.nfs_fh(export.handle(tree.volume.root)) for export in tree.exports]
    return tree


def test_no_link_and_no_rename_leads_from_one_export_to_another(two):
    nfs, (one, other) = two.nfs(), two.roots
    assert one != other
    assert nfs.NFSPROC_LINK(v2.linkargs(two.file, where(other, b"n"))) == s.NFSERR_XDEV
    assert nfs.NFSPROC_RENAME(v2.renameargs(where(one, b"file"), where(other, b"n"))) == s.NFSERR_XDEV
    assert names(nfs, one) == two.before


def test_a_handle_moved_to_another_export_by_hand_is_stale(two):
    one, other = two.exports
    moved = bytearray(one.handle(two.volume.root))
    moved[2:4] = other.number.to_bytes(2)
    assert two.nfs().NFSPROC_GETATTR(v2.nfs_fh(bytes(moved))).status == s.NFSERR_STALE


def test_the_way_up_ends_at_the_root_of_the_export(tree):
    nfs, at = tree.nfs(), tree.root
    for _ in range(3):
        at = lookup(nfs, at, b"..").diropres.file
        assert at == tree.root
    deep = mkdir(nfs, mkdir(nfs, tree.root, b"a"), b"b")
    for _ in range(5):
        deep = lookup(nfs, deep, b"..").diropres.file
    assert deep == tree.root


# --- identities -------------------------------------------------------------------------------------------------------


def owner(site, uid, gid, gids=(), name=b"new"):
    result = create(site.nfs(uid, gid, gids), site.root, name)
    return result.status, result.diropres and (result.diropres.attributes.uid, result.diropres.attributes.gid)


@pytest.mark.parametrize("uid", [1 << 16, 3 << 16, 1 << 31, MINUS - 1, MINUS])
def test_a_uid_is_32_bits_and_not_root_at_any_other(make_site, uid):
    site = make_site(line="*(rw)")
    setattr_(make_root(site), site.root, mode=0o700)
    assert owner(site, uid, 1 << 16)[0] == s.NFSERR_ACCES
    setattr_(make_root(site), site.root, mode=0o777)
    assert owner(site, uid, 1 << 16) == (s.NFS_OK, (uid, 1 << 16))


def make_root(site):
    """Root, past every squash: what an administrator does where the volume is."""
    specs = [ExportSpec(b"/vol", str(site.path))]
    exports = Exports(specs, {str(site.path): site.volume})
    caller = site.caller(0)
    caller.dispatcher = Dispatcher([nfs2.binding(exports)], FLAVORS)
    return v2.NFS_PROGRAM_2_client(caller)


@pytest.mark.parametrize(
    ("uid", "gid", "gids", "identity"),
    [
        (0, 0, (), (65534, 65534)),
        (0, 5, (0,), (65534, 65534)),
        (5, 0, (), (5, 65534)),
        (5, 6, (0,), (5, 6)),
        (5, 6, (), (5, 6)),
    ],
)
def test_root_squash_takes_uid_0_and_gid_0(make_site, uid, gid, gids, identity):
    site = make_site(line="*(rw)")
    assert owner(site, uid, gid, gids) == (s.NFS_OK, identity)


def test_a_group_0_among_the_others_opens_nothing(make_site):
    site = make_site(line="*(rw)")
    root = make_root(site)
    secret = mkdir(root, site.root, b"d", mode=0o770)
    assert lookup(site.nfs(5, 6, (0,)), secret, b".").status == s.NFSERR_ACCES
    assert lookup(site.nfs(0, 0, ()), secret, b".").status == s.NFSERR_ACCES


def test_who_says_nothing_of_himself_is_nobody(site):
    """AUTH_NONE acts as anonuid, where it is taken at all."""
    mine = made(site.nfs(65533), site.root, b"m", mode=0o600)
    assert read(site.nfs(None), mine) == s.NFSERR_ACCES
    assert owner(site, None, 0) == (s.NFS_OK, (65534, 65534))


ROOTS_OWN = {
    "a block device": lambda site, nfs: create(nfs, site.root, b"n", mode=stat.S_IFBLK | 0o600, size=1).status,
    "a character device": lambda site, nfs: create(nfs, site.root, b"n", mode=stat.S_IFCHR | 0o600, size=1).status,
    "chown": lambda site, nfs: setattr_(nfs, site.theirs, uid=1000).status,
    "chgrp": lambda site, nfs: setattr_(nfs, site.theirs, gid=1000).status,
    "chmod of another's": lambda site, nfs: setattr_(nfs, site.theirs, mode=0o777).status,
}


@pytest.mark.parametrize("act", ROOTS_OWN.values(), ids=ROOTS_OWN)
@pytest.mark.parametrize("uid", [0, 1000])
def test_what_only_root_does_a_squashed_root_does_not(make_site, act, uid):
    site = make_site(line="*(rw)")
    site.theirs = made(make_root(site), site.root, b"theirs", mode=0o666)
    assert act(site, site.nfs(uid, uid)) == s.NFSERR_PERM


def test_the_owner_goes_on_with_a_file_he_made_unreadable(site):
    """A client that holds it open has no other way (RFC 1094 §3.3): for regular files alone."""
    nfs = site.nfs(1000, 100)
    file = made(nfs, site.root, b"f", mode=0)
    assert write(nfs, file, 0, b"x").status == s.NFS_OK
    assert read(nfs, file) == b"x"
    assert read(site.nfs(1001, 100), file) == s.NFSERR_ACCES
    folder = mkdir(nfs, site.root, b"d", mode=0)
    assert nfs.NFSPROC_READDIR(v2.readdirargs(folder, bytes(4), 1000)).status == s.NFSERR_ACCES
    assert lookup(nfs, folder, b"x").status == s.NFSERR_ACCES


@pytest.mark.parametrize("groups", [0, 16])
def test_no_groups_and_sixteen(site, groups):
    folder = mkdir(site.nfs(), site.root, b"d", mode=0o070)
    setattr_(site.nfs(), folder, gid=115)
    status = lookup(site.nfs(1000, 100, tuple(range(100, 100 + groups))), folder, b".").status
    assert status == (s.NFS_OK if groups else s.NFSERR_ACCES)


def test_seventeen_groups_are_no_credential(site):
    body = SysCredential(1000, 100, tuple(range(16)), b"h").opaque()[1]
    longer = body[:-68] + (17).to_bytes(4) + body[-64:] + bytes(4)
    caller = site.caller()
    message = caller.message(PROCEDURES[v2.NFSPROC_GETATTR], (site.root,), 1)
    head, args = message[:24], message[-32:]
    forged = head + (1).to_bytes(4) + len(longer).to_bytes(4) + longer + bytes(8) + args
    (reply,) = site.dispatcher.turn([(forged, caller.peer)])
    assert b"".join(reply)[4:] == bytes.fromhex("00000001 00000001 00000001 00000001"), "AUTH_BADCRED"


# --- replays ----------------------------------------------------------------------------------------------------------


def test_the_same_xid_with_another_body_runs(tree):
    one = where(tree.root, b"file")
    assert send(tree, v2.NFSPROC_REMOVE, one, xid=7)[1] == bytes(4)
    assert send(tree, v2.NFSPROC_REMOVE, one, xid=7)[1] == bytes(4), "the first answer again"
    made_ = v2.createargs(where(tree.root, b"other"), sattr(mode=0o644))
    assert send(tree, v2.NFSPROC_CREATE, made_, xid=7)[1][:4] == bytes(4)
    assert send(tree, v2.NFSPROC_REMOVE, where(tree.root, b"none"), xid=7)[1] == int(s.NFSERR_NOENT).to_bytes(4)


def test_a_result_of_another_client_is_not_told(tree):
    one = where(tree.root, b"file")
    assert send(tree, v2.NFSPROC_REMOVE, one, xid=7, peer=Peer("10.0.0.1", 7, "udp"))[1] == bytes(4)
    again = send(tree, v2.NFSPROC_REMOVE, one, xid=7, peer=Peer("10.0.0.2", 7, "udp"))
    assert again[1] == int(s.NFSERR_NOENT).to_bytes(4)


def test_a_refused_client_gets_no_remembered_result(make_site):
    """A stored answer is behind the same door as the call: whoever is not let in any more does not get it."""
    site = make_site(line="10.0.0.0/8(rw)")
    made(site.nfs(1000, host="10.0.0.1"), site.root, b"file")
    peer = Peer("10.0.0.1", 7, "udp")
    assert send(site, v2.NFSPROC_REMOVE, where(site.root, b"file"), uid=1000, xid=7, peer=peer)[1] == bytes(4)
    stranger = Peer("192.0.2.1", 7, "udp")
    for _ in range(2):
        answer = send(site, v2.NFSPROC_REMOVE, where(site.root, b"file"), uid=1000, xid=7, peer=stranger)
        assert answer[1] == int(s.NFSERR_ACCES).to_bytes(4)


# --- arithmetic -------------------------------------------------------------------------------------------------------

EDGES = [0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF]


@pytest.mark.parametrize("count", EDGES)
@pytest.mark.parametrize("offset", EDGES)
def test_reads_at_every_edge(tree, offset, count):
    write(tree.nfs(), tree.file, 0, b"abc")
    assert read(tree.nfs(), tree.file, offset, count) == b"abc"[offset : offset + count]


@pytest.mark.parametrize("total", EDGES)
@pytest.mark.parametrize("begin", EDGES)
def test_what_a_write_says_besides_its_data_is_not_believed(tree, begin, total):
    result = tree.nfs().NFSPROC_WRITE(v2.writeargs(tree.file, begin, 2, total, b"xy"))
    assert (result.status, result.attributes.size) == (s.NFS_OK, 4)


@pytest.mark.parametrize("size", EDGES[:-1])
def test_sizes_at_every_edge(tree, size):
    assert setattr_(tree.nfs(), tree.file, size=size).attributes.size == size


@pytest.mark.parametrize("count", EDGES)
def test_directory_pages_of_every_size(tree, count):
    result = tree.nfs().NFSPROC_READDIR(v2.readdirargs(tree.root, bytes(4), count))
    assert result.status == (s.NFS_OK if count >= 32 else s.NFSERR_INVAL)


@pytest.mark.parametrize("length", [UNSET, 0x80000000, 8193, 100])
def test_a_length_that_is_a_lie_is_garbage(tree, length):
    caller = tree.caller()
    message = caller.message(PROCEDURES[v2.NFSPROC_WRITE], (v2.writeargs(tree.file, 0, 0, 0, b"abcd"),), 1)
    assert message[-8:-4] == (4).to_bytes(4)
    (reply,) = tree.dispatcher.turn([(message[:-8] + length.to_bytes(4) + message[-4:], caller.peer)])
    assert int.from_bytes(b"".join(reply)[20:24]) == accept_stat.GARBAGE_ARGS
    assert read(tree.nfs(), tree.file) == b""


def test_what_goes_on_behind_the_arguments_is_garbage(tree):
    assert send(tree, v2.NFSPROC_GETATTR, tree.file, tail=b"more")[0] == accept_stat.GARBAGE_ARGS


def test_a_path_that_is_too_long_to_be_one_is_garbage(tree):
    from nfsrpc.protocols import mount as mnt

    caller = tree.caller()
    procedure = mnt.MOUNTPROG_1_service.procedures[mnt.MOUNTPROC_MNT]
    head = caller.message(procedure, (b"",), 1)[:-4]
    for length in (1025, UNSET):
        (reply,) = tree.dispatcher.turn([(head + length.to_bytes(4) + b"/" * 1028, caller.peer)])
        assert int.from_bytes(b"".join(reply)[20:24]) == accept_stat.GARBAGE_ARGS
    assert tree.mount().MOUNTPROC_MNT(b"/vol" + b"/" * 1020).status == 0
    assert tree.mount().MOUNTPROC_MNT(b"/vol/" + b"x" * 1019).status == s.NFSERR_NAMETOOLONG
