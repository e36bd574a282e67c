"""Which file a handle names: followed through MNT, LOOKUP, CREATE, MKDIR, RENAME, REMOVE and RMDIR.

Each handle is remembered under its parent's handle and its name, so that renaming a directory moves
what is below it, too.
"""

import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from nfsrpc.protocols import mount, nfs_prot

from .decoded import Decoded

MOST_HANDLES = 1 << 17
"""Handles remembered, about 40 MB; the one that was not seen longest is forgotten first."""
DEEPEST = 256

_NFS, _MOUNT = nfs_prot.NFS_PROGRAM, mount.MOUNTPROG
_Handle = tuple[bytes, bytes]


class Paths:
    """Learns from exchanges, in the order in which they were answered. A handle belongs to the server's address."""

    def __init__(self) -> None:
        self._places: OrderedDict[_Handle, tuple[_Handle | None, bytes]] = OrderedDict()
        self._children: dict[tuple[_Handle, bytes], _Handle] = {}

    def text(self, server: bytes, handle: bytes) -> str:
        """The path as text; for a handle that is not known ``fh:`` and a checksum of it, which tells handles apart."""
        parts: list[str] = []
        place: _Handle | None = (server, handle)
        for _ in range(DEEPEST):
            if place is None:
                break
            known = self._places.get(place)
            if known is None:
                parts.append(f"fh:{zlib.crc32(place[1]):08x}")
                break
            place, name = known
            parts.append(shown(name))
        if len(parts) > 1 and parts[-1] == "/":
            parts[-1] = ""
        return "/".join(reversed(parts))

    def learn(self, decoded: Decoded) -> None:
        """Take what a successful call says about names and handles."""
        if not decoded.ok or decoded.arguments is None:
            return
        exchange = decoded.exchange
        lesson = _LESSONS.get((exchange.program, exchange.procedure))
        if lesson is not None and (exchange.program, exchange.version) in _VERSIONS:
            lesson(self, exchange.server.host, decoded.arguments, decoded.result)

    def put(self, handle: _Handle, parent: _Handle | None, name: bytes) -> None:
        """`handle` is called `name` in `parent`; a root has no parent, and its whole path for a name."""
        self._places[handle] = (parent, name)
        self._places.move_to_end(handle)
        if parent is not None:
            self._children[parent, name] = handle
        if len(self._places) > MOST_HANDLES:
            forgotten, (above, called) = self._places.popitem(last=False)
            if above is not None and self._children.get((above, called)) == forgotten:
                del self._children[above, called]

    def take(self, parent: _Handle, name: bytes) -> _Handle | None:
        """The handle that had this name, which it has no longer. It keeps its path, for those who have it open."""
        return self._children.pop((parent, name), None)


def shown(name: bytes) -> str:
    """A name as printable text: what is not printable UTF-8 as ``\\xNN``, a backslash doubled."""
    text = name.decode("utf-8", "backslashreplace") if b"\\" not in name else _careful(name)
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _careful(name: bytes) -> str:
    return b"\\\\".join(name.split(b"\\")).decode("utf-8", "backslashreplace")


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _mounted(paths: Paths, server: bytes, arguments: tuple[Any, ...], result: mount.fhstatus) -> None:
    if result.directory is not None:
        paths.put((server, result.directory), None, arguments[0].rstrip(b"/") or b"/")


def _named(paths: Paths, server: bytes, where: nfs_prot.diropargs, result: nfs_prot.diropres) -> None:
    if result.diropres is not None and where.name not in (b".", b".."):
        paths.put((server, result.diropres.file.data), (server, where.dir.data), where.name)


def _looked_up(paths: Paths, server: bytes, arguments: tuple[Any, ...], result: Any) -> None:
    _named(paths, server, arguments[0], result)


def _created(paths: Paths, server: bytes, arguments: tuple[Any, ...], result: Any) -> None:
    _named(paths, server, arguments[0].where, result)


def _renamed(paths: Paths, server: bytes, arguments: tuple[Any, ...], result: Any) -> None:
    source, target = arguments[0].from_, arguments[0].to
    handle = paths.take((server, source.dir.data), source.name)
    if handle is not None:
        paths.put(handle, (server, target.dir.data), target.name)


def _removed(paths: Paths, server: bytes, arguments: tuple[Any, ...], result: Any) -> None:
    paths.take((server, arguments[0].dir.data), arguments[0].name)


_VERSIONS = frozenset({(_NFS, 2), (_MOUNT, 1), (_MOUNT, 2)})
_LESSONS: Mapping[tuple[int, int], Callable[[Paths, bytes, tuple[Any, ...], Any], None]] = MappingProxyType({
    (_MOUNT, mount.MOUNTPROC_MNT): _mounted,
    (_NFS, nfs_prot.NFSPROC_LOOKUP): _looked_up,
    (_NFS, nfs_prot.NFSPROC_CREATE): _created,
    (_NFS, nfs_prot.NFSPROC_MKDIR): _created,
    (_NFS, nfs_prot.NFSPROC_RENAME): _renamed,
    (_NFS, nfs_prot.NFSPROC_REMOVE): _removed,
    (_NFS, nfs_prot.NFSPROC_RMDIR): _removed,
})
