"""READDIR replies of NFS version 2: as many names as fit, never a byte more than was asked for."""

import errno

from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.store import Entry, Ufid

from .access import refuse
from .exports import Export
from .fattr2 import TRANSFER

_FIXED = 12
"""Bytes of a reply without entries: status, the end of the list, eof."""
_PER_ENTRY = 16
"""Bytes of an entry besides its name: "another one follows", fileid, the name's length, cookie."""
_SMALLEST = _PER_ENTRY + 4


def entry_size(name: bytes) -> int:
    """Bytes that an entry takes in a reply."""
    return _PER_ENTRY + (len(name) + 3 & ~3)


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
