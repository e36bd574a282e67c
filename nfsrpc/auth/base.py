"""What every flavour of authentication has: a client half and a server half (RFC 5531 §8)."""

from typing import NamedTuple, Protocol

from nfsrpc.rpc.message import Rejected

__all__ = ["Authenticator", "Credential", "Principal", "Rejected"]


class Principal(NamedTuple):
    """Who is calling, as far as the flavour can tell.

    `name` is one string that tells principals apart for as long as replies
    are remembered; `uid`, `gid` and `gids` are None and () where the flavour
    knows no UNIX identity.
    """

    flavor: int
    name: str
    uid: int | None = None
    gid: int | None = None
    gids: tuple[int, ...] = ()
    machine: bytes = b""


class Authenticator(Protocol):
    """Server half of one flavour."""

    flavor: int

    def accept(self, credential: bytes, verifier: tuple[int, bytes]) -> Principal:
        """The principal that `credential` (the body, at most 400 bytes) proves, or `Rejected`."""


class Credential(Protocol):
    """Client half of one flavour: what goes into the header of each call."""

    def opaque(self) -> tuple[int, bytes]:
        """Flavour and body of the credential."""

    def verifier(self) -> tuple[int, bytes]:
        """Flavour and body of the verifier."""
