"""Whom a caller acts as: user id mapping as in exports(5)."""

from typing import Final, NamedTuple

from nfsrpc.auth import Principal

NOBODY: Final = 65534
ANY_PORT: Final = 0x1_0000
RESERVED_PORTS: Final = 1024


class Identity(NamedTuple):
    """Whom a caller acts as on one export, after squashing, and what the export lets it do.

    read_only
        Every change is refused.
    ports
        Calls are taken from source ports below this one.
    """

    uid: int
    gid: int
    gids: frozenset[int]
    read_only: bool = False
    ports: int = ANY_PORT

    @property
    def is_root(self) -> bool:
        """Whether no permission bit can stop this caller."""
        return self.uid == 0

    def in_group(self, gid: int) -> bool:
        """Whether the caller belongs to `gid`."""
        return gid == self.gid or gid in self.gids


class Squash(NamedTuple):
    """Whether root, or everybody, becomes the anonymous user, and who that is."""

    root: bool = False
    everybody: bool = False
    anonuid: int = NOBODY
    anongid: int = NOBODY

    def identity(self, principal: Principal) -> Identity:
        """The identity of `principal`. One without a UNIX identity is anonymous; squashing root takes gid 0 too."""
        if self.everybody or principal.uid is None or principal.gid is None:
            return self.anonymous()
        if not self.root:
            return Identity(principal.uid, principal.gid, frozenset(principal.gids))
        groups = frozenset(self.anongid if gid == 0 else gid for gid in principal.gids)
        if principal.uid == 0:
            return Identity(self.anonuid, self.anongid, groups)
        return Identity(principal.uid, self.anongid if principal.gid == 0 else principal.gid, groups)

    def anonymous(self) -> Identity:
        """The identity of whoever is not known well enough."""
        return Identity(self.anonuid, self.anongid, frozenset((self.anongid,)))


NO_SQUASH: Final = Squash()
ROOT_SQUASH: Final = Squash(root=True)
