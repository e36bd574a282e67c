"""Host files with the bytes of regular files: `data/<inode / 1024>/<inode>.<content>`, sparse.

The size in the inode row is the truth. A host file may be shorter (the rest is
zeros) or longer (what an unacknowledged or not yet finished change left);
whoever extends a file cuts it to the row's size first.
"""

import contextlib
import errno
import os
import re
import secrets
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import schema
from .database import Database
from .host import start_writing, sync_data
from .inodes import Inodes
from .limits import VolumeLimits
from .sparse import extents
from .unit import Outcome, Unit

DIRECTORY = "data"
SHARD = 1024
"""Inode numbers per directory: neighbours share one, so that a commit syncs few directories."""
_DURABLE_SHARDS = 1024
"""Shards that a process remembers to have been synced; of any other it syncs the name once more."""

_COPIED_AT_ONCE = 1 << 20
_RECOVERED_AT_ONCE = 10000

SYNC_THREADS = 8
SYNCED_ALONE = 4
"""Up to so many files are synced without threads, which cost more than they save when all are being written already."""

_NAME = re.compile("([0-9a-f]{8})[.]([0-9a-f]{8})")

Key = tuple[int, int]
"""(inode, content)"""


def shard_name(inode: int) -> str:
    """Directory, below `data`, of the content files of an inode."""
    return f"{inode // SHARD:06x}"


def file_name(key: Key) -> str:
    """Path of a content file below `data`."""
    return f"{shard_name(key[0])}/{key[0]:08x}.{key[1]:08x}"


def lost() -> OSError:
    """A content file that a row refers to is not there: no answer about names, so never ENOENT."""
    return OSError(errno.EIO, "the file has lost its contents")


def parse_name(name: str) -> Key | None:
    """What `file_name` was made of, from its last part; None for any other name."""
    found = _NAME.fullmatch(name)
    return (int(found[1], 16), int(found[2], 16)) if found else None


class Contents:
    """Content files of a volume: descriptors, syncing, and what has to be put right behind a commit."""

    def __init__(self, volume: Path, unit: Unit, database: Database, inodes: Inodes, limits: VolumeLimits) -> None:
        self._unit = unit
        self._database = database
        self._inodes = inodes
        self._limit = limits.descriptors
        self._room_kept = limits.room_kept
        self._room_checked = False
        self._data = os.open(volume / DIRECTORY, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._descriptors: dict[Key, int] = {}
        self._dirty: dict[Key, None] = {}
        self._made: dict[Key, None] = {}
        self._shards: dict[str, None] = {}
        self._new_shard = False
        self._durable: dict[str, None] = {}
        self._pending: dict[Key, None] = {}
        self._owner = secrets.randbits(62)
        self.recorded = False
        self._syncing: ThreadPoolExecutor | None = None

    # --- one file ---------------------------------------------------------------------------------------------------

    def descriptor(self, key: Key) -> int:
        """Descriptor of a content file, open for reading and writing. FileNotFoundError if there is none."""
        descriptor = self._descriptors.pop(key, None)
        if descriptor is None:
            descriptor = self._opened(key, os.O_RDWR)
        self._descriptors[key] = descriptor
        return descriptor

    def _opened(self, key: Key, flags: int) -> int:
        if len(self._descriptors) >= self._limit:
            self._close_oldest()
        return self._open(file_name(key), flags)

    def _open(self, name: str, flags: int) -> int:
        """Open something below `data`; when descriptors are short, give up those that are only kept for speed."""
        flags |= os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(name, flags, 0o600, dir_fd=self._data)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
        for key in [key for key in self._descriptors if key not in self._dirty]:
            self._discard(key)
        return os.open(name, flags, 0o600, dir_fd=self._data)

    def present(self, key: Key) -> int:
        """As `descriptor`, of a file that has to be there: EIO if there is none."""
        try:
            return self.descriptor(key)
        except FileNotFoundError:
            raise lost() from None

    def _close_oldest(self) -> None:
        """A descriptor with unsynced bytes stays: closing it could lose the error that its sync has to report."""
        for key in self._descriptors:
            if key not in self._dirty:
                os.close(self._descriptors.pop(key))
                return

    def make(self, key: Key) -> int:
        """Make an empty content file, or empty one that a unit which came to nothing has left."""
        shard = shard_name(key[0])
        self._made[key] = None
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        self._discard(key)
        self._dirty.pop(key, None)
        if shard not in self._durable:
            # It may be there, made by a process that was killed before it was synced.
            self._new_shard = True
            with contextlib.suppress(FileExistsError):
                os.mkdir(shard, 0o700, dir_fd=self._data)
        try:
            descriptor = self._opened(key, flags)
        except FileNotFoundError:
            raise lost() from None
        self._descriptors[key] = descriptor
        self._shards[shard] = None
        self._dirty[key] = None
        return descriptor

    def copy(self, source: Key, target: Key, size: int) -> None:
        """Make `target` with the first `size` bytes of `source`, holes kept."""
        self.check_room()
        writing = self.make(target)
        reading = self.present(source)
        for start, end in extents(reading, min(size, os.fstat(reading).st_size)):
            while start < end:
                start += os.pwrite(writing, os.pread(reading, min(end - start, _COPIED_AT_ONCE), start), start)

    def room(self) -> tuple[int, int, int, int]:
        """(block size, total, free, free for what is new) of the host file system, in bytes but for the first."""
        host = os.statvfs(self._data)
        available = max(0, host.f_bavail * host.f_frsize - self._room_kept)
        return host.f_frsize, host.f_blocks * host.f_frsize, host.f_bfree * host.f_frsize, available

    def check_room(self) -> None:
        """ENOSPC when what is left is kept for removals. Looks once per unit."""
        if not self._room_checked:
            if not self.room()[3]:
                raise OSError(errno.ENOSPC, "the volume's disk is full")
            self._room_checked = True

    def touch(self, key: Key) -> None:
        """The file is about to be changed: sync it before the unit commits."""
        self._dirty[key] = None

    def put_right(self, key: Key) -> None:
        """Once the unit is committed, cut the file to the size in its row, or remove it if no row has it any more."""
        self._unit.check_changing()
        self._unit.journal.set(self._pending, key, None)

    # --- the unit ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Let the disk begin with the files of this unit while its rows are written."""
        for key in self._dirty:
            start_writing(self._descriptors[key])

    def flush(self) -> None:
        """Sync files, then the directories that name new ones; record what `settle` has to do."""
        self._sync_files([self._descriptors[key] for key in self._dirty])
        for shard in self._shards:
            self._sync_directory(shard)
        if self._new_shard:
            os.fsync(self._data)
        if self.recorded:
            self._database.run(schema.PENDING_DONE, (self._owner,))
        if self._pending:
            self._database.many(schema.PENDING_ADD, [(self._owner, *key) for key in self._pending])

    def _sync_files(self, descriptors: list[int]) -> None:
        """Many files at once take the disk a fraction of the time that one after the other does."""
        if len(descriptors) <= SYNCED_ALONE:
            for descriptor in descriptors:
                sync_data(descriptor)
            return
        if self._syncing is None:
            self._syncing = ThreadPoolExecutor(SYNC_THREADS, "sync")
        syncing = [self._syncing.submit(sync_data, descriptor) for descriptor in descriptors]
        # All of them end before an error of one lets anybody close descriptors.
        for failed in filter(None, [sync.exception() for sync in syncing]):
            raise failed

    def _sync_directory(self, shard: str) -> None:
        descriptor = self._open(shard, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def settle(self, outcome: Outcome) -> None:
        """Carry out what was put off; take back what no row came to refer to."""
        done: dict[Key, None] = {}
        if outcome is Outcome.COMMITTED:
            self.recorded = bool(self._pending)
            self._keep_shards()
            done = {**self._pending, **self._made}
        elif outcome is Outcome.UNDONE:
            done = {**self._made, **self._dirty}
        for key in done:
            self._try_reconcile(key)
        if outcome is not Outcome.COMMITTED:
            for key in self._dirty:
                self._discard(key)
        self._made.clear()
        self._dirty.clear()
        self._shards.clear()
        self._pending.clear()
        self._new_shard = False
        self._room_checked = False
        while len(self._descriptors) > self._limit:
            self._close_oldest()

    def _keep_shards(self) -> None:
        if len(self._durable) > _DURABLE_SHARDS:
            self._durable.clear()
        self._durable.update(self._shards)

    def _try_reconcile(self, key: Key) -> None:
        """The change itself is done. What fails here is left on record, for the next time the volume is opened."""
        try:
            self._reconcile(key)
        except OSError:
            self.recorded = False
            self._owner = secrets.randbits(62)

    def _reconcile(self, key: Key) -> None:
        row = self._inodes.by_number(key[0])
        if row is None or row.content != key[1]:
            self._remove(key)
            return
        try:
            descriptor = self.descriptor(key)
        except FileNotFoundError:
            return
        if os.fstat(descriptor).st_size > row.size:
            os.ftruncate(descriptor, row.size)

    def _remove(self, key: Key) -> None:
        """Cut before unlinking: descriptors that other processes keep shall not hold the space."""
        name = file_name(key)
        self._discard(key)
        try:
            descriptor = self._open(name, os.O_WRONLY)
        except FileNotFoundError:
            return
        try:
            os.ftruncate(descriptor, 0)
            os.unlink(name, dir_fd=self._data)
        finally:
            os.close(descriptor)

    def _discard(self, key: Key) -> None:
        descriptor = self._descriptors.pop(key, None)
        if descriptor is not None:
            os.close(descriptor)

    def forget(self) -> None:
        """Descriptors stay good: a content number is never used twice."""

    def left_behind(self) -> bool:
        """Whether there is anything to `recover`."""
        return self._database.one(schema.PENDING_ALL, (1,)) is not None

    def recover(self) -> None:
        """In a changing unit, finish what processes that are gone have left; what the host refuses stays on record."""
        for owner, inode, content in self._database.all(schema.PENDING_ALL, (_RECOVERED_AT_ONCE,)):
            with contextlib.suppress(OSError):
                self._reconcile((inode, content))
                self._unit.run(schema.PENDING_DELETE, (owner, inode, content))

    def close(self) -> None:
        """Give up every descriptor."""
        if self._syncing is not None:
            self._syncing.shutdown()
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()
        os.close(self._data)
