"""AUTH_SYS (RFC 5531 appendix A): uid, gid and groups as the client machine claims them."""

import os
import socket
import time
from collections.abc import Iterable

from nfsrpc.protocols.rpc_msg import auth_flavor, auth_stat, authsys_parms, decode_authsys_parms, encode_authsys_parms
from nfsrpc.xdr import XdrError, decode, encode

from .base import Principal, Rejected

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

    def verifier(self) -> tuple[int, bytes]:
        """AUTH_NONE: nothing is proved."""
        return (0, b"")


class SysAuthenticator:
    """Server half. Decoded credentials are kept by their bytes, boundedly: a client sends the same ones again."""

    flavor = FLAVOR

    def __init__(self) -> None:
        self._known: dict[bytes, Principal] = {}

    def accept(self, credential: bytes, verifier: tuple[int, bytes]) -> Principal:
        """The identity that the client claims. AUTH_BADCRED for bytes that are no authsys_parms."""
        principal = self._known.get(credential)
        if principal is not None:
            return principal
        try:
            parms = decode(decode_authsys_parms, credential)
        except XdrError:
            raise Rejected(auth_stat.AUTH_BADCRED) from None
        principal = Principal(
            FLAVOR,
            f"sys:{parms.uid}:{parms.gid}",
            parms.uid,
            parms.gid,
            tuple(parms.gids),
            parms.machinename,
        )
        if len(self._known) >= _CACHED:
            self._known.clear()
        self._known[credential] = principal
        return principal
