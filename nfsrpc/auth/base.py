"""What every flavour of authentication has: a client half and a server half (RFC 5531 §8).

The shapes that the rest of the house asks for are in `nfsrpc.rpc.security`: a server half is a
`ServerFlavor`, a client's state towards one server a `ClientSession`, and one transmission of
one call a `CallAuth`. A flavour that is made elsewhere needs nothing but these shapes.
"""

from typing import NamedTuple, Protocol, TypeVar

from nfsrpc.rpc.security import (
    Accept,
    CallAuth,
    CallHeader,
    ClientSession,
    ControlCall,
    Handshake,
    OpaqueAuth,
    Peer,
    PlainAuth,
    Refusal,
    Rejected,
    Seal,
    ServerFlavor,
)

__all__ = [
    "Accept",
    "Accepted",
    "Authenticator",
    "CallAuth",
    "CallHeader",
    "ClientSession",
    "ControlCall",
    "Credential",
    "Handshake",
    "OpaqueAuth",
    "Peer",
    "PlainAuth",
    "PlainSession",
    "Principal",
    "Refusal",
    "Rejected",
    "Seal",
]

Authenticator = ServerFlavor
_Key = TypeVar("_Key")
_ACCEPTED = 1024
"""Credentials whose decoded form is kept: one per user of every client machine that is active."""


class Principal(NamedTuple):
    """Who is calling, as far as the flavour can tell.

    name
        One string that tells principals apart for as long as replies are remembered.
    uid, gid, gids
        None and () where the flavour knows no UNIX identity.
    security
        How well that is known, in the words of exports(5) ``sec=``: none, sys, dh, krb5 (the caller
        is proved), krb5i (so are the arguments), krb5p (and nobody else can read them).
    """

    flavor: int
    name: str
    uid: int | None = None
    gid: int | None = None
    gids: tuple[int, ...] = ()
    machine: bytes = b""
    security: str = "none"


class Accepted(dict[_Key, Accept]):
    """What has been made of credentials, by their bytes, where a client sends the same ones again and again."""

    def keep(self, key: _Key, accept: Accept) -> Accept:
        """`accept`, which is found at `key` from now on. All others are forgotten if there are too many."""
        if len(self) >= _ACCEPTED:
            self.clear()
        self[key] = accept
        return accept


class Credential(Protocol):
    """Client half of one flavour: who the caller is. Each association makes a session of its own of it."""

    def session(self, host: str) -> ClientSession:
        """State towards the server on `host` (as the user named it)."""


class PlainSession:
    """A session without state: the same `CallAuth` for every call."""

    def __init__(self, auth: CallAuth) -> None:
        self._auth = auth

    def begin(self) -> CallAuth:
        """The one there is."""
        return self._auth

    def handshake(self, program: int, version: int) -> Handshake | None:
        """None: nothing to set up."""
        return None

    def refresh(self, stat: int, used: CallAuth) -> bool:
        """False: the next attempt would be the same."""
        return False

    def farewell(self) -> ControlCall | None:
        """None: nothing to take down."""
        return None
