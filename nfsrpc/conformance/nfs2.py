"""NFS version 2 and MOUNT by hand (RFC 1094): each procedure as one method, replies read to their last byte."""

from collections.abc import Callable
from typing import NamedTuple

from .peer import MOUNT, NFS, Peer
from .wire import Attributes, Malformed, Reader, attributes, auth_sys, opaque, sattr, w

OK, PERM, NOENT, IO, NXIO, ACCES, EXIST, NODEV, NOTDIR, ISDIR = 0, 1, 2, 5, 6, 13, 17, 19, 20, 21
FBIG, NOSPC, ROFS, NAMETOOLONG, NOTEMPTY, DQUOT, STALE = 27, 28, 30, 63, 66, 69, 70
DIRECTORY, FILE, LINK = 2, 1, 5


class Entry(NamedTuple):
    """A line of READDIR."""

    fileid: int
    name: bytes
    cookie: bytes


class Page(NamedTuple):
    """The result of one READDIR; `size` is its length in bytes, status included."""

    entries: list[Entry]
    eof: bool
    size: int


class Space(NamedTuple):
    """The result of STATFS."""

    tsize: int
    bsize: int
    blocks: int
    bfree: int
    bavail: int


class Failed(AssertionError):
    """An NFS procedure ended with another status than NFS_OK. `status` is that."""

    def __init__(self, status: int) -> None:
        super().__init__(f"NFS status {status}")
        self.status = status


class Nfs:
    """The 18 procedures. What fails raises `Failed`, what has a wrong form `Malformed`."""

    def __init__(self, peer: Peer, uid: int) -> None:
        self.peer = peer
        self.credential = auth_sys(uid, uid)

    def call(self, procedure: int, arguments: bytes) -> Reader:
        """The result behind a status that must be NFS_OK."""
        reader = self.peer.call(NFS, 2, procedure, arguments, self.credential)
        if status := reader.word():
            reader.end()
            raise Failed(status)
        return reader

    def getattr(self, file: bytes) -> Attributes:
        return _last_attributes(self.call(1, file))

    def setattr(self, file: bytes, wanted: bytes) -> Attributes:
        return _last_attributes(self.call(2, file + wanted))

    def lookup(self, directory: bytes, name: bytes) -> tuple[bytes, Attributes]:
        return _node(self.call(4, directory + opaque(name)))

    def readlink(self, file: bytes) -> bytes:
        reader = self.call(5, file)
        target = reader.opaque(1024)
        reader.end()
        return target

    def read(self, file: bytes, offset: int, count: int) -> tuple[Attributes, bytes]:
        reader = self.call(6, file + w(offset, count, 0))
        found, data = attributes(reader), reader.opaque(8192)
        reader.end()
        if len(data) > count:
            raise Malformed(f"{len(data)} bytes where {count} were asked for")
        return found, data

    def write(self, file: bytes, offset: int, data: bytes) -> Attributes:
        return _last_attributes(self.call(8, file + w(0, offset, 0) + opaque(data)))

    def create(self, directory: bytes, name: bytes, wanted: bytes = sattr(0o644)) -> tuple[bytes, Attributes]:
        return _node(self.call(9, directory + opaque(name) + wanted))

    def remove(self, directory: bytes, name: bytes) -> None:
        self.call(10, directory + opaque(name)).end()

    def rename(self, source: bytes, old: bytes, target: bytes, new: bytes) -> None:
        self.call(11, source + opaque(old) + target + opaque(new)).end()

    def link(self, file: bytes, directory: bytes, name: bytes) -> None:
        self.call(12, file + directory + opaque(name)).end()

    def symlink(self, directory: bytes, name: bytes, target: bytes) -> None:
        self.call(13, directory + opaque(name) + opaque(target) + sattr(0o777)).end()

    def mkdir(self, directory: bytes, name: bytes, wanted: bytes = sattr(0o755)) -> tuple[bytes, Attributes]:
        return _node(self.call(14, directory + opaque(name) + wanted))

    def rmdir(self, directory: bytes, name: bytes) -> None:
        self.call(15, directory + opaque(name)).end()

    def readdir(self, directory: bytes, cookie: bytes = bytes(4), count: int = 8192) -> Page:
        reader = self.call(16, directory + cookie + w(count))
        entries, size = [], 12
        while reader.flag():
            entry = Entry(reader.word(), reader.opaque(255), reader.fixed(4))
            entries.append(entry)
            size += 16 + len(entry.name) + -len(entry.name) % 4
        eof = reader.flag()
        reader.end()
        return Page(entries, eof, size)

    def names(self, directory: bytes, count: int = 8192) -> list[bytes]:
        """Every name, page by page, "." and ".." left out. Raises `AssertionError` where the pages never end."""
        names: list[bytes] = []
        cookie = bytes(4)
        for _ in range(10_000):
            page = self.readdir(directory, cookie, count)
            names += [entry.name for entry in page.entries]
            if page.eof:
                return [name for name in names if name not in (b".", b"..")]
            if not page.entries:
                raise AssertionError("a page without entries, and not the last one")
            cookie = page.entries[-1].cookie
        raise AssertionError("READDIR does not come to an end")

    def statfs(self, file: bytes) -> Space:
        reader = self.call(17, file)
        space = Space(*(reader.word() for _ in range(5)))
        reader.end()
        return space

    def status(self, procedure: int, arguments: bytes) -> int:
        """The status alone; of success the rest is not read."""
        return self.peer.call(NFS, 2, procedure, arguments, self.credential).word()

    def mount(self, path: bytes, version: int = 1) -> bytes:
        """The handle that MNT gives. `Failed` carries MOUNT's errno."""
        reader = self.peer.call(MOUNT, version, 1, opaque(path), self.credential)
        if status := reader.word():
            reader.end()
            raise Failed(status)
        handle = reader.fixed(32)
        reader.end()
        return handle


def _last_attributes(reader: Reader) -> Attributes:
    found = attributes(reader)
    reader.end()
    return found


def _node(reader: Reader) -> tuple[bytes, Attributes]:
    return reader.fixed(32), _last_attributes(reader)


def fails(action: Callable[..., object], *arguments: object) -> int:
    """The status with which the procedure fails. AssertionError where it does not."""
    try:
        action(*arguments)
    except Failed as failure:
        return failure.status
    raise AssertionError("it succeeded")


def made(nfs: Nfs, directory: bytes, name: bytes = b"file", data: bytes = b"") -> bytes:
    """The handle of a new file with `data` in it."""
    handle, _ = nfs.create(directory, name)
    for at in range(0, len(data), 4096):
        nfs.write(handle, at, data[at : at + 4096])
    return handle


def exports(peer: Peer) -> list[bytes]:
    """What MOUNT EXPORT lists (RFC 1094 appendix A.5.6)."""
    reader = peer.call(MOUNT, 1, 5)
    found = []
    while reader.flag():
        found.append(reader.opaque(1024))
        while reader.flag():
            reader.opaque(255)
    reader.end()
    return found
