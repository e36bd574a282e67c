"""AUTH_NONE (RFC 5531 §8.1, RFC 5531 App. A before it): a caller that says nothing of itself."""

from nfsrpc.protocols.rpc_msg import auth_flavor, auth_stat

from .base import Accept, CallHeader, ClientSession, Peer, PlainAuth, PlainSession, Principal, Rejected

FLAVOR = int(auth_flavor.AUTH_NONE)
ANONYMOUS = Principal(FLAVOR, "none")
_ACCEPT = Accept(ANONYMOUS, lasting=True)


class NoneCredential:
    """Client half."""

    def opaque(self) -> tuple[int, bytes]:
        """Flavour 0 with an empty body."""
        return (FLAVOR, b"")

    def session(self, host: str) -> ClientSession:
        """The same towards every server."""
        return PlainSession(PlainAuth(self.opaque()))


class NoneAuthenticator:
    """Server half: an empty body, anything else is AUTH_BADCRED."""

    flavor = FLAVOR
    single_use = False

    def accept(self, header: CallHeader, message: bytes, peer: Peer) -> Accept:
        """The one anonymous principal."""
        if header.credential.body:
            raise Rejected(auth_stat.AUTH_BADCRED)
        return _ACCEPT
