"""Making a volume."""

import errno
import os
import secrets
import stat
import time
from pathlib import Path

from . import contents, database, lock, schema, superblock, writer
from .accounts import WHOLE
from .files import DIRECTORY_SIZE
from .host import sync_path
from .identity import new_fsid, new_key
from .inodes import Inode
from .quota import Limits, set_limits

UNLIMITED = Limits()

ROOT = 2
"""Inode number of the root directory, as everywhere; 0 means none, and 1 is left out."""


def make_volume(
    path: str | os.PathLike[str],
    *,
    uid: int | None = None,
    gid: int | None = None,
    mode: int = 0o755,
    size: Limits = UNLIMITED,
) -> None:
    """Make an empty volume at `path`, durably; its root directory gets the owner (default: who calls) and `mode`.

    `size`: how large it may become; see `quota.set_limits`.
    A directory that does not exist is made (its parent must exist). OSError:
    ENOTEMPTY if there is anything in it; nothing is left behind on failure.
    """
    volume = Path(path)
    made = claim_directory(volume)
    try:
        _fill(volume, os.geteuid() if uid is None else uid, os.getegid() if gid is None else gid, mode)
        if size != UNLIMITED:
            set_limits(volume, WHOLE, size)
    except BaseException:
        clear_directory(volume, made)
        raise


def claim_directory(volume: Path) -> bool:
    """Make sure that there is an empty directory; whether it had to be made. ENOTEMPTY."""
    try:
        volume.mkdir(mode=0o700)
    except FileExistsError:
        with os.scandir(volume) as entries:
            if next(entries, None) is not None:
                raise OSError(errno.ENOTEMPTY, "the directory is not empty", str(volume)) from None
        return False
    return True


def clear_directory(volume: Path, made: bool) -> None:
    """Take back what was begun in a directory, and the directory itself if it was `made` for it."""
    import shutil

    with os.scandir(volume) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)
    if made:
        volume.rmdir()


def _fill(volume: Path, uid: int, gid: int, mode: int) -> None:
    (volume / contents.DIRECTORY).mkdir(mode=0o700)
    for name in (lock.LOCK_FILE, writer.WRITER_FILE):
        os.close(os.open(volume / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    generation = secrets.randbelow(1 << 16) + 1
    now = time.time_ns()
    _fill_database(volume, _root(generation, uid, gid, mode, now))
    superblock.write_new(
        volume,
        superblock.Superblock(
            fsid=new_fsid(),
            key=new_key(),
            root=ROOT,
            root_generation=generation,
            reserved=generation + 1,
            created=now,
        ),
    )
    for directory in (volume / contents.DIRECTORY, volume, volume.absolute().parent):
        sync_path(directory)


def _root(generation: int, uid: int, gid: int, mode: int, now: int) -> Inode:
    return Inode(
        inode=ROOT,
        generation=generation,
        mode=stat.S_IFDIR | stat.S_IMODE(mode),
        nlink=2,
        uid=uid,
        gid=gid,
        size=DIRECTORY_SIZE,
        used=DIRECTORY_SIZE,
        rdev=0,
        atime=now,
        mtime=now,
        ctime=now,
        parent=ROOT,
        cookie=3,
    )


def _fill_database(volume: Path, root: Inode) -> None:
    """Closing the only connection folds the log into the database file and syncs it."""
    made = database.Database(volume, create=True)
    try:
        made.run(schema.BEGIN_CHANGING)
        for statement in schema.TABLES:
            made.run(statement)
        made.run(schema.INODE_PUT, root.values())
        made.run(schema.STATE_NEW, (ROOT + 1, 1))
        made.run(schema.COMMIT)
    finally:
        made.close()
