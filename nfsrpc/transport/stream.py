"""A server's end of one TCP connection: bytes in, records out. TLS is loaded when somebody serves it, not before."""

from typing import TYPE_CHECKING

from nfsrpc.rpc.errors import RpcError
from nfsrpc.rpc.record import RecordReader, frame
from nfsrpc.xdr import Limits

if TYPE_CHECKING:
    import ssl

    from .tls import ServerStream


class TlsFailed(RpcError):
    """No protected connection came about, or the one there was has been broken. Nothing was sent in clear text."""


class BadCertificate(ValueError):
    """A file with a certificate or a key cannot be used; the text says which, and why."""


class ClearStream(RecordReader):
    """A server's end of one connection in clear text: bytes in, records out; parts of a reply in, bytes out.

    AUTH_TLS is a flavour like any other that is not served.
    """

    tls = None
    seal = staticmethod(frame)

    def urgent(self) -> list[bytes]:
        """Nothing."""
        return []


def server_stream(limits: Limits, context: "ssl.SSLContext | None") -> "ClearStream | ServerStream":
    """The stream of a new connection; with a `context` TLS may be asked for."""
    if context is None:
        return ClearStream(limits)
    from .tls import ServerStream

    return ServerStream(limits, context)
