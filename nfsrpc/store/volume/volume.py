"""The volume: flat file service and directory service, composed inside one transaction."""

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..interface import DIRECTORY, KIND, Attributes, Changes, Entry, OldKey, Quota, Space, Ufid
from . import uptime
from .accounts import WHOLE
from .contents import Contents
from .database import Database
from .directories import Directories
from .files import Files
from .generations import Generations
from .inodes import Inode, Inodes
from .limits import VolumeLimits
from .lock import VolumeLock
from .log import Log, SyncedBehind
from .replay import Replay
from .superblock import SuperblockFile
from .unit import Unit

if TYPE_CHECKING:
    from .writebehind import WriteBehind

DEFAULT_LIMITS: Final = VolumeLimits()


class Volume:
    """A `Store` in nfsrpc's own on-disk format. One object per process, used by one thread at a time.

    Worker processes each make one over the `VolumeLock` that they inherit;
    `Volume.open` is for a program of one process, and takes the lock itself.
    Changing methods are called inside `with volume.step():` of a changing unit.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        lock: VolumeLock,
        *,
        limits: VolumeLimits = DEFAULT_LIMITS,
        asynchronous: bool = False,
        now: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Attach to the volume at `path`, whose `lock` is held; finish what killed processes left undone.

        `asynchronous`: units end before they are on stable storage, and are
        synced right behind; see `writebehind`. A power cut can take the latest.
        `now`: ns since the epoch, for attributes. `monotonic`: the lock's clock.
        NotAVolume if the path is none.
        """
        if lock.path != Path(path):
            raise ValueError(f"the lock held is that of {lock.path}")
        volume = Path(path)
        self.path = volume
        self._own_lock: VolumeLock | None = None
        self._closed = False
        self._limits = limits
        self._superblock = SuperblockFile(volume)
        superblock = self._superblock.read()
        self.fsid = superblock.fsid
        self.key = superblock.key
        self.old_keys: Sequence[OldKey] = superblock.old_keys
        self.root = Ufid(superblock.root, superblock.root_generation)
        self._database = Database(volume)
        offset = uptime.offset(lock.fileno())
        durability = SyncedBehind(self._database) if asynchronous else Log(volume, self._database)
        self._unit = Unit(volume, self._database, durability)
        self._inodes = Inodes(self._unit, self._database, limits)
        behind = _write_behind(volume) if asynchronous else None
        self._contents = Contents(volume, self._unit, self._database, self._inodes, limits, behind)
        generations = Generations(self._superblock, limits)
        self._files = Files(self._unit, self._database, self._inodes, self._contents, generations, limits, now)
        self._directories = Directories(self._unit, self._database, self._inodes, limits, now)
        self._replay = Replay(self._unit, self._database, limits, lambda: monotonic() + offset, self.key)
        self._now = now
        self._unit.join(self._inodes, self._directories, self._replay, self._contents)
        self._unit.call(start=self._contents.start, final=self._contents.final)
        if self._contents.left_behind():
            with self.work(changing=True):
                self._contents.recover()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        shared: bool = False,
        limits: VolumeLimits = DEFAULT_LIMITS,
        asynchronous: bool = False,
        now: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> "Volume":
        """Take the volume's lock and attach; `close` gives both up. NotAVolume; VolumeInUse."""
        lock = VolumeLock(path, shared=shared, monotonic=monotonic)
        try:
            volume = cls(path, lock, limits=limits, asynchronous=asynchronous, now=now, monotonic=monotonic)
        except BaseException:
            lock.release()
            raise
        volume._own_lock = lock
        return volume

    # --- units of work ----------------------------------------------------------------------------------------------

    def count(self) -> int:
        """See `Work.count`; of a closed volume nothing is known."""
        return -1 if self._closed else self._unit.count()

    def begin(self, changing: bool) -> None:
        """See `Work.begin`."""
        self._unit.begin(changing)

    def commit(self) -> None:
        """See `Work.commit`."""
        self._unit.commit()

    def abort(self) -> None:
        """See `Work.abort`."""
        self._unit.abort()

    def step(self) -> AbstractContextManager[None]:
        """See `Work.step`."""
        return self._unit.step()

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """See `Work.recall`."""
        return self._replay.recall(keys)

    def remember(self, key: bytes, client: bytes, result: bytes) -> None:
        """See `Work.remember`. Keys of one client that sort in the order of its calls are cheapest to keep."""
        self._replay.remember(key, client, result)

    @contextmanager
    def work(self, changing: bool) -> Iterator[None]:
        """A unit as a `with` block: committed at its end, aborted by an exception."""
        self.begin(changing)
        try:
            yield
        except BaseException:
            self.abort()
            raise
        self.commit()

    # --- files ------------------------------------------------------------------------------------------------------

    def getattr(self, node: Ufid) -> Attributes:
        """See `Store.getattr`."""
        return self._files.get_attributes(node)

    def setattr(self, node: Ufid, changes: Changes) -> Attributes:
        """See `Store.setattr`."""
        return self._files.set_attributes(node, changes)

    def readlink(self, node: Ufid) -> bytes:
        """See `Store.readlink`."""
        return self._files.target(node)

    def read(self, node: Ufid, offset: int, count: int) -> tuple[bytes, Attributes]:
        """See `Store.read`. Reading does not change atime."""
        return self._files.read(node, offset, count)

    def write(self, node: Ufid, offset: int, data: bytes) -> Attributes:
        """See `Store.write`."""
        return self._files.write(node, offset, data)

    # --- names ------------------------------------------------------------------------------------------------------

    def lookup(self, directory: Ufid, name: bytes) -> Attributes:
        """See `Store.lookup`."""
        return self._directories.lookup(directory, name)

    def find(self, directory: Ufid, name: bytes) -> Attributes | None:
        """See `Store.find`."""
        return self._directories.find(directory, name)

    def readdir(self, directory: Ufid, cookie: int, limit: int) -> tuple[list[Entry], bool]:
        """See `Store.readdir`."""
        return self._directories.names(directory, cookie, limit)

    def create(
        self, directory: Ufid, name: bytes, mode: int, uid: int, gid: int, rdev: int = 0, target: bytes = b""
    ) -> Attributes:
        """See `Store.create`."""
        above = self._free_name(directory, name)
        row = self._files.create(mode, uid, gid, rdev, target, above.inode)
        if row.mode & KIND == DIRECTORY:
            self._directories.add_name(above, name, row.inode, subdirectories=1)
            return row
        row.nlink = 1
        self._directories.add_name(above, name, row.inode)
        return row

    def _free_name(self, directory: Ufid, name: bytes) -> Inode:
        above = self._directories.get(directory)
        self._directories.check_new(name)
        if self._directories.number(above, name):
            raise FileExistsError(errno.EEXIST, "the name exists")
        return above

    def link(self, node: Ufid, directory: Ufid, name: bytes) -> None:
        """See `Store.link`."""
        row = self._inodes.get(node)
        above = self._free_name(directory, name)
        if row.mode & KIND == DIRECTORY:
            raise PermissionError(errno.EPERM, "a directory has one name only")
        if row.nlink >= self._limits.links:
            raise OSError(errno.EMLINK, "too many links")
        self._directories.add_name(above, name, row.inode)
        self._relink(row, 1)

    def unlink(self, directory: Ufid, name: bytes) -> None:
        """See `Store.unlink`."""
        above = self._directories.get(directory)
        self._directories.check_new(name)
        row = self._directories.lookup(directory, name)
        if row.mode & KIND == DIRECTORY:
            raise IsADirectoryError(errno.EISDIR, "is a directory")
        self._directories.un_name(above, name)
        self._relink(row, -1)

    def rmdir(self, directory: Ufid, name: bytes) -> None:
        """See `Store.rmdir`."""
        above = self._directories.get(directory)
        self._directories.check_new(name)
        row = self._directories.lookup(directory, name)
        self._check_removable(row)
        self._directories.un_name(above, name, subdirectories=-1)
        self._files.delete(row)

    def _check_removable(self, directory: Inode) -> None:
        if directory.mode & KIND != DIRECTORY:
            raise NotADirectoryError(errno.ENOTDIR, "not a directory")
        if not self._directories.is_empty(directory):
            raise OSError(errno.ENOTEMPTY, "directory not empty")

    def _relink(self, row: Inode, names: int) -> None:
        """`row`, no directory, has so many names more; without any it goes."""
        changed = row.copy()
        changed.nlink += names
        if changed.nlink <= 0:
            self._files.delete(row)
            return
        changed.stamp(self._now(), data=False)
        self._inodes.put(changed)

    def rename(self, source: Ufid, old: bytes, target: Ufid, new: bytes) -> None:
        """See `Store.rename`."""
        above_old = self._directories.get(source)
        above_new = self._directories.get(target)
        self._directories.check_new(old)
        self._directories.check_new(new)
        row = self._directories.lookup(source, old)
        moves = row.mode & KIND == DIRECTORY
        if moves and self._directories.is_within(above_new, row):
            raise OSError(errno.EINVAL, "a directory cannot go into its own subtree")
        number = self._directories.number(above_new, new)
        if number == row.inode:
            return
        if number:
            self._make_way(row, above_old, self._directories.lookup(target, new), target, new)
        if above_old.inode == above_new.inode:
            self._directories.change_name(self._directories.get(source), old, new, row.inode)
        else:
            gained = 1 if moves else 0
            self._directories.un_name(self._directories.get(source), old, subdirectories=-gained)
            self._directories.add_name(self._directories.get(target), new, row.inode, subdirectories=gained)
        renamed = row.copy()
        if moves:
            renamed.parent = above_new.inode
        renamed.stamp(self._now(), data=False)
        self._inodes.put(renamed)

    def _make_way(self, row: Inode, above: Inode, replaced: Inode, target: Ufid, new: bytes) -> None:
        """Take `replaced` from its name `new` in `target`, so that `row`, out of `above`, can have it."""
        if replaced.mode & KIND == DIRECTORY:
            if self._directories.is_within(above, replaced):
                raise OSError(errno.ENOTEMPTY, "directory not empty")
            if row.mode & KIND != DIRECTORY:
                raise IsADirectoryError(errno.EISDIR, "is a directory")
            self._check_removable(replaced)
            self._directories.un_name(self._directories.get(target), new, subdirectories=-1)
            self._files.delete(replaced)
            return
        if row.mode & KIND == DIRECTORY:
            raise NotADirectoryError(errno.ENOTDIR, "not a directory")
        self._directories.un_name(self._directories.get(target), new)
        self._relink(replaced, -1)

    # --- the whole --------------------------------------------------------------------------------------------------

    def statfs(self) -> Space:
        """See `Store.statfs`: the room of the host file system that holds the volume, as far as its size allows."""
        block, total, free, room = self._contents.room()
        used, available = self._inodes.counts()
        whole = self._inodes.quotas.account(WHOLE)
        if whole.bytes_limit:
            total = whole.bytes_limit
            left = max(0, total - whole.bytes_used)
            free, room = min(free, left), min(room, left)
        if whole.inodes_limit:
            available = min(available, max(0, whole.inodes_limit - whole.inodes_used))
        return Space(
            block_size=block,
            total=total,
            free=free,
            available=room,
            inodes=used + available,
            inodes_free=available,
        )

    def quota(self, uid: int) -> Quota | None:
        """See `Store.quota`."""
        quotas = self._inodes.quotas
        return quotas.account(uid) if quotas.counting else None

    def close(self) -> None:
        """Abort an open unit; give up every descriptor and, if `open` took it, the lock. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self._unit.abort()
        # The flush of an empty unit strikes off what is done. If it fails, the next start will.
        with suppress(OSError):
            while self._contents.unfinished():
                self.begin(True)
                self.commit()
        self._unit.close()
        self._contents.close()
        self._database.close()
        self._superblock.close()
        if self._own_lock is not None:
            self._own_lock.release()


def _write_behind(volume: Path) -> "WriteBehind":
    from .writebehind import WriteBehind

    return WriteBehind(volume)
