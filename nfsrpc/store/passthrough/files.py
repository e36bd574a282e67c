"""The file table: a file id of 32 bits for each kernel handle, given out once and kept for as long as the file is.

Rows are added and taken away, never changed; so what is cached of them holds
until a unit is undone. The generation is made from the handle: should the table
ever be lost or set back, a number that comes again names no other file.
"""

import errno
from collections.abc import Callable
from hashlib import blake2s

from ..interface import Ufid
from ..volume.database import Database
from ..volume.inodes import make_room, stale
from ..volume.unit import Outcome, Unit
from . import schema
from .limits import PassthroughLimits

MOUNT_POINT = b"mount"
"""Begins what stands for the handle of a directory on which another file system is mounted; no handle begins so."""


def generation_of(handle: bytes) -> int:
    """32 bits that differ between two files with (very probably) every two handles."""
    return int.from_bytes(blake2s(handle, digest_size=4).digest())


class FileTable:
    """File ids by handle, and handles by file id."""

    def __init__(
        self, unit: Unit, database: Database, limits: PassthroughLimits, gone: Callable[[bytes], bool]
    ) -> None:
        """`gone`: whether there is certainly no file with a handle any more."""
        self._unit = unit
        self._database = database
        self._limits = limits
        self._gone = gone
        self._by_handle: dict[bytes, Ufid] = {}
        self._by_number: dict[int, tuple[bytes, int]] = {}
        self._swept = schema.ROOT

    def handle(self, node: Ufid) -> bytes:
        """The kernel's handle of `node`; ESTALE if there is none."""
        handle, generation = self._row(node[0])
        if generation != node[1]:
            raise stale()
        return handle

    def by_number(self, number: int) -> Ufid:
        """The name of the file that has this number; ESTALE if there is none."""
        return Ufid(number, self._row(number)[1])

    def _row(self, number: int) -> tuple[bytes, int]:
        row = self._by_number.get(number)
        if row is None:
            found = self._database.one(schema.FILE_GET, (number,))
            if found is None:
                raise stale()
            handle = bytes(found[0])
            row = handle, generation_of(handle)
            self._keep(handle, Ufid(number, row[1]))
        return row

    def ufid(self, handle: bytes) -> Ufid:
        """The name of the file with `handle`, which gets one if it has none yet."""
        found = self._by_handle.get(handle)
        if found is not None:
            return found
        row = self._database.one(schema.FILE_BY_HANDLE, (handle,))
        node = self._add(handle) if row is None else Ufid(row[0], generation_of(handle))
        self._keep(handle, node)
        return node

    def _add(self, handle: bytes) -> Ufid:
        go_on_changing(self._unit)
        # Another process may have been first, while this one waited for the lock.
        row = self._database.one(schema.FILE_BY_HANDLE, (handle,))
        if row is not None:
            return Ufid(row[0], generation_of(handle))
        self._sweep()
        self._unit.run(schema.FILE_ADD, (handle,))
        (number,) = self._database.one(schema.FILE_BY_HANDLE, (handle,))
        if number > self._limits.fileid:
            raise OSError(errno.ENOSPC, "every file id has been given out")
        return Ufid(number, generation_of(handle))

    def _keep(self, handle: bytes, node: Ufid) -> None:
        if len(self._by_number) >= self._limits.cached_files:
            make_room(self._by_number)
        if len(self._by_handle) >= self._limits.cached_files:
            make_room(self._by_handle)
        journal = self._unit.journal
        journal.set(self._by_handle, handle, node)
        journal.set(self._by_number, node.inode, (handle, node.generation))

    def _sweep(self) -> None:
        """Look at some of the oldest rows in turn; what has gone behind the server's back leaves the table."""
        rows = self._database.all(schema.FILES_BEHIND, (self._swept, self._limits.swept))
        self._swept = rows[-1][0] if rows else schema.ROOT
        for number, handle in rows:
            if self._gone(bytes(handle)):
                self.forget_file(number)

    def forget_file(self, number: int) -> None:
        """The file is gone, and so is all that was known of it."""
        go_on_changing(self._unit)
        journal = self._unit.journal
        row = self._by_number.get(number)
        if row is not None:
            journal.drop(self._by_number, number)
            journal.drop(self._by_handle, row[0])
        for statement in (
            schema.FILE_DELETE, schema.NAMES_OF_DELETE, schema.NAMES_IN_DELETE, schema.COOKIES_DELETE
        ):  # fmt: skip
            self._unit.run(statement, (number,))

    def flush(self) -> None:
        """Everything is in the table already."""

    def settle(self, outcome: Outcome) -> None:
        """What is cached holds on; a unit that failed has dropped it already."""

    def forget(self) -> None:
        """Drop what is cached."""
        self._by_handle.clear()
        self._by_number.clear()


def go_on_changing(unit: Unit) -> None:
    """Let a reading unit be one that may change the table. What it has read needs no snapshot: the files have none."""
    if not unit.changing:
        unit.commit()
        unit.begin(True)
