"""Attributes as NFS version 2 has them: 32 bits for everything, microseconds, and three special cases.

RFC 1094 §2.3.5 and §2.3.6, and what the servers and clients of its time made of them.
"""

import stat
from collections.abc import Mapping
from types import MappingProxyType

from nfsrpc.protocols.nfs_prot import fattr, ftype, nfstime, sattr, statfsokres
from nfsrpc.store import Attributes, Changes, Space

TRANSFER = 8192
"""Largest READ and WRITE (NFS_MAXDATA, RFC 1094 §2.2), offered as `tsize` and `blocksize`."""
MAX_SIZE = 0xFFFF_FFFF
"""A file can have no more bytes than a 32-bit offset reaches."""
UNSET = 0xFFFF_FFFF
UNSET_SHORT = 0xFFFF
"""Some Suns put a 16-bit -1 in sattr.mode where they mean "leave it"."""
NOW_USECONDS = 1_000_000
"""Sun's convention for utimes(path, NULL): an impossible mtime.useconds asks for the server's time."""
FIFO_RDEV = 0xFFFF_FFFF
"""Version 2 has no type for a FIFO: it travels as a character device with this number."""

_BLOCK = 512
_INT_MAX = 0x7FFF_FFFF
_TYPES: Mapping[int, ftype] = MappingProxyType({
    stat.S_IFREG: ftype.NFREG,
    stat.S_IFDIR: ftype.NFDIR,
    stat.S_IFLNK: ftype.NFLNK,
    stat.S_IFBLK: ftype.NFBLK,
    stat.S_IFCHR: ftype.NFCHR,
    stat.S_IFIFO: ftype.NFCHR,
    stat.S_IFSOCK: ftype.NFSOCK,
})


def _time(nanoseconds: int) -> nfstime:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    if not 0 <= seconds <= MAX_SIZE:
        return nfstime(0 if seconds < 0 else MAX_SIZE, 0)
    return nfstime(seconds, rest // 1000)


def fattr_of(node: Attributes, fsid: int) -> fattr:
    """`node` in version 2's words; sizes and times beyond 32 bits are clamped, never wrapped."""
    kind = stat.S_IFMT(node.mode)
    return fattr(
        _TYPES[kind],
        node.mode,
        node.nlink,
        node.uid,
        node.gid,
        min(node.size, MAX_SIZE),
        TRANSFER,
        FIFO_RDEV if kind == stat.S_IFIFO else node.rdev & MAX_SIZE,
        min(-(-node.used // _BLOCK), _INT_MAX),
        fsid,
        node.inode,
        _time(node.atime),
        _time(node.mtime),
        _time(node.ctime),
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
