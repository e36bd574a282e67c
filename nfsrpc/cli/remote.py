"""What a remote operation may raise, said to a person: where, why, and what to do."""

import contextlib
import os
from collections.abc import Iterator

from nfsrpc.client.locate import NotServed
from nfsrpc.client.url import BadUrl
from nfsrpc.rpc.errors import AuthRefused, Disconnected, ProgramMismatch, ProgramUnavailable, RpcError, RpcTimeout
from nfsrpc.transport.address import HostUnknown

from .errors import Failure

_REMEDIES: tuple[tuple[type[Exception], str], ...] = (
    (HostUnknown, "check the host's name"),
    (NotServed, "is the server running and registered? A port in the URL (host:2049) makes the portmapper unnecessary"),
    (RpcTimeout, "is the server running there, and does a firewall let UDP and TCP through?"),
    (ProgramUnavailable, "another program listens there; check the port"),
    (ProgramMismatch, "this command speaks NFS version 2, MOUNT version 1 and portmapper version 2"),
    (AuthRefused, "try ?uid=N&gid=N, or ?sec=none"),
    (Disconnected, "is the server running? One on another port needs HOST:PORT, one without TCP ?proto=udp"),
    (PermissionError, "the server goes by uid, gid, client address and sometimes source port: try ?uid=0, or as root"),
)


@contextlib.contextmanager
def failing_at(place: str) -> Iterator[None]:
    """Turn what a remote operation may raise into a `Failure` that names `place`, the cause and a remedy."""
    try:
        yield
    except BadUrl as wrong:
        raise Failure(str(wrong)) from wrong
    except (OSError, RpcError) as error:
        remedy = next((words for kind, words in _REMEDIES if isinstance(error, kind)), None)
        text = f"{place}: {_cause(error)}"
        raise Failure(f"{text} ({remedy})" if remedy else text) from error


def _cause(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        names = [os.fsdecode(name) for name in (error.filename, error.filename2) if name]
        return ": ".join([*names, error.strerror])
    return str(error)
