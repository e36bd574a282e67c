"""The volume and its handles as docs/volume.md and docs/handles.md describe them: declarations by hand, and a reader.

Nothing here knows the package's store. SQLite is read with SQLite; the head of its file is declared from SQLite's own
description of the format.
"""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from construct import (
    Adapter,
    Array,
    BitsInteger,
    BitStruct,
    Bytes,
    Check,
    Checksum,
    Const,
    Int8ub,
    Int16ub,
    Int32ub,
    Int64ub,
    RawCopy,
    Struct,
    Terminated,
    this,
)

# --- superblock

superblock_body = Struct(
    "magic" / Const(b"nfsrpc volume\r\n\0"), "format" / Const(2, Int32ub), "sequence" / Int64ub, "fsid" / Int32ub,
    "key" / Bytes(32), "root" / Int32ub, "root_generation" / Int32ub, "reserved" / Int64ub, "created" / Int64ub,
    "home" / Int64ub, "old_keys" / Array(4, Struct("until" / Int64ub, "key" / Bytes(32))), "zeros" / Const(bytes(252)),
)  # fmt: skip
superblock = Struct("body" / RawCopy(superblock_body), "crc" / Checksum(Int32ub, zlib.crc32, this.body.data))
COPIES = (0, 4096)


def newest_superblock(file: bytes):
    """The copy that counts; the other must lie where its sequence number says."""
    copies = [superblock.parse(file[at : at + 512]).body.value for at in COPIES]
    assert [copy.sequence % 2 for copy in copies] == [0, 1]
    return max(copies, key=lambda copy: copy.sequence)


# --- handles

handle = Struct(
    "kind" / Int8ub, "flags" / Int8ub, "export" / Int16ub, "fsid" / Int32ub, "inode" / Int64ub, "generation" / Int32ub,
    "spare" / Int32ub, "mac" / Bytes(8), Terminated,
)  # fmt: skip


def handle_mac(data: bytes, key: bytes) -> bytes:
    """What the last 8 bytes of a handle must be."""
    return hashlib.blake2s(data[:24], digest_size=8, key=key).digest()


# --- content files


class Hex(Adapter):
    """A number as so many hexadecimal digits, small letters."""

    def __init__(self, digits):
        super().__init__(Bytes(digits))
        self.digits = digits

    def _decode(self, obj, context, path):
        number = int(obj, 16)
        assert obj == self._encode(number, context, path)
        return number

    def _encode(self, obj, context, path):
        return b"%0*x" % (self.digits, obj)


content_path = Struct(
    Const(b"data/"), "shard" / Hex(6), Const(b"/"), "inode" / Hex(8), Const(b"."), "content" / Hex(8),
    Check(this.shard == this.inode // 1024), Terminated,
)  # fmt: skip

# --- the database

sqlite_head = Struct(
    "magic" / Const(b"SQLite format 3\0"), "page_size" / Int16ub, "write_version" / Const(2, Int8ub),
    "read_version" / Const(2, Int8ub),
)  # fmt: skip
"""The beginning of the file: 2 and 2 stand for WAL mode."""
place = BitStruct("sign" / Const(0, BitsInteger(1)), "range" / BitsInteger(20), "number" / BitsInteger(43))
"""`replay.place`: 2²⁰ ranges of 2⁴³ places."""
COLUMNS = {
    "inodes": "inode generation mode nlink uid gid size used rdev atime mtime ctime content parent cookie",
    "names": "directory name inode cookie",
    "symlinks": "inode target",
    "quotas": "owner bytes_limit bytes_used inodes_limit inodes_used",
    "free": "inode",
    "pending": "owner inode content",
    "replay": "place key born result",
    "state": "id next_inode inodes uptime_offset",
}


@dataclass
class File:
    """A row of `inodes` with what belongs to it."""

    row: dict[str, int]
    contents: bytes = b""
    target: bytes = b""


class Reader:
    """Everything in a volume that is not being served."""

    def __init__(self, volume: Path) -> None:
        self.superblock = newest_superblock((volume / "superblock").read_bytes())
        sqlite_head.parse((volume / "meta.sqlite").read_bytes())
        self.paths = {
            (found.inode, found.content): path
            for path in volume.glob("data/*/*")
            for found in [content_path.parse(str(path.relative_to(volume)).encode())]
        }
        with closing(sqlite3.connect(volume / "meta.sqlite")) as database:
            database.row_factory = sqlite3.Row
            self.tables = {name: [dict(row) for row in database.execute(f"SELECT * FROM {name}")] for name in COLUMNS}
            self.columns = {
                name: " ".join(row["name"] for row in database.execute(f"PRAGMA table_info({name})"))
                for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
        self._targets = {row["inode"]: row["target"] for row in self.tables["symlinks"]}
        self._rows = {row["inode"]: row for row in self.tables["inodes"]}

    def files(self) -> dict[bytes, File]:
        """Every name, as a path from the top directory."""
        return dict(self._below(self.superblock.root, b"/"))

    def _below(self, directory: int, path: bytes) -> Iterator[tuple[bytes, File]]:
        yield path, self._file(self._rows[directory])
        for name in self.tables["names"]:
            if name["directory"] == directory:
                row, below = self._rows[name["inode"]], path.rstrip(b"/") + b"/" + name["name"]
                if row["parent"]:
                    assert row["parent"] == directory
                    yield from self._below(row["inode"], below)
                else:
                    yield below, self._file(row)

    def _file(self, row: dict[str, int]) -> File:
        file = File(row, target=self._targets.get(row["inode"], b""))
        if row["mode"] & 0o170000 == 0o100000:
            kept = self.paths[row["inode"], row["content"]].read_bytes() if row["content"] else b""
            file.contents = kept[: row["size"]].ljust(row["size"], b"\0")
        return file
