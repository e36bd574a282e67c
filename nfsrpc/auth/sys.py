"""AUTH_SYS (RFC 5531 appendix A): uid, gid and groups as the client machine claims them."""

import os
import socket
import time
from collections.abc import Iterable

from nfsrpc.protocols.rpc_msg import auth_flavor, auth_stat, authsys_parms, decode_authsys_parms, encode_authsys_parms
from nfsrpc.xdr import XdrError, decode, encode

from .base import Accept, CallHeader, ClientSession, Peer, PlainAuth, PlainSession, Principal, Rejected

FLAVOR = int(auth_flavor.AUTH_SYS)
MAX_GROUPS = 16
_CACHED = 1024
"""Credentials whose decoded form is kept: one per user of every client machine that is active."""


class SysCredential:
    """Client half. Without arguments it is this process' own identity.

    More than 16 supplementary groups do not fit the wire form; the first 16 go.
    """

    def __init__(
        self,
        uid: int | None = None,
        gid: int | None = None,
        gids: Iterable[int] | None = None,
        machine: bytes | None = None,
    ) -> None:
        own = uid is None
        self.uid = os.getuid() if uid is None else uid
        self.gid = os.getgid() if gid is None else gid
        groups = (os.getgroups() if own else ()) if gids is None else gids
        self.gids = tuple(groups)[:MAX_GROUPS]
        name = socket.gethostname().encode("ascii", "replace") if machine is None else machine
        stamp = int(time.time()) & 0xFFFF_FFFF
        self._body = encode(
            encode_authsys_parms, authsys_parms(stamp, name[:255], self.uid, self.gid, list(self.gids))
        )

    def opaque(self) -> tuple[int, bytes]:
        """Flavour 1 with the encoded authsys_parms."""
        return (FLAVOR, self._body)

    def session(self, host: str) -> ClientSession:
        """Towards one server, which may hand out a shorthand."""
        return PlainSession(PlainAuth(self.opaque()))


class SysAuthenticator:
    """Server half. Decoded credentials are kept by their bytes, boundedly: a client sends the same ones again."""

    flavor = FLAVOR
    single_use = False

    def __init__(self) -> None:
        self._known: dict[bytes, Accept] = {}

    def accept(self, header: CallHeader, message: bytes, peer: Peer) -> Accept:
        """The identity that the client claims. AUTH_BADCRED for bytes that are no authsys_parms."""
        credential = header.credential.body
        known = self._known.get(credential)
        if known is not None:
            return known
        if len(self._known) >= _CACHED:
            self._known.clear()
        accept = self._known[credential] = Accept(claimed(credential))
        return accept


def claimed(credential: bytes) -> Principal:
    """The identity in the body of an AUTH_SYS credential. AUTH_BADCRED for bytes that are no authsys_parms."""
    try:
        parms = decode(decode_authsys_parms, credential)
    except XdrError:
        raise Rejected(auth_stat.AUTH_BADCRED) from None
    name = f"sys:{parms.uid}:{parms.gid}"
    return Principal(FLAVOR, name, parms.uid, parms.gid, tuple(parms.gids), parms.machinename, "sys")
