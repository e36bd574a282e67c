"""AUTH_SHORT (RFC 5531 appendix A): the server's own short name for an AUTH_SYS credential it has seen.

The reply to a full credential carries, as its verifier, a whole opaque_auth of
flavour 2; from then on the client sends that instead. A server may forget a
shorthand at any time: AUTH_REJECTEDCRED makes the client send the full one.
"""

import secrets
from hashlib import blake2b
from struct import Struct

from nfsrpc.protocols.rpc_msg import auth_flavor, auth_stat
from nfsrpc.rpc.message import MAX_AUTH_BYTES, auth_bytes

from .base import Accept, Accepted, CallHeader, OpaqueAuth, Peer, Rejected
from .shared import SharedRecords
from .sys import FLAVOR as SYS
from .sys import claimed

FLAVOR = int(auth_flavor.AUTH_SHORT)
CAPACITY = 1024
"""Shorthands that live at a time: the users of a few hundred client machines."""

_HEAD = Struct(">16s16sI")
_NEXT = Struct(">I")
_PLACE = Struct(">I")
_TOKEN = 16


class Shorthands:
    """The shorthands of one server, shared by its workers. The oldest makes room for the newest.

    A shorthand is 16 bytes: where its record is, and 96 random bits that it
    is recognised by. It is good for the host it was given to.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._records = SharedRecords(capacity + 1, _HEAD.size + MAX_AUTH_BYTES)

    def issue(self, host: str, credential: bytes) -> bytes:
        """A new shorthand for the body of an AUTH_SYS credential that came from `host`."""
        records = self._records
        with records:
            (last,) = _NEXT.unpack_from(records.read(0))
            place = last % (records.count - 1) + 1
            token = _PLACE.pack(place) + secrets.token_bytes(_TOKEN - _PLACE.size)
            records.write(place, bytes(_TOKEN))
            records.write(place, (_HEAD.pack(token, _host(host), len(credential)) + credential)[_TOKEN:], _TOKEN)
            records.write(place, token)
            records.write(0, _NEXT.pack(place))
        return token

    def find(self, host: str, token: bytes) -> bytes | None:
        """The body of the credential that `token` was issued for to `host`; None if it was not, or is forgotten."""
        if len(token) != _TOKEN:
            return None
        (place,) = _PLACE.unpack_from(token)
        if not 0 < place < self._records.count:
            return None
        with self._records:
            record = self._records.read(place)
        found, owner, length = _HEAD.unpack_from(record)
        if not secrets.compare_digest(found + owner, token + _host(host)):
            return None
        return record[_HEAD.size : _HEAD.size + length]


def _host(host: str) -> bytes:
    return blake2b(host.encode(), digest_size=16).digest()


class IssuingSysAuthenticator:
    """Server half of AUTH_SYS that answers every full credential with a shorthand."""

    flavor = SYS
    single_use = False

    def __init__(self, shorthands: Shorthands) -> None:
        self._shorthands = shorthands
        self._known: Accepted[tuple[bytes, str]] = Accepted()

    def accept(self, header: CallHeader, message: bytes, peer: Peer) -> Accept:
        """The identity that the client claims, and a shorthand for it. AUTH_BADCRED for what is no authsys_parms."""
        credential = header.credential.body
        known = self._known.get((credential, peer.host))
        # Who sends the full credential again may have lost a shorthand that made room meanwhile.
        if known is not None and self._shorthands.find(peer.host, known.verifier.body[8:]) is not None:
            return known
        principal = claimed(credential)
        verifier = auth_bytes((FLAVOR, self._shorthands.issue(peer.host, credential)))
        return self._known.keep((credential, peer.host), Accept(principal, OpaqueAuth(FLAVOR, verifier)))


class ShortAuthenticator:
    """Server half of AUTH_SHORT: AUTH_REJECTEDCRED for what this server has not issued to this host, or forgotten."""

    flavor = FLAVOR
    single_use = False

    def __init__(self, shorthands: Shorthands) -> None:
        self._shorthands = shorthands
        self._known: Accepted[tuple[bytes, str]] = Accepted()

    def accept(self, header: CallHeader, message: bytes, peer: Peer) -> Accept:
        """The identity behind the shorthand, which is an AUTH_SYS one in every respect."""
        key = header.credential.body, peer.host
        known = self._known.get(key)
        if known is not None:
            return known
        credential = self._shorthands.find(peer.host, header.credential.body)
        if credential is None:
            raise Rejected(auth_stat.AUTH_REJECTEDCRED)
        return self._known.keep(key, Accept(claimed(credential)))
