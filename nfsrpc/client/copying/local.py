"""This machine's side of a copy. What is made is made below one directory, whatever a server says.

A server chooses the names and the kinds of files. So directories are opened one name at a time, without following
links, and everything in them is done relative to the opened directory: a link that an earlier
name has put there, or another program meanwhile, leads nowhere.
"""

import contextlib
import errno
import os
import stat
from collections import OrderedDict
from pathlib import Path

from .item import DOUBTED, RESUMED, Item, Kind, Unsupported, kind_of, not_a_directory
from .job import Options

_BLOCK = 1 << 17
_OPEN = 64
"""Directories kept open at once."""
_SLASH, _NUL = b"/\0"
_BESIDE = os.O_NOFOLLOW | os.O_CLOEXEC
Place = tuple[bytes, ...]
"""A directory below the root, by the names that lead there."""


def describe(path: bytes, status: os.stat_result) -> Item:
    """The file at `path` as an item."""
    return Item(
        path, path, kind_of(status.st_mode), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid,
        status.st_size, status.st_atime_ns // 1000, status.st_mtime_ns // 1000, status.st_nlink,
        (status.st_dev, status.st_ino), status.st_rdev,
    )  # fmt: skip


class LocalSource:
    """Files of this machine."""

    wire = None

    def item(self, path: bytes, *, follow: bool) -> Item:
        """The file at `path` (a link itself unless `follow`). Raises `OSError`."""
        return describe(path, os.stat(path, follow_symlinks=follow))

    async def children(self, item: Item) -> list[tuple[bytes, Item | OSError]]:
        """See `Source`."""
        found: list[tuple[bytes, Item | OSError]] = []
        for name in sorted(os.listdir(item.place)):
            try:
                found.append((name, self.item(os.path.join(item.place, name), follow=False)))
            except OSError as error:
                found.append((name, error))
        return found

    def reader(self, item: Item, offset: int) -> "_LocalReader":
        """See `Source`."""
        return _LocalReader(item.place, offset)

    async def target(self, item: Item) -> bytes:
        """See `Source`."""
        return os.readlink(bytes(item.place))


class _LocalReader:
    def __init__(self, path: bytes, offset: int) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 - closed by `close`
        self._file.seek(offset)

    async def next(self) -> bytes:
        return self._file.read(_BLOCK) or b""

    def close(self) -> None:
        self._file.close()


class LocalSink:
    """Files below `directory`, which must be there."""

    wire = None
    root: Place = ()

    def __init__(self, directory: Path | bytes, options: Options, umask: int) -> None:
        self._options = options
        self._umask = umask
        self._path = os.fsencode(directory)
        self._root = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._directories: OrderedDict[Place, int] = OrderedDict()
        self._new: set[Place] = set()
        """Directories that this copy has made: what is in them, it has put there itself."""

    def close(self) -> None:
        """Give up descriptors."""
        for descriptor in (*self._directories.values(), self._root):
            os.close(descriptor)
        self._directories.clear()

    def describe(self, parent: Place, name: bytes) -> str:
        """See `Sink`."""
        return os.fsdecode(os.path.join(self._path, *parent, name))

    def is_new(self, place: Place) -> bool:
        """Whether this copy has made the directory at `place`."""
        return place in self._new

    def fd(self, place: Place) -> int:
        """The directory at `place`, opened without following any link; good until the next call of this."""
        if not place:
            return self._root
        known = self._directories.get(place)
        if known is not None:
            self._directories.move_to_end(place)
            return known
        above = self.fd(place[:-1])
        opened = os.open(_checked(place[-1]), os.O_RDONLY | os.O_DIRECTORY | _BESIDE, dir_fd=above)
        self._directories[place] = opened
        if len(self._directories) > _OPEN:
            _, oldest = self._directories.popitem(last=False)
            os.close(oldest)
        return opened

    def _status(self, parent: Place, name: bytes) -> os.stat_result | None:
        if parent in self._new:
            return None
        with contextlib.suppress(FileNotFoundError):
            return os.stat(_checked(name), dir_fd=self.fd(parent), follow_symlinks=False)
        return None

    async def directory(self, parent: Place, name: bytes, item: Item) -> Place:
        """See `Sink`."""
        mode = 0o700 if self._options.attributes else item.mode & 0o777 & ~self._umask | 0o700
        directory = self.fd(parent)
        try:
            os.mkdir(_checked(name), mode, dir_fd=directory)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                raise not_a_directory(name) from None
        else:
            self._new.add((*parent, name))
        return (*parent, name)

    async def same(self, parent: Place, name: bytes, item: Item) -> bool:
        """See `Sink`."""
        there = self._status(parent, name)
        return (
            there is not None
            and stat.S_ISREG(there.st_mode)
            and (there.st_size, there.st_mtime_ns // 1000) == (item.size, item.mtime)
        )

    async def file(self, parent: Place, name: bytes, item: Item) -> "_LocalWriter":
        """See `Sink`."""
        there = self._status(parent, name)
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
        return _LocalWriter(self, parent, name, item, self._wanted(there, item), self._options)

    def _wanted(self, there: os.stat_result | None, item: Item) -> int:
        if self._options.attributes:
            return self._options.permissions(item.mode)
        if there is not None and stat.S_ISREG(there.st_mode):
            return stat.S_IMODE(there.st_mode)
        return item.mode & 0o777 & ~self._umask

    async def symlink(self, parent: Place, name: bytes, item: Item, target: bytes) -> None:
        """See `Sink`."""
        directory = self.fd(parent)
        self._clear(parent, name)
        os.symlink(target, name, dir_fd=directory)
        if self._options.owners:
            os.chown(name, item.uid, item.gid, dir_fd=directory, follow_symlinks=False)
        if self._options.attributes:
            os.utime(name, ns=_times(item), dir_fd=directory, follow_symlinks=False)

    async def special(self, parent: Place, name: bytes, item: Item) -> None:
        """See `Sink`."""
        directory = self.fd(parent)
        if item.kind is Kind.PIPE:
            self._clear(parent, name)
            os.mkfifo(name, item.mode & 0o777, dir_fd=directory)
        elif self._options.owners:
            self._clear(parent, name)
            os.mknod(name, item.kind.value | item.mode & 0o777, item.device, dir_fd=directory)
        else:
            raise Unsupported("a device is copied only as root with --owner")
        if self._options.attributes:
            os.utime(name, ns=_times(item), dir_fd=directory, follow_symlinks=False)

    async def link(self, first: tuple[Place, bytes], parent: Place, name: bytes) -> None:
        """See `Sink`."""
        made = os.stat(first[1], dir_fd=self.fd(first[0]), follow_symlinks=False)
        there = self._status(parent, name)
        if there is not None and (there.st_dev, there.st_ino) == (made.st_dev, made.st_ino):
            return
        self._clear(parent, name)
        # The second directory's descriptor could push the first out of the cache.
        above = os.dup(self.fd(first[0]))
        try:
            os.link(first[1], name, src_dir_fd=above, dst_dir_fd=self.fd(parent), follow_symlinks=False)
        finally:
            os.close(above)

    async def settle(self, place: Place, item: Item) -> None:
        """See `Sink`."""
        directory = self.fd(place)
        if self._options.owners:
            os.fchown(directory, item.uid, item.gid)
        os.fchmod(directory, self._options.permissions(item.mode))
        os.utime(directory, ns=_times(item))

    def _clear(self, parent: Place, name: bytes) -> None:
        """Make room for something under `name`; a directory is not removed."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_checked(name), dir_fd=self.fd(parent))


class _LocalWriter:
    """A file that is written under another name beside its own, and renamed at its end.

    A small one is not opened before there is something to write: of thousands on their way none is open. In a new
    directory there is nothing that it could replace, so it is written under its own name there.
    """

    def __init__(self, sink: LocalSink, parent: Place, name: bytes, item: Item, mode: int, options: Options) -> None:
        self._sink = sink
        self._parent = parent
        self._name = _checked(name)
        self._item = item
        self._mode = mode
        self._options = options
        self._made = b""
        self._file = -1
        self.offset = 0
        if item.size >= RESUMED:
            self._file = self._beside()

    def _opened(self) -> int:
        if self._sink.is_new(self._parent):
            with contextlib.suppress(FileExistsError):
                opened = self._new(self._name)
                self._made = self._name
                return opened
        return self._beside()

    def _new(self, name: bytes) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BESIDE
        return os.open(name, flags, 0o600, dir_fd=self._sink.fd(self._parent))

    def _beside(self) -> int:
        """Open what is renamed at the end, or go on with what an earlier copy has left of it."""
        part = self._made = self._item.part_name(self._name)
        try:
            return self._new(part)
        except FileExistsError:
            pass
        directory = self._sink.fd(self._parent)
        with contextlib.suppress(OSError):
            opened = os.open(part, os.O_RDWR | os.O_NONBLOCK | _BESIDE, dir_fd=directory)
            status = os.fstat(opened)
            if stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid() and status.st_nlink == 1:
                self._go_on(opened, status.st_size)
                return opened
            os.close(opened)
        os.unlink(part, dir_fd=directory)
        return self._new(part)

    def _go_on(self, opened: int, size: int) -> None:
        """An earlier copy came as far as `size` bytes."""
        if self._item.size >= RESUMED:
            self.offset = min(self._item.size, max(0, size - DOUBTED))
        os.ftruncate(opened, self.offset)
        os.lseek(opened, self.offset, os.SEEK_SET)

    async def write(self, data: bytes) -> int:
        if self._file < 0:
            self._file = self._opened()
        written = os.write(self._file, data)
        while written < len(data):
            written += os.write(self._file, memoryview(data)[written:])
        return written

    async def finish(self) -> int:
        if self._file < 0:
            self._file = self._opened()
        if self._options.owners:
            os.fchown(self._file, self._item.uid, self._item.gid)
        os.fchmod(self._file, self._mode)
        if self._options.attributes:
            os.utime(self._file, ns=_times(self._item))
        if self._made != self._name:
            directory = self._sink.fd(self._parent)
            os.rename(self._made, self._name, src_dir_fd=directory, dst_dir_fd=directory)
        self._close()
        return 0

    def abandon(self) -> None:
        if self._file < 0:
            return
        if self._item.size < RESUMED:
            with contextlib.suppress(OSError):
                os.unlink(self._made, dir_fd=self._sink.fd(self._parent))
        self._close()

    def _close(self) -> None:
        os.close(self._file)
        self._file = -1


def _checked(name: bytes) -> bytes:
    """A name that stays in its directory. Servers' listings are checked before; this is the last gate."""
    if name in (b"", b".", b"..") or _SLASH in name or _NUL in name:
        raise Unsupported(f"{name!r} is no name of a file")
    return name


def _times(item: Item) -> tuple[int, int]:
    return item.atime * 1000, item.mtime * 1000
