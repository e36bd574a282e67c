"""Copying a volume, served or not, at one instant, into a volume of its own.

First everything is copied while changes go on, then what has changed
meanwhile, and at last, while changes wait, what has changed since. What the
copy is compared by is ctime, which every change of a file moves on.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from . import contents, database, invariants, lock, schema, writer
from .beside import beside_servers, changes_wait
from .contents import file_name
from .errors import VolumeError
from .host import sync_file_system, sync_path
from .identity import new_fsid, new_key
from .make import claim_directory, clear_directory
from .sparse import copy_sparse
from .superblock import Superblock, write_new

_PASSES = 4
"""Passes at most while changes go on."""
_FEW = 64
"""Files that have changed in a pass; with no more of them the last pass begins."""

Key = tuple[int, int]


class Snapshot:
    """One copy in the making."""

    def __init__(self, path: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
        """Of the volume at `path`, to be made at `target`: an empty directory, or none yet. NotAVolume; OSError."""
        self._source = Path(path)
        self._target = Path(target)
        with beside_servers(path, changing=False) as (superblock, _, source):
            self._superblock = superblock.read()
            self.size, self.files = source.one(schema.SNAPSHOT_SIZE)
        self._passes = 0
        self._missing: set[Key] = set()

    def make(self, advance: Callable[[int], None]) -> Superblock:
        """Make it, durably; `advance` is told of bytes copied, `size` in all. Returns what the copy says of itself.

        Nothing is left of one that fails. OSError: ENOTEMPTY if there is anything at the target.
        """
        made = claim_directory(self._target)
        try:
            return self._fill(advance)
        except BaseException:
            clear_directory(self._target, made)
            raise

    def _fill(self, advance: Callable[[int], None]) -> Superblock:
        data = self._target / contents.DIRECTORY
        data.mkdir(mode=0o700)
        changed = self._pass(advance)
        while changed > _FEW and self._passes < _PASSES:
            changed = self._pass(_unnoticed)
        with changes_wait(self._source):
            self._pass(_unnoticed)
        if self._missing:
            why = f"inode {min(self._missing)[0]} has lost its contents; `nfsrpc fsck --repair` first"
            raise VolumeError(self._source, why)
        return self._finish()

    def _finish(self) -> Superblock:
        """Make a volume of what was copied. The superblock, without which it is none, comes when all else is synced."""
        self._copy_of_database(self._passes).rename(self._target / database.FILE)
        with closing(database.Database(self._target)) as copy:
            copy.run(schema.BEGIN_CHANGING)
            for statement in schema.SNAPSHOT_DROP:
                copy.run(statement)
            copy.run(schema.COMMIT)
            greatest = max(self._superblock.root_generation, *copy.one(invariants.GREATEST_GENERATION))
        for name in (lock.LOCK_FILE, writer.WRITER_FILE):
            (self._target / name).touch(mode=0o600)
        descriptor = os.open(self._target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_file_system(descriptor)
        finally:
            os.close(descriptor)
        superblock = self._superblock._replace(
            fsid=new_fsid(),
            key=new_key(),
            old_keys=(),
            reserved=greatest + 1,
            created=time.time_ns(),
        )
        write_new(self._target, superblock)
        for directory in (self._target, self._target.absolute().parent):
            sync_path(directory)
        return superblock

    # --- passes -----------------------------------------------------------------------------------------------------

    def _copy_of_database(self, number: int) -> Path:
        return self._target / f"{database.FILE}.{number}"

    def _pass(self, advance: Callable[[int], None]) -> int:
        """Copy what has changed since the pass before; how many files."""
        earlier = self._copy_of_database(self._passes)
        self._passes += 1
        now = self._copy_of_database(self._passes)
        with beside_servers(self._source, changing=False) as (_, _, source):
            source.copy_to(now)
        count = 0
        with closing(sqlite3.connect(now, isolation_level=None)) as rows:
            if self._passes == 1:
                wanted = rows.execute(schema.SNAPSHOT_ALL)
            else:
                rows.execute(schema.ATTACH, (str(earlier),))
                self._drop(rows.execute(schema.SNAPSHOT_GONE))
                wanted = rows.execute(schema.SNAPSHOT_CHANGED)
            for inode, content, size in wanted:
                self._copy((inode, content), size, advance)
                count += 1
        earlier.unlink(missing_ok=True)
        return count

    def _drop(self, gone: Iterator[Any]) -> None:
        for key in gone:
            self._missing.discard(key)
            (self._target / contents.DIRECTORY / file_name(key)).unlink(missing_ok=True)

    def _copy(self, key: Key, size: int, advance: Callable[[int], None]) -> None:
        """A file that has gone by now is no fault: a later pass will know that it has."""
        name = Path(contents.DIRECTORY, file_name(key))
        try:
            source = os.open(self._source / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            self._missing.add(key)
            return
        self._missing.discard(key)
        try:
            target = self._open(name)
            try:
                copy_sparse(source, target, min(size, os.fstat(source).st_size), advance)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _open(self, name: Path) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        try:
            return os.open(self._target / name, flags, 0o600)
        except FileNotFoundError:
            (self._target / name).parent.mkdir(mode=0o700)
            return os.open(self._target / name, flags, 0o600)


def _unnoticed(_size: int) -> None:
    """Later passes are not shown: what they copy was not counted."""
