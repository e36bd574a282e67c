"""The 18 procedures, called through the dispatcher: statuses, attributes and the conventions of old clients."""

import stat

import pytest
from nfs2_calls import UNSET, create, getattr_, lookup, made, mkdir, names, read, sattr, setattr_, where, write

from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s

KINDS = ("volume", "directory")


def test_null_root_and_writecache_do_nothing(site):
    nfs = site.nfs()
    assert nfs.NFSPROC_NULL() is None
    assert nfs.NFSPROC_ROOT() is None
    assert nfs.NFSPROC_WRITECACHE() is None


def test_root_attributes(site):
    found = getattr_(site.nfs(), site.root)
    assert found.type == v2.ftype.NFDIR
    assert stat.S_IMODE(found.mode) == 0o777
    assert (found.nlink, found.uid, found.gid, found.blocksize) == (2, 0, 0, 8192)
    assert found.fsid == site.volume.fsid


def test_write_read_back_and_eof(site):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f")
    assert write(nfs, file, 3, b"abc").attributes.size == 6
    assert read(nfs, file) == b"\0\0\0abc"
    assert read(nfs, file, 4, 1) == b"b"
    assert read(nfs, file, 6) == b""
    assert read(nfs, file, UNSET) == b""
    assert read(nfs, file, 0, UNSET) == b"\0\0\0abc"


@pytest.mark.parametrize("size", [1, 3, 1023, 1024, 8191, 8192])
def test_transfers_of_any_length(site, size):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f")
    data = bytes(range(256)) * 32
    assert write(nfs, file, 0, data[:size]).status == s.NFS_OK
    assert read(nfs, file) == data[:size]


def test_reading_what_is_no_file(site):
    nfs = site.nfs()
    nfs.NFSPROC_SYMLINK(v2.symlinkargs(where(site.root, b"l"), b"target", sattr()))
    link = lookup(nfs, site.root, b"l").diropres.file
    assert read(nfs, site.root) == s.NFSERR_ISDIR
    assert read(nfs, link) == s.NFSERR_INVAL
    assert nfs.NFSPROC_READLINK(link).data == b"target"
    assert nfs.NFSPROC_READLINK(site.root).status == s.NFSERR_INVAL


@pytest.mark.parametrize(
    ("offset", "length", "status"),
    [
        (0xFFFFFFFF, 1, s.NFSERR_FBIG),
        (0xFFFFFFFE, 1, s.NFS_OK),
        (0xFFFFFFF0, 8192, s.NFSERR_FBIG),
        (0x7FFFFFFF, 2, s.NFS_OK),
    ],
)
def test_the_end_of_32_bits_is_never_wrapped(site, offset, length, status):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f")
    assert write(nfs, file, offset, b"x" * length).status == status
    assert getattr_(nfs, file).size == (offset + length if status == s.NFS_OK else 0)
    if status == s.NFS_OK:
        assert read(nfs, file, offset, 8192) == b"x" * length


SPECIALS = {
    "fifo": (stat.S_IFCHR | 0o600, UNSET, v2.ftype.NFCHR, stat.S_IFIFO, UNSET),
    "character device": (stat.S_IFCHR | 0o600, 0x0103, v2.ftype.NFCHR, stat.S_IFCHR, 0x0103),
    "block device": (stat.S_IFBLK | 0o600, 0x0800, v2.ftype.NFBLK, stat.S_IFBLK, 0x0800),
    "socket": (stat.S_IFSOCK | 0o600, UNSET, v2.ftype.NFSOCK, stat.S_IFSOCK, 0),
    "fifo by its own type": (stat.S_IFIFO | 0o600, UNSET, v2.ftype.NFCHR, stat.S_IFIFO, UNSET),
    "regular by type": (stat.S_IFREG | 0o600, 0, v2.ftype.NFREG, stat.S_IFREG, 0),
    "regular without type": (0o600, UNSET, v2.ftype.NFREG, stat.S_IFREG, 0),
}


@pytest.mark.parametrize(("mode", "size", "kind", "fmt", "rdev"), SPECIALS.values(), ids=SPECIALS)
def test_create_is_mknod_as_well(site, mode, size, kind, fmt, rdev):
    nfs = site.nfs()
    found = getattr_(nfs, made(nfs, site.root, b"n", mode=mode, size=size))
    assert (found.type, stat.S_IFMT(found.mode), found.rdev, found.size) == (kind, fmt, rdev, 0)


def test_devices_are_for_root(site):
    assert create(site.nfs(1000), site.root, b"d", mode=stat.S_IFBLK | 0o600, size=5).status == s.NFSERR_PERM
    assert create(site.nfs(1000), site.root, b"p", mode=stat.S_IFCHR | 0o600).status == s.NFS_OK


def test_create_on_an_existing_file_only_truncates(site):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f", mode=0o640)
    write(nfs, file, 0, b"abc")
    again = create(nfs, site.root, b"f", mode=0o777, uid=7)
    assert (again.status, again.diropres.file, again.diropres.attributes.size) == (s.NFS_OK, file, 3)
    assert create(nfs, site.root, b"f", mode=0o777, size=0).diropres.attributes.size == 0
    assert stat.S_IMODE(getattr_(nfs, file).mode) == 0o640
    assert getattr_(nfs, file).uid == 0


def test_create_over_something_else(site):
    nfs = site.nfs()
    mkdir(nfs, site.root, b"d")
    assert create(nfs, site.root, b"d").status == s.NFSERR_EXIST
    made(nfs, site.root, b"f")
    assert create(nfs, site.root, b"f", mode=stat.S_IFCHR | 0o600, size=3).status == s.NFSERR_EXIST
    assert create(nfs, site.root, b".").status == s.NFSERR_EXIST
    assert create(nfs, site.root, b"..").status == s.NFSERR_EXIST
    assert create(nfs, site.root, b"t", mode=stat.S_IFDIR | 0o755).status == s.NFSERR_INVAL


def test_create_with_size_and_times(site):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f", size=5, atime=v2.nfstime(1, 2), mtime=v2.nfstime(3, 4))
    found = getattr_(nfs, file)
    assert (found.size, found.atime, found.mtime) == (5, v2.nfstime(1, 2), v2.nfstime(3, 4))
    assert read(nfs, file) == bytes(5)


def test_setattr_fields_of_minus_one_are_left(site):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f", mode=0o640)
    before = getattr_(nfs, file)
    after = setattr_(nfs, file, uid=5).attributes
    assert (after.uid, after.gid, after.mode, after.mtime) == (5, before.gid, before.mode, before.mtime)
    assert setattr_(nfs, file, mode=0xFFFF).attributes.mode == before.mode


@pytest.mark.parametrize(
    ("asked", "changed"),
    [({"atime": v2.nfstime(7, 8)}, "atime"), ({"mtime": v2.nfstime(7, 8)}, "mtime")],
)
def test_setting_one_time_leaves_the_other(site, asked, changed):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f")
    before = getattr_(nfs, file)
    after = setattr_(nfs, file, **asked).attributes
    other = "mtime" if changed == "atime" else "atime"
    assert getattr(after, changed) == v2.nfstime(7, 8)
    assert getattr(after, other) == getattr(before, other)


def test_the_impossible_microsecond_means_now(site):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f", mtime=v2.nfstime(1, 0), atime=v2.nfstime(1, 0))
    after = setattr_(nfs, file, atime=v2.nfstime(5, 0), mtime=v2.nfstime(5, 1_000_000)).attributes
    assert after.mtime.seconds > 1_000_000_000
    assert after.atime == after.mtime


def test_truncate_and_extend(site):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f")
    write(nfs, file, 0, b"abcdef")
    assert setattr_(nfs, file, size=2).attributes.size == 2
    assert setattr_(nfs, file, size=4).attributes.size == 4
    assert read(nfs, file) == b"ab\0\0"
    assert setattr_(nfs, site.root, size=0).status == s.NFSERR_ISDIR


def test_each_change_of_the_same_microsecond_is_seen(site):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f")
    times = [write(nfs, file, 0, b"x").attributes.mtime for _ in range(50)]
    stamps = [(time.seconds, time.useconds) for time in times]
    assert stamps == sorted(set(stamps))


def test_readdir_lists_dots_and_every_name_once(site):
    nfs = site.nfs()
    directory = mkdir(nfs, site.root, b"d")
    wanted = {b"name-%d" % n + b"x" * (n % 60) for n in range(100)}
    for name in wanted:
        made(nfs, directory, name)
    for count in (96, 512, 1024, 8192, 65536):
        found = names(nfs, directory, count)
        assert found[:2] == [b".", b".."]
        assert sorted(found[2:]) == sorted(wanted)


def test_readdir_reply_is_never_longer_than_asked(site):
    nfs = site.nfs()
    for n in range(40):
        made(nfs, site.root, b"n" * (n + 1))
    caller = site.caller()
    procedure = v2.NFS_PROGRAM_2_service.procedures[v2.NFSPROC_READDIR]
    for count in range(70, 600, 7):
        message = caller.message(procedure, (v2.readdirargs(site.root, bytes(4), count),), count)
        (reply,) = site.dispatcher.turn([(message, caller.peer)])
        assert len(b"".join(reply)) - 24 <= count


def test_readdir_room_for_no_entry_is_an_error_not_a_loop(site):
    result = site.nfs().NFSPROC_READDIR(v2.readdirargs(site.root, bytes(4), 20))
    assert result.status == s.NFSERR_INVAL


def test_removing_while_reading_skips_and_repeats_nothing(site):
    nfs = site.nfs()
    for n in range(60):
        made(nfs, site.root, b"f%02d" % n)
    cookie, seen, eof = bytes(4), [], False
    while not eof:
        page = nfs.NFSPROC_READDIR(v2.readdirargs(site.root, cookie, 200)).reply
        entry = page.entries
        while entry is not None:
            seen.append(entry.name)
            cookie = entry.cookie
            if entry.name not in (b".", b".."):
                assert nfs.NFSPROC_REMOVE(where(site.root, entry.name)) == s.NFS_OK
            entry = entry.nextentry
        eof = page.eof
    assert sorted(seen[2:]) == [b"f%02d" % n for n in range(60)]
    assert names(nfs, site.root) == [b".", b".."]


def test_dots_are_looked_up_and_stay_inside(site):
    nfs = site.nfs()
    directory = mkdir(nfs, site.root, b"d")
    assert lookup(nfs, directory, b".").diropres.file == directory
    assert lookup(nfs, directory, b"..").diropres.file == site.root
    assert lookup(nfs, site.root, b"..").diropres.file == site.root
    assert lookup(nfs, site.root, b".").diropres.file == site.root


def test_rename_replaces_and_keeps_the_handle(site):
    nfs = site.nfs()
    directory = mkdir(nfs, site.root, b"d")
    moved = made(nfs, site.root, b"a")
    victim = made(nfs, directory, b"b")
    write(nfs, moved, 0, b"moved")
    assert nfs.NFSPROC_RENAME(v2.renameargs(where(site.root, b"a"), where(directory, b"b"))) == s.NFS_OK
    assert lookup(nfs, directory, b"b").diropres.file == moved
    assert lookup(nfs, site.root, b"a").status == s.NFSERR_NOENT
    assert read(nfs, moved) == b"moved"
    assert nfs.NFSPROC_GETATTR(victim).status == s.NFSERR_STALE


def test_links_share_one_handle(site):
    nfs = site.nfs()
    file = made(nfs, site.root, b"a")
    assert nfs.NFSPROC_LINK(v2.linkargs(file, where(site.root, b"b"))) == s.NFS_OK
    assert lookup(nfs, site.root, b"b").diropres.file == file
    assert getattr_(nfs, file).nlink == 2
    assert nfs.NFSPROC_LINK(v2.linkargs(file, where(site.root, b"b"))) == s.NFSERR_EXIST
    assert nfs.NFSPROC_REMOVE(where(site.root, b"a")) == s.NFS_OK
    assert getattr_(nfs, file).nlink == 1
    assert nfs.NFSPROC_LINK(v2.linkargs(site.root, where(site.root, b"c"))) == s.NFSERR_PERM


REFUSED = {
    "remove of nothing": (lambda n, r: n.NFSPROC_REMOVE(where(r, b"no")), s.NFSERR_NOENT),
    "remove of a directory": (lambda n, r: n.NFSPROC_REMOVE(where(r, b"dir")), s.NFSERR_ISDIR),
    "remove of .": (lambda n, r: n.NFSPROC_REMOVE(where(r, b".")), s.NFSERR_INVAL),
    "rmdir of a file": (lambda n, r: n.NFSPROC_RMDIR(where(r, b"file")), s.NFSERR_NOTDIR),
    "rmdir of a full directory": (lambda n, r: n.NFSPROC_RMDIR(where(r, b"dir")), s.NFSERR_NOTEMPTY),
    "rmdir of ..": (lambda n, r: n.NFSPROC_RMDIR(where(r, b"..")), s.NFSERR_INVAL),
    "mkdir of what is there": (
        lambda n, r: n.NFSPROC_MKDIR(v2.createargs(where(r, b"file"), sattr(mode=0o755))).status,
        s.NFSERR_EXIST,
    ),
    "lookup in a file": (
        lambda n, r: lookup(n, lookup(n, r, b"file").diropres.file, b"x").status,
        s.NFSERR_NOTDIR,
    ),
    "create with a slash": (lambda n, r: create(n, r, b"a/b").status, s.NFSERR_INVAL),
    "create with a NUL": (lambda n, r: create(n, r, b"a\0b").status, s.NFSERR_INVAL),
    "create without a name": (lambda n, r: create(n, r, b"").status, s.NFSERR_INVAL),
    "rename into itself": (
        lambda n, r: n.NFSPROC_RENAME(
            v2.renameargs(where(r, b"dir"), where(lookup(n, r, b"dir").diropres.file, b"in"))
        ),
        s.NFSERR_INVAL,
    ),
    "rename of a file over a directory": (
        lambda n, r: n.NFSPROC_RENAME(v2.renameargs(where(r, b"file"), where(r, b"dir"))),
        s.NFSERR_ISDIR,
    ),
    "rename of a directory over a file": (
        lambda n, r: n.NFSPROC_RENAME(v2.renameargs(where(r, b"dir"), where(r, b"file"))),
        s.NFSERR_NOTDIR,
    ),
}


@pytest.mark.parametrize(("act", "status"), REFUSED.values(), ids=REFUSED)
def test_refusals(site, act, status):
    nfs = site.nfs()
    made(nfs, site.root, b"file")
    made(nfs, mkdir(nfs, site.root, b"dir"), b"inside")
    assert act(nfs, site.root) == status
    assert sorted(names(nfs, site.root)) == [b".", b"..", b"dir", b"file"]


def test_names_are_kept_verbatim(site):
    nfs = site.nfs()
    odd = [b"\xff\xfe", b"caf\xe9", b"new\nline", b"x" * 255, b" ", b"..."]
    for name in odd:
        made(nfs, site.root, name)
    assert sorted(names(nfs, site.root)[2:]) == sorted(odd)


def test_statfs(site):
    result = site.nfs().NFSPROC_STATFS(site.root)
    assert result.status == s.NFS_OK
    info = result.reply
    assert info.tsize == 8192
    assert info.blocks >= info.bfree >= info.bavail > 0
    assert info.blocks < 2**31


def test_read_only_export(make_site):
    nfs = make_site(read_only=True)
    client, root = nfs.nfs(), nfs.root
    assert create(client, root, b"f").status == s.NFSERR_ROFS
    assert setattr_(client, root, mode=0).status == s.NFSERR_ROFS
    assert client.NFSPROC_REMOVE(where(root, b"f")) == s.NFSERR_ROFS
    assert names(client, root) == [b".", b".."]


def test_secure_export_refuses_high_ports(make_site):
    site = make_site(secure=True)
    assert site.nfs(0, port=1024).NFSPROC_GETATTR(site.root).status == s.NFSERR_ACCES
    assert site.nfs(0, port=1023).NFSPROC_GETATTR(site.root).status == s.NFS_OK


def test_setuid_bits_end_with_a_write_by_another_than_root(site):
    user = site.nfs(1000, 100)
    file = made(user, site.root, b"f", mode=0o4755)
    assert write(user, file, 0, b"x").attributes.mode & 0o7777 == 0o755
    setattr_(user, file, mode=0o4755)
    assert write(site.nfs(0), file, 0, b"x").attributes.mode & 0o7777 == 0o4755
    assert setattr_(site.nfs(0), file, uid=5).attributes.mode & 0o7777 == 0o755


def test_a_directory_with_setgid_gives_its_group(site):
    root, user = site.nfs(0), site.nfs(1000, 100)
    directory = mkdir(root, site.root, b"d", mode=0o2777)
    setattr_(root, directory, gid=55)
    assert getattr_(user, made(user, directory, b"f")).gid == 55
    inner = getattr_(user, mkdir(user, directory, b"i"))
    assert (inner.gid, inner.mode & 0o7000) == (55, 0o2000)
