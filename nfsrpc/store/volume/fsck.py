"""Checking a volume at rest: every invariant of its format, each fault a typed finding."""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import contents, invariants, schema
from .accounts import WHOLE
from .database import Database
from .limits import VolumeLimits
from .lock import Lock
from .superblock import Superblock, SuperblockFile

_LIMITS = VolumeLimits()


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. `check` names the invariant; `inode` the file, where it concerns one.

    `leftover`: no fault, but what a crash may leave of work that was never
    acknowledged; it costs space at most, and goes by itself or by repair.
    """

    check: str
    text: str
    inode: int | None = None
    leftover: bool = False


class Checker:
    """The checks over one volume, read in one snapshot."""

    def __init__(self, volume: Path, database: Database, superblock: SuperblockFile) -> None:
        self._volume = volume
        self._database = database
        self._superblock_file = superblock
        self._superblock: Superblock = superblock.read()

    def findings(self) -> Iterator[Finding]:
        """Run every check. Damage inside the database file ends the run: nothing in it could be trusted."""
        yield from self._superblock_copies()
        damaged = list(self._integrity())
        yield from damaged
        if damaged:
            return
        checks: tuple[Callable[[], Iterator[Finding]], ...] = (
            self._root,
            self._names,
            self._links,
            self._directories,
            self._attributes,
            self._numbers,
            self._generations,
            self._quotas,
            self._pending,
            self._contents,
        )
        for check in checks:
            yield from check()

    def _rows(self, statement: str, *values: object) -> Iterator[Any]:
        return self._database.rows(statement, values)

    def _superblock_copies(self) -> Iterator[Finding]:
        copies = self._superblock_file.copies()
        for place, copy in enumerate(copies):
            if copy is None:
                yield Finding("superblock", f"copy {place} of the superblock does not hold; the other does", None, True)
        origins = {(copy.created, copy.root, copy.root_generation) for _, copy in filter(None, copies)}
        if len(origins) > 1:
            yield Finding("superblock", "the two copies of the superblock are of different volumes")

    def _integrity(self) -> Iterator[Finding]:
        try:
            for (text,) in self._rows(schema.INTEGRITY):
                if text != "ok":
                    yield Finding("database", f"{text}")
        except OSError as error:
            yield Finding("database", f"{error.strerror}")

    def _root(self) -> Iterator[Finding]:
        root = self._superblock.root
        row = self._database.one(invariants.ROOT, (root,))
        if row is None or row[1] & 0o170000 != 0o040000:
            yield Finding("root", "the root directory is missing", root)
        elif row[0] != self._superblock.root_generation or row[2] != root:
            yield Finding("root", "the root directory has a wrong generation or parent", root)
        for directory, name in self._rows(invariants.ROOT_NAMED, root):
            yield Finding("root", f"the root directory has a name, {_quoted(name)} in directory {directory}", root)

    def _names(self) -> Iterator[Finding]:
        for directory, name, inode in self._rows(invariants.NAME_WITHOUT_INODE):
            yield Finding("name", f"{_quoted(name)} in directory {directory} leads to no file", inode)
        for directory, name, inode in self._rows(invariants.NAME_WITHOUT_DIRECTORY):
            yield Finding("name", f"{_quoted(name)} is in {directory}, which is no directory", inode)
        for directory, name, inode in self._rows(invariants.NAMES):
            if not is_name(name):
                yield Finding("name", f"{_quoted(name)} in directory {directory} is not a name", inode)
        for directory, name, cookie, following in self._rows(invariants.COOKIE_RANGE):
            text = f"{_quoted(name)} has cookie {cookie}; the directory has given out those from 3 to {following - 1}"
            yield Finding("cookie", text, directory)

    def _links(self) -> Iterator[Finding]:
        for inode, mode in self._rows(invariants.ORPHAN, self._superblock.root):
            yield Finding("orphan", f"a file (mode {mode:o}) without a name", inode)
        for statement in (invariants.LINKS, invariants.SUBDIRECTORIES):
            for inode, nlink, counted in self._rows(statement):
                yield Finding("links", f"link count {nlink}, but {counted} counted", inode)

    def _directories(self) -> Iterator[Finding]:
        for inode, names in self._rows(invariants.TWO_NAMES):
            yield Finding("directory", f"a directory with {names} names", inode)
        for inode, parent, directory in self._rows(invariants.PARENT):
            yield Finding("directory", f"its parent is said to be {parent}, but its name is in {directory}", inode)
        for (inode,) in self._rows(invariants.UNREACHED, self._superblock.root):
            yield Finding("directory", "a directory that lies in its own subtree, or below one that does", inode)

    def _attributes(self) -> Iterator[Finding]:
        for inode, mode, size, content in self._rows(invariants.BAD_ATTRIBUTES):
            yield Finding("attributes", f"mode {mode:o}, size {size}, content {content} do not go together", inode)
        for (inode,) in self._rows(invariants.SYMLINK_WITHOUT_TARGET):
            yield Finding("symlink", "a symbolic link whose target is missing or of another length", inode)
        for (inode,) in self._rows(invariants.TARGET_WITHOUT_SYMLINK):
            yield Finding("symlink", "a target without a symbolic link", inode)

    def _numbers(self) -> Iterator[Finding]:
        count, greatest, least = self._database.one(invariants.INODE_COUNT)
        state = self._database.one(invariants.STATE)
        if state is None:
            yield Finding("state", "the state row is missing")
            return
        following, counted = state
        if counted != count:
            yield Finding("state", f"{counted} inodes on record, but {count} there")
        if greatest >= following or least < self._superblock.root:
            yield Finding("state", f"inode numbers from {least} to {greatest}; the next is said to be {following}")
        for (inode,) in self._rows(invariants.FREE_IN_USE):
            yield Finding("free", "a number both free and in use", inode)
        for (inode,) in self._rows(invariants.FREE_BEYOND, following, self._superblock.root):
            yield Finding("free", "a free number that was never given out", inode)
        (free,) = self._database.one(invariants.FREE_COUNT)
        if count + free != following - self._superblock.root:
            yield Finding("free", f"{following - self._superblock.root} numbers given out; {count} used, {free} free")

    def _generations(self) -> Iterator[Finding]:
        end = self._superblock.reserved
        for inode, generation, content in self._rows(invariants.GENERATION_RANGE, end, end):
            text = f"generation {generation}, content {content}, but only those up to {end - 1} are reserved"
            yield Finding("generation", text, inode)

    def _quotas(self) -> Iterator[Finding]:
        for owner, used, files, counted, found in self._rows(invariants.QUOTAS):
            whose = "the volume" if owner == WHOLE else f"uid {owner}"
            yield Finding("quota", f"{whose} is said to have {used} bytes, {files} files; {counted}, {found} counted")

    def _pending(self) -> Iterator[Finding]:
        for inode, content in self._rows(invariants.PENDING):
            yield Finding("content", f"content {content} is still on record to be put right", inode, True)

    def _contents(self) -> Iterator[Finding]:
        data = self._volume / contents.DIRECTORY
        shards = {int(shard) for (shard,) in self._rows(invariants.SHARDS, contents.SHARD)}
        present: dict[int, str] = {}
        with os.scandir(data) as entries:
            for entry in entries:
                if re.fullmatch("[0-9a-f]{6}", entry.name) and entry.is_dir(follow_symlinks=False):
                    present[int(entry.name, 16)] = entry.path
                else:
                    yield Finding("content", f"{contents.DIRECTORY}/{entry.name} does not belong to the volume")
        for shard in sorted(shards | present.keys()):
            yield from self._shard(shard, present.get(shard))

    def _shard(self, shard: int, path: str | None) -> Iterator[Finding]:
        start = shard * contents.SHARD
        expected = {
            (inode, content): size
            for inode, content, size in self._rows(invariants.CONTENTS, start, start + contents.SHARD)
        }
        for name, size in _sizes(path):
            key = contents.parse_name(name)
            if key is None or size is None:
                text = f"{contents.DIRECTORY}/{contents.shard_name(start)}/{name} does not belong to the volume"
                yield Finding("content", text)
                continue
            wanted = expected.pop(key, None)
            if wanted is None:
                yield Finding("content", f"host file {contents.file_name(key)} belongs to no file", key[0], True)
            elif size > wanted:
                yield Finding("content", f"the host file has {size - wanted} bytes behind its end", key[0], True)
        for key in expected:
            unsynced = self._database.one(invariants.UNSYNCED, key) is not None
            yield Finding("content", f"host file {contents.file_name(key)} is missing", key[0], unsynced)


def is_name(name: object) -> bool:
    """Whether a file can have it."""
    return (
        isinstance(name, bytes)
        and name not in (b"", b".", b"..")
        and b"/" not in name
        and b"\0" not in name
        and len(name) <= _LIMITS.name
    )


def _quoted(name: object) -> str:
    return repr(name)[1:] if isinstance(name, bytes) else repr(name)


def _sizes(path: str | None) -> Iterator[tuple[str, int | None]]:
    """(name, size) of what is in a directory, size None for anything but a regular file."""
    if path is None:
        return
    with os.scandir(path) as entries:
        for entry in entries:
            regular = entry.is_file(follow_symlinks=False)
            yield entry.name, entry.stat(follow_symlinks=False).st_size if regular else None


def check_volume(path: str | os.PathLike[str]) -> Iterator[Finding]:
    """All findings in the volume at `path`, nothing changed. NotAVolume; VolumeInUse: it is being served."""
    with Lock(path):
        volume = Path(path)
        superblock = SuperblockFile(volume)
        try:
            database = Database(volume)
            try:
                database.run(schema.BEGIN)
                yield from Checker(volume, database, superblock).findings()
            finally:
                database.close()
        finally:
            superblock.close()
