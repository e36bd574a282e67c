"""Attributes as NFS version 2 has them: 32 bits for everything, microseconds, and three special cases.

RFC 1094 §2.3.5 and §2.3.6, and what the servers and clients of its time made of them.
"""

import stat
from collections.abc import Mapping
from struct import Struct
from types import MappingProxyType
from typing import Final

from nfsrpc.protocols.nfs_prot import NFS_MAXPATHLEN, ftype, nfstime, sattr, statfsokres
from nfsrpc.store import Attributes, Changes, Space

TRANSFER: Final = 8192
"""Largest READ and WRITE (NFS_MAXDATA, RFC 1094 §2.2), offered as `tsize` and `blocksize`."""
MAX_SIZE: Final = 0xFFFF_FFFF
"""A file can have no more bytes than a 32-bit offset reaches."""
UNSET: Final = 0xFFFF_FFFF
UNSET_SHORT: Final = 0xFFFF
"""Some Suns put a 16-bit -1 in sattr.mode where they mean "leave it"."""
NOW_USECONDS: Final = 1_000_000
"""Sun's convention for utimes(path, NULL): an impossible mtime.useconds asks for the server's time."""
FIFO_RDEV: Final = 0xFFFF_FFFF
"""Version 2 has no type for a FIFO: it travels as a character device with this number."""

_BLOCK: Final = 512
_INT_MAX: Final = 0x7FFF_FFFF
_TYPES: Final[Mapping[int, tuple[int, int]]] = MappingProxyType({
    stat.S_IFREG: (int(ftype.NFREG), MAX_SIZE),
    stat.S_IFDIR: (int(ftype.NFDIR), MAX_SIZE),
    stat.S_IFLNK: (int(ftype.NFLNK), NFS_MAXPATHLEN),
    stat.S_IFBLK: (int(ftype.NFBLK), MAX_SIZE),
    stat.S_IFCHR: (int(ftype.NFCHR), MAX_SIZE),
    stat.S_IFIFO: (int(ftype.NFCHR), MAX_SIZE),
    stat.S_IFSOCK: (int(ftype.NFSOCK), MAX_SIZE),
})
"""The type on the wire, and the largest size that is told: clients put a symbolic link into a buffer of that size."""
_SECOND: Final = 1_000_000_000
_OVER: Final = (MAX_SIZE + 1) * _SECOND
_FATTR: Final = Struct(">17I")
"""A fattr on the wire. It is part of nearly every reply; building the compiler's objects first takes twice as long."""


def _clamped(nanoseconds: int) -> int:
    return nanoseconds if 0 <= nanoseconds < _OVER else 0 if nanoseconds < 0 else MAX_SIZE * _SECOND


def fattr_of(node: Attributes, fsid: int) -> bytes:
    """`node` as an encoded fattr; sizes and times beyond 32 bits are clamped, never wrapped."""
    mode = node.mode
    kind = stat.S_IFMT(mode)
    type_, ceiling = _TYPES[kind]
    atime, mtime, ctime, size = node.atime, node.mtime, node.ctime, node.size
    if not (0 <= atime < _OVER and 0 <= mtime < _OVER and 0 <= ctime < _OVER):
        atime, mtime, ctime = _clamped(atime), _clamped(mtime), _clamped(ctime)
    return _FATTR.pack(
        type_,
        mode,
        node.nlink,
        node.uid,
        node.gid,
        size if size < ceiling else ceiling,
        TRANSFER,
        FIFO_RDEV if kind == stat.S_IFIFO else node.rdev & MAX_SIZE,
        min(-(-node.used // _BLOCK), _INT_MAX),
        fsid,
        node.inode,
        atime // _SECOND,
        atime % _SECOND // 1000,
        mtime // _SECOND,
        mtime % _SECOND // 1000,
        ctime // _SECOND,
        ctime % _SECOND // 1000,
    )


def _nanoseconds(when: nfstime) -> int | None:
    """A time of a sattr; None where either word says "leave it"."""
    if UNSET in (when.seconds, when.useconds):
        return None
    return when.seconds * 1_000_000_000 + min(when.useconds, 999_999) * 1000


def changes_of(wanted: sattr, now: int) -> Changes:
    """What a sattr asks to be changed (RFC 1094 §2.3.6: -1 leaves a field as it is)."""
    set_to_now = wanted.mtime.useconds == NOW_USECONDS
    return Changes(
        mode=None if wanted.mode in (UNSET, UNSET_SHORT) else wanted.mode & 0o7777,
        uid=None if wanted.uid == UNSET else wanted.uid,
        gid=None if wanted.gid == UNSET else wanted.gid,
        size=None if wanted.size == UNSET else wanted.size,
        atime=now if set_to_now else _nanoseconds(wanted.atime),
        mtime=now if set_to_now else _nanoseconds(wanted.mtime),
    )


def statfs_of(space: Space) -> statfsokres:
    """Room in a store; the block size is scaled until the counts fit the signed 32 bits that clients read."""
    size = space.block_size
    while space.total // size > _INT_MAX:
        size *= 2
    return statfsokres(TRANSFER, size, space.total // size, space.free // size, space.available // size)
