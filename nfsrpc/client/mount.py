"""From a URL to a root handle: ports, the MOUNT protocol (RFC 1094 appendix A), the export that holds the path."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from nfsrpc.auth import Credential, NoneCredential, SysCredential
from nfsrpc.auth.dh import DhCredential
from nfsrpc.auth.gss import GssCredential
from nfsrpc.auth.gss_wire import SERVICES
from nfsrpc.auth.keys import PublicKeyFile, host_netname, own_netname
from nfsrpc.keyserv.client import KeyservKeys
from nfsrpc.portmap.clock import clock_of
from nfsrpc.protocols import mount as mount_prot
from nfsrpc.rpc.errors import ProcedureUnavailable, RpcError
from nfsrpc.transport.client import CALL_TIMEOUT
from nfsrpc.xdr import Caller

from .errors import from_status
from .locate import MOUNT_SERVER, NFS_SERVER, locate, open_client
from .nfs2 import Nfs2
from .url import NfsUrl

_FIRST_CONTACT = 10.0
"""Seconds for a call to the mount server: whoever mistyped a host does not want to wait as long as for a slow disk."""
_FAREWELL = 2.0
"""Seconds that a server has to take note of our leaving; it is a courtesy (RFC 1094 §A.4)."""


@dataclass(frozen=True, slots=True)
class Export:
    """A directory that a server exports, and the groups or hosts that may mount it (none: everybody)."""

    path: bytes
    groups: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Mounted:
    """One line of a server's list of who has mounted what."""

    host: bytes
    path: bytes


class MountService:
    """MOUNT version 1 on whatever carries its calls."""

    def __init__(self, caller: Caller) -> None:
        self._stub = mount_prot.MOUNTPROG_1_client(caller)

    def mnt(self, path: bytes) -> bytes:
        """The root handle of `path`; `OSError` as the server's status says."""
        answer = self._stub.MOUNTPROC_MNT(path)
        if answer.directory is None:
            raise from_status(answer.status, path)
        return answer.directory

    def umnt(self, path: bytes) -> None:
        """Tell the server that we no longer use `path`."""
        self._stub.MOUNTPROC_UMNT(path)

    def exports(self) -> list[Export]:
        """What the server exports, in its order."""
        found = []
        link = self._stub.MOUNTPROC_EXPORT()
        while link is not None:
            groups = []
            member = link.ex_groups
            while member is not None:
                groups.append(member.gr_name)
                member = member.gr_next
            found.append(Export(link.ex_dir, tuple(groups)))
            link = link.ex_next
        return found

    def dump(self) -> list[Mounted]:
        """Who has mounted what, as far as the server remembers."""
        found = []
        link = self._stub.MOUNTPROC_DUMP()
        while link is not None:
            found.append(Mounted(link.ml_hostname, link.ml_directory))
            link = link.ml_next
        return found


def parts(path: bytes) -> list[bytes]:
    """The names of a path, without empty ones and ``.``."""
    return [name for name in path.split(b"/") if name not in (b"", b".")]


def longest_export(exports: list[Export], path: bytes) -> bytes | None:
    """The export with the most names that all begin `path`: ``/a`` holds ``/a/b``, but not ``/ab``."""
    wanted = parts(path)
    holding = [export.path for export in exports if wanted[: len(parts(export.path))] == parts(export.path)]
    return max(holding, key=lambda found: len(parts(found)), default=None)


def find_root(service: MountService, path: bytes) -> tuple[bytes, bytes]:
    """(export, its root handle) for `path`: the longest export that holds it, else its first ancestor that mounts.

    Raises `OSError`: what the server said of the export, or, if there was none to be found, of `path` itself.
    """
    try:
        export = longest_export(service.exports(), path)
    except ProcedureUnavailable:
        export = None
    if export is not None:
        return export, service.mnt(export)
    names = parts(path)
    refused: OSError | None = None
    for length in range(len(names), -1, -1):
        ancestor = b"/" + b"/".join(names[:length])
        try:
            return ancestor, service.mnt(ancestor)
        except OSError as error:
            if isinstance(error, RpcError):
                raise
            refused = refused or error
    assert refused is not None
    raise refused


class Mount:
    """A mounted export: `nfs` carries calls, `root` is the export's root handle, `path` what the URL names under it.

    A context manager; `close` tells the mount server goodbye and closes the connection.
    """

    def __init__(self, nfs: Nfs2, root: bytes, export: bytes, path: bytes, farewell: Callable[[], None]) -> None:
        self.nfs = nfs
        self.root = root
        self.export = export
        self.path = path
        self._farewell = farewell

    def close(self) -> None:
        """Unmount. A mount server that does not answer is not waited for."""
        self.nfs.client.close()
        with contextlib.suppress(RpcError):
            self._farewell()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def credential_of(url: NfsUrl) -> Credential:
    """What `url` says of the caller: AUTH_SYS with its ids or else this process' own, unless ``sec`` says otherwise.

    Raises `MissingExtra` where the flavour's library is not installed.
    """
    if url.sec == "none":
        return NoneCredential()
    if url.sec in SERVICES:
        return GssCredential(url.sec)
    if url.sec == "dh":
        keys = KeyservKeys(PublicKeyFile().public)
        server = url.netname or host_netname(url.host)
        return DhCredential(keys, own_netname(), server, synchronise=lambda: clock_of(url.host))
    if url.uid is None and url.gid is None:
        return SysCredential()
    own = SysCredential()
    return SysCredential(own.uid if url.uid is None else url.uid, own.gid if url.gid is None else url.gid)


def mount(url: NfsUrl, *, timeout: float = CALL_TIMEOUT) -> Mount:
    """Mount the export that holds `url.path`. `timeout` is what each call may take, in seconds.

    Raises `OSError` for what the server refuses, and the errors of `nfsrpc.rpc.errors`.
    """
    credential = credential_of(url)
    mountd = locate(url.host, url.mount_port or url.port, MOUNT_SERVER, url.proto)
    nfsd = locate(url.host, url.nfs_port or url.port, NFS_SERVER, url.proto)
    with open_client(mountd, credential, min(timeout, _FIRST_CONTACT)) as client:
        export, root = find_root(MountService(client), url.path)

    def farewell() -> None:
        with open_client(mountd, credential, _FAREWELL) as client:
            MountService(client).umnt(export)

    rest = b"/".join(parts(url.path)[len(parts(export)) :])
    return Mount(Nfs2(open_client(nfsd, credential, timeout)), root, export, rest, farewell)
