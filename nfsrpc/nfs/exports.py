"""What is exported, to whom, and as whom they act."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2s
from typing import NamedTuple

from nfsrpc.auth import Principal
from nfsrpc.auth.none import ANONYMOUS
from nfsrpc.rpc.dispatch import Peer
from nfsrpc.store import Store, Ufid

from .handles import HandleSealer, fsid_of, stale

NOBODY = 65534
_CACHED = 4096
_OPENED = 16384
"""Handles kept with what they name: about 4 MB when full."""
_RESERVED_PORTS = 1024


class Identity(NamedTuple):
    """Whom a caller acts as on one export, after squashing."""

    uid: int
    gid: int
    gids: frozenset[int]

    @property
    def is_root(self) -> bool:
        """Whether no permission bit can stop this caller."""
        return self.uid == 0

    def in_group(self, gid: int) -> bool:
        """Whether the caller belongs to `gid`."""
        return gid == self.gid or gid in self.gids


class Squash(NamedTuple):
    """exports(5)'s user id mapping: whether root, or everybody, becomes the anonymous user."""

    root: bool = False
    everybody: bool = False
    anonuid: int = NOBODY
    anongid: int = NOBODY

    def identity(self, principal: Principal) -> Identity:
        """The identity of `principal`. One without a UNIX identity is anonymous; squashing root takes gid 0 too."""
        if self.everybody or principal.uid is None or principal.gid is None:
            return Identity(self.anonuid, self.anongid, frozenset((self.anongid,)))
        if not self.root:
            return Identity(principal.uid, principal.gid, frozenset(principal.gids))
        groups = frozenset(self.anongid if gid == 0 else gid for gid in principal.gids)
        if principal.uid == 0:
            return Identity(self.anonuid, self.anongid, groups)
        return Identity(principal.uid, self.anongid if principal.gid == 0 else principal.gid, groups)


NO_SQUASH = Squash()


@dataclass(eq=False)
class Export:
    """One directory tree that clients can mount.

    path
        What clients mount: absolute, without a trailing slash (but ``/``).
    root
        The UFID of its top directory in `store`.
    read_only, secure
        Refuse every change; refuse callers from an unprivileged port.
    security
        The ways of proving who one is that are good enough (`Principal.security`); None: every one.
    """

    path: bytes
    store: Store
    root: Ufid
    sealer: HandleSealer
    number: int
    read_only: bool = False
    secure: bool = False
    squash: Squash = NO_SQUASH
    security: frozenset[str] | None = None
    _identities: dict[Principal, Identity] = field(default_factory=dict, repr=False)

    def admits(self, peer: Peer) -> bool:
        """Whether calls from `peer`'s address and port are taken."""
        return not self.secure or peer.port < _RESERVED_PORTS

    def trusts(self, principal: Principal) -> bool:
        """Whether `principal` is proved well enough for this export."""
        return self.security is None or principal.security in self.security

    def identity(self, principal: Principal) -> Identity:
        """Whom `principal` acts as here: nobody, if the export does not trust the way it is proved."""
        found = self._identities.get(principal)
        if found is None:
            if len(self._identities) >= _CACHED:
                self._identities.clear()
            known = principal if self.trusts(principal) else ANONYMOUS
            found = self._identities[principal] = self.squash.identity(known)
        return found

    def handle(self, node: Ufid) -> bytes:
        """The 32-byte handle of `node` as seen through this export."""
        return self.sealer.seal(self.number, node)


class ExportSpec(NamedTuple):
    """An export as it was asked for: a mount path, a store (by the path it is kept at), and the options."""

    path: bytes
    volume: str
    read_only: bool = False
    secure: bool = False
    squash: Squash = NO_SQUASH
    security: frozenset[str] | None = None


def normal_path(path: bytes) -> bytes:
    """`path` without repeated and trailing slashes. ValueError unless it is absolute and free of ``.`` and ``..``."""
    parts = [part for part in path.split(b"/") if part]
    if not path.startswith(b"/") or any(part in (b".", b"..") or b"\0" in part for part in parts):
        raise ValueError(f"{os.fsdecode(path)!r} is not an absolute path without . and ..")
    return b"/" + b"/".join(parts)


def export_numbers(paths: Iterable[bytes]) -> dict[bytes, int]:
    """A 16-bit id for each mount path, made from the path itself so that handles keep their meaning.

    Ids never depend on the order or number of exports unless two paths' hashes
    meet, when the later one in sorted order takes the next free id.
    """
    numbers: dict[bytes, int] = {}
    taken: set[int] = set()
    for path in sorted(set(paths)):
        number = int.from_bytes(blake2s(path, digest_size=2).digest())
        while number in taken:
            number = (number + 1) & 0xFFFF
        taken.add(number)
        numbers[path] = number
    return numbers


class Exports:
    """The exports of one worker, found by path (to mount) and by handle (ever after)."""

    def __init__(self, specs: Iterable[ExportSpec], stores: dict[str, Store]) -> None:
        specs = list(specs)
        numbers = export_numbers(spec.path for spec in specs)
        self._sealers = {store.fsid: HandleSealer(store.fsid, store.key, store.old_keys) for store in stores.values()}
        self._exports: list[Export] = []
        for spec in specs:
            store = stores[spec.volume]
            sealer = self._sealers[store.fsid]
            number = numbers[spec.path]
            self._exports.append(
                Export(spec.path, store, store.root, sealer, number, *spec[2:])
            )
        self._opened: dict[bytes, tuple[Export, Ufid]] = {}
        self._by_number = {(export.store.fsid, export.number): export for export in self._exports}

    def __iter__(self) -> Iterator[Export]:
        return iter(self._exports)

    def open(self, data: bytes) -> tuple[Export, Ufid]:
        """The export and file that a handle names. OSError(ESTALE) if it names none of ours."""
        found = self._opened.get(data)
        return self._verified(data) if found is None else found

    def _verified(self, data: bytes) -> tuple[Export, Ufid]:
        sealer = self._sealers.get(fsid_of(data))
        if sealer is None:
            raise stale()
        handle = sealer.open(data)
        export = self._by_number.get((handle.fsid, handle.export))
        if export is None:
            raise stale()
        opened = export, handle.node
        if handle.lasting:
            if len(self._opened) >= _OPENED:
                self._opened.clear()
            self._opened[data] = opened
        return opened

    def under(self, path: bytes) -> tuple[Export, list[bytes]] | None:
        """The export with the longest path that holds `path`, and the names that lead on from its root."""
        parts = [part for part in path.split(b"/") if part]
        best: tuple[Export, list[bytes]] | None = None
        for export in self._exports:
            prefix = [part for part in export.path.split(b"/") if part]
            if parts[: len(prefix)] == prefix and (best is None or len(parts) - len(prefix) < len(best[1])):
                best = export, parts[len(prefix) :]
        return best
