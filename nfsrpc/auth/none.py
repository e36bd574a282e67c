"""AUTH_NONE (RFC 5531 §8.1, RFC 5531 App. A before it): a caller that says nothing of itself."""

from nfsrpc.protocols.rpc_msg import auth_flavor, auth_stat

from .base import Principal, Rejected

FLAVOR = int(auth_flavor.AUTH_NONE)
ANONYMOUS = Principal(FLAVOR, "none")


class NoneCredential:
    """Client half."""

    def opaque(self) -> tuple[int, bytes]:
        """Flavour 0 with an empty body."""
        return (FLAVOR, b"")

    verifier = opaque


class NoneAuthenticator:
    """Server half: an empty body, anything else is AUTH_BADCRED."""

    flavor = FLAVOR

    def accept(self, credential: bytes, verifier: tuple[int, bytes]) -> Principal:
        """The one anonymous principal."""
        if credential:
            raise Rejected(auth_stat.AUTH_BADCRED)
        return ANONYMOUS
