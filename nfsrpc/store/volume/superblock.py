"""The superblock: what a volume is, in two copies that are written in turn.

A write always replaces the older copy and is synced before anything relies on
it, so that a torn write costs that copy and never the other one.
"""

import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import construct  # type: ignore[import-untyped, unused-ignore]

from .errors import NotAVolume
from .host import sync_data

FILE = "superblock"
MAGIC = b"nfsrpc volume\r\n\x00"
FORMAT = 1
SPACING = 4096
"""Bytes between the starts of the two copies: no sector, and no page of a host file, holds part of both."""

_BODY: Any = construct.Struct(
    "magic" / construct.Const(MAGIC),
    "format" / construct.Int32ub,
    "sequence" / construct.Int64ub,
    "fsid" / construct.Int32ub,
    "key" / construct.Bytes(32),
    "root" / construct.Int32ub,
    "root_generation" / construct.Int32ub,
    "reserved" / construct.Int64ub,
    "created" / construct.Int64ub,
    construct.Padding(420),
)
_COPY: Any = construct.Struct(
    "body" / construct.RawCopy(_BODY),
    "crc" / construct.Checksum(construct.Int32ub, zlib.crc32, lambda this: this.body.data),
)
COPY_SIZE: int = _COPY.sizeof()


@dataclass(frozen=True, slots=True)
class Superblock:
    """`reserved`: every generation below it may have been given out. `created`: ns since the epoch."""

    fsid: int
    key: bytes
    root: int
    root_generation: int
    reserved: int
    created: int
    sequence: int = 0


def pack(superblock: Superblock) -> bytes:
    """One copy, `COPY_SIZE` bytes, CRC included."""
    fields = {
        "format": FORMAT,
        "sequence": superblock.sequence,
        "fsid": superblock.fsid,
        "key": superblock.key,
        "root": superblock.root,
        "root_generation": superblock.root_generation,
        "reserved": superblock.reserved,
        "created": superblock.created,
    }
    return bytes(_COPY.build({"body": {"value": fields}}))


def unpack(data: bytes) -> tuple[int, Superblock] | None:
    """(format version, superblock) of one copy; None if it is torn or no superblock at all."""
    try:
        body = _COPY.parse(data).body.value
    except construct.ConstructError:
        return None
    return body.format, Superblock(
        body.fsid, body.key, body.root, body.root_generation, body.reserved, body.created, body.sequence
    )


class SuperblockFile:
    """The file `superblock` of a volume. Whoever calls `update` holds the volume's writer lock."""

    def __init__(self, volume: Path) -> None:
        """NotAVolume if there is none, or none that can be read."""
        self._volume = volume
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
        if version != FORMAT:
            raise NotAVolume(self._volume, f"volume format {version}; this version of nfsrpc reads format {FORMAT}")
        return newest

    def update(self, superblock: Superblock) -> Superblock:
        """Durably replace the older copy by `superblock` under the next sequence number."""
        following = replace(superblock, sequence=self.read().sequence + 1)
        os.pwrite(self._descriptor, pack(following), (following.sequence & 1) * SPACING)
        sync_data(self._descriptor)
        return following

    def close(self) -> None:
        """Give up the descriptor."""
        os.close(self._descriptor)


def write_new(volume: Path, superblock: Superblock) -> None:
    """Make the file, both copies in it, durably and at once: a volume whose making broke off has no superblock."""
    making = volume / (FILE + ".new")
    descriptor = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for sequence in (0, 1):
            os.pwrite(descriptor, pack(replace(superblock, sequence=sequence)), sequence * SPACING)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    making.rename(volume / FILE)
