"""File handles: 32 bytes that name one file of one export, sealed so that nobody can make one up.

Layout, big-endian (the *why* page docs/handles.md tells the reasons)::

    kind 1 · flags 1 · export 2 · fsid 4 · inode 8 · generation 4 · spare 4 · MAC 8

The MAC is keyed BLAKE2s over the first 24 bytes; its key lives in the store's
superblock. A handle holds no path, no start time and no process state, so it
outlives restarts and renames.
"""

import errno
import os
import time
from collections.abc import Callable, Sequence
from hashlib import blake2s
from hmac import compare_digest
from struct import Struct
from typing import Final, NamedTuple

from nfsrpc.store import OldKey, Ufid

SIZE: Final = 32
KIND_UFID: Final = 1
"""The only kind so far: a file of a store that has unique file identifiers of its own."""

_BODY: Final = Struct(">BBHIQII")
_FSID: Final = Struct(">I")
_FSID_AT: Final = 4
_MAC_SIZE: Final = 8
_CACHED: Final = 8192
"""Handles kept in encoded form: about 4 MB when full."""


class Handle(NamedTuple):
    """What a handle says: which export, and which file of it. `lasting`: sealed under the present key."""

    export: int
    fsid: int
    node: Ufid
    lasting: bool


def stale() -> OSError:
    """The error of a handle that names nothing (any more)."""
    return OSError(errno.ESTALE, os.strerror(errno.ESTALE))


def fsid_of(data: bytes) -> int:
    """The fsid that a handle claims, unverified; 0 if it is too short to claim any."""
    (fsid,) = _FSID.unpack_from(data, _FSID_AT) if len(data) == SIZE else (0,)
    return int(fsid)


class HandleSealer:
    """Makes and opens the handles of one store, under its key; opens those under old keys as long as these are good."""

    def __init__(
        self,
        fsid: int,
        key: bytes,
        old_keys: Sequence[OldKey] = (),
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        """`now`: ns since the epoch."""
        self._fsid = fsid
        self._key = key
        self._old_keys = old_keys
        self._now = now
        self._sealed: dict[tuple[int, Ufid], bytes] = {}

    def seal(self, export: int, node: Ufid) -> bytes:
        """The 32 bytes for `node` as seen through `export` (its 16-bit id)."""
        found = self._sealed.get((export, node))
        if found is None:
            body = _BODY.pack(KIND_UFID, 0, export, self._fsid, node.inode, node.generation, 0)
            found = body + _mac(body, self._key)
            if len(self._sealed) >= _CACHED:
                self._sealed.clear()
            self._sealed[export, node] = found
        return found

    def open(self, data: bytes) -> Handle:
        """What the 32 bytes of `data` name. OSError(ESTALE) if they are not this store's own work."""
        body = data[: _BODY.size]
        lasting = compare_digest(_mac(body, self._key), data[_BODY.size :])
        if not (lasting or self._is_under_old_key(body, data[_BODY.size :])):
            raise stale()
        kind, flags, export, fsid, inode, generation, spare = _BODY.unpack(body)
        if kind != KIND_UFID or flags or spare or fsid != self._fsid:
            raise stale()
        return Handle(export, fsid, Ufid(inode, generation), lasting)

    def _is_under_old_key(self, body: bytes, mac: bytes) -> bool:
        now = self._now()
        return any(old.until > now and compare_digest(_mac(body, old.key), mac) for old in self._old_keys)


def _mac(body: bytes, key: bytes) -> bytes:
    return blake2s(body, digest_size=_MAC_SIZE, key=key).digest()
