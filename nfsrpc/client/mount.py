"""From a URL to a root handle: ports, the MOUNT protocol (RFC 1094 appendix A), the export that holds the path."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from nfsrpc.auth import Credential, NoneCredential, SysCredential
from nfsrpc.portmap.client import find_port
from nfsrpc.portmap.entry import Transport
from nfsrpc.protocols import mount as mount_prot
from nfsrpc.protocols import nfs_prot
from nfsrpc.rpc.errors import ProcedureUnavailable, RpcError
from nfsrpc.transport.address import RESERVED_PORTS
from nfsrpc.transport.client import CALL_TIMEOUT, Client
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.xdr import DEFAULT_LIMITS, Caller

from .errors import from_status
from .nfs2 import Nfs2
from .url import NfsUrl

LIMITS = replace(DEFAULT_LIMITS, elements=1 << 16)
"""What a mount server may answer: lists of at most 65 536 exports, groups or mounts."""
_FIRST_CONTACT = 10.0
"""Seconds for a call to the mount server: whoever mistyped a host does not want to wait as long as for a slow disk."""
_FAREWELL = 2.0
"""Seconds that a server has to take note of our leaving; it is a courtesy (RFC 1094 §A.4)."""

MOUNT_PROGRAM = int(mount_prot.MOUNTPROG)
MOUNT_VERSION = int(mount_prot.MOUNTVERS)


class NotServed(RpcError):
    """The portmapper does not know the program that is needed; `service` is its name."""

    def __init__(self, service: str, host: str) -> None:
        super().__init__(f"the portmapper of {host} knows no {service}")
        self.service = service


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
    """What `url` says of the caller: AUTH_SYS with its ids or else this process' own; nobody with ``sec=none``."""
    if url.sec == "none":
        return NoneCredential()
    if url.uid is None and url.gid is None:
        return SysCredential()
    own = SysCredential()
    return SysCredential(own.uid if url.uid is None else url.uid, own.gid if url.gid is None else url.gid)


def open_client(host: str, port: int, proto: str, credential: Credential, timeout: float) -> Client:
    """A blocking client over `proto` ("tcp" or "udp"); root calls from a reserved port, as many servers demand."""
    connect = connect_udp if proto == "udp" else connect_tcp
    ports = RESERVED_PORTS if os.geteuid() == 0 else ()
    return connect(host, port, credential=credential, timeout=timeout, limits=LIMITS, source_ports=ports)


def port_of(host: str, known: int | None, program: int, version: int, proto: str, service: str) -> int:
    """`known`, or what the host's portmapper says. Raises `NotServed` if that knows nothing."""
    if known is not None:
        return known
    port = find_port(host, program, version, Transport[proto.upper()])
    if port is None:
        raise NotServed(f"{service} version {version} over {proto.upper()}", host)
    return port


def mount_service_port(url: NfsUrl) -> int:
    """Where the MOUNT program of `url`'s host is."""
    return port_of(url.host, url.mount_port or url.port, MOUNT_PROGRAM, MOUNT_VERSION, url.proto, "mount server")


def mount(url: NfsUrl, *, timeout: float = CALL_TIMEOUT) -> Mount:
    """Mount the export that holds `url.path`. `timeout` is what each call may take, in seconds.

    Raises `OSError` for what the server refuses, and the errors of `nfsrpc.rpc.errors`.
    """
    credential = credential_of(url)
    mount_port = mount_service_port(url)
    nfs_port = port_of(
        url.host, url.nfs_port or url.port, nfs_prot.NFS_PROGRAM, nfs_prot.NFS_VERSION, url.proto, "NFS server"
    )
    with open_client(url.host, mount_port, url.proto, credential, min(timeout, _FIRST_CONTACT)) as client:
        export, root = find_root(MountService(client), url.path)

    def farewell() -> None:
        with open_client(url.host, mount_port, url.proto, credential, _FAREWELL) as client:
            MountService(client).umnt(export)

    rest = b"/".join(parts(url.path)[len(parts(export)) :])
    nfs = Nfs2(open_client(url.host, nfs_port, url.proto, credential, timeout))
    return Mount(nfs, root, export, rest, farewell)
