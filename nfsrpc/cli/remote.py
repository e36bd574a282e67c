"""What a remote operation may raise, said to a person: where, why, and what to do."""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from nfsrpc.auth.gss_library import GssFailed
from nfsrpc.auth.keys import KeysUnavailable, UnknownNetname
from nfsrpc.client.locate import NotServed
from nfsrpc.client.url import BadUrl
from nfsrpc.protocols.rpc_msg import auth_stat
from nfsrpc.rpc.errors import AuthRefused, Disconnected, ProgramMismatch, ProgramUnavailable, RpcError, RpcTimeout
from nfsrpc.transport.address import HostUnknown

from .errors import Failure

_REMEDIES: tuple[tuple[type[Exception], str], ...] = (
    (HostUnknown, "check the host's name"),
    (NotServed, "is the server running and registered? A port in the URL (host:2049) makes the portmapper unnecessary"),
    (RpcTimeout, "is the server running there, and does a firewall let UDP and TCP through?"),
    (ProgramUnavailable, "another program listens there; check the port"),
    (ProgramMismatch, "this command speaks NFS version 2, MOUNT version 1 and portmapper version 2"),
    (GssFailed, "`klist` shows tickets, `kinit` gets one; the server needs a key of nfs/HOST, HOST as in the URL"),
    (KeysUnavailable, "see `nfsrpc keyserv --help`"),
    (UnknownNetname, "`nfsrpc keygen` makes keys, /etc/publickey must have them; ?netname= names the server's"),
    (Disconnected, "is the server running? One on another port needs HOST:PORT, one without TCP ?proto=udp"),
    (PermissionError, "the server goes by uid, gid, client address and sometimes source port: try ?uid=0, or as root"),
)

_ERRNO_REMEDIES: Mapping[int, str] = MappingProxyType({
    errno.ENOENT: "`nfsrpc exports HOST` shows what can be mounted, `nfsrpc ls` what is there",
    errno.ENOTEMPTY: "`nfsrpc rm -r` removes it with what is in it",
    errno.ENOSPC: "make room there; a copy goes on where it stopped when it is asked for again",
    errno.EDQUOT: "`nfsrpc du` shows what takes the room; the server's administrator sets the quota",
    errno.EROFS: "the server lets it be read only: it was started so, or its export says so",
    errno.ESTALE: "it was removed or replaced on the server; try again",
})

_AUTH_REMEDIES: Mapping[int, str] = MappingProxyType({
    auth_stat.AUTH_BADCRED: "the server does not know this caller; with ?sec=dh: are both clocks and both keys right?",
    auth_stat.AUTH_REJECTEDCRED: "try another ?sec=: sys, none, krb5, krb5i, krb5p or dh",
    auth_stat.AUTH_REJECTEDVERF: "are the clocks of both machines right?",
    auth_stat.AUTH_TOOWEAK: "try ?sec=krb5p, krb5i, krb5 or dh; with AUTH_NONE, ?sec=sys",
    auth_stat.AUTH_INVALIDRESP: "whoever answered cannot prove to be the server: check the host's name",
    auth_stat.RPCSEC_GSS_CREDPROBLEM: "try again; if it stays so, the server forgets its contexts at once",
    auth_stat.RPCSEC_GSS_CTXPROBLEM: "try again",
})


@contextlib.contextmanager
def failing_at(place: str) -> Iterator[None]:
    """Turn what a remote operation may raise into a `Failure` that names `place`, the cause and a remedy."""
    try:
        yield
    except BadUrl as wrong:
        raise Failure(str(wrong)) from wrong
    except BrokenPipeError:  # standard output's reader has seen enough; a connection's end is `Disconnected`
        raise
    except (OSError, RpcError) as error:
        remedy = _remedy(error)
        cause = _cause(error, place.rstrip("/"))
        text = cause if cause.startswith(f"{place}: ") else f"{place}: {cause}"
        raise Failure(f"{text} ({remedy})" if remedy else text) from error


def _remedy(error: BaseException) -> str | None:
    if isinstance(error.__cause__, RpcError):  # an error of the mount is an OSError, and the call's failure its cause
        return _remedy(error.__cause__)
    if isinstance(error, AuthRefused):
        return _AUTH_REMEDIES.get(error.stat, "try another ?sec=")
    words = next((words for kind, words in _REMEDIES if isinstance(error, kind)), None)
    return _ERRNO_REMEDIES.get(error.errno or 0) if words is None and isinstance(error, OSError) else words


def _cause(error: Exception, place: str) -> str:
    """What went wrong, and with which path, where that is another than the one that `place` ends with."""
    if isinstance(error, OSError) and error.strerror:
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if name]
        return ": ".join([*(name for name in names if not place.endswith(name.rstrip("/"))), error.strerror])
    return str(error)
