"""Permission: who may do what, as tables."""

import itertools

import pytest
from nfs2_calls import create, getattr_, lookup, made, mkdir, read, setattr_, where, write

from nfsrpc.auth import Principal
from nfsrpc.nfs.access import EXECUTE, READ, WRITE, allowed
from nfsrpc.nfs.changes import TOUCH_WINDOW, permitted
from nfsrpc.nfs.identity import Identity, Squash
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s
from nfsrpc.store import Attributes, Changes

KINDS = ("volume", "directory")

FILE, DIRECTORY = 0o100000, 0o040000
OWNER = Identity(10, 1, frozenset())
MEMBER = Identity(11, 1, frozenset({20}))
OTHER = Identity(12, 2, frozenset())
ROOT = Identity(0, 0, frozenset())
NOW = 10**18


def node(mode, uid=10, gid=20):
    return Attributes(5, 1, mode, 1, uid, gid, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize(("who", "shift"), [(OWNER, 6), (MEMBER, 3), (OTHER, 0)], ids=["owner", "member", "other"])
def test_mode_bits(who, shift):
    for wanted, bits in itertools.product((READ, WRITE, EXECUTE), range(8)):
        assert allowed(node(FILE | bits << shift), who, wanted) is bool(bits & wanted)


def test_the_first_class_that_fits_decides():
    assert not allowed(node(FILE | 0o077), OWNER, READ)
    assert not allowed(node(FILE | 0o707), MEMBER, READ)


def test_root_may_do_everything_but_execute_what_nobody_may():
    assert allowed(node(FILE), ROOT, READ | WRITE)
    assert not allowed(node(FILE | 0o666), ROOT, EXECUTE)
    assert allowed(node(FILE | 0o001), ROOT, EXECUTE)
    assert allowed(node(DIRECTORY), ROOT, EXECUTE)


def who(uid, gid=100, gids=()):
    return Principal(1, "x", uid, gid, gids)


@pytest.mark.parametrize(
    ("squash", "principal", "identity"),
    [
        (Squash(), who(0, 0), (0, 0, set())),
        (Squash(), who(5, 6, (7,)), (5, 6, {7})),
        (Squash(), Principal(0, "none"), (65534, 65534, {65534})),
        (Squash(root=True), who(0, 0, (0, 3)), (65534, 65534, {65534, 3})),
        (Squash(root=True), who(5, 0, (0, 3)), (5, 65534, {65534, 3})),
        (Squash(root=True), who(5, 6, (7,)), (5, 6, {7})),
        (Squash(everybody=True), who(5, 6, (7,)), (65534, 65534, {65534})),
        (Squash(root=True, anonuid=1, anongid=2), who(0, 0), (1, 2, set())),
    ],
)
def test_squash(squash, principal, identity):
    uid, gid, gids = identity
    assert squash.identity(principal) == Identity(uid, gid, frozenset(gids))


T = NOW - 60 * 10**9
PERMITTED = {
    "owner chmod": (OWNER, FILE | 0o644, Changes(mode=0o600), Changes(mode=0o600)),
    "other chmod": (OTHER, FILE | 0o666, Changes(mode=0o600), PermissionError),
    "root chmod": (ROOT, FILE | 0o644, Changes(mode=0o4711), Changes(mode=0o4711)),
    "setgid for a group one is not in": (OWNER, FILE | 0o644, Changes(mode=0o2755), Changes(mode=0o755)),
    "setgid on a directory": (OWNER, DIRECTORY | 0o755, Changes(mode=0o2755), Changes(mode=0o2755)),
    "owner gives away": (OWNER, FILE | 0o644, Changes(uid=11), PermissionError),
    "owner keeps": (OWNER, FILE | 0o644, Changes(uid=10), Changes(uid=10)),
    "owner to a foreign group": (OWNER, FILE | 0o644, Changes(gid=2), PermissionError),
    "owner to an own group": (OWNER, FILE | 0o644, Changes(gid=1), Changes(gid=1)),
    "root chown clears setuid": (ROOT, FILE | 0o6755, Changes(uid=3), Changes(uid=3, mode=0o755)),
    "setgid without group execute is a lock": (ROOT, FILE | 0o2644, Changes(uid=3), Changes(uid=3)),
    "chown of a directory keeps setgid": (ROOT, DIRECTORY | 0o2755, Changes(uid=3), Changes(uid=3)),
    "owner truncates a read-only file": (OWNER, FILE | 0o444, Changes(size=0), Changes(size=0)),
    "other truncates": (OTHER, FILE | 0o644, Changes(size=0), PermissionError),
    "other truncates a writable": (OTHER, FILE | 0o646, Changes(size=0), Changes(size=0)),
    "truncation clears setuid": (OWNER, FILE | 0o4755, Changes(size=0), Changes(size=0, mode=0o755)),
    "size of a directory": (ROOT, DIRECTORY | 0o755, Changes(size=0), IsADirectoryError),
    "owner sets any time": (OWNER, FILE | 0o644, Changes(mtime=5), Changes(mtime=5)),
    "other touches a writable": (OTHER, FILE | 0o646, Changes(atime=T, mtime=T), Changes(atime=NOW, mtime=NOW)),
    "other touches": (OTHER, FILE | 0o644, Changes(atime=T, mtime=T), PermissionError),
    "other sets an old time": (
        OTHER,
        FILE | 0o646,
        Changes(atime=NOW - 2 * TOUCH_WINDOW, mtime=NOW - 2 * TOUCH_WINDOW),
        PermissionError,
    ),
    "other sets unequal times": (OTHER, FILE | 0o646, Changes(atime=T, mtime=NOW), PermissionError),
}


@pytest.mark.parametrize(("caller", "mode", "wanted", "outcome"), PERMITTED.values(), ids=PERMITTED)
def test_changes(caller, mode, wanted, outcome):
    if isinstance(outcome, Changes):
        assert permitted(node(mode), caller, wanted, NOW) == outcome
        return
    with pytest.raises(outcome):
        permitted(node(mode), caller, wanted, NOW)


def test_rules_on_the_wire(site):
    root, user, stranger, nobody = site.nfs(0), site.nfs(1000, 100), site.nfs(2000, 200), site.nfs(None)
    home = mkdir(root, site.root, b"home", mode=0o755)
    assert create(user, home, b"f").status == s.NFSERR_ACCES
    setattr_(root, home, uid=1000)
    file = made(user, home, b"f", mode=0o000)
    assert write(user, file, 0, b"mine").status == s.NFS_OK
    assert read(user, file) == b"mine"
    assert read(stranger, file) == s.NFSERR_ACCES
    assert read(nobody, file) == s.NFSERR_ACCES
    assert read(root, file) == b"mine"
    setattr_(user, file, mode=0o111)
    assert read(stranger, file) == b"mine"
    assert write(stranger, file, 0, b"x").status == s.NFSERR_ACCES
    assert stranger.NFSPROC_REMOVE(where(home, b"f")) == s.NFSERR_ACCES
    setattr_(user, home, mode=0o700)
    assert lookup(stranger, home, b"f").status == s.NFSERR_ACCES
    assert stranger.NFSPROC_READDIR(v2.readdirargs(home, bytes(4), 1000)).status == s.NFSERR_ACCES
    assert getattr_(stranger, file).size == 4


def test_sticky_directory(site):
    root, owner, other = site.nfs(0), site.nfs(1000), site.nfs(2000)
    tmp = mkdir(root, site.root, b"tmp", mode=0o1777)
    made(owner, tmp, b"f")
    made(other, tmp, b"g")
    assert other.NFSPROC_REMOVE(where(tmp, b"f")) == s.NFSERR_PERM
    assert other.NFSPROC_RENAME(v2.renameargs(where(tmp, b"f"), where(tmp, b"h"))) == s.NFSERR_PERM
    assert other.NFSPROC_RENAME(v2.renameargs(where(tmp, b"g"), where(tmp, b"f"))) == s.NFSERR_PERM
    assert owner.NFSPROC_REMOVE(where(tmp, b"f")) == s.NFS_OK


def test_root_squash_takes_root_away(make_site):
    site = make_site(root_squash=True)
    root = site.nfs(0)
    found = getattr_(root, made(root, site.root, b"f"))
    assert (found.uid, found.gid) == (65534, 65534)
    assert setattr_(root, site.root, mode=0o700).status == s.NFSERR_PERM


def test_only_root_chooses_the_owner_of_a_new_file(site):
    user = getattr_(site.nfs(1000, 100), made(site.nfs(1000, 100), site.root, b"u", uid=5, gid=6))
    assert (user.uid, user.gid) == (1000, 100)
    root = getattr_(site.nfs(0), made(site.nfs(0), site.root, b"r", uid=5, gid=6))
    assert (root.uid, root.gid) == (5, 6)


