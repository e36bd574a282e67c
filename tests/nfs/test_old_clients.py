"""What old clients send and expect, beside what the RFC says: SunOS, IRIX, U-Boot and their kin."""

import errno
import stat

import pytest
from nfs2_calls import NEVER, UNSET, create, getattr_, lookup, made, mkdir, names, read, sattr, setattr_, where, write

from nfsrpc.nfs.fattr2 import fattr_of, statfs_of
from nfsrpc.nfs.status import PASSING, v2_status
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s
from nfsrpc.store import Attributes, Space
from nfsrpc.xdr import decode

TOUCH = v2.nfstime(0, 1_000_000)
GIB = 1 << 30


def fattr(**known):
    node = Attributes(5, 0, stat.S_IFREG, *[0] * 9)
    for name, value in known.items():
        setattr(node, name, value)
    return decode(v2.decode_fattr, fattr_of(node, 7))


# --- SETATTR --------------------------------------------------------------------------------------------------------

UNTOUCHED = {
    "all of -1": {},
    "a mode of 16 bits": {"mode": 0xFFFF},
    "seconds of -1": {"mtime": v2.nfstime(UNSET, 5), "atime": v2.nfstime(UNSET, 5)},
    "useconds of -1": {"mtime": v2.nfstime(5, UNSET), "atime": v2.nfstime(5, UNSET)},
}


@pytest.mark.parametrize("wanted", UNTOUCHED.values(), ids=UNTOUCHED)
def test_minus_one_leaves_a_field_as_it_is(site, wanted):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f", mode=0o2751)
    before = getattr_(nfs, file)
    assert setattr_(nfs, file, **wanted).attributes == before


@pytest.mark.parametrize("mode", [0xFFFF, UNSET])
def test_a_file_made_without_a_mode(site, mode):
    assert stat.S_IMODE(getattr_(site.nfs(), made(site.nfs(), site.root, b"f", mode=mode)).mode) == 0
    result = site.nfs().NFSPROC_MKDIR(v2.createargs(where(site.root, b"d"), sattr(mode=mode)))
    assert stat.S_IMODE(result.diropres.attributes.mode) == 0


@pytest.mark.parametrize(
    ("mode", "wanted", "status"),
    [
        (0o666, {"atime": v2.nfstime(0, 0), "mtime": TOUCH}, s.NFS_OK),
        (0o644, {"atime": v2.nfstime(0, 0), "mtime": TOUCH}, s.NFSERR_ACCES),
        (0o666, {"mtime": v2.nfstime(1, 0)}, s.NFSERR_PERM),
        (0o666, {"atime": v2.nfstime(1, 0), "mtime": v2.nfstime(1, 0)}, s.NFSERR_PERM),
    ],
)
def test_touch_by_another_than_the_owner(site, mode, wanted, status):
    file = made(site.nfs(1000), site.root, b"f", mtime=v2.nfstime(9, 0), atime=v2.nfstime(9, 0))
    setattr_(site.nfs(1000), file, mode=mode)
    result = setattr_(site.nfs(2000), file, **wanted)
    assert result.status == status
    found = getattr_(site.nfs(), file)
    assert (found.mtime.seconds > 10**9) is (status == s.NFS_OK)
    assert (found.atime == found.mtime) is True


def test_microseconds_beyond_a_second_are_held_within_it(site):
    file = made(site.nfs(), site.root, b"f")
    assert setattr_(site.nfs(), file, atime=v2.nfstime(5, 3_000_000)).attributes.atime == v2.nfstime(5, 999_999)


# --- CREATE ---------------------------------------------------------------------------------------------------------


def test_irix_probes_a_special_file_by_creating_it(site):
    nfs = site.nfs()
    fifo = made(nfs, site.root, b"p", mode=stat.S_IFCHR | 0o600)
    disk = made(nfs, site.root, b"d", mode=stat.S_IFBLK | 0o600, size=0x0800)
    for name, there in ((b"p", fifo), (b"d", disk)):
        again = create(nfs, site.root, name, mode=0o777, size=0)
        assert (again.status, again.diropres.file) == (s.NFS_OK, there)
        assert again.diropres.attributes == getattr_(nfs, there)
    assert create(nfs, site.root, b"p", mode=stat.S_IFCHR | 0o600).diropres.file == fifo
    assert create(nfs, site.root, b"d", mode=stat.S_IFREG | 0o600).status == s.NFSERR_EXIST


def test_there_is_no_exclusive_create(site):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f", mode=0o644)
    write(nfs, file, 0, b"kept")
    for _ in range(2):
        assert create(nfs, site.root, b"f", mode=stat.S_IFREG | 0o600).diropres.file == file
    assert read(nfs, file) == b"kept"


def test_an_existing_file_is_cut_only_by_who_may_write_it(site):
    file = made(site.nfs(1000), site.root, b"f", mode=0o644)
    write(site.nfs(1000), file, 0, b"kept")
    assert create(site.nfs(2000), site.root, b"f", size=0).status == s.NFSERR_ACCES
    assert create(site.nfs(2000), site.root, b"f").status == s.NFS_OK
    assert read(site.nfs(), file) == b"kept"


def test_mkdir_minds_no_size(site):
    result = site.nfs().NFSPROC_MKDIR(v2.createargs(where(site.root, b"d"), sattr(mode=0o755, size=12345)))
    assert (result.status, result.diropres.attributes.type) == (s.NFS_OK, v2.ftype.NFDIR)


# --- what a fattr can say --------------------------------------------------------------------------------------------

SHOWN = {
    "a size beyond 4 GiB": ({"size": 5 * GIB}, "size", 0xFFFFFFFF),
    "a size of 2 GiB": ({"size": 2 * GIB}, "size", 2 * GIB),
    "a long symbolic link": ({"size": 4096, "mode": stat.S_IFLNK}, "size", 1024),
    "a FIFO's type": ({"mode": stat.S_IFIFO}, "type", v2.ftype.NFCHR),
    "a FIFO's device": ({"mode": stat.S_IFIFO, "rdev": 7}, "rdev", 0xFFFFFFFF),
    "a wide device": ({"mode": stat.S_IFCHR, "rdev": 1 << 40 | 5}, "rdev", 5),
    "blocks beyond 31 bits": ({"used": 1 << 50}, "blocks", 0x7FFFFFFF),
    "half a block": ({"used": 1}, "blocks", 1),
    "before 1970": ({"mtime": -1}, "mtime", v2.nfstime(0, 0)),
    "after 2106": ({"mtime": 10**20}, "mtime", v2.nfstime(0xFFFFFFFF, 0)),
    "the latest time": ({"mtime": (1 << 32) * 10**9 - 1}, "mtime", v2.nfstime(0xFFFFFFFF, 999_999)),
    "the export's fsid": ({}, "fsid", 7),
}


@pytest.mark.parametrize(("known", "field", "value"), SHOWN.values(), ids=SHOWN)
def test_what_does_not_fit_is_clamped_never_wrapped(known, field, value):
    assert getattr(fattr(**known), field) == value


@pytest.mark.parametrize("total", [0, 1, 1 << 31, 1 << 43, 1 << 62])
def test_statfs_of_any_disk_fits_what_clients_read(total):
    found = statfs_of(Space(4096, total, total // 2, total // 3, 0, 0))
    assert 0 <= found.bavail <= found.bfree <= found.blocks < 2**31
    assert found.bsize * found.blocks <= total < found.bsize * (found.blocks + 1)


# --- files beyond 2 and 4 GiB ---------------------------------------------------------------------------------------


def grown(site, size):
    """A sparse file of `size` bytes with a mark at its end, as somebody with 64-bit offsets would make it."""
    file = made(site.nfs(), site.root, b"big")
    _, node = site.exports.open(file.data)
    with site.volume.work(changing=True), site.volume.step():
        site.volume.write(node, size - 4, b"mark")
    return file


def test_a_file_beyond_4_gib_is_read_as_far_as_offsets_reach(site):
    nfs, size = site.nfs(), 4 * GIB + 100
    file = grown(site, size)
    assert getattr_(nfs, file).size == 0xFFFFFFFF
    assert lookup(nfs, site.root, b"big").status == s.NFS_OK
    assert read(nfs, file, 0xFFFFFFFF, 8192) == bytes(97) + b"mark"
    assert write(nfs, file, 0xFFFFFFF0, b"x" * 16).status == s.NFSERR_FBIG
    assert setattr_(nfs, file, mode=0o600).attributes.size == 0xFFFFFFFF
    _, node = site.exports.open(file.data)
    with site.volume.work(changing=False):
        assert site.volume.getattr(node).size == size, "nothing that fails has cut it"


@pytest.mark.parametrize("size", [2 * GIB - 1, 2 * GIB, 2 * GIB + 1, 4 * GIB - 2])
def test_around_2_gib_nothing_is_special(site, size):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f")
    assert setattr_(nfs, file, size=size).attributes.size == size
    assert read(nfs, file, size - 1, 100) == b"\0"
    assert read(nfs, file, size, 100) == b""
    assert write(nfs, file, size - 3, b"abc").attributes.size == size


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 1023, 1024, 1025, 4096, 8191, 8192, 8193, 65535, UNSET])
def test_reads_of_any_length(site, count):
    nfs = site.nfs()
    file = made(nfs, site.root, b"f")
    data = bytes(range(251)) * 40
    for at in range(0, len(data), 8192):
        write(nfs, file, at, data[at : at + 8192])
    assert read(nfs, file, 3, count) == data[3 : 3 + min(count, 8192)]


def test_u_boot_boots(site):
    """MNT by version 1 and 2, 1 KiB at a time, past a symbolic link, to an empty read at the end."""
    nfs = site.nfs()
    folder = mkdir(nfs, site.root, b"boot")
    kernel = made(nfs, folder, b"kernel", mode=0o644)
    write(nfs, kernel, 0, b"k" * 3000)
    nfs.NFSPROC_SYMLINK(v2.symlinkargs(where(folder, b"uImage"), b"kernel", sattr()))
    for client in (mnt.MOUNTPROG_1_client, mnt.MOUNTPROG_2_client):
        mounted = client(site.caller()).MOUNTPROC_MNT(b"/vol/boot")
        assert (mounted.status, mounted.directory) == (0, folder.data)
        client(site.caller()).MOUNTPROC_UMNTALL()
    link = lookup(nfs, folder, b"uImage").diropres.file
    assert read(nfs, link, 0, 1024) in (s.NFSERR_ISDIR, s.NFSERR_INVAL), "it follows a link by these alone"
    assert nfs.NFSPROC_READLINK(link).data == b"kernel"
    assert [len(read(nfs, kernel, at, 1024)) for at in range(0, 4096, 1024)] == [1024, 1024, 952, 0]


@pytest.mark.parametrize(
    ("length", "status"), [(1024, s.NFS_OK), (1025, s.NFSERR_NAMETOOLONG), (4096, s.NFSERR_NAMETOOLONG)]
)
def test_a_target_that_does_not_fit_is_told_so(site, length, status):
    with site.volume.work(changing=True), site.volume.step():
        made_ = site.volume.create(site.volume.root, b"l", stat.S_IFLNK | 0o777, 0, 0, target=b"t" * length)
    found = lookup(site.nfs(), site.root, b"l").diropres
    assert found.attributes.size == min(made_.size, 1024)
    assert site.nfs().NFSPROC_READLINK(found.file).status == status


# --- directories ----------------------------------------------------------------------------------------------------


def entries(nfs, directory, cookie=bytes(4), count=8192):
    page = nfs.NFSPROC_READDIR(v2.readdirargs(directory, cookie, count)).reply
    found, entry = [], page.entries
    while entry is not None:
        found.append(entry)
        entry = entry.nextentry
    return found


def test_dots_have_the_fileids_that_getcwd_climbs_by(site):
    nfs = site.nfs()
    outer = mkdir(nfs, site.root, b"outer")
    inner = mkdir(nfs, outer, b"inner")
    ids = {h.data: getattr_(nfs, h).fileid for h in (site.root, outer, inner)}
    for directory, above in ((inner, outer), (outer, site.root), (site.root, site.root)):
        one, two, *rest = entries(nfs, directory)
        assert (one.name, one.fileid) == (b".", ids[directory.data])
        assert (two.name, two.fileid) == (b"..", ids[above.data])
        assert all(entry.fileid in ids.values() for entry in rest)


def test_any_cookie_goes_on_behind_its_name(site):
    nfs = site.nfs()
    for n in range(20):
        made(nfs, site.root, b"%02d" % n)
    whole = entries(nfs, site.root)
    for at, entry in enumerate(whole):
        assert [e.name for e in entries(nfs, site.root, entry.cookie)] == [e.name for e in whole[at + 1 :]]
    assert entries(nfs, site.root, b"\xff" * 4) == []


def test_names_come_and_go_between_pages(site):
    """Names that stay are listed once, whatever else is made, removed and renamed meanwhile."""
    nfs = site.nfs()
    stay = {b"stay%02d" % n for n in range(30)}
    for name in sorted(stay):
        made(nfs, site.root, name)
        made(nfs, site.root, b"go" + name)
    cookie, seen, rounds = bytes(4), [], 0
    while page := entries(nfs, site.root, cookie, 200):
        seen += [entry.name for entry in page]
        cookie = page[-1].cookie
        rounds += 1
        if rounds > 12:  # whoever makes a name for each page that is read is never done reading
            continue
        made(nfs, site.root, b"new%d" % rounds)
        nfs.NFSPROC_REMOVE(where(site.root, b"gostay%02d" % (rounds % 30)))
        nfs.NFSPROC_RENAME(
            v2.renameargs(where(site.root, b"gostay%02d" % (29 - rounds % 30)), where(site.root, b"went%d" % rounds))
        )
    assert sorted(name for name in seen if name in stay) == sorted(stay)
    assert set(names(nfs, site.root)) >= stay


# --- what version 2 has no word for -----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", sorted(set(errno.errorcode) - PASSING))
def test_every_error_has_a_status_of_version_2(number):
    assert v2_status(OSError(number, "x")) in set(v2.nfsstat) - {s.NFS_OK}


def test_times_that_were_never_set_are_those_of_the_making(site):
    found = getattr_(site.nfs(), made(site.nfs(), site.root, b"f", atime=NEVER, mtime=NEVER))
    assert found.atime == found.mtime == found.ctime
