"""RFC 1094 §2.2: making, removing, renaming, linking and listing, seen from the wire."""

from typing import Any

import pytest

from . import nfs2 as n
from .nfs2 import Failed, Nfs, fails, made
from .peer import NFS, call
from .wire import opaque, sattr, w

S_IFMT, S_IFLNK = 0o170000, 0o120000


@pytest.mark.rule("RFC 1094 §2.2.10")
def test_create(nfs: Nfs, place: bytes) -> None:
    """A new empty file with the mode asked for, which can be looked up."""
    handle, found = nfs.create(place, b"new", sattr(0o640))
    assert (found.type, found.mode & 0o7777, found.size, found.nlink) == (n.FILE, 0o640, 0, 1)
    assert nfs.getattr(handle).fileid == found.fileid == nfs.lookup(place, b"new")[1].fileid


@pytest.mark.rule("RFC 1094 §2.2.10")
def test_create_over_a_file(nfs: Nfs, place: bytes, quirk: Any) -> None:
    """A size of 0 truncates what is there: clients open with O_CREAT | O_TRUNC so."""
    file = made(nfs, place, data=b"abc")
    try:
        _, found = nfs.create(place, b"file", sattr(0o644, size=0))
    except Failed as failure:
        if failure.status == n.EXIST:
            quirk("refuses to create over an existing file")
        raise
    assert found.size == 0
    assert nfs.getattr(file).size == 0


@pytest.mark.rule("RFC 1094 §2.2.11")
def test_remove(nfs: Nfs, place: bytes) -> None:
    """The name is gone; a second time it is not there."""
    made(nfs, place)
    nfs.remove(place, b"file")
    assert fails(nfs.lookup, place, b"file") == n.NOENT
    assert fails(nfs.remove, place, b"file") == n.NOENT


@pytest.mark.rule("RFC 1094 §2.2.11")
def test_remove_of_a_directory(nfs: Nfs, place: bytes) -> None:
    """Directories are for RMDIR."""
    nfs.mkdir(place, b"d")
    assert fails(nfs.remove, place, b"d") in (n.ISDIR, n.PERM)
    assert nfs.names(place) == [b"d"]


@pytest.mark.rule("RFC 1094 §2.2.15")
def test_mkdir(nfs: Nfs, place: bytes, quirk: Any) -> None:
    """A new directory with the mode asked for; its parent has one link more."""
    before = nfs.getattr(place).nlink
    handle, found = nfs.mkdir(place, b"d", sattr(0o750))
    assert (found.type, found.mode & 0o777) == (n.DIRECTORY, 0o750)
    assert nfs.names(handle) == []
    assert fails(nfs.mkdir, place, b"d") == n.EXIST
    if nfs.getattr(place).nlink != before + 1:
        quirk("does not count the links of directories")


@pytest.mark.rule("RFC 1094 §2.2.16")
def test_rmdir(nfs: Nfs, place: bytes) -> None:
    """Only what is empty, and only directories."""
    handle, _ = nfs.mkdir(place, b"d")
    made(nfs, handle)
    assert fails(nfs.rmdir, place, b"d") == n.NOTEMPTY
    assert fails(nfs.rmdir, handle, b"file") == n.NOTDIR
    nfs.remove(handle, b"file")
    nfs.rmdir(place, b"d")
    assert fails(nfs.rmdir, place, b"d") == n.NOENT
    assert fails(nfs.getattr, handle) == n.STALE


@pytest.mark.rule("RFC 1094 §2.2.12")
def test_rename(nfs: Nfs, place: bytes) -> None:
    """Another name in another directory, the same file, its handle still good."""
    directory, _ = nfs.mkdir(place, b"d")
    file = made(nfs, place, data=b"abc")
    fileid = nfs.getattr(file).fileid
    nfs.rename(place, b"file", directory, b"other")
    assert fails(nfs.lookup, place, b"file") == n.NOENT
    assert nfs.lookup(directory, b"other")[1].fileid == fileid
    assert nfs.read(file, 0, 10)[1] == b"abc"


@pytest.mark.rule("RFC 1094 §2.2.12")
def test_rename_over_a_file(nfs: Nfs, place: bytes) -> None:
    """What had the name before is gone, in one step."""
    made(nfs, place, b"a", b"new")
    old = made(nfs, place, b"b", b"old")
    nfs.rename(place, b"a", place, b"b")
    assert nfs.names(place) == [b"b"]
    assert nfs.read(nfs.lookup(place, b"b")[0], 0, 10)[1] == b"new"
    assert fails(nfs.getattr, old) == n.STALE


@pytest.mark.rule("RFC 1094 §2.2.12")
def test_rename_of_what_is_not_there_and_to_itself(nfs: Nfs, place: bytes) -> None:
    """NFSERR_NOENT; and nothing at all."""
    assert fails(nfs.rename, place, b"absent", place, b"x") == n.NOENT
    made(nfs, place, data=b"abc")
    nfs.rename(place, b"file", place, b"file")
    assert nfs.lookup(place, b"file")[1].size == 3


@pytest.mark.rule("RFC 1094 §2.2.12")
def test_rename_of_a_directory_into_itself(nfs: Nfs, place: bytes) -> None:
    """Refused: it would hang in the air."""
    directory, _ = nfs.mkdir(place, b"d")
    fails(nfs.rename, place, b"d", directory, b"inside")
    assert nfs.names(place) == [b"d"]


@pytest.mark.rule("RFC 1094 §2.2.13")
def test_link(nfs: Nfs, place: bytes) -> None:
    """Two names, one file; it stays until the last name goes."""
    file = made(nfs, place, data=b"abc")
    nfs.link(file, place, b"again")
    handle, found = nfs.lookup(place, b"again")
    assert (found.nlink, found.fileid) == (2, nfs.getattr(file).fileid)
    assert fails(nfs.link, file, place, b"again") == n.EXIST
    nfs.remove(place, b"file")
    assert nfs.read(handle, 0, 10)[1] == b"abc"
    assert nfs.getattr(handle).nlink == 1


@pytest.mark.rule("RFC 1094 §2.2.14")
@pytest.mark.parametrize("says", [b"a", b"/" + b"t" * 1023, b"../\xff not text"])
def test_symlink(nfs: Nfs, place: bytes, says: bytes) -> None:
    """A link says what it was given, up to 1024 bytes of it."""
    nfs.symlink(place, b"link", says)
    handle, found = nfs.lookup(place, b"link")
    assert (found.type, found.mode & S_IFMT) == (n.LINK, S_IFLNK)
    assert nfs.readlink(handle) == says


@pytest.mark.rule("RFC 1094 §2.2.6")
def test_readlink_of_a_file(nfs: Nfs, place: bytes) -> None:
    """What is no link has nothing to say."""
    assert fails(nfs.readlink, made(nfs, place)) != n.OK


@pytest.mark.rule("RFC 1094 §2.2.17")
@pytest.mark.parametrize("count", [512, 1024, 4096, 8192])
def test_readdir_shows_every_name_once(nfs: Nfs, place: bytes, count: int) -> None:
    """Whatever the size of the pages."""
    wanted = {b"name-%03d" % k for k in range(70)}
    for name in sorted(wanted):
        nfs.create(place, name)
    found = nfs.names(place, count)
    assert len(found) == len(wanted)
    assert set(found) == wanted


@pytest.mark.rule("RFC 1094 §2.2.17")
def test_readdir_keeps_to_its_count(nfs: Nfs, place: bytes) -> None:
    """`count` is a number of bytes, which the result does not exceed."""
    for k in range(70):
        nfs.create(place, b"a-rather-long-name-%03d" % k)
    page = nfs.readdir(place, count=512)
    assert not page.eof
    assert 0 < page.size <= 512, f"{page.size} bytes where 512 were asked for"


@pytest.mark.rule("RFC 1094 §2.2.17")
def test_readdir_while_names_go(nfs: Nfs, place: bytes) -> None:
    """Removing what has been seen neither hides nor doubles what has not."""
    for k in range(60):
        nfs.create(place, b"name-%03d" % k)
    page = nfs.readdir(place, count=512)
    seen = [entry.name for entry in page.entries if entry.name not in (b".", b"..")]
    for name in seen:
        nfs.remove(place, name)
    rest = []
    cookie = page.entries[-1].cookie
    while not page.eof:
        page = nfs.readdir(place, cookie, 512)
        rest += [entry.name for entry in page.entries if entry.name not in (b".", b"..")]
        cookie = page.entries[-1].cookie if page.entries else cookie
    assert sorted(seen + rest) == [b"name-%03d" % k for k in range(60)]


@pytest.mark.rule("RFC 1094 §2.2.17")
def test_readdir_of_an_empty_directory(nfs: Nfs, place: bytes, quirk: Any) -> None:
    """The end at once; "." and ".." are what UNIX clients expect to see."""
    page = nfs.readdir(place)
    assert page.eof
    names = {entry.name for entry in page.entries}
    assert names <= {b".", b".."}
    if len(names) < 2:
        quirk("does not list . and ..")


@pytest.mark.rule("RFC 1094 §2.2.17")
def test_readdir_gives_the_fileids_of_getattr(nfs: Nfs, place: bytes) -> None:
    """Clients identify files by it."""
    fileid = nfs.getattr(made(nfs, place)).fileid
    assert (b"file", fileid) in [(entry.name, entry.fileid) for entry in nfs.readdir(place).entries]


@pytest.mark.rule("RFC 1094 §2.2.17")
def test_readdir_of_a_file(nfs: Nfs, place: bytes) -> None:
    """NFSERR_NOTDIR."""
    assert fails(nfs.readdir, made(nfs, place)) == n.NOTDIR


@pytest.mark.rule("RFC 1094 §2.2.18")
@pytest.mark.parametrize("what", ["the top", "a directory", "a file"])
def test_statfs(nfs: Nfs, root: bytes, place: bytes, what: str) -> None:
    """For any file of the file system; more blocks than are free, more free than available."""
    space = nfs.statfs({"the top": root, "a directory": place, "a file": made(nfs, place)}[what])
    assert space.tsize >= 512
    assert space.bsize > 0
    assert space.blocks >= space.bfree >= space.bavail


@pytest.mark.rule("RFC 5531 §4")
def test_a_call_sent_again(nfs: Nfs, place: bytes, quirk: Any) -> None:
    """A repetition of a REMOVE that was executed gets the first answer, not that there is no such file."""
    made(nfs, place)
    message = call(nfs.peer.xid(), NFS, 2, 10, place + opaque(b"file"), nfs.credential)
    first, second = nfs.peer.ask(message), nfs.peer.ask(message)
    assert first is not None
    assert first[20:] == w(0, 0)
    if second is not None and second[20:] == w(0, n.NOENT):
        quirk("executes repetitions again")
    assert second == first
