"""Host files with the bytes of regular files: `data/<inode / 1024>/<inode>.<content>`, sparse.

The size in the inode row is the truth. A host file may be shorter (the rest is
zeros) or longer (what an unacknowledged or not yet finished change left);
whoever extends a file cuts it to the row's size first.
"""

import contextlib
import errno
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from . import schema
from .database import LOG_FILE, Database
from .host import start_writing, sync_data, sync_path
from .inodes import Inodes
from .limits import VolumeLimits
from .sparse import extents
from .unit import Outcome, Unit

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from .writebehind import WriteBehind

_log = logging.getLogger(__name__)

DIRECTORY: Final = "data"
SHARD: Final = 1024
"""Inode numbers per directory: neighbours share one, so that a commit syncs few directories."""
_DURABLE_SHARDS: Final = 1024
"""Shards that a process remembers to have been synced; of any other it syncs the name once more."""

_COPIED_AT_ONCE: Final = 1 << 20
_RECOVERED_AT_ONCE: Final = 10000

SYNCED_ALONE: Final = 4
"""Up to so many files are synced without threads, which cost more than they save when all are being written already."""

_NAME: Final = re.compile("([0-9a-f]{8})[.]([0-9a-f]{8})")

Key = tuple[int, int]
"""(inode, content)"""


def shard_name(inode: int) -> str:
    """Directory, below `data`, of the content files of an inode."""
    return f"{inode // SHARD:06x}"


def file_name(key: Key) -> str:
    """Path of a content file below `data`."""
    return f"{shard_name(key[0])}/{key[0]:08x}.{key[1]:08x}"


def _new_owner() -> int:
    """A number, not 0, that no process has its records under."""
    return (int.from_bytes(os.urandom(8)) >> 2) + 1


def lost() -> OSError:
    """A content file that a row refers to is not there: no answer about names, so never ENOENT."""
    return OSError(errno.EIO, "the file has lost its contents")


def parse_name(name: str) -> Key | None:
    """What `file_name` was made of, from its last part; None for any other name."""
    found = _NAME.fullmatch(name)
    return (int(found[1], 16), int(found[2], 16)) if found else None


class Contents:
    """Content files of a volume: descriptors, syncing, and what has to be put right behind a commit."""

    def __init__(
        self,
        volume: Path,
        unit: Unit,
        database: Database,
        inodes: Inodes,
        limits: VolumeLimits,
        behind: "WriteBehind | None" = None,
    ) -> None:
        """With `behind`, units end before what they have written is synced."""
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
        self._owner = _new_owner()
        self._struck: list[int] = []
        self._directory = volume / DIRECTORY
        self._behind = behind
        self._syncing: ThreadPoolExecutor | None = None

    # --- one file ---------------------------------------------------------------------------------------------------

    def descriptor(self, key: Key) -> int:
        """Descriptor of a content file, open for reading and writing. FileNotFoundError if there is none."""
        descriptor = self._descriptors.get(key)
        if descriptor is None:
            descriptor = self._descriptors[key] = self._opened(key, os.O_RDWR)
        elif len(self._descriptors) > self._limit // 2:
            # Only where one has to be closed soon does it matter which was wanted last.
            self._descriptors[key] = self._descriptors.pop(key)
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
        """The file is about to be changed: sync it before the unit commits, or behind it."""
        if self._behind is not None:
            self._behind.check(key)
        if key not in self._dirty:
            self._unit.write_over()
            self._dirty[key] = None

    def put_right(self, key: Key) -> None:
        """Once the unit is committed, cut the file to the size in its row, or remove it if no row has it any more."""
        self._unit.check_changing()
        self._unit.journal.set(self._pending, key, None)

    # --- the unit ---------------------------------------------------------------------------------------------------

    def final(self) -> bool:
        """Whether files are to be cut or removed at the end of this very unit."""
        return self._behind is None and bool(self._pending)

    def start(self) -> None:
        """Let the disk begin with the files of this unit while its rows are written."""
        if self._behind is None:
            for key in self._dirty:
                start_writing(self._descriptors[key])

    def flush(self) -> None:
        """Sync files, then the directories that name new ones; record what is left to do after it."""
        if self._struck:
            self._database.many(schema.PENDING_DONE, [(owner, -owner) for owner in self._struck])
        if self._behind is None:
            self._sync_files([self._descriptors[key] for key in self._dirty])
            for shard in self._shards:
                self._sync_directory(shard)
            if self._new_shard:
                os.fsync(self._data)
        elif self._dirty or self._pending:
            self._owner = _new_owner()
            self._database.many(schema.PENDING_ADD, [(-self._owner, *key) for key in self._dirty])
        if self._pending:
            self._database.many(schema.PENDING_ADD, [(self._owner, *key) for key in self._pending])

    def _sync_files(self, descriptors: list[int]) -> None:
        """Many files at once take the disk a fraction of the time that one after the other does."""
        if len(descriptors) <= SYNCED_ALONE:
            for descriptor in descriptors:
                sync_data(descriptor)
            return
        if self._syncing is None:
            from concurrent.futures import ThreadPoolExecutor

            from .writebehind import SYNC_THREADS

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
        if outcome is Outcome.COMMITTED:
            self._struck.clear()
            self._keep_shards()
            if self._behind is not None:
                self._leave_behind(self._behind)
            elif self._pending:
                self._carry_out(self._owner, self._pending)
        elif outcome is Outcome.UNSYNCED:
            # What it has on record stays there, for the next opening of the volume.
            self._owner = _new_owner()
        if outcome is not Outcome.UNKNOWN:
            self._reconciled({**self._made, **self._dirty} if outcome is Outcome.UNDONE else self._made)
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

    def _leave_behind(self, behind: "WriteBehind") -> None:
        """Have this unit synced, and carry out what was waiting for those that have been."""
        from .writebehind import Batch

        owner = self._owner
        files = {}
        for key in self._dirty:
            try:
                files[key] = os.dup(self._descriptors[key])
            except OSError:
                # Out of descriptors: under this owner the file stays on record until the volume is opened again.
                _log.warning("inode %d: a file is not synced for want of a descriptor", key[0])
                owner = _new_owner()
        if self._dirty or self._pending:
            directories = [self._directory / shard for shard in self._shards]
            if self._new_shard:
                directories.append(self._directory)
            behind.hand_over(Batch(owner, files, tuple(directories), tuple(self._pending)))
        for batch in behind.take_done():
            self._carry_out(batch.owner, batch.later)

    def _carry_out(self, owner: int, keys: Iterable[Key]) -> None:
        """Do what is on record under `owner`; the next unit strikes it off, unless the host refused some of it."""
        if self._reconciled(keys):
            self._struck.append(owner)
        else:
            self._owner = _new_owner()

    def _keep_shards(self) -> None:
        if len(self._durable) > _DURABLE_SHARDS:
            self._durable.clear()
        self._durable.update(self._shards)

    def _reconciled(self, keys: Iterable[Key]) -> bool:
        """Cut or remove host files as their rows say. The change itself is done: what fails is for a later start."""
        whole = True
        for key in keys:
            try:
                self._reconcile(key)
            except OSError:
                whole = False
        return whole

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
        rows = self._database.all(schema.PENDING_ALL, (_RECOVERED_AT_ONCE,))
        if rows:
            # They may be in the host's memory only, and must not be lost after what they say has been done.
            sync_path(self._directory.parent / LOG_FILE)
        shards: dict[str, None] = {}
        for owner, inode, content in rows:
            with contextlib.suppress(OSError):
                self._reconcile((inode, content))
                if owner < 0:
                    self._restore((inode, content), shards)
                self._unit.run(schema.PENDING_DELETE, (owner, inode, content))
        for shard in shards:
            self._sync_directory(shard)
        if shards:
            os.fsync(self._data)

    def _restore(self, key: Key, shards: dict[str, None]) -> None:
        """Sync a file that was to be synced behind its unit. Bytes that a power cut took before that are zeros."""
        row = self._inodes.by_number(key[0])
        if row is None or row.content != key[1]:
            return
        shard = shard_name(key[0])
        with contextlib.suppress(FileExistsError):
            os.mkdir(shard, 0o700, dir_fd=self._data)
        descriptor = self._open(file_name(key), os.O_RDWR | os.O_CREAT)
        try:
            sync_data(descriptor)
        finally:
            os.close(descriptor)
        shards[shard] = None

    def unfinished(self) -> bool:
        """Whether one more unit, an empty one, would do something, or strike off something that is done."""
        if self._behind is not None:
            self._behind.drain()
        return bool(self._struck) or (self._behind is not None and self._behind.has_done())

    def close(self) -> None:
        """Give up every descriptor."""
        if self._syncing is not None:
            self._syncing.shutdown()
        if self._behind is not None:
            self._behind.close()
        for descriptor in self._descriptors.values():
            os.close(descriptor)
        self._descriptors.clear()
        os.close(self._data)
