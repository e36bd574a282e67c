"""AUTH_SYS (RFC 5531 appendix A): uid, gid and groups as the client machine claims them."""

import os
import socket
import time
from collections.abc import Iterable
from struct import Struct
from typing import Final

from nfsrpc.protocols.rpc_msg import auth_flavor, auth_stat, authsys_parms, decode_authsys_parms, encode_authsys_parms
from nfsrpc.xdr import XdrError, decode, encode

from .base import (
    Accept,
    Accepted,
    CallAuth,
    CallHeader,
    ClientSession,
    OpaqueAuth,
    Peer,
    PlainAuth,
    PlainSession,
    Principal,
    Rejected,
)

FLAVOR: Final = int(auth_flavor.AUTH_SYS)
SHORT: Final = int(auth_flavor.AUTH_SHORT)
MAX_GROUPS: Final = 16
_TWO: Final = Struct(">2I")


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
        return SysSession(self.opaque())


class SysSession(PlainSession):
    """Sends the full credential until the server gives a shorthand, and again when it refuses that."""

    def __init__(self, full: tuple[int, bytes]) -> None:
        self._full = PlainAuth(full, self._heard)
        super().__init__(self._full)

    def _heard(self, verifier: OpaqueAuth) -> None:
        """A verifier of flavour AUTH_SHORT names the credential to send from now on."""
        if verifier.flavor == SHORT and verifier.body:
            self.take(verifier.body)

    def take(self, body: bytes) -> None:
        """Use the shorthand in a reply verifier: a whole opaque_auth, as Sun's code has it, or the bare bytes."""
        if len(body) > 8:
            flavor, length = _TWO.unpack_from(body)
            if flavor == SHORT and -4 < 8 + length - len(body) <= 0:
                body = body[8 : 8 + length]
        self._auth = PlainAuth((SHORT, body))

    def refresh(self, stat: int, used: CallAuth) -> bool:
        """Back to the full credential, if a shorthand was refused."""
        if used is self._full:
            return False
        self._auth = self._full
        return True


class SysAuthenticator:
    """Server half. Decoded credentials are kept by their bytes, boundedly: a client sends the same ones again."""

    flavor = FLAVOR
    single_use = False

    def __init__(self) -> None:
        self._known: Accepted[bytes] = Accepted()

    def accept(self, header: CallHeader, message: bytes, peer: Peer) -> Accept:
        """The identity that the client claims. AUTH_BADCRED for bytes that are no authsys_parms."""
        credential = header.credential.body
        known = self._known.get(credential)
        if known is not None:
            return known
        return self._known.keep(credential, Accept(claimed(credential), lasting=True))


def claimed(credential: bytes) -> Principal:
    """The identity in the body of an AUTH_SYS credential. AUTH_BADCRED for bytes that are no authsys_parms."""
    try:
        parms = decode(decode_authsys_parms, credential)
    except XdrError:
        raise Rejected(auth_stat.AUTH_BADCRED) from None
    name = f"sys:{parms.uid}:{parms.gid}"
    return Principal(FLAVOR, name, parms.uid, parms.gid, tuple(parms.gids), parms.machinename, "sys")
