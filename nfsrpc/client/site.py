"""From a URL to a server and the root handle of the export that holds its path."""

import contextlib
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from nfsrpc.auth import Credential
from nfsrpc.rpc.errors import RpcError
from nfsrpc.transport.client import CALL_TIMEOUT
from nfsrpc.transport.ping import ping

from .identity import credential_of
from .locate import EITHER, MOUNT_SERVER, NFS_SERVER, Place, locate, open_client
from .mountd import MountService, find_root, parts
from .nfs2 import Nfs2
from .srv import servers_of
from .url import NfsUrl

_FIRST_CONTACT = 10.0
"""Seconds for a call to the mount server: whoever mistyped a host does not want to wait as long as for a slow disk."""
_FAREWELL = 2.0
"""Seconds that a server has to take note of our leaving; it is a courtesy (RFC 1094 §A.4)."""


@dataclass(frozen=True, slots=True)
class Site:
    """Where an export is and how to call it: its mount server, its NFS server, its own path, its root handle.

    `path` is what the URL names under the export: names without a slash in front.
    """

    mountd: Place
    nfsd: Place
    credential: Credential
    export: bytes
    root: bytes
    path: bytes

    def mount_again(self) -> bytes:
        """The export's root handle, asked of the mount server once more. `OSError`, or the errors of a call."""
        with open_client(self.mountd, self.credential, _FIRST_CONTACT) as client:
            return MountService(client).mnt(self.export)

    def leave(self) -> None:
        """Tell the mount server goodbye. One that does not answer is not waited for."""
        with contextlib.suppress(RpcError), open_client(self.mountd, self.credential, _FAREWELL) as client:
            MountService(client).umnt(self.export)


def find_site(url: NfsUrl, timeout: float = _FIRST_CONTACT) -> Site:
    """Ask the servers of `url` for the export that holds its path. `timeout` bounds each call, in seconds.

    Raises `OSError` for what the server refuses, and the errors of `nfsrpc.rpc.errors`.
    """
    if not url.service:
        return _find_site(url, timeout)
    failure: RpcError | None = None
    for server in servers_of(url.host, EITHER if url.proto is None else (url.proto,)):
        for mount_port in [url.mount_port] if url.mount_port else [server.port, None]:
            # A server like ours has the mount service on the same port; of others the portmapper knows.
            there = replace(url, host=server.host, proto=server.proto, nfs_port=server.port, mount_port=mount_port)
            try:
                site = _find_site(there, timeout)
                with open_client(site.nfsd, site.credential, min(timeout, _FIRST_CONTACT)) as client:
                    ping(client, NFS_SERVER.program, NFS_SERVER.version)
                return site
            except RpcError as unreachable:
                failure = failure or unreachable
    assert failure is not None
    raise failure


def _find_site(url: NfsUrl, timeout: float) -> Site:
    credential = credential_of(url)
    mountd = locate(url.host, url.mount_port or url.port, MOUNT_SERVER, url.proto)
    nfsd = locate(url.host, url.nfs_port or url.port, NFS_SERVER, url.proto)
    with open_client(mountd, credential, min(timeout, _FIRST_CONTACT)) as client:
        export, root = find_root(MountService(client), url.path)
    rest = b"/".join(parts(url.path)[len(parts(export)) :])
    return Site(mountd, nfsd, credential, export, root, rest)


class Attached:
    """A mounted export, procedure by procedure: `nfs` carries calls, `root` is the root handle, `path` is under it.

    A context manager; `close` tells the mount server goodbye and closes the connection.
    """

    def __init__(self, site: Site, timeout: float) -> None:
        self._site = site
        self.nfs = Nfs2(open_client(site.nfsd, site.credential, timeout))
        self.root = site.root
        self.export = site.export
        self.path = site.path

    def close(self) -> None:
        """Unmount."""
        self.nfs.client.close()
        self._site.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def attach(url: NfsUrl, *, timeout: float = CALL_TIMEOUT) -> Attached:
    """Mount the export that holds `url.path`, for calls of single procedures that may take `timeout` seconds each.

    Raises `OSError` for what the server refuses, and the errors of `nfsrpc.rpc.errors`.
    """
    return Attached(find_site(url, timeout), timeout)
