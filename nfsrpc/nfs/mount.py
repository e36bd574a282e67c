"""The MOUNT program, versions 1 and 2 (RFC 1094 appendix A; version 2 adds PATHCONF)."""

import errno
import logging

from nfsrpc.protocols import mount as mnt
from nfsrpc.rpc.allowance import LISTS, Allowance
from nfsrpc.rpc.dispatch import Binding, Call
from nfsrpc.store import DIRECTORY, KIND, Attributes, Ufid

from .access import EXECUTE, demand, refuse
from .clients import EVERYBODY
from .exports import Export, Exports
from .identity import Identity
from .paths import normal_path
from .rmtab import Mount, Rmtabs
from .status import v2_status

_log = logging.getLogger(__name__)

_NAME_MAX = 255
_PATH_MAX = 1024
_LINK_MAX = 32000
_PIPE_BUF = 4096


class _MountProcedures:
    """What both versions do; the generated service classes give it its procedure numbers."""

    def __init__(self, exports: Exports, rmtabs: Rmtabs, lists: Allowance) -> None:
        self._exports = exports
        self._lists = lists
        self._rmtabs = rmtabs

    def MOUNTPROC_MNT(self, arg: bytes, call: Call) -> mnt.fhstatus:
        """The handle of an export's top directory, or of a directory below it; noted in the list of mounts."""
        try:
            export, node = self._find(arg, call)
        except OSError as failure:
            return mnt.fhstatus(int(v2_status(failure)))
        try:
            self._rmtabs.add(export.store.fsid, Mount(call.peer.host.encode(), normal_path(arg)))
        except OSError as failure:
            _log.warning("cannot note in the list of mounts that %s has %r: %s", call.peer.host, arg, failure)
        return mnt.fhstatus(0, export.handle(Ufid(node.inode, node.generation)))

    def MOUNTPROC_DUMP(self, call: Call) -> mnt.mountbody | None:
        """Every mount that is known of; over UDP not too often."""
        self._lists.demand_for_list(call.peer)
        head = None
        for row in reversed(self._rmtabs.rows()):
            head = mnt.mountbody(row.host, row.path, head)
        return head

    def MOUNTPROC_UMNT(self, arg: bytes, call: Call) -> None:
        """Forget one mount of the caller."""
        try:
            path = normal_path(arg)
        except ValueError:
            return
        self._rmtabs.remove(Mount(call.peer.host.encode(), path))

    def MOUNTPROC_UMNTALL(self, call: Call) -> None:
        """Forget every mount of the caller, and of nobody else."""
        self._rmtabs.remove_host(call.peer.host.encode())

    def MOUNTPROC_EXPORT(self, call: Call) -> mnt.exportnode | None:
        """What can be mounted, and by whom; no groups means everybody. Over UDP not too often."""
        self._lists.demand_for_list(call.peer)
        head = None
        for export in reversed(list(self._exports)):
            head = mnt.exportnode(export.path, _groups(export), head)
        return head

    def MOUNTPROC_EXPORTALL(self, call: Call) -> mnt.exportnode | None:
        """The same as EXPORT (RFC 1094 appendix A names no difference)."""
        return self.MOUNTPROC_EXPORT(call)

    def _find(self, path: bytes, call: Call) -> tuple[Export, Attributes]:
        """The export that holds `path`, and the directory. OSError: ENOENT, ENOTDIR or EACCES.

        Names are looked up one by one; a symbolic link is not followed, so no
        path leads out of an export.
        """
        try:
            found = self._exports.under(normal_path(path))
        except ValueError:
            raise refuse(errno.EACCES) from None
        if found is None:
            raise refuse(errno.ENOENT)
        export, names = found
        who = export.visit(call.peer, call.principal)
        export.store.begin(changing=False)
        try:
            return export, _walk(export, names, who)
        finally:
            export.store.commit()


def _groups(export: Export) -> mnt.groupnode | None:
    head = None
    if export.groups != (EVERYBODY.text,):
        for group in reversed(export.groups):
            head = mnt.groupnode(group.encode("utf-8", "surrogateescape"), head)
    return head


def _walk(export: Export, names: list[bytes], who: Identity) -> Attributes:
    node = export.store.getattr(export.root)
    for name in names:
        demand(node, who, EXECUTE)
        node = export.store.lookup(Ufid(node.inode, node.generation), name)
        if node.mode & KIND != DIRECTORY:
            raise refuse(errno.ENOTDIR)
    return node


class Mount1(_MountProcedures, mnt.MOUNTPROG_1_service):
    """Version 1."""


class Mount2(_MountProcedures, mnt.MOUNTPROG_2_service):
    """Version 2: the same, and the limits that pathconf(2) tells."""

    def MOUNTPROC_PATHCONF(self, arg: bytes, call: Call) -> mnt.ppathcnf:
        """Limits of the file system that holds a path; they are the same for every volume."""
        return mnt.ppathcnf(
            pc_link_max=_LINK_MAX,
            pc_max_canon=0,
            pc_max_input=0,
            pc_name_max=_NAME_MAX,
            pc_path_max=_PATH_MAX,
            pc_pipe_buf=_PIPE_BUF,
            pc_vdisable=0,
            pc_xxx=0,
            pc_mask=[0, 0],
        )


def bindings(exports: Exports, rmtabs: Rmtabs) -> list[Binding]:
    """Both versions, as the dispatcher serves them."""
    lists = Allowance(LISTS)
    return [Binding(Mount1(exports, rmtabs, lists)), Binding(Mount2(exports, rmtabs, lists))]
