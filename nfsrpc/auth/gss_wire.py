"""RPCSEC_GSS on the wire (RFC 2203 §5): credentials, context set-up, and the two ways to wrap a body.

The types themselves are generated from the .x file; what is read and written
for every call is laid over bytes here.
"""

from functools import lru_cache
from struct import Struct, error
from typing import NamedTuple

from nfsrpc.protocols import rpcsec_gss as gss
from nfsrpc.protocols.rpc_msg import auth_flavor
from nfsrpc.xdr import Limits, Procedure, decode_no_args, encode_no_args, encode_void

FLAVOR = int(auth_flavor.RPCSEC_GSS)
DATA, INIT, CONTINUE_INIT, DESTROY = range(4)
NONE, INTEGRITY, PRIVACY = 1, 2, 3
MAXSEQ = int(gss.RPCSEC_GSS_MAXSEQ)
COMPLETE, CONTINUE_NEEDED = 0, 1
SECURITY = {NONE: "krb5", INTEGRITY: "krb5i", PRIVACY: "krb5p"}
"""Names of the services in exports(5) and URLs, for the Kerberos mechanism."""
SERVICES = {name: service for service, name in SECURITY.items()}

HANDLE = 16
"""Bytes of the handles that our server gives, all random."""

_CREDENTIAL = Struct(">5I")
_ESTABLISHED = Struct(f">4I4x{HANDLE}s")
_LENGTH = slice(16, 20)
_WORD = Struct(">I")
_HANDLE = _WORD.pack(HANDLE)
_PADDING = (b"", b"\0\0\0", b"\0\0", b"\0")


class GssCredentialBody(NamedTuple):
    """Body of a credential, of version 1 and 2 alike."""

    version: int
    procedure: int
    sequence: int
    service: int
    handle: bytes

    def encode(self) -> bytes:
        """As it travels."""
        handle = self.handle
        head = _CREDENTIAL.pack(self.version, self.procedure, self.sequence, self.service, len(handle))
        return head + handle + _PADDING[len(handle) & 3]


_make = GssCredentialBody._make


def decode_credential(body: bytes) -> GssCredentialBody:
    """Take a credential apart. ValueError if it is none."""
    if len(body) == _ESTABLISHED.size and body[_LENGTH] == _HANDLE:  # every call of an established context
        return _make(_ESTABLISHED.unpack(body))
    try:
        version, procedure, sequence, service, length = _CREDENTIAL.unpack_from(body)
    except error:
        raise ValueError("too short for a credential") from None
    if len(body) != 20 + length + (-length & 3) or body[20 + length :] != _PADDING[length & 3]:
        raise ValueError("the handle does not end where the credential does")
    return GssCredentialBody(version, procedure, sequence, service, body[20 : 20 + length])


word = _WORD.pack
"""A sequence number or window, as it is signed."""


def opaque(data: bytes) -> bytes:
    """Variable-length opaque data (RFC 4506 §4.10)."""
    length = len(data)
    return word(length) + data + _PADDING[length & 3]


def take_opaque(data: bytes, at: int) -> tuple[bytes, int]:
    """The opaque data at `at`, and where it ends. ValueError if it goes over the end or has broken padding."""
    try:
        (length,) = _WORD.unpack_from(data, at)
    except error:
        raise ValueError("no length") from None
    end = at + 4 + length
    padded = end + (-length & 3)
    if padded > len(data) or (padded != end and data[end:padded] != _PADDING[length & 3]):
        raise ValueError("opaque data goes over the end")
    return data[at + 4 : end], padded


def _encode_token(args: tuple[bytes], out: list[bytes]) -> None:
    gss.encode_rpc_gss_init_arg(gss.rpc_gss_init_arg(args[0]), out)


def _decode_token(data: bytes, pos: int, limits: Limits) -> tuple[tuple[bytes], int]:
    value, end = gss.decode_rpc_gss_init_arg(data, pos, limits)
    return (value.gss_token,), end


def _decode_anything(data: bytes, pos: int, limits: Limits) -> tuple[None, int]:
    return None, len(data)


@lru_cache(maxsize=64)
def init_procedure(program: int, version: int) -> Procedure:
    """Context set-up of a program: procedure 0 with a token for an argument (RFC 2203 §5.2)."""
    return Procedure(
        program, version, 0, "RPCSEC_GSS_INIT",
        _encode_token, _decode_token, gss.encode_rpc_gss_init_res, gss.decode_rpc_gss_init_res,
    )  # fmt: skip


@lru_cache(maxsize=64)
def destroy_procedure(program: int, version: int) -> Procedure:
    """The end of a context. Some servers wrap the empty result, so nothing is made of it."""
    return Procedure(
        program, version, 0, "RPCSEC_GSS_DESTROY", encode_no_args, decode_no_args, encode_void, _decode_anything
    )
