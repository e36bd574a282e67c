"""The NFS program, version 2: all 18 procedures of RFC 1094 §2.2.

Each procedure goes straight down: handle -> export and file -> may the caller
do that? -> store, and back. Failures are OSErrors; `binding` turns them into
the procedure's status.
"""

import errno
import stat
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.rpc.dispatch import NO_GROUND, Binding, Call, Drop, Encoded, Ground
from nfsrpc.rpc.work import Work
from nfsrpc.store import DIRECTORY, KIND, REGULAR, Attributes, Changes, Store, Ufid
from nfsrpc.xdr import Procedure

from .access import EXECUTE, READ, WRITE, demand, demand_read, demand_removal, demand_write, refuse
from .changes import mode_without_set_ids, permitted
from .exports import Export, Exports
from .fattr2 import MAX_SIZE, TRANSFER, UNSET, UNSET_SHORT, changes_of, statfs_of
from .handles import SIZE, stale
from .identity import Identity
from .readdir2 import Pages
from .results2 import Results, attrstat, diropres
from .status import PASSING, v2_status

ONCE: Final = frozenset({
    v2.NFSPROC_SETATTR,
    v2.NFSPROC_WRITE,
    v2.NFSPROC_CREATE,
    v2.NFSPROC_REMOVE,
    v2.NFSPROC_RENAME,
    v2.NFSPROC_LINK,
    v2.NFSPROC_SYMLINK,
    v2.NFSPROC_MKDIR,
    v2.NFSPROC_RMDIR,
})
"""Every procedure that changes the store: a late duplicate of any of them would destroy newer data."""

_FAILURES: Final[Mapping[int, Callable[[v2.nfsstat], Any]]] = MappingProxyType({
    v2.NFSPROC_GETATTR: v2.attrstat,
    v2.NFSPROC_SETATTR: v2.attrstat,
    v2.NFSPROC_LOOKUP: v2.diropres,
    v2.NFSPROC_READLINK: v2.readlinkres,
    v2.NFSPROC_READ: v2.readres,
    v2.NFSPROC_WRITE: v2.attrstat,
    v2.NFSPROC_CREATE: v2.diropres,
    v2.NFSPROC_REMOVE: v2.nfsstat,
    v2.NFSPROC_RENAME: v2.nfsstat,
    v2.NFSPROC_LINK: v2.nfsstat,
    v2.NFSPROC_SYMLINK: v2.nfsstat,
    v2.NFSPROC_MKDIR: v2.diropres,
    v2.NFSPROC_RMDIR: v2.nfsstat,
    v2.NFSPROC_READDIR: v2.readdirres,
    v2.NFSPROC_STATFS: v2.statfsres,
})
_STANDING: Final = frozenset({
    v2.NFSPROC_GETATTR,
    v2.NFSPROC_LOOKUP,
    v2.NFSPROC_READLINK,
    v2.NFSPROC_READ,
    v2.NFSPROC_READDIR,
})
"""Procedures that answer the same as long as the store and the caller's rights stay as they are."""

_DOTS: Final = (b".", b"..")
_MAKEABLE: Final = (stat.S_IFREG, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK)


class Nfs2(v2.NFS_PROGRAM_2_service):
    """NFS version 2 over `exports`; `clock` gives the time in ns for those who ask for "now".

    What carries attributes is answered as `Encoded`.
    """

    def __init__(self, exports: Exports, clock: Callable[[], int] = time.time_ns) -> None:
        self._exports = exports
        self._clock = clock
        self._pages = Pages()
        self._kept_attrstat = Results(attrstat)
        self._kept_diropres = Results(diropres)

    def _attrstat(self, export: Export, node: Attributes) -> Encoded:
        return Encoded(self._kept_attrstat.of(export, node))

    def _diropres(self, export: Export, node: Attributes) -> Encoded:
        return Encoded(self._kept_diropres.of(export, node))

    def _reach(self, handle: v2.nfs_fh, call: Call) -> tuple[Export, Ufid, Identity]:
        """What a handle names, and whom the caller acts as there; checked for every call, not only at MNT."""
        export, node = self._exports.open(handle.data)
        who = export.known(call.peer, call.principal) or export.admit(call.peer, call.principal)
        return export, node, who

    def _reach_to_mount(self, handle: v2.nfs_fh, call: Call) -> tuple[Export, Ufid]:
        """The same for what clients ask of an export's root before they know who calls (RFC 2623 §2.3.2)."""
        export, node = self._exports.open(handle.data)
        if export.known(call.peer, call.principal) is None:
            (export.visit if node == export.root else export.admit)(call.peer, call.principal)
        return export, node

    def _reach_to_change(self, handle: v2.nfs_fh, call: Call) -> tuple[Export, Ufid, Identity]:
        found = self._reach(handle, call)
        if found[2].read_only:
            raise refuse(errno.EROFS)
        return found

    def NFSPROC_GETATTR(self, arg: v2.nfs_fh, call: Call) -> Any:
        """RFC 1094 §2.2.2. No permission is needed."""
        export, node = self._reach_to_mount(arg, call)
        return self._attrstat(export, export.store.getattr(node))

    def NFSPROC_SETATTR(self, arg: v2.sattrargs, call: Call) -> Any:
        """RFC 1094 §2.2.3."""
        export, node, who = self._reach_to_change(arg.file, call)
        now = self._clock()
        changes = permitted(export.store.getattr(node), who, changes_of(arg.attributes, now), now)
        return self._attrstat(export, export.store.setattr(node, changes))

    def NFSPROC_ROOT(self, call: Call) -> None:
        """RFC 1094 §2.2.4: obsolete, replaced by MOUNT; does nothing."""

    def NFSPROC_LOOKUP(self, arg: v2.diropargs, call: Call) -> Any:
        """RFC 1094 §2.2.5. ``..`` of an export's top directory is that directory itself."""
        export, node, who = self._reach(arg.dir, call)
        directory = _directory(export.store, node)
        demand(directory, who, EXECUTE)
        if arg.name == b".." and node == export.root:
            return self._diropres(export, directory)
        return self._diropres(export, export.store.lookup(node, arg.name))

    def NFSPROC_READLINK(self, arg: v2.nfs_fh, call: Call) -> v2.readlinkres:
        """RFC 1094 §2.2.6. A target that is longer than version 2 has room for is NFSERR_NAMETOOLONG."""
        export, node, _ = self._reach(arg, call)
        target = export.store.readlink(node)
        if len(target) > v2.NFS_MAXPATHLEN:
            raise refuse(errno.ENAMETOOLONG)
        return v2.readlinkres(v2.nfsstat.NFS_OK, target)

    def NFSPROC_READ(self, arg: v2.readargs, call: Call) -> Any:
        """RFC 1094 §2.2.7. At most 8 KiB; fewer bytes than asked for only at end of file."""
        export, node, who = self._reach(arg.file, call)
        store = export.store
        _demand_content(before := store.getattr(node))
        demand_read(before, who)
        data, attributes = store.read(node, arg.offset, min(arg.count, TRANSFER))
        length = len(data)
        head = self._kept_attrstat.of(export, attributes) + length.to_bytes(4)
        return Encoded(head, data, bytes(-length & 3)) if length & 3 else Encoded(head, data)

    def NFSPROC_WRITECACHE(self, call: Call) -> None:
        """RFC 1094 §2.2.8: reserved for a version that never came; does nothing."""

    def NFSPROC_WRITE(self, arg: v2.writeargs, call: Call) -> Any:
        """RFC 1094 §2.2.9. Answered when the data is on stable storage."""
        export, node, who = self._reach_to_change(arg.file, call)
        store = export.store
        _demand_content(before := store.getattr(node))
        demand_write(before, who)
        if arg.offset + len(arg.data) > MAX_SIZE:
            raise refuse(errno.EFBIG)
        after = store.write(node, arg.offset, arg.data)
        mode = None if who.is_root else mode_without_set_ids(after)
        return self._attrstat(export, after if mode is None else store.setattr(node, Changes(mode=mode)))

    def NFSPROC_CREATE(self, arg: v2.createargs, call: Call) -> Any:
        """RFC 1094 §2.2.10, which is open(O_CREAT) and, by type bits in the mode, mknod(2) as well."""
        export, node, who = self._reach_to_change(arg.where.dir, call)
        store, name = export.store, arg.where.name
        directory = _directory(store, node)
        demand(directory, who, EXECUTE)
        if name in _DOTS:
            raise refuse(errno.EEXIST)
        found = store.find(node, name)
        if found is not None:
            return self._diropres(export, self._create_existing(store, found, who, arg.attributes))
        demand(directory, who, WRITE)
        mode, rdev = _wanted_file(arg.attributes)
        if stat.S_IFMT(mode) in (stat.S_IFCHR, stat.S_IFBLK) and not who.is_root:
            raise refuse(errno.EPERM)
        size = arg.attributes.size if mode & KIND == REGULAR else UNSET
        return self._diropres(export, self._make(store, node, directory, name, mode, who, arg.attributes, size, rdev))

    def _create_existing(self, store: Store, found: Attributes, who: Identity, wanted: v2.sattr) -> Attributes:
        """CREATE of a name that is there: as open(O_CREAT|O_TRUNC), only the size counts; another type is EEXIST."""
        kind = stat.S_IFMT(found.mode)
        asked = 0 if wanted.mode in (UNSET, UNSET_SHORT) else stat.S_IFMT(wanted.mode)
        if asked and asked != kind and not (asked == stat.S_IFCHR and kind == stat.S_IFIFO):
            raise refuse(errno.EEXIST)
        if kind in (stat.S_IFDIR, stat.S_IFLNK):
            raise refuse(errno.EEXIST)
        if kind != stat.S_IFREG or wanted.size == UNSET:
            return found
        changes = permitted(found, who, Changes(size=wanted.size), self._clock())
        return store.setattr(_ufid(found), changes)

    def _make(
        self,
        store: Store,
        node: Ufid,
        directory: Attributes,
        name: bytes,
        mode: int,
        who: Identity,
        wanted: v2.sattr,
        size: int = UNSET,
        rdev: int = 0,
    ) -> Attributes:
        """A new file or directory with the owner, group, mode, size and times that it shall begin with."""
        asked = changes_of(wanted, self._clock())
        uid = asked.uid if who.is_root and asked.uid is not None else who.uid
        gid = asked.gid if who.is_root and asked.gid is not None else who.gid
        if directory.mode & stat.S_ISGID:
            gid = directory.gid
            if mode & KIND == DIRECTORY:
                mode |= stat.S_ISGID
        if not (mode & KIND == DIRECTORY or who.is_root or who.in_group(gid)):
            mode &= ~stat.S_ISGID
        made = store.create(node, name, mode, uid, gid, rdev)
        if size in (0, UNSET) and asked.atime is None and asked.mtime is None:
            return made
        rest = Changes(size=size if size not in (0, UNSET) else None, atime=asked.atime, mtime=asked.mtime)
        return store.setattr(_ufid(made), rest)

    def NFSPROC_REMOVE(self, arg: v2.diropargs, call: Call) -> v2.nfsstat:
        """RFC 1094 §2.2.11."""
        export, node, who = self._reach_to_change(arg.dir, call)
        _demand_removable(export.store, node, arg.name, who)
        export.store.unlink(node, arg.name)
        return v2.nfsstat.NFS_OK

    def NFSPROC_RENAME(self, arg: v2.renameargs, call: Call) -> v2.nfsstat:
        """RFC 1094 §2.2.12: atomic, and replaces what has the new name."""
        source, old_directory, who = self._reach_to_change(arg.from_.dir, call)
        target, new_directory, _ = self._reach_to_change(arg.to.dir, call)
        if source is not target:
            raise refuse(errno.EXDEV)
        store, old, new = source.store, arg.from_.name, arg.to.name
        moved = _demand_removable(store, old_directory, old, who)
        replaced = store.find(new_directory, new)
        directory = _directory(store, new_directory)
        if replaced is None:
            demand(directory, who, WRITE | EXECUTE)
        else:
            demand_removal(directory, replaced, who)
        if moved.mode & KIND == DIRECTORY and old_directory != new_directory:
            demand(moved, who, WRITE)
        store.rename(old_directory, old, new_directory, new)
        return v2.nfsstat.NFS_OK

    def NFSPROC_LINK(self, arg: v2.linkargs, call: Call) -> v2.nfsstat:
        """RFC 1094 §2.2.13."""
        source, node, who = self._reach_to_change(arg.from_, call)
        target, directory, _ = self._reach_to_change(arg.to.dir, call)
        if source is not target:
            raise refuse(errno.EXDEV)
        _demand_addition(source.store, directory, arg.to.name, who)
        source.store.link(node, directory, arg.to.name)
        return v2.nfsstat.NFS_OK

    def NFSPROC_SYMLINK(self, arg: v2.symlinkargs, call: Call) -> v2.nfsstat:
        """RFC 1094 §2.2.14. The target is kept as it is and never looked at."""
        export, node, who = self._reach_to_change(arg.from_.dir, call)
        directory = _demand_addition(export.store, node, arg.from_.name, who)
        export.store.create(
            node, arg.from_.name, stat.S_IFLNK | 0o777, who.uid, _group(directory, who), target=arg.to
        )
        return v2.nfsstat.NFS_OK

    def NFSPROC_MKDIR(self, arg: v2.createargs, call: Call) -> Any:
        """RFC 1094 §2.2.15."""
        export, node, who = self._reach_to_change(arg.where.dir, call)
        directory = _demand_addition(export.store, node, arg.where.name, who)
        wanted = arg.attributes
        mode = stat.S_IFDIR | (0 if wanted.mode in (UNSET, UNSET_SHORT) else wanted.mode & 0o7777)
        return self._diropres(export, self._make(export.store, node, directory, arg.where.name, mode, who, wanted))

    def NFSPROC_RMDIR(self, arg: v2.diropargs, call: Call) -> v2.nfsstat:
        """RFC 1094 §2.2.16."""
        export, node, who = self._reach_to_change(arg.dir, call)
        _demand_removable(export.store, node, arg.name, who)
        export.store.rmdir(node, arg.name)
        return v2.nfsstat.NFS_OK

    def NFSPROC_READDIR(self, arg: v2.readdirargs, call: Call) -> Any:
        """RFC 1094 §2.2.17: as many entries as `count` bytes of reply hold, from `cookie` on. Answers `Encoded`."""
        export, node, who = self._reach(arg.dir, call)
        directory = _directory(export.store, node)
        demand(directory, who, READ)
        return Encoded(self._pages.reply(export, node, directory, int.from_bytes(arg.cookie), arg.count))

    def NFSPROC_STATFS(self, arg: v2.nfs_fh, call: Call) -> v2.statfsres:
        """RFC 1094 §2.2.18."""
        export, node = self._reach_to_mount(arg, call)
        export.store.getattr(node)
        return v2.statfsres(v2.nfsstat.NFS_OK, statfs_of(export.store.statfs()))


def binding(exports: Exports) -> Binding:
    """NFS version 2 as the dispatcher serves it: the unit of work is the store that the first handle names.

    A handle that is not ours names none: such a call is refused without a look at any store.
    """

    def work(message: bytes, body: int) -> Work | None:
        if len(message) < body + SIZE:  # NULL, or nothing that could be decoded: not worth an exception
            return None
        try:
            export, _ = exports.open(message[body : body + SIZE])
        except OSError:
            return None
        return export.store

    def ground(call: Call) -> Ground | None:
        number = call.target.procedure.number
        if number == v2.NFSPROC_NULL:
            return NO_GROUND
        if number not in _STANDING:
            return None
        return exports.ground(call.message[call.body : call.body + SIZE], call.peer, call.principal)

    def failure(procedure: Procedure, error: OSError) -> Any:
        if error.errno in PASSING:
            raise Drop
        make = _FAILURES.get(procedure.number)
        return None if make is None else make(v2_status(error))

    return Binding(Nfs2(exports), work, ONCE, failure, ground=ground)


def _ufid(node: Attributes) -> Ufid:
    return Ufid(node.inode, node.generation)


def _directory(store: Store, node: Ufid) -> Attributes:
    found = store.getattr(node)
    if found.mode & KIND != DIRECTORY:
        raise refuse(errno.ENOTDIR)
    if not found.nlink:
        raise stale()
    return found


def _demand_content(node: Attributes) -> None:
    """OSError unless `node` is a regular file (EINVAL for a symlink is what U-Boot follows it by)."""
    if node.mode & KIND == DIRECTORY:
        raise refuse(errno.EISDIR)
    if node.mode & KIND != REGULAR:
        raise refuse(errno.EINVAL)


def _demand_addition(store: Store, directory: Ufid, name: bytes, who: Identity) -> Attributes:
    """The directory, if `who` may add `name` to it. EEXIST comes before EACCES, as on a local disk."""
    holder = _directory(store, directory)
    demand(holder, who, EXECUTE)
    if name in _DOTS or store.find(directory, name) is not None:
        raise refuse(errno.EEXIST)
    demand(holder, who, WRITE)
    return holder


def _demand_removable(store: Store, directory: Ufid, name: bytes, who: Identity) -> Attributes:
    """The file that `name` names, if `who` may take that name away. EINVAL for ``.`` and ``..``."""
    holder = _directory(store, directory)
    if name in _DOTS:
        raise refuse(errno.EINVAL)
    demand(holder, who, EXECUTE)
    found = store.lookup(directory, name)
    demand_removal(holder, found, who)
    return found


def _group(directory: Attributes, who: Identity) -> int:
    return directory.gid if directory.mode & stat.S_ISGID else who.gid


def _wanted_file(wanted: v2.sattr) -> tuple[int, int]:
    """Mode with type, and device number, of what a CREATE asks for. EINVAL for a type it cannot make.

    The device number travels in the size; a character device without one is a FIFO.
    """
    mode = 0 if wanted.mode in (UNSET, UNSET_SHORT) else wanted.mode
    kind = stat.S_IFMT(mode) or stat.S_IFREG
    if kind not in _MAKEABLE:
        raise refuse(errno.EINVAL)
    rdev = 0
    if kind == stat.S_IFCHR and wanted.size == UNSET:
        kind = stat.S_IFIFO
    elif kind in (stat.S_IFCHR, stat.S_IFBLK):
        rdev = wanted.size
    return kind | (mode & 0o7777), rdev
