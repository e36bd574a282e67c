"""Results of version 2 that carry attributes, encoded: most calls ask for what an earlier one has been told."""

from collections.abc import Callable
from typing import Final

from nfsrpc.store import Attributes, Ufid

from .exports import Export
from .fattr2 import fattr_of

_NFS_OK: Final = bytes(4)
_KEPT: Final = 4096
"""Results of each kind that are kept: about 1 MB when full."""


class Results:
    """What `encode` makes of each of the files asked for last.

    A store that gives out the same attributes object promises that the file has not changed: what was made
    of it before is still right.
    """

    def __init__(self, encode: Callable[[Export, Attributes], bytes]) -> None:
        self._encode = encode
        self._kept: dict[tuple[Export, int], tuple[Attributes, bytes]] = {}

    def of(self, export: Export, node: Attributes) -> bytes:
        """The encoded result for `node`, a file of `export`."""
        key = export, node.inode
        found = self._kept.get(key)
        if found is not None and found[0] is node:
            return found[1]
        if len(self._kept) >= _KEPT:
            self._kept.clear()
        made = self._encode(export, node)
        self._kept[key] = node, made
        return made


def attrstat(export: Export, node: Attributes) -> bytes:
    """An attrstat of success (RFC 1094 §2.3.13)."""
    return _NFS_OK + fattr_of(node, export.fsid)


def diropres(export: Export, node: Attributes) -> bytes:
    """A diropres of success (RFC 1094 §2.3.14)."""
    return _NFS_OK + export.handle(Ufid(node.inode, node.generation)) + fattr_of(node, export.fsid)
