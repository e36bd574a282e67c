"""The MOUNT protocol (RFC 1094 appendix A), version 1, from the caller's side; the export that holds a path."""

from dataclasses import dataclass

from nfsrpc.protocols import mount as mount_prot
from nfsrpc.rpc.errors import ProcedureUnavailable, RpcError
from nfsrpc.xdr import Caller

from .errors import from_status


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
