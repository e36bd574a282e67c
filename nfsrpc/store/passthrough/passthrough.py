"""An existing directory as a `Store`: its files are the host's, and what a host directory can promise is promised."""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from ..interface import Attributes, Changes, Entry, OldKey, Quota, Space, Ufid
from ..volume import uptime
from ..volume.database import Database
from ..volume.inodes import stale
from ..volume.limits import VolumeLimits
from ..volume.log import Log
from ..volume.replay import Replay
from ..volume.unit import Unit
from . import kernel, schema
from .attributes import attributes_of, change_attributes, demand_regular
from .calls import Results, Step
from .cookies import COOKIE_PARENT, COOKIE_SELF, Cookies
from .files import MOUNT_POINT, FileTable
from .limits import PassthroughLimits
from .making import MAKERS, settled
from .owners import owners
from .pending import Pending
from .reach import ByHandle, ByHint, Reach, Way, through
from .state import DirectoryLock

DEFAULT_LIMITS = PassthroughLimits()
_SET_IDS = stat.S_ISUID | stat.S_ISGID


class Passthrough:
    """An existing directory. One object per process, over the `DirectoryLock` that the process has inherited.

    Changing methods are called inside `with store.step():` of a changing unit.
    """

    def __init__(self, lock: DirectoryLock, *, limits: PassthroughLimits = DEFAULT_LIMITS) -> None:
        """Attach to the directory that `lock` holds, wherever it has been moved since."""
        self.path = lock.path
        self._closed = False
        self._limits = limits
        self._handles = kernel.Handles()
        self._top = os.dup(lock.top)
        self._database = Database(lock.state)
        self.old_keys: Sequence[OldKey] = ()
        self.fsid, self.key = self._database.one(schema.IDENTITY_GET)
        self._unit = Unit(lock.state, self._database, Log(lock.state, self._database))
        offset = uptime.offset(lock.fileno())
        capabilities = kernel.Capabilities()
        self.owners = owners(capabilities)
        self._by_handle = capabilities.include(kernel.CAP_DAC_READ_SEARCH) and self._can_open()
        self._files = FileTable(self._unit, self._database, limits, self._is_gone)
        self._cookies = Cookies(self._unit, self._database, limits)
        self._reach = Reach(self._top, self._handles, self._files, self._way(), limits)
        self.root = self._reach.root
        self._pending = Pending(self._top, limits)
        replay = Replay(self._unit, self._database, VolumeLimits(), lambda: lock.monotonic() + offset, self.key)
        self._results = Results(replay, limits, lock.monotonic)
        self._step = Step(self._unit, self._pending, self._reach)
        self._unit.join(self._files, self._cookies, replay)

    def _can_open(self) -> bool:
        """Whether the kernel opens by handle here: it need not in a user namespace, whatever the capabilities say."""
        try:
            os.close(self._handles.open(self._top, self._handles.of(self._top).data, os.O_PATH))
        except PermissionError:
            return False
        return True

    def _way(self) -> Way:
        if self._by_handle:
            return ByHandle(self._top, self._handles)
        return ByHint(self._unit, self._database, self._limits)

    def _is_gone(self, handle: bytes) -> bool:
        if not self._by_handle or handle.startswith(MOUNT_POINT):
            return False
        try:
            os.close(self._handles.open(self._top, handle, os.O_PATH))
        except OSError as error:
            return error.errno == errno.ESTALE
        return False

    # --- units of work ----------------------------------------------------------------------------------------------

    def count(self) -> int:
        """See `Work.count`. Others change the files as well, and tell nobody."""
        return -1

    def begin(self, changing: bool) -> None:
        """See `Work.begin`."""
        self._unit.begin(changing)

    def commit(self) -> None:
        """Sync what the unit has changed, then keep what was answered; see `Work.commit`.

        What has been done on the host cannot be undone. So after an OSError the
        calls whose changes are safe find their results by `recall`, and each of the others the error, once.
        """
        failed = dict(self._pending.sync())
        try:
            self._results.keep(failed)
            self._unit.commit()
        except OSError as error:
            self._results.give_up(error)
            raise
        finally:
            self._end_unit()
        if failed:
            raise next(iter(failed.values()))

    def abort(self) -> None:
        """See `Work.abort`; what has been done on the host stays."""
        self._results.give_up(OSError(errno.EIO, os.strerror(errno.EIO)))
        try:
            self._unit.abort()
        finally:
            self._end_unit()

    def _end_unit(self) -> None:
        self._pending.end_unit()
        self._reach.end_unit()
        self._results.end_unit()

    def step(self) -> "Step":
        """See `Work.step`. Of a call that fails, what it has made is removed; nothing else can be taken back."""
        return self._step

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """See `Work.recall`. OSError: a call is among them whose change could not be made safe."""
        return self._results.recall(keys)

    def remember(self, key: bytes, client: bytes, result: bytes) -> None:
        """See `Work.remember`."""
        self._results.remember(key, client, result, self._pending.of_call())

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
        self._reach.begin_call()
        return attributes_of(node, self._reach.open(node))

    def setattr(self, node: Ufid, changes: Changes) -> Attributes:
        """See `Store.setattr`."""
        self._reach.begin_call()
        self._unit.check_changing()
        held = self._reach.open(node)
        mode = attributes_of(node, held).mode
        if changes == Changes():
            return attributes_of(node, held)
        with settled():
            if changes.size is not None:
                self._resize(node, held, mode, changes.size)
            change_attributes(held, mode, changes)
        self._pending.changed(node, held)
        return attributes_of(node, held)

    def _resize(self, node: Ufid, held: int, mode: int, size: int) -> None:
        demand_regular(mode)
        if size < 0:
            raise OSError(errno.EINVAL, "negative size")
        contents = self._pending.contents(node, held, os.O_WRONLY)
        os.ftruncate(contents, size)
        self._pending.written(node, contents)

    def readlink(self, node: Ufid) -> bytes:
        """See `Store.readlink`."""
        self._reach.begin_call()
        held = self._reach.open(node)
        if not stat.S_ISLNK(attributes_of(node, held).mode):
            raise OSError(errno.EINVAL, "not a symbolic link")
        return os.readlink(b"", dir_fd=held)

    def read(self, node: Ufid, offset: int, count: int) -> tuple[bytes, Attributes]:
        """See `Store.read`."""
        self._reach.begin_call()
        held = self._reach.open(node)
        attributes = attributes_of(node, held)
        demand_regular(attributes.mode)
        if offset < 0 or count < 0:
            raise OSError(errno.EINVAL, "negative offset or count")
        contents = self._pending.contents(node, held, os.O_RDONLY)
        with settled():
            data = os.pread(contents, count, offset)
        return data, attributes_of(node, held)

    def write(self, node: Ufid, offset: int, data: bytes) -> Attributes:
        """See `Store.write`."""
        self._reach.begin_call()
        self._unit.check_changing()
        held = self._reach.open(node)
        attributes = attributes_of(node, held)
        demand_regular(attributes.mode)
        if offset < 0:
            raise OSError(errno.EINVAL, "negative offset")
        if not data:
            return attributes
        with settled():
            contents = self._pending.contents(node, held, os.O_WRONLY)
            self._pending.written(node, contents)
            written = os.pwrite(contents, data, offset)
            while written < len(data):
                written += os.pwrite(contents, memoryview(data)[written:], offset + written)
        return attributes_of(node, held)

    # --- names ------------------------------------------------------------------------------------------------------

    def lookup(self, directory: Ufid, name: bytes) -> Attributes:
        """See `Store.lookup`. EACCES for a directory on which another file system is mounted."""
        found = self.find(directory, name)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such name")
        return found

    def find(self, directory: Ufid, name: bytes) -> Attributes | None:
        """See `Store.find`; EACCES as in `lookup`."""
        self._reach.begin_call()
        above = self._directory(directory)
        if name == b".":
            return attributes_of(directory, above)
        if name == b"..":
            return attributes_of(*self._reach.parent(directory, above))
        if not name or b"/" in name or b"\0" in name:
            return None
        found = self._there(directory, above, name)
        return None if found is None else attributes_of(*found)

    def _directory(self, directory: Ufid) -> int:
        """A descriptor of a directory that is still there."""
        held = self._reach.open(directory)
        found = os.fstat(held)
        if not found.st_nlink:
            raise stale()
        if not stat.S_ISDIR(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory")
        return held

    def create(
        self, directory: Ufid, name: bytes, mode: int, uid: int, gid: int, rdev: int = 0, target: bytes = b""
    ) -> Attributes:
        """See `Store.create`. Where files cannot be given away, `uid` and `gid` are the server's own."""
        self._reach.begin_call()
        self._unit.check_changing()
        above = self._directory(directory)
        _check_new(name)
        kind = stat.S_IFMT(mode) or stat.S_IFREG
        make = MAKERS.get(kind)
        if make is None:
            raise OSError(errno.EINVAL, "no such type of file")
        with settled(), self.owners.creating(uid, gid):
            contents = make(above, name, kind | stat.S_IMODE(mode), rdev, target)
        self._step.made(above, name, kind)
        try:
            node, held = self._reach.child(directory, above, name)
        except BaseException:
            if contents is not None:
                os.close(contents)
            raise
        if contents is not None:
            self._pending.adopt(node, contents, os.O_WRONLY)
            self._pending.written(node, contents)
        found = os.fstat(held)
        if kind == stat.S_IFDIR and mode & _SET_IDS & ~found.st_mode and found.st_uid == self._owner(uid):
            os.chmod(through(held), stat.S_IMODE(mode) | found.st_mode & stat.S_ISGID)
        self._pending.changed(directory, above)
        return attributes_of(node, held)

    def _owner(self, uid: int) -> int:
        return uid if self.owners.honoured else os.geteuid()

    def link(self, node: Ufid, directory: Ufid, name: bytes) -> None:
        """See `Store.link`."""
        self._reach.begin_call()
        self._unit.check_changing()
        held = self._reach.open(node)
        attributes_of(node, held)
        above = self._directory(directory)
        _check_new(name)
        with settled():
            os.link(through(held), name, dst_dir_fd=above, follow_symlinks=True)
        self._reach.way.named(directory, name, node)
        self._pending.changed(directory, above)

    def unlink(self, directory: Ufid, name: bytes) -> None:
        """See `Store.unlink`."""
        self._remove(directory, name, os.unlink)

    def rmdir(self, directory: Ufid, name: bytes) -> None:
        """See `Store.rmdir`."""
        self._remove(directory, name, os.rmdir)

    def _remove(self, directory: Ufid, name: bytes, remove: Callable[..., None]) -> None:
        self._reach.begin_call()
        self._unit.check_changing()
        above = self._directory(directory)
        _check_new(name)
        node, held = self._reach.child(directory, above, name)
        with settled():
            remove(name, dir_fd=above)
        self._reach.way.unnamed(directory, name)
        self._pending.changed(directory, above)
        self._forget_if_gone(node, held)

    def _forget_if_gone(self, node: Ufid, held: int) -> None:
        if not os.fstat(held).st_nlink:
            self._files.forget_file(node.inode)

    def rename(self, source: Ufid, old: bytes, target: Ufid, new: bytes) -> None:
        """See `Store.rename`."""
        self._reach.begin_call()
        self._unit.check_changing()
        above_old = self._directory(source)
        above_new = self._directory(target)
        _check_new(old)
        _check_new(new)
        node, _ = self._reach.child(source, above_old, old)
        replaced = self._there(target, above_new, new)
        if replaced is not None and replaced[0] == node:
            return
        with settled():
            os.rename(old, new, src_dir_fd=above_old, dst_dir_fd=above_new)
        self._reach.way.unnamed(source, old)
        self._reach.way.named(target, new, node)
        self._pending.changed(source, above_old)
        self._pending.changed(target, above_new)
        if replaced is not None:
            self._forget_if_gone(*replaced)

    def _there(self, directory: Ufid, above: int, name: bytes) -> tuple[Ufid, int] | None:
        try:
            return self._reach.child(directory, above, name)
        except FileNotFoundError:
            return None

    def readdir(self, directory: Ufid, cookie: int, limit: int) -> tuple[list[Entry], bool]:
        """See `Store.readdir`."""
        self._reach.begin_call()
        above = self._directory(directory)
        entries = []
        if cookie < COOKIE_SELF:
            entries.append(Entry(directory.inode, b".", COOKIE_SELF))
        if cookie < COOKIE_PARENT:
            entries.append(Entry(self._reach.parent(directory, above)[0].inode, b"..", COOKIE_PARENT))
        if len(entries) > limit:
            return entries[:limit], False
        position = self._cookies.position(directory.inode, cookie)
        reading = os.open(b".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=above)
        try:
            for name, behind in kernel.directory_entries(reading, position):
                if name in (b".", b".."):
                    continue
                if len(entries) >= limit:
                    return entries, False
                number = self._number(directory, above, name)
                if number:
                    entries.append(Entry(number, name, self._cookies.cookie(directory.inode, behind)))
        finally:
            os.close(reading)
        return entries, True

    def _number(self, directory: Ufid, above: int, name: bytes) -> int:
        """File id of what `name` in the open directory `above` leads to, 0 if the name has just gone."""
        try:
            handle = self._reach.handle_of(above, name)
        except FileNotFoundError:
            return 0
        if handle is None:
            return self._files.ufid(MOUNT_POINT + directory.inode.to_bytes(4) + name).inode
        return self._files.ufid(handle).inode

    # --- the whole --------------------------------------------------------------------------------------------------

    def statfs(self) -> Space:
        """See `Store.statfs`: the room of the file system that holds the directory."""
        found = os.fstatvfs(self._top)
        size = found.f_frsize or found.f_bsize
        return Space(
            block_size=size,
            total=found.f_blocks * size,
            free=found.f_bfree * size,
            available=found.f_bavail * size,
            inodes=found.f_files,
            inodes_free=found.f_ffree,
        )

    @staticmethod
    def quota(uid: int) -> Quota | None:
        """See `Store.quota`: those of the host are the host's affair."""
        return None

    def close(self) -> None:
        """Abort an open unit; give up every descriptor. May be called twice."""
        if self._closed:
            return
        self._closed = True
        self.abort()
        self._reach.close()
        self._unit.close()
        self._database.close()
        os.close(self._top)


def _check_new(name: bytes) -> None:
    """EINVAL for what cannot be made or removed as a name."""
    if name in (b"", b".", b"..") or b"/" in name or b"\0" in name:
        raise OSError(errno.EINVAL, "not a name")
