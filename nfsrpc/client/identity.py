"""Who calls, as a URL says it: the credential of its ``sec``, ``uid``, ``gid`` and ``netname``."""

from nfsrpc.auth import Credential, NoneCredential, SysCredential
from nfsrpc.auth.dh import DhCredential
from nfsrpc.auth.gss import GssCredential
from nfsrpc.auth.gss_wire import SERVICES
from nfsrpc.auth.keys import PublicKeyFile, host_netname, own_netname
from nfsrpc.keyserv.client import KeyservKeys
from nfsrpc.portmap.clock import clock_of

from .url import NfsUrl


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
