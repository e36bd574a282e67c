"""A volume read by nothing but docs/volume.md: what NFS put into it is there, where and as the page says."""

from __future__ import annotations

import stat

import by_construct_disk as page
import pytest
from nfs2_calls import create, made, mkdir, sattr, setattr_, where, write

from nfsrpc.protocols import nfs_prot as v2

FIRST_NAME_COOKIE = 3


@pytest.fixture
def work(make_site):
    """A volume after some work, closed, and the handles of what was made."""
    site = make_site()
    nfs = site.nfs()
    handles = {b"/": site.root}
    handles[b"/d"] = mkdir(nfs, site.root, b"d", 0o1711)
    for n in range(3):
        handles[b"/d/%d" % n] = made(nfs, handles[b"/d"], b"%d" % n, mode=0o640, uid=2**31, gid=7)
    write(nfs, handles[b"/d/0"], 0, b"begin")
    write(nfs, handles[b"/d/0"], 100_000, b"end")
    write(nfs, handles[b"/d/1"], 0, b"x" * 8192)
    setattr_(nfs, handles[b"/d/1"], size=10)
    setattr_(nfs, handles[b"/d/1"], size=20)
    nfs.NFSPROC_LINK(v2.linkargs(handles[b"/d/1"], where(site.root, b"same")))
    nfs.NFSPROC_SYMLINK(v2.symlinkargs(where(site.root, b"link"), b"d/0", sattr()))
    create(nfs, site.root, b"null", mode=stat.S_IFCHR | 0o666, size=0x0103)
    gone = made(nfs, site.root, b"gone")
    write(nfs, gone, 0, b"lost")
    nfs.NFSPROC_REMOVE(where(site.root, b"gone"))
    nfs.NFSPROC_RENAME(v2.renameargs(where(handles[b"/d"], b"2"), where(site.root, b"two")))
    handles[b"/two"] = handles.pop(b"/d/2")
    site.volume.close()
    return site.path, handles


def test_names_attributes_and_contents(work):
    path, _ = work
    files = page.Reader(path).files()
    assert {name: oct(file.row["mode"]) for name, file in files.items()} == {
        b"/": "0o40777", b"/d": "0o41711", b"/d/0": "0o100640", b"/d/1": "0o100640", b"/same": "0o100640",
        b"/two": "0o100640", b"/link": "0o120777", b"/null": "0o20666",
    }  # fmt: skip
    assert files[b"/d/0"].contents == b"begin" + bytes(99_995) + b"end"
    assert files[b"/d/1"].contents == files[b"/same"].contents == b"x" * 10 + bytes(10)
    assert (files[b"/two"].contents, files[b"/two"].row["content"]) == (b"", 0)
    assert (files[b"/link"].target, files[b"/link"].row["size"]) == (b"d/0", 3)
    assert {name: file.row["nlink"] for name, file in files.items()} == {
        b"/": 3, b"/d": 2, b"/d/0": 1, b"/d/1": 2, b"/same": 2, b"/two": 1, b"/link": 1, b"/null": 1
    }  # fmt: skip
    assert (files[b"/d/0"].row["uid"], files[b"/d/0"].row["gid"]) == (2**31, 7)
    assert (files[b"/"].row["parent"], files[b"/"].row["size"]) == (2, 4096)


def test_handles_are_made_of_what_is_on_disk(work):
    path, handles = work
    found = page.Reader(path)
    files = found.files()
    for name, given in handles.items():
        taken = page.handle.parse(given.data)
        row = files[name].row
        assert (taken.kind, taken.flags, taken.spare, taken.fsid) == (1, 0, 0, found.superblock.fsid)
        assert (taken.inode, taken.generation) == (row["inode"], row["generation"])
        assert taken.mac == page.handle_mac(given.data, found.superblock.key)
    assert (files[b"/"].row["inode"], files[b"/"].row["generation"]) == (
        found.superblock.root, found.superblock.root_generation,
    )  # fmt: skip


def test_the_tables_keep_what_the_page_promises(work):
    path, _ = work
    found = page.Reader(path)
    assert found.columns == page.COLUMNS
    inodes, names = found.tables["inodes"], found.tables["names"]
    generations = [row["generation"] for row in inodes] + [row["content"] for row in inodes if row["content"]]
    assert 0 < max(generations) < found.superblock.reserved
    assert len({row["generation"] for row in inodes}) == len(inodes)
    (state,) = found.tables["state"]
    assert state["inodes"] == len(inodes)
    numbers = {row["inode"] for row in inodes} | {row["inode"] for row in found.tables["free"]}
    assert numbers == set(range(2, state["next_inode"]))
    for row in inodes:
        cookies = [name["cookie"] for name in names if name["directory"] == row["inode"]]
        assert len(set(cookies)) == len(cookies)
        assert all(FIRST_NAME_COOKIE <= cookie < row["cookie"] for cookie in cookies)
    assert found.paths.keys() == {(row["inode"], row["content"]) for row in inodes if row["content"]}


def test_results_of_calls_have_their_places(work):
    path, _ = work
    kept = page.Reader(path).tables["replay"]
    places = [page.place.parse(row["place"].to_bytes(8)) for row in kept]
    assert len({place.range for place in places}) == 1
    assert [place.number for place in places] == list(range(places[0].number, places[0].number + len(kept)))
    assert len({row["key"] for row in kept}) == len(kept) == 16
    assert sorted(row["born"] for row in kept) == [row["born"] for row in kept]


def test_superblocks_are_built_as_they_are_read(work):
    path, _ = work
    newest = page.Reader(path).superblock
    assert newest.home == (path / "superblock").stat().st_ino
    assert [(old.until, old.key) for old in newest.old_keys] == [(0, bytes(32))] * 4
    raw = (path / "superblock").read_bytes()
    for at in page.COPIES:
        copy = page.superblock.parse(raw[at : at + 512])
        assert page.superblock.build({"body": {"value": copy.body.value}}) == raw[at : at + 512]
