"""RFC 1094 §2.2: attributes, names and contents, seen from the wire."""

from typing import Any

import pytest

from . import nfs2 as n
from .nfs2 import Nfs, fails, made
from .peer import NFS, PROC_UNAVAIL, call
from .wire import attributes, opaque, sattr, w

S_IFMT, S_IFDIR, S_IFREG = 0o170000, 0o040000, 0o100000


# --- attributes


@pytest.mark.rule("RFC 1094 §2.2.1")
def test_null(nfs: Nfs) -> None:
    """NULL takes nothing and gives nothing."""
    nfs.peer.call(NFS, 2, 0).end()


@pytest.mark.rule("RFC 1094 §2.3.5")
def test_getattr_of_a_directory(nfs: Nfs, place: bytes) -> None:
    """Type and type bits agree; a directory has two links at least."""
    found = nfs.getattr(place)
    assert (found.type, found.mode & S_IFMT) == (n.DIRECTORY, S_IFDIR)
    assert found.nlink >= 2
    assert found.blocksize > 0


@pytest.mark.rule("RFC 1094 §2.3.5")
def test_getattr_of_a_file(nfs: Nfs, place: bytes) -> None:
    """A regular file, its size and its one link."""
    found = nfs.getattr(made(nfs, place, data=b"x" * 100))
    assert (found.type, found.mode & S_IFMT, found.size, found.nlink) == (n.FILE, S_IFREG, 100, 1)


@pytest.mark.rule("RFC 1094 §2.3.3")
@pytest.mark.parametrize("procedure", [1, 5, 6, 8, 16, 17])
@pytest.mark.parametrize("kind", ["all ones", "one bit changed"])
def test_a_handle_that_is_none(nfs: Nfs, place: bytes, procedure: int, kind: str) -> None:
    """A handle that the server has not made is stale, whatever is asked of it."""
    handle = b"\xff" * 32 if kind == "all ones" else bytes([place[0] ^ 0x40]) + place[1:]
    tail = {6: w(0, 10, 0), 8: w(0, 0, 0) + opaque(b"data"), 16: bytes(4) + w(512)}.get(procedure, b"")
    assert nfs.status(procedure, handle + tail) == n.STALE


@pytest.mark.rule("RFC 1094 §2.3.3")
def test_the_handle_of_a_removed_file(nfs: Nfs, place: bytes) -> None:
    """A removed file's handle is stale, also when its number has been used again."""
    old = made(nfs, place)
    nfs.remove(place, b"file")
    assert fails(nfs.getattr, old) == n.STALE
    made(nfs, place, b"another")
    assert fails(nfs.getattr, old) == n.STALE


@pytest.mark.rule("RFC 1094 §2.2.3")
def test_setattr_of_the_mode(nfs: Nfs, place: bytes) -> None:
    """The mode alone; everything else stays."""
    file = made(nfs, place, data=b"abc")
    before = nfs.getattr(file)
    after = nfs.setattr(file, sattr(0o600))
    assert after.mode == S_IFREG | 0o600
    assert (after.uid, after.gid, after.size, after.mtime) == (before.uid, before.gid, 3, before.mtime)


@pytest.mark.rule("RFC 1094 §2.2.3")
def test_setattr_of_nothing(nfs: Nfs, place: bytes) -> None:
    """All fields of all ones: nothing changes but perhaps the ctime."""
    file = made(nfs, place, data=b"abc")
    before, after = nfs.getattr(file), nfs.setattr(file, sattr())
    assert after._replace(ctime=before.ctime) == before


@pytest.mark.rule("RFC 1094 §2.2.3")
@pytest.mark.parametrize("size", [0, 2, 5000])
def test_setattr_of_the_size(nfs: Nfs, place: bytes, size: int) -> None:
    """A file cut, or extended with zeros."""
    file = made(nfs, place, data=b"abcd")
    assert nfs.setattr(file, sattr(size=size)).size == size
    assert nfs.read(file, 0, 4096)[1] == b"abcd"[:size].ljust(size, b"\0")[:4096]


@pytest.mark.rule("RFC 1094 §2.2.3")
def test_setattr_of_times(nfs: Nfs, place: bytes) -> None:
    """Times to the microsecond."""
    file = made(nfs, place)
    after = nfs.setattr(file, sattr(atime=(1_000_000_000, 250_000), mtime=(1_100_000_000, 750_000)))
    assert (after.atime, after.mtime) == ((1_000_000_000, 250_000), (1_100_000_000, 750_000))


@pytest.mark.rule("RFC 1094 §2.2.4")
@pytest.mark.parametrize("procedure", [3, 7])
def test_obsolete_procedures(nfs: Nfs, procedure: int, quirk: Any) -> None:
    """ROOT and WRITECACHE are in the protocol, take nothing and give nothing."""
    reply = nfs.peer.ask(call(nfs.peer.xid(), NFS, 2, procedure, b"", nfs.credential))
    assert reply is not None
    if reply[4:] == w(1, 0, 0, 0, PROC_UNAVAIL):
        quirk("has no obsolete procedures")
    assert reply[4:] == w(1, 0, 0, 0, 0)


# --- names


@pytest.mark.rule("RFC 1094 §2.2.5")
def test_lookup(nfs: Nfs, place: bytes) -> None:
    """LOOKUP gives the attributes that GETATTR of its handle gives."""
    file = made(nfs, place, data=b"abc")
    handle, found = nfs.lookup(place, b"file")
    assert nfs.getattr(handle).fileid == nfs.getattr(file).fileid == found.fileid
    assert found.size == 3


@pytest.mark.rule("RFC 1094 §2.2.5")
def test_lookup_of_what_is_not_there(nfs: Nfs, place: bytes) -> None:
    """NFSERR_NOENT."""
    assert fails(nfs.lookup, place, b"absent") == n.NOENT


@pytest.mark.rule("RFC 1094 §2.2.5")
def test_lookup_in_a_file(nfs: Nfs, place: bytes) -> None:
    """NFSERR_NOTDIR."""
    assert fails(nfs.lookup, made(nfs, place), b"x") == n.NOTDIR


@pytest.mark.rule("RFC 1094 §2.2.5")
def test_lookup_of_dot_and_dot_dot(nfs: Nfs, place: bytes, root: bytes) -> None:
    """Old clients ask for "." and ".." over the wire; above the export's top there is nothing."""
    assert nfs.lookup(place, b".")[1].fileid == nfs.getattr(place).fileid
    assert nfs.lookup(place, b"..")[1].fileid == nfs.getattr(root).fileid
    reply = nfs.peer.call(NFS, 2, 4, root + opaque(b".."), nfs.credential)
    status = reply.word()
    assert status in (n.OK, n.ACCES, n.NOENT, n.PERM)
    if status == n.OK:
        reply.fixed(32)
        assert attributes(reply).fileid == nfs.getattr(root).fileid


NAMES = {
    "255 bytes": b"n" * 255,
    "bytes that are no text": b"\xff\xfe\x80",
    "blanks and quotes": b" '\" ",
    "a backslash and a newline": b"a\\b\nc",
}


@pytest.mark.rule("RFC 1094 §2.3.8")
@pytest.mark.parametrize("name", [pytest.param(v, id=k) for k, v in NAMES.items()])
def test_names_are_bytes(nfs: Nfs, place: bytes, name: bytes) -> None:
    """Up to 255 bytes of anything but "/" and NUL are a name, and come back as they were."""
    made(nfs, place, name)
    nfs.lookup(place, name)
    assert nfs.names(place) == [name]


@pytest.mark.rule("RFC 1094 §2.3.8")
@pytest.mark.parametrize("name", [b"", b"a/b", b"../b", b"a\0b", b".", b".."])
def test_names_that_are_none(nfs: Nfs, place: bytes, name: bytes) -> None:
    """Nothing can be created under these, and nothing outside the directory is reached."""
    before = nfs.names(place)
    reply = nfs.peer.ask(call(nfs.peer.xid(), NFS, 2, 9, place + opaque(name) + sattr(0o644), nfs.credential))
    assert reply is not None
    assert reply[20:] not in (b"", w(0))
    assert reply[20:28] != w(0, 0), "created"
    assert nfs.names(place) == before


# --- contents


@pytest.mark.rule("RFC 1094 §2.2.7")
def test_read_of_what_was_written(nfs: Nfs, place: bytes) -> None:
    """Any stretch, as much as STATFS says is best in one go."""
    data = bytes(range(256)) * 32
    file = made(nfs, place, data=data)
    most = min(nfs.statfs(nfs_root(nfs, place)).tsize, 8192)
    assert nfs.read(file, 0, most)[1] == data[:most]
    assert nfs.read(file, 300, 5)[1] == data[300:305]
    assert nfs.read(file, 8190, 100)[1] == data[8190:]
    assert nfs.read(file, 0, 0)[1] == b""


def nfs_root(nfs: Nfs, place: bytes) -> bytes:
    """The top directory, by way of ".." (some servers answer STATFS for nothing else)."""
    return nfs.lookup(place, b"..")[0]


@pytest.mark.rule("RFC 1094 §2.3.1")
def test_read_of_8192_bytes(nfs: Nfs, place: bytes, quirk: Any) -> None:
    """NFS_MAXDATA bytes in one reply."""
    data = bytes(range(256)) * 32
    got = nfs.read(made(nfs, place, data=data), 0, 8192)[1]
    if 0 < len(got) < 8192 and data.startswith(got):
        quirk(f"reads {len(got)} bytes at most, before the end of the file")
    assert got == data


@pytest.mark.rule("RFC 1094 §2.2.7")
@pytest.mark.parametrize("offset", [3, 4, 5000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_read_behind_the_end(nfs: Nfs, place: bytes, offset: int) -> None:
    """What is left of the file; nothing, successfully, from its end on."""
    assert nfs.read(made(nfs, place, data=b"abcd"), offset, 100)[1] == b"abcd"[offset:]


@pytest.mark.rule("RFC 1094 §2.2.7")
def test_read_of_a_directory(nfs: Nfs, place: bytes, quirk: Any) -> None:
    """NFSERR_ISDIR."""
    status = fails(nfs.read, place, 0, 100)
    if status in (n.IO, n.PERM, n.ACCES, 22):
        quirk(f"status {status} instead of NFSERR_ISDIR")
    assert status == n.ISDIR


@pytest.mark.rule("RFC 1094 §2.2.9")
def test_write(nfs: Nfs, place: bytes) -> None:
    """The attributes after the write; mtime has moved on."""
    file = made(nfs, place)
    nfs.setattr(file, sattr(mtime=(1_000_000_000, 0)))
    after = nfs.write(file, 0, b"abc")
    assert after.size == 3
    assert after.mtime > (1_000_000_000, 0)
    assert nfs.write(file, 1, b"B").size == 3
    assert nfs.read(file, 0, 10)[1] == b"aBc"


@pytest.mark.rule("RFC 1094 §2.2.9")
def test_write_behind_the_end(nfs: Nfs, place: bytes) -> None:
    """The gap reads as zeros."""
    file = made(nfs, place, data=b"ab")
    assert nfs.write(file, 5, b"cd").size == 7
    assert nfs.read(file, 0, 100)[1] == b"ab\0\0\0cd"


@pytest.mark.rule("RFC 1094 §2.2.9")
@pytest.mark.parametrize("size", [1, 3, 1023, 8192])
def test_write_of_any_length(nfs: Nfs, place: bytes, size: int) -> None:
    """Up to NFS_MAXDATA bytes, no multiple of anything."""
    file = made(nfs, place)
    data = bytes(range(256)) * 32
    assert nfs.write(file, 0, data[:size]).size == size
    assert b"".join(nfs.read(file, at, 1024)[1] for at in range(0, size, 1024)) == data[:size]


@pytest.mark.rule("RFC 1094 §2.2.9")
def test_write_past_four_gigabytes(nfs: Nfs, place: bytes) -> None:
    """Offsets are 32 bits: what does not fit is refused, never wrapped around to the file's beginning."""
    file = made(nfs, place, data=b"first")
    assert nfs.status(8, file + w(0, 0xFFFFFFFE, 0) + opaque(b"spill")) != n.OK
    assert nfs.read(file, 0, 5)[1] == b"first"
