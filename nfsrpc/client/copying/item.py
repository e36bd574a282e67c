"""What is copied: one file as its source describes it, and the two sides of a copy."""

import errno
import hashlib
import stat
from enum import Enum
from typing import Any, NamedTuple, Protocol

from .outbox import Outbox

RESUMED = 1 << 20
"""Files of this many bytes are continued where an earlier copy ended; smaller ones are soon copied again."""
DOUBTED = 1 << 20
"""Bytes at the end of such an earlier copy that are copied again: they may have been on their way when it ended."""


class Kind(Enum):
    """What a file is, by the type in its mode."""

    FILE = stat.S_IFREG
    DIRECTORY = stat.S_IFDIR
    LINK = stat.S_IFLNK
    PIPE = stat.S_IFIFO
    CHARACTER = stat.S_IFCHR
    BLOCK = stat.S_IFBLK
    SOCKET = stat.S_IFSOCK


_KINDS = {kind.value: kind for kind in Kind}


class Unsupported(OSError):
    """A file that cannot be copied as what it is (EOPNOTSUPP); the text says why and what would help."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EOPNOTSUPP, text)


def kind_of(mode: int) -> Kind:
    """The kind of file that has `mode`. Raises `Unsupported` for a type that no file has."""
    kind = _KINDS.get(stat.S_IFMT(mode))
    if kind is None:
        raise Unsupported(f"mode {mode:o} is that of no kind of file")
    return kind


def not_a_directory(name: bytes) -> OSError:
    """Something else is where a directory shall be."""
    return NotADirectoryError(errno.ENOTDIR, "it is not a directory, and no link is followed there", name)


class Item(NamedTuple):
    """One file of a source: where it is there (`path`, for people; `place`, the source's own), and its attributes.

    Times are microseconds since 1970, the finest that version 2 has. `identity` is the same for all
    names of one file; `device` is this system's device number.
    """

    path: bytes
    place: Any
    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    atime: int
    mtime: int
    links: int
    identity: tuple[int, int]
    device: int = 0

    @property
    def part(self) -> bytes:
        """Names this state of this file: what was copied of it is good as long as this stays the same."""
        state = repr((self.identity, self.size, self.mtime)).encode()
        return hashlib.blake2s(state, digest_size=6).hexdigest().encode()

    def part_name(self, name: bytes) -> bytes:
        """What a copy is called in its directory until all of it is there; another name for another state."""
        return b".%s.%s.part" % (name[:200], self.part)


class Reader(Protocol):
    """The contents of a file from some offset on."""

    async def next(self) -> bytes:
        """The next bytes; none at the end."""

    def close(self) -> None:
        """No more of it is wanted."""


class Source(Protocol):
    """Where files come from. `wire` drives what its coroutines wait for; None where they never wait."""

    @property
    def wire(self) -> Outbox | None:
        """What drives its coroutines."""

    async def children(self, item: Item) -> list[tuple[bytes, Item | OSError]]:
        """The names in a directory, each with what it is, or why that cannot be told."""

    def reader(self, item: Item, offset: int) -> Reader:
        """The contents of a regular file from `offset` on."""

    async def target(self, item: Item) -> bytes:
        """Target of a symbolic link."""


class Writer(Protocol):
    """A file that is being made. A large one gets its name when it is finished, not before."""

    offset: int
    """Bytes that are there already, from an earlier attempt."""

    async def write(self, data: bytes) -> int:
        """Take the next bytes; how many have arrived since the last call."""

    async def finish(self) -> int:
        """Everything has been given: make it last, with attributes and name. Returns as `write`."""

    def abandon(self) -> None:
        """It will not be finished now. What is there is kept if it is worth being continued."""


class Sink(Protocol):
    """Where copies go. `parent` is what `directory` returned, or the sink's own `root`."""

    @property
    def wire(self) -> Outbox | None:
        """What drives its coroutines."""

    @property
    def root(self) -> Any:
        """The directory that it is below."""

    def describe(self, parent: Any, name: bytes) -> str:
        """The path of `name` in `parent`, for people."""

    async def directory(self, parent: Any, name: bytes, item: Item) -> Any:
        """Make a directory, or take the one that is there; writable for now, whatever its mode will be."""

    async def same(self, parent: Any, name: bytes, item: Item) -> bool:
        """Whether a complete copy is there: a regular file of the same size and mtime."""

    async def file(self, parent: Any, name: bytes, item: Item) -> Writer:
        """Begin a regular file, or go on with it."""

    async def symlink(self, parent: Any, name: bytes, item: Item, target: bytes) -> None:
        """Make a symbolic link in the place of whatever is there but a directory."""

    async def special(self, parent: Any, name: bytes, item: Item) -> None:
        """Make a pipe or a device."""

    async def link(self, first: tuple[Any, bytes], parent: Any, name: bytes) -> None:
        """Give the copy that was made as `first` (parent, name) one more name."""

    async def settle(self, place: Any, item: Item) -> None:
        """Give a directory its mode and times, now that nothing more is made in it."""

    def close(self) -> None:
        """The end of the copy."""
