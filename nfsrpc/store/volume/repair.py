"""Mending a volume at rest, in one transaction; what `fsck` finds afterwards is what could not be mended.

Nothing that has a name is thrown away as long as it can be read: files without
a name get one in `lost+found`. A file whose host file is gone becomes empty,
and a symbolic link without a target is removed.
"""

import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

from . import contents, invariants, schema
from .database import Database
from .directories import COOKIE_FIRST
from .files import DIRECTORY_SIZE
from .fsck import Finding, check_volume, is_name
from .generations import Generations
from .inodes import Inode
from .limits import VolumeLimits
from .lock import Lock
from .log import Log
from .quota import recount
from .superblock import SuperblockFile
from .unit import Unit

LOST_AND_FOUND = b"lost+found"


class Repair:
    """One repair, inside a changing unit."""

    def __init__(self, volume: Path, database: Database, superblock: SuperblockFile, unit: Unit) -> None:
        self._volume = volume
        self._database = database
        self._superblock_file = superblock
        self._superblock = superblock.read()
        self._unit = unit
        self._generations = Generations(superblock, VolumeLimits())

    def run(self) -> None:
        """Every repair, each on what those before it have left."""
        steps: tuple[Callable[[], None], ...] = (
            self._superblock_copies,
            self._root,
            self._attributes,
            self._bad_names,
            self._second_names,
            self._cycles,
            self._numbers,
            self._orphans,
            self._counts,
            self._host_files,
            self._quotas,
        )
        for step in steps:
            step()

    def _run(self, statement: str, *values: object) -> None:
        self._unit.run(statement, values)

    def _superblock_copies(self) -> None:
        """Both copies written anew; no generation in use is left to be given out again."""
        greatest = max(self._database.one(invariants.GREATEST_GENERATION))
        wanted = self._superblock._replace(reserved=max(self._superblock.reserved, greatest + 1))
        torn = None in self._superblock_file.copies()
        if torn or wanted.reserved != self._superblock.reserved:
            for _ in (0, 1):
                self._superblock = self._superblock_file.update(wanted)

    def _root(self) -> None:
        root, generation = self._superblock.root, self._superblock.root_generation
        row = self._database.one(invariants.ROOT, (root,))
        if row is None or not stat.S_ISDIR(row[1]):
            self._put(_directory(root, generation, root))
        self._run(invariants.SET_GENERATION, generation, root)
        self._run(invariants.SET_PARENT, root, root)
        self._run(invariants.DROP_NAMES_OF, root)

    def _put(self, row: Inode) -> None:
        self._unit.run(schema.INODE_PUT, row.values())

    def _attributes(self) -> None:
        """What no type of file has becomes an empty regular file; contents belong to regular files only."""
        self._run(invariants.MEND_TYPES)
        self._run(invariants.MEND_CONTENT)
        self._run(invariants.MEND_SIZES)
        for (inode,) in self._database.all(invariants.WITHOUT_GENERATION):
            self._run(invariants.SET_GENERATION, self._generations.take(), inode)
        self._run(invariants.DROP_TARGETS)
        for (inode,) in self._database.all(invariants.SYMLINK_WITHOUT_TARGET):
            target = self._database.one(schema.SYMLINK_GET, (inode,))
            if target is None:
                self._run(schema.INODE_DELETE, inode)
            else:
                self._run(invariants.SET_SIZE, len(target[0]), inode)

    def _bad_names(self) -> None:
        """Names that lead nowhere go; so do those that cannot be one, and their files are found again as orphans."""
        self._run(invariants.DROP_NAMES_WITHOUT_INODE)
        self._run(invariants.DROP_NAMES_WITHOUT_DIRECTORY)
        bad = [(directory, name) for directory, name, _ in self._database.rows(invariants.NAMES) if not is_name(name)]
        for directory, name in bad:
            self._run(schema.NAME_DELETE, directory, name)

    def _second_names(self) -> None:
        """A directory keeps the name in its parent, or else the first."""
        for inode, _ in self._database.all(invariants.TWO_NAMES):
            (parent,) = self._database.one(invariants.PARENT_OF, (inode,))
            names = self._database.all(invariants.NAMES_OF, (inode,))
            kept = next((name for name in names if name[0] == parent), names[0])
            for directory, name in names:
                if (directory, name) != tuple(kept):
                    self._run(schema.NAME_DELETE, directory, name)

    def _cycles(self) -> None:
        """One directory of a ring at a time loses its name, which makes it an orphan."""
        while unreached := self._database.one(invariants.UNREACHED, (self._superblock.root,)):
            inode = unreached[0]
            seen = set()
            while inode not in seen:
                seen.add(inode)
                (inode,) = self._database.one(invariants.DIRECTORY_OF, (inode,))
            self._run(invariants.DROP_NAMES_OF, inode)

    def _numbers(self) -> None:
        """The free list is made anew from the inodes."""
        root = self._superblock.root
        self._run(invariants.DROP_FREE)
        expected = root
        for (inode,) in self._database.rows(invariants.ALL_NUMBERS):
            for free in range(max(expected, root), inode):
                self._run(schema.FREE_ADD, free)
            expected = inode + 1
        self._set_state(expected)

    def _set_state(self, following: int) -> None:
        (count, _, _) = self._database.one(invariants.INODE_COUNT)
        if self._database.one(invariants.STATE) is None:
            self._run(schema.STATE_NEW, following, count)
        self._run(schema.STATE_SET, following, count)

    def _orphans(self) -> None:
        orphans = self._database.all(invariants.ORPHAN, (self._superblock.root,))
        if not orphans:
            return
        home = self._home()
        for inode, _ in orphans:
            if inode != home:
                self._name(home, b"#%d" % inode, inode)

    def _home(self) -> int:
        """Inode of `lost+found`, made if need be; under another name if a file has that one."""
        root = self._superblock.root
        for name in (LOST_AND_FOUND, *(LOST_AND_FOUND + b".%d" % number for number in range(1000))):
            found = self._database.one(schema.NAME_GET, (root, name))
            if found is None:
                following, _ = self._database.one(invariants.STATE)
                self._put(_directory(following, self._generations.take(), root))
                self._set_state(following + 1)
                self._name(root, name, following)
                return int(following)
            if stat.S_ISDIR(self._database.one(invariants.ROOT, found)[1]):
                return int(found[0])
        raise FileExistsError("no name is left for lost+found")

    def _name(self, directory: int, name: bytes, inode: int) -> None:
        cookie = self._next_cookie(directory)
        while self._database.one(schema.NAME_GET, (directory, name)):
            name += b"'"
        self._run(schema.NAME_ADD, directory, name, inode, cookie)
        self._run(invariants.SET_COOKIE, cookie + 1, directory)

    def _next_cookie(self, directory: int) -> int:
        (counter,) = self._database.one(invariants.COOKIE_COUNTER, (directory,))
        (beyond,) = self._database.one(invariants.COOKIE_BEYOND, (directory,))
        return int(max(counter, beyond))

    def _counts(self) -> None:
        """Parents, link counts and cookie counters follow from the names."""
        for inode, _, directory in self._database.all(invariants.PARENT):
            self._run(invariants.SET_PARENT, directory, inode)
        for statement in (invariants.LINKS, invariants.SUBDIRECTORIES):
            for inode, _, counted in self._database.all(statement):
                self._run(invariants.SET_LINKS, counted, inode)
        for directory in {row[0] for row in self._database.all(invariants.COOKIE_RANGE)}:
            names = self._database.all(invariants.NAMES_BY_COOKIE, (directory,))
            if names[0][1] < COOKIE_FIRST:
                self._number_anew(directory, [name for name, _ in names])
            self._run(invariants.SET_COOKIE, self._next_cookie(directory), directory)

    def _number_anew(self, directory: int, names: list[bytes]) -> None:
        """Past all cookies in use first, so that no two names ever have the same."""
        for start in (self._next_cookie(directory), COOKIE_FIRST):
            for place, name in enumerate(names, start):
                self._run(schema.NAME_COOKIE, place, directory, name)

    def _host_files(self) -> None:
        """A file whose host file is missing is empty."""
        self._run(invariants.DROP_PENDING)
        missing = [
            inode
            for inode, content in self._database.rows(invariants.ALL_CONTENTS)
            if not (self._volume / contents.DIRECTORY / contents.file_name((inode, content))).is_file()
        ]
        for inode in missing:
            self._run(invariants.EMPTY_FILE, inode)

    def _quotas(self) -> None:
        recount(self._unit, self._database)


def _sweep(volume: Path, database: Database) -> None:
    """Host files that belong to no file go, and so does what lies behind a file's end."""
    for found in (volume / contents.DIRECTORY).glob("*/*"):
        key = contents.parse_name(found.name)
        if key is None or found.is_dir():
            continue
        row = database.one(schema.INODE_GET, (key[0],))
        inode = None if row is None else Inode(*row)
        if inode is None or inode.content != key[1]:
            found.unlink()
        elif found.stat().st_size > inode.size:
            os.truncate(found, inode.size)


def _directory(inode: int, generation: int, parent: int) -> Inode:
    now = time.time_ns()
    return Inode(
        inode=inode,
        generation=generation,
        mode=stat.S_IFDIR | 0o700,
        nlink=2,
        uid=os.geteuid(),
        gid=os.getegid(),
        size=DIRECTORY_SIZE,
        used=DIRECTORY_SIZE,
        rdev=0,
        atime=now,
        mtime=now,
        ctime=now,
        parent=parent,
        cookie=COOKIE_FIRST,
    )


def repair_volume(path: str | os.PathLike[str]) -> list[Finding]:
    """Mend the volume at `path`; returns what is still to be found in it. NotAVolume; VolumeInUse."""
    volume = Path(path)
    with Lock(volume):
        superblock = SuperblockFile(volume)
        database = Database(volume)
        unit = Unit(volume, database, Log(volume, database))
        try:
            database.run(invariants.REINDEX)
            unit.begin(True)
            Repair(volume, database, superblock, unit).run()
            unit.commit()
            _sweep(volume, database)
        finally:
            unit.close()
            database.close()
            superblock.close()
    return list(check_volume(volume))
