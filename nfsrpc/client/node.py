"""What is known of one remote file: attributes with their lifetime, names, contents. No I/O; times are passed in."""

import os
import stat
from collections import OrderedDict
from typing import TYPE_CHECKING

from nfsrpc.protocols.nfs_prot import fattr, ftype

from .options import Options

if TYPE_CHECKING:
    from .contents import Contents

NO_DEVICE = 0xFFFF_FFFF
_TYPES = {
    ftype.NFREG: stat.S_IFREG,
    ftype.NFDIR: stat.S_IFDIR,
    ftype.NFBLK: stat.S_IFBLK,
    ftype.NFCHR: stat.S_IFCHR,
    ftype.NFLNK: stat.S_IFLNK,
}
_DIRECTORY = ftype.NFDIR
_DEVICES = (ftype.NFBLK, ftype.NFCHR)
Version = tuple[int, int, int, int, int]
"""ctime, mtime and size: two states of a file that agree in them are taken for one (RFC 1094 has nothing better)."""


class Node:
    """One remote file. Found by its handle in `Nodes`, so that all its names and opens share it.

    until
        When its attributes, and the names of a directory, have to be asked for again.
    names
        Of a directory: what is known of its names; None for one that is not there.
    listing
        Of a directory: all its names in the server's order, if they have been read; `listing_text` the same, decoded.
    stamp
        Counts how often what is cached of it was thrown away: a reply to a call that was sent
        before is not believed after.
    opens
        How often it is open: it is not forgotten as long as it is.
    """

    __slots__ = (
        "_status",
        "attributes",
        "contents",
        "handle",
        "lifetime",
        "listing",
        "listing_text",
        "names",
        "opens",
        "stamp",
        "until",
    )

    def __init__(self, handle: bytes, attributes: fattr) -> None:
        self.handle = handle
        self.attributes = attributes
        self.until = 0.0
        self.lifetime = 0.0
        self.names: dict[bytes, Node | None] = {}
        self.listing: list[bytes] | None = None
        self.listing_text: list[str] | None = None
        self.stamp = 0
        self.opens = 0
        self.contents: Contents | None = None
        self._status: os.stat_result | None = None

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.attributes.type == ftype.NFDIR

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.attributes.type == ftype.NFLNK

    @property
    def is_regular(self) -> bool:
        """Whether it is a regular file."""
        return self.attributes.type == ftype.NFREG

    @property
    def size(self) -> int:
        """Bytes of a file, those included that the server has not got yet."""
        return self.attributes.size if self.contents is None else self.contents.size

    @property
    def status(self) -> os.stat_result:
        """The attributes as `os.stat` has them."""
        status = self._status
        if status is None:
            status = self._status = status_of(self.attributes, self.size)
        return status

    def resized(self) -> None:
        """The size has changed by what this client did."""
        self._status = None

    def learn(self, attributes: fattr, now: float, options: Options) -> None:
        """Take attributes that the server has just sent. Those that differ from the known ones end what hangs on them.

        How long they are believed doubles with each time that they are found unchanged at their end.
        """
        directory = attributes.type == _DIRECTORY
        shortest, longest = (
            (options.directory_min, options.directory_max) if directory else (options.file_min, options.file_max)
        )
        known = self.attributes
        if attributes is not known and (
            version_of(attributes) != version_of(known) or attributes.fileid != known.fileid
        ):
            self.lifetime = shortest
            self.forget_names()
        elif not self.lifetime:
            self.lifetime = shortest
        elif now >= self.until:
            self.lifetime = min(max(self.lifetime * 2, shortest), longest)
        self.until = now + self.lifetime
        self.attributes = attributes
        self._status = None

    def forget_names(self) -> None:
        """Believe nothing any more about the names of a directory."""
        self.stamp += 1
        self.names = {}
        self.listing = self.listing_text = None

    def expire(self) -> None:
        """The attributes are to be asked for at the next opportunity."""
        self.until = 0.0


class Nodes:
    """The files that are known, by handle: the least recently used ones go when there are too many."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._known: OrderedDict[bytes, Node] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def get(self, handle: bytes, attributes: fattr, now: float) -> Node:
        """The file of `handle`, with the attributes that the server has just sent."""
        node = self._known.get(handle)
        if node is not None and node.attributes.type == attributes.type and node.attributes.fileid == attributes.fileid:
            self._known.move_to_end(handle)
        else:
            node = self._known[handle] = Node(handle, attributes)
            if len(self._known) > self._options.nodes:
                self._make_room()
        node.learn(attributes, now, self._options)
        return node

    def _make_room(self) -> None:
        for _ in range(len(self._known)):
            if len(self._known) <= self._options.nodes:
                return
            handle, node = self._known.popitem(last=False)
            if node.opens:
                self._known[handle] = node
            else:
                node.forget_names()

    def forget(self, node: Node) -> None:
        """The file has gone, or its handle is of no use any more."""
        if self._known.get(node.handle) is node:
            del self._known[node.handle]

    def take_over(self, node: Node, found: Node) -> None:
        """`node`, whose handle is stale, and `found` are one file: `node` lives on with the new handle."""
        self.forget(node)
        node.handle = found.handle
        node.attributes = found.attributes
        node.until = found.until
        self._known[node.handle] = node

    def expire(self) -> None:
        """Believe no names and no attributes."""
        for node in self._known.values():
            node.expire()
            node.forget_names()

    def clear(self) -> None:
        """Forget everything but files that are open."""
        for node in self._known.values():
            node.forget_names()
        self._known = OrderedDict((handle, node) for handle, node in self._known.items() if node.opens)


def version_of(attributes: fattr) -> Version:
    """What tells one state of a file from another."""
    ctime, mtime = attributes.ctime, attributes.mtime
    return (ctime.seconds, ctime.useconds, mtime.seconds, mtime.useconds, attributes.size)


def mode_of(attributes: fattr) -> int:
    """The mode with its type: version 2 has no pipes and says character device -1 (as SunOS and Linux do)."""
    mode = attributes.mode
    if attributes.type == ftype.NFCHR and attributes.rdev == NO_DEVICE:
        return stat.S_IFIFO | stat.S_IMODE(mode)
    return mode if stat.S_IFMT(mode) else _TYPES.get(attributes.type, 0) | stat.S_IMODE(mode)


def device_of(attributes: fattr) -> int:
    """The device number as this system has it; on the wire it is 12 bits major, 20 bits minor, as Linux packs them."""
    if attributes.type not in _DEVICES or attributes.rdev == NO_DEVICE:
        return 0
    rdev = attributes.rdev
    return os.makedev((rdev & 0xFFF00) >> 8, (rdev & 0xFF) | ((rdev >> 12) & 0xFFF00))


def status_of(attributes: fattr, size: int) -> os.stat_result:
    """`attributes` as `os.stat` would show them, with `size` for the size."""
    a, m, c = attributes.atime, attributes.mtime, attributes.ctime
    return os.stat_result(
        (
            mode_of(attributes), attributes.fileid, attributes.fsid, attributes.nlink, attributes.uid, attributes.gid,
            size, a.seconds, m.seconds, c.seconds,
        ),
        {
            "st_atime": a.seconds + a.useconds / 1_000_000,
            "st_mtime": m.seconds + m.useconds / 1_000_000,
            "st_ctime": c.seconds + c.useconds / 1_000_000,
            "st_atime_ns": a.seconds * 1_000_000_000 + a.useconds * 1000,
            "st_mtime_ns": m.seconds * 1_000_000_000 + m.useconds * 1000,
            "st_ctime_ns": c.seconds * 1_000_000_000 + c.useconds * 1000,
            "st_blksize": attributes.blocksize,
            "st_blocks": attributes.blocks,
            "st_rdev": device_of(attributes),
        },
    )  # fmt: skip
