"""Results of version 2 that carry attributes, encoded: most calls ask for what an earlier one has been told."""

from nfsrpc.store import Attributes, Ufid

from .exports import Export
from .fattr2 import fattr_of

_NFS_OK = bytes(4)
_KEPT = 4096
"""Results of each kind that are kept: about 2 MB when full."""


class Results:
    """An attrstat and a diropres of success (RFC 1094 §2.3.13, §2.3.14) for each of the files asked for last.

    A store that gives out the same attributes object promises that the file has not changed: what was made
    of it before is still right.
    """

    def __init__(self) -> None:
        self._attrstats: dict[tuple[Export, int], tuple[Attributes, bytes]] = {}
        self._diropres: dict[tuple[Export, int], tuple[Attributes, bytes]] = {}

    def attrstat(self, export: Export, node: Attributes) -> bytes:
        """NFS_OK and the attributes."""
        key = export, node.inode
        found = self._attrstats.get(key)
        if found is not None and found[0] is node:
            return found[1]
        if len(self._attrstats) >= _KEPT:
            self._attrstats.clear()
        made = _NFS_OK + fattr_of(node, export.fsid)
        self._attrstats[key] = node, made
        return made

    def diropres(self, export: Export, node: Attributes) -> bytes:
        """NFS_OK, the handle and the attributes."""
        key = export, node.inode
        found = self._diropres.get(key)
        if found is not None and found[0] is node:
            return found[1]
        if len(self._diropres) >= _KEPT:
            self._diropres.clear()
        made = _NFS_OK + export.handle(Ufid(node.inode, node.generation)) + fattr_of(node, export.fsid)
        self._diropres[key] = node, made
        return made
