"""What every flavour of authentication has: a client half and a server half (RFC 5531 §8)."""

from typing import NamedTuple, Protocol


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


class Rejected(Exception):  # noqa: N818 - it is an answer, not an error
    """The server half refuses a credential or verifier with an auth_stat (RFC 5531 §9)."""

    def __init__(self, stat: int) -> None:
        super().__init__(f"auth_stat {stat}")
        self.stat = stat


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
