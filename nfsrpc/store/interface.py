"""What the NFS floor asks of a store: files by UFID, errors as `OSError`, time in nanoseconds.

A store knows nothing of NFS or RPC. Sizes and offsets are 64 bits; the clamps
of a protocol version live beside that version's procedures. Access rules are
not the store's either: whoever calls has already asked whether the caller may.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from nfsrpc.rpc.work import Work

KIND: Final = 0o170000
"""The bits of a mode that say what a file is: S_IFMT. Plain numbers, because to ask `stat` costs more than the rest."""
REGULAR: Final = 0o100000
DIRECTORY: Final = 0o040000
SYMLINK: Final = 0o120000


class Ufid(NamedTuple):
    """Unique file identifier: names one file of one store for ever, also after its inode number is reused."""

    inode: int
    generation: int


class Attributes:  # noqa: PLW1641 - a row of a volume changes until it is put
    """What a store knows of one file. `mode` holds the S_IFMT type bits; times are ns since the epoch."""

    # Written out, as are the rows of a volume: for these two alone a server would load `dataclasses` when it starts.
    __slots__ = (
        "atime", "ctime", "generation", "gid", "inode", "mode", "mtime", "nlink", "rdev", "size", "uid", "used"
    )  # fmt: skip

    def __init__(  # noqa: PLR0917 - what stat(2) tells
        self,
        inode: int,
        generation: int,
        mode: int,
        nlink: int,
        uid: int,
        gid: int,
        size: int,
        used: int,
        rdev: int,
        atime: int,
        mtime: int,
        ctime: int,
    ) -> None:
        self.inode = inode
        self.generation = generation
        self.mode = mode
        self.nlink = nlink
        self.uid = uid
        self.gid = gid
        self.size = size
        self.used = used
        self.rdev = rdev
        self.atime = atime
        self.mtime = mtime
        self.ctime = ctime

    def values(self) -> tuple[int, ...]:
        """In the order of the constructor."""
        return (
            self.inode,
            self.generation,
            self.mode,
            self.nlink,
            self.uid,
            self.gid,
            self.size,
            self.used,
            self.rdev,
            self.atime,
            self.mtime,
            self.ctime,
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Attributes) and type(other) is type(self) and self.values() == other.values()

    def __repr__(self) -> str:
        return f"{type(self).__name__}{self.values()}"

    @property
    def ufid(self) -> Ufid:
        """The file's name for ever."""
        return Ufid(self.inode, self.generation)


class Changes(NamedTuple):
    """What `Store.setattr` shall change; None leaves a field as it is. `mode` is the 12 permission bits."""

    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int | None = None
    atime: int | None = None
    mtime: int | None = None


class Entry(NamedTuple):
    """One name of a directory; `cookie` is where a later `readdir` goes on, behind this name."""

    inode: int
    name: bytes
    cookie: int


class Space(NamedTuple):
    """Room in a store: bytes and inodes, in total, free, and free for an ordinary caller."""

    block_size: int
    total: int
    free: int
    available: int
    inodes: int
    inodes_free: int


class Quota(NamedTuple):
    """What one owner may have in a store, and has: bytes of disk space and files. A limit of 0 is none."""

    bytes_limit: int
    bytes_used: int
    inodes_limit: int
    inodes_used: int


class OldKey(NamedTuple):
    """A key that handles were sealed with before; they are good until `until`, ns since the epoch."""

    key: bytes
    until: int


class Store(Work, Protocol):
    """A file store. Every method may raise OSError; ESTALE: the UFID names no file (any more).

    ENOTDIR/EISDIR/ENOENT/EEXIST/ENOTEMPTY/ENAMETOOLONG/EINVAL/EXDEV/ENOSPC/EDQUOT/EFBIG/EROFS/EMLINK
    are raised as the POSIX call of the same name does. Names are bytes, kept
    verbatim: empty, ``b"."``, ``b".."``, with ``b"/"`` or NUL are EINVAL where a name is
    made or removed. No method follows a symbolic link.
    """

    fsid: int
    """32-bit file system id, from the superblock."""
    key: bytes
    """Secret with which handles of this store are sealed."""
    old_keys: Sequence[OldKey]
    """Keys that this one has replaced."""
    root: Ufid

    def getattr(self, node: Ufid) -> Attributes:
        """Attributes of `node`. The object is never changed later; the same object again: the file is as it was."""

    def setattr(self, node: Ufid, changes: Changes) -> Attributes:
        """Apply `changes`, return the new attributes. A size on anything but a regular file: EISDIR or EINVAL."""

    def lookup(self, directory: Ufid, name: bytes) -> Attributes:
        """Attributes of the file that `name` names; ``.`` and ``..`` work, the root is its own parent."""

    def find(self, directory: Ufid, name: bytes) -> Attributes | None:
        """As `lookup`; None, not ENOENT, if there is no such name."""

    def readlink(self, node: Ufid) -> bytes:
        """Target of a symbolic link, verbatim. EINVAL if `node` is none."""

    def read(self, node: Ufid, offset: int, count: int) -> tuple[bytes, Attributes]:
        """At most `count` bytes at `offset` (fewer only at end of file), and the attributes."""

    def write(self, node: Ufid, offset: int, data: bytes) -> Attributes:
        """Write `data` at `offset`; durable once the unit has been committed."""

    def create(
        self, directory: Ufid, name: bytes, mode: int, uid: int, gid: int, rdev: int = 0, target: bytes = b""
    ) -> Attributes:
        """Make a new file of the type in `mode` (regular, directory, symlink to `target`, device, fifo, socket)."""

    def link(self, node: Ufid, directory: Ufid, name: bytes) -> None:
        """Give `node` (not a directory: EPERM) one more name."""

    def unlink(self, directory: Ufid, name: bytes) -> None:
        """Take a name of anything but a directory (EISDIR); the last name takes the file with it."""

    def rmdir(self, directory: Ufid, name: bytes) -> None:
        """Remove an empty directory."""

    def rename(self, source: Ufid, old: bytes, target: Ufid, new: bytes) -> None:
        """rename(2): replaces atomically, does nothing for two links to one file, EINVAL into an own subtree."""

    def readdir(self, directory: Ufid, cookie: int, limit: int) -> tuple[list[Entry], bool]:
        """At most `limit` entries behind `cookie` (0: from the start), ``.`` and ``..`` first; whether it is the end.

        Cookies are 32 bits, at least 1, and never reused in a directory, so
        paging survives concurrent changes: an untouched name comes exactly once.
        """

    def statfs(self) -> Space:
        """Room in the store."""

    def quota(self, uid: int) -> Quota | None:
        """What `uid` may have and has, inside a unit; None if the store keeps no quotas."""

    def close(self) -> None:
        """Give up every descriptor."""
