"""READDIR replies of NFS version 2: as many names as fit, never a byte more than was asked for."""

import errno
from typing import Final

from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.store import Attributes, Entry, Ufid

from .access import refuse
from .exports import Export
from .fattr2 import TRANSFER

_FIXED: Final = 12
"""Bytes of a reply without entries: status, the end of the list, eof."""
_PER_ENTRY: Final = 16
"""Bytes of an entry besides its name: "another one follows", fileid, the name's length, cookie."""
_SMALLEST: Final = _PER_ENTRY + 4
_KEPT: Final = 512
"""Pages kept, of at most 8 KiB each."""


def entry_size(name: bytes) -> int:
    """Bytes that an entry takes in a reply."""
    return _PER_ENTRY + (len(name) + 3 & ~3)


class Pages:
    """Encoded replies, kept for as long as their directories stay as they are.

    Encoding a page of three hundred names costs fifty times what the rest of the call does, and
    clients read the same directories again and again.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[Export, Ufid, int, int], tuple[Attributes, bytes]] = {}

    def reply(self, export: Export, node: Ufid, directory: Attributes, cookie: int, count: int) -> bytes:
        """The encoded readdirres for `cookie` and `count`; `directory` is what the store says of `node` just now.

        A store that gives out the same attributes object promises that the
        directory has not changed: every change of it changes its ctime.
        """
        found = self._kept.get((export, node, cookie, count))
        if found is not None and found[0] is directory:
            return found[1]
        parts: list[bytes] = []
        v2.encode_readdirres(v2.readdirres(v2.nfsstat.NFS_OK, listing(export, node, cookie, count)), parts)
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        page = b"".join(parts)
        self._kept[export, node, cookie, count] = directory, page
        return page


def listing(export: Export, node: Ufid, cookie: int, count: int) -> v2.dirlist:
    """The entries behind `cookie` that fit a reply of `count` bytes (at most 8 KiB), and whether that is the end.

    OSError(EINVAL) if not even the next entry fits: an empty page that is not
    the end would make the client ask for ever.
    """
    room = min(count, TRANSFER) - _FIXED
    entries, eof = export.store.readdir(node, cookie, max(room // _SMALLEST, 1))
    fitting = 0
    for found in entries:
        room -= entry_size(found.name)
        if room < 0:
            eof = False
            break
        fitting += 1
    if entries and not fitting:
        raise refuse(errno.EINVAL)
    return v2.dirlist(_linked(export, node, entries[:fitting]), eof)


def _linked(export: Export, node: Ufid, entries: list[Entry]) -> v2.entry | None:
    """The wire's linked list. The parent of an export's top directory is that directory."""
    head: v2.entry | None = None
    at_top = node == export.root
    for inode, name, cookie in reversed(entries):
        fileid = node.inode if at_top and name == b".." else inode
        head = v2.entry(fileid, name, cookie.to_bytes(4), head)
    return head
