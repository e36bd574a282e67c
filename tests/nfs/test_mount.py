"""MOUNT versions 1 and 2: what can be mounted, by which path, and the list of who has."""

import errno

import pytest
from nfs2_calls import made, mkdir, setattr_, where

from nfsrpc.nfs.export_ids import export_ids
from nfsrpc.nfs.paths import normal_path
from nfsrpc.nfs.rmtab import CAPACITY, Mount, Rmtab, Rmtabs
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.rpc.dispatch import Peer

KINDS = ("volume", "directory")


@pytest.mark.parametrize(
    ("path", "normal"),
    [(b"/", b"/"), (b"/a", b"/a"), (b"/a/", b"/a"), (b"//a///b//", b"/a/b"), (b"/a b", b"/a b"), (b"/...", b"/...")],
)
def test_normal_path(path, normal):
    assert normal_path(path) == normal


@pytest.mark.parametrize("path", [b"", b"a", b"./a", b"/..", b"/a/../b", b"/a/.", b"/./a", b"/a\0b"])
def test_paths_that_are_none(path):
    with pytest.raises(ValueError, match="is not an absolute path"):
        normal_path(path)


MNT = {
    "the export": (b"/vol", 0),
    "with slashes": (b"//vol//", 0),
    "a directory below": (b"/vol/dir", 0),
    "a file below": (b"/vol/file", errno.ENOTDIR),
    "below a file": (b"/vol/file/x", errno.ENOTDIR),
    "a symlink below": (b"/vol/link", errno.ENOTDIR),
    "through a symlink": (b"/vol/link/x", errno.ENOTDIR),
    "nothing below": (b"/vol/none", errno.ENOENT),
    "a longer name": (b"/vol2", errno.ENOENT),
    "a shorter name": (b"/vo", errno.ENOENT),
    "above": (b"/", errno.ENOENT),
    "dots": (b"/vol/../etc", errno.EACCES),
    "dots at the end": (b"/vol/..", errno.EACCES),
    "relative": (b"vol", errno.EACCES),
    "empty": (b"", errno.EACCES),
    "NUL": (b"/vol\0", errno.EACCES),
    "1024 bytes": (b"/vol/" + b"x" * 1019, 63),
}


@pytest.fixture
def tree(site):
    nfs = site.nfs()
    mkdir(nfs, site.root, b"dir")
    made(nfs, site.root, b"file")
    minus = 2**32 - 1
    never = v2.nfstime(minus, minus)
    target = v2.symlinkargs(where(site.root, b"link"), b"/", v2.sattr(*[minus] * 4, never, never))
    assert nfs.NFSPROC_SYMLINK(target) == 0
    return site


@pytest.mark.parametrize(("path", "status"), MNT.values(), ids=MNT)
def test_mnt(tree, path, status):
    result = tree.mount().MOUNTPROC_MNT(path)
    assert result.status == status
    assert (result.directory is None) is bool(status)
    assert len(tree.rmtab.rows()) == (0 if status else 1)


def test_mnt_needs_search_permission_on_the_way(tree):
    nfs = tree.nfs()
    outer = mkdir(nfs, tree.root, b"outer", mode=0o700)
    mkdir(nfs, outer, b"inner", mode=0o777)
    assert tree.mount(1000).MOUNTPROC_MNT(b"/vol/outer/inner").status == errno.EACCES
    setattr_(nfs, outer, mode=0o711)
    assert tree.mount(1000).MOUNTPROC_MNT(b"/vol/outer/inner").status == 0


def test_export_list(site):
    node = site.mount().MOUNTPROC_EXPORT()
    assert (node.ex_dir, node.ex_groups, node.ex_next) == (b"/vol", None, None)


def rows(site):
    found, node = [], site.mount().MOUNTPROC_DUMP()
    while node is not None:
        found.append((node.ml_hostname, node.ml_directory))
        node = node.ml_next
    return found


def test_dump_umnt_and_umntall_touch_only_the_callers_rows(tree):
    here, there = tree.mount(), tree.caller()
    there.peer = Peer("10.0.0.9", 700, "udp")
    far = mnt.MOUNTPROG_1_client(there)
    for stub in (here, far):
        stub.MOUNTPROC_MNT(b"/vol")
        stub.MOUNTPROC_MNT(b"/vol/dir/")
        stub.MOUNTPROC_MNT(b"/vol")
    assert sorted(rows(tree)) == [
        (b"10.0.0.9", b"/vol"),
        (b"10.0.0.9", b"/vol/dir"),
        (b"127.0.0.1", b"/vol"),
        (b"127.0.0.1", b"/vol/dir"),
    ]
    far.MOUNTPROC_UMNT(b"/vol/")
    assert (b"10.0.0.9", b"/vol") not in rows(tree)
    assert (b"127.0.0.1", b"/vol") in rows(tree)
    here.MOUNTPROC_UMNTALL()
    assert rows(tree) == [(b"10.0.0.9", b"/vol/dir")]
    tree.restart()
    assert rows(tree) == [(b"10.0.0.9", b"/vol/dir")]


def test_version_2_mounts_and_knows_limits(site):
    stub = mnt.MOUNTPROG_2_client(site.caller())
    assert stub.MOUNTPROC_MNT(b"/vol").directory == site.root.data
    limits = stub.MOUNTPROC_PATHCONF(b"/vol")
    assert (limits.pc_name_max, limits.pc_path_max) == (255, 1024)


def test_rmtab_is_bounded_and_keeps_odd_names(tmp_path):
    table = Rmtab(str(tmp_path / "rmtab"))
    odd = Mount(b"::1", b"/new\nline and % \xff")
    table.add(odd)
    assert table.rows() == [odd]
    for n in range(CAPACITY + 3):
        table.add(Mount(b"h", b"/%d" % n))
    assert len(table.rows()) == CAPACITY
    assert table.rows()[-1] == Mount(b"h", b"/%d" % (CAPACITY + 2))
    assert odd not in table.rows()
    table.close()


def test_the_lists_of_several_stores_are_one(tmp_path):
    tables = Rmtabs({1: Rmtab(str(tmp_path / "one")), 2: Rmtab(str(tmp_path / "two"))})
    a, b = Mount(b"h", b"/a"), Mount(b"h", b"/b")
    tables.add(1, a)
    tables.add(2, b)
    tables.add(2, Mount(b"other", b"/b"))
    assert tables.rows() == [a, b, Mount(b"other", b"/b")]
    tables.remove(b)
    assert tables.rows() == [a, Mount(b"other", b"/b")]
    tables.remove_host(b"h")
    assert tables.rows() == [Mount(b"other", b"/b")]
    tables.close()


@pytest.mark.parametrize("length", [1, 200, 1024])
def test_the_list_fits_a_datagram_and_has_the_latest(tmp_path, length):
    tables = Rmtabs({n: Rmtab(str(tmp_path / str(n))) for n in range(2)})
    path = (b"/" + b"x" * length)[:length]
    for n in range(150):
        tables.add(n // 75, Mount(b"2001:db8::%d" % n, path))
    rows = tables.rows()
    assert rows[-1].host == b"2001:db8::149"
    assert len(rows) == (150 if length < 1024 else 56)
    head = None
    for row in reversed(rows):
        head = mnt.mountbody(row.host, row.path, head)
    parts = []
    mnt.encode_mountlist(head, parts)
    assert len(b"".join(parts)) <= 60_000
    tables.close()


def test_export_ids_depend_on_the_path_alone():
    alone = export_ids([b"/a"])[b"/a"]
    among = export_ids([b"/z", b"/a", b"/b"])
    assert among[b"/a"] == alone
    many = export_ids(b"/%d" % n for n in range(2000))
    assert len(set(many.values())) == 2000
