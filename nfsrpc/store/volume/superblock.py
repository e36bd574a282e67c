"""The superblock: what a volume is, in two copies that are written in turn.

A write always replaces the older copy and is synced before anything relies on
it, so that a torn write costs that copy and never the other one.
"""

import os
from pathlib import Path
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from ..interface import OldKey
from .errors import NotAVolume
from .host import sync_data

FILE = "superblock"
MAGIC = b"nfsrpc volume\r\n\x00"
FORMAT = 2
"""What this version writes, and the only one it serves; `upgrade` brings older ones to it."""
OLDEST = 1
OLD_KEYS = 4
"""Keys kept beside the current one, so that handles sealed under them go on being accepted for a while."""
SPACING = 4096
"""Bytes between the starts of the two copies: no sector, and no page of a host file, holds part of both."""

_BODY = Struct(f">{len(MAGIC)}sIQI32sIIQQQ" + "Q32s" * OLD_KEYS + "252x")
_CRC = Struct(">I")
COPY_SIZE = _BODY.size + _CRC.size


class Superblock(NamedTuple):
    """`reserved`: every generation below it may have been given out. `created`: ns since the epoch.

    `home`: inode number, on the host, of the file that the superblock was made
    in or moved to; 0 if unknown. A superblock found elsewhere is that of a copy.
    """

    fsid: int
    key: bytes
    root: int
    root_generation: int
    reserved: int
    created: int
    sequence: int = 0
    home: int = 0
    old_keys: tuple[OldKey, ...] = ()


def pack(superblock: Superblock, version: int = FORMAT) -> bytes:
    """One copy, `COPY_SIZE` bytes, CRC included."""
    unused = OLD_KEYS - len(superblock.old_keys)
    old_keys = [*superblock.old_keys, *[OldKey(bytes(32), 0)] * unused]
    body = _BODY.pack(
        MAGIC,
        version,
        superblock.sequence,
        superblock.fsid,
        superblock.key,
        superblock.root,
        superblock.root_generation,
        superblock.reserved,
        superblock.created,
        superblock.home,
        *(field for old in old_keys for field in (old.until, old.key)),
    )
    return body + _CRC.pack(crc32(body))


def unpack(data: bytes) -> tuple[int, Superblock] | None:
    """(format version, superblock) of one copy; None if it is torn or no superblock at all."""
    if len(data) != COPY_SIZE or _CRC.unpack_from(data, _BODY.size) != (crc32(data[: _BODY.size]),):
        return None
    magic, version, sequence, fsid, key, root, root_generation, reserved, created, home, *old = _BODY.unpack_from(data)
    if magic != MAGIC:
        return None
    return version, Superblock(
        fsid=fsid,
        key=key,
        root=root,
        root_generation=root_generation,
        reserved=reserved,
        created=created,
        sequence=sequence,
        home=home,
        old_keys=tuple(OldKey(key, until) for until, key in zip(old[::2], old[1::2], strict=True) if until),
    )


class SuperblockFile:
    """The file `superblock` of a volume. Whoever calls `update` holds the volume's writer lock."""

    def __init__(self, volume: Path, *, oldest: int = FORMAT) -> None:
        """NotAVolume if there is none, or none that can be read: of a later format, or one before `oldest`."""
        self._volume = volume
        self._oldest = oldest
        try:
            self._descriptor = os.open(volume / FILE, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            raise NotAVolume(volume, "not a volume; `nfsrpc mkfs` makes one") from None
        try:
            self.read()
        except BaseException:
            self.close()
            raise

    def copies(self) -> list[tuple[int, Superblock] | None]:
        """Both copies as they are on disk, None for one that does not hold."""
        return [unpack(os.pread(self._descriptor, COPY_SIZE, place * SPACING)) for place in (0, 1)]

    def read(self) -> Superblock:
        """The newer copy that holds."""
        held = [copy for copy in self.copies() if copy is not None]
        if not held:
            raise NotAVolume(self._volume, "not a volume, or both copies of its superblock are damaged")
        version, newest = max(held, key=lambda copy: copy[1].sequence)
        if version > FORMAT:
            why = f"volume format {version}, of a newer nfsrpc; this one knows formats up to {FORMAT}: take the newer"
            raise NotAVolume(self._volume, why)
        if version < self._oldest:
            why = f"volume format {version}; `nfsrpc upgrade {self._volume}` brings it to format {FORMAT}"
            raise NotAVolume(self._volume, why)
        return newest

    def version(self) -> int:
        """Format of the newer copy that holds."""
        return max((copy for copy in self.copies() if copy is not None), key=lambda copy: copy[1].sequence)[0]

    @property
    def home(self) -> int:
        """What `Superblock.home` is where this file lies."""
        return os.fstat(self._descriptor).st_ino

    def update(self, superblock: Superblock) -> Superblock:
        """Durably replace the older copy by `superblock` under the next sequence number."""
        following = superblock._replace(sequence=self.read().sequence + 1)
        os.pwrite(self._descriptor, pack(following), (following.sequence & 1) * SPACING)
        sync_data(self._descriptor)
        return following

    def close(self) -> None:
        """Give up the descriptor."""
        os.close(self._descriptor)


def write_new(volume: Path, superblock: Superblock) -> None:
    """Make the file, both copies in it, durably and at once: a volume whose making broke off has no superblock.

    `home` becomes the file's own.
    """
    making = volume / (FILE + ".new")
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        here = superblock._replace(home=os.fstat(descriptor).st_ino)
        for sequence in (0, 1):
            os.pwrite(descriptor, pack(here._replace(sequence=sequence)), sequence * SPACING)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    making.rename(volume / FILE)
