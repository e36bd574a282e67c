"""Who calls: the credential of a call, taken apart where its flavour says how (RFC 5531 §8.2; RFC 2203 §5)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from nfsrpc.auth.base import OpaqueAuth
from nfsrpc.protocols.rpc_msg import auth_flavor, decode_authsys_parms
from nfsrpc.protocols.rpcsec_gss import decode_rpc_gss_cred_t
from nfsrpc.xdr import DEFAULT_LIMITS, Limits, XdrDecodeError

_DECODERS: Mapping[int, Callable[[bytes, int, Limits], tuple[Any, int]]] = MappingProxyType(
    {auth_flavor.AUTH_SYS: decode_authsys_parms, auth_flavor.RPCSEC_GSS: decode_rpc_gss_cred_t}
)


def flavor_name(flavor: int) -> str:
    """AUTH_SYS and its like; the number of a flavour without a name."""
    return next((each.name for each in auth_flavor if each == flavor), str(flavor))


def identity(credential: OpaqueAuth) -> Any:
    """The body of a credential as a struct, None if it is empty, the bytes themselves where nobody can read them."""
    flavor, body = credential
    decode = _DECODERS.get(flavor)
    if decode is not None:
        try:
            value, end = decode(body, 0, DEFAULT_LIMITS)
        except XdrDecodeError:
            return body
        return value if end == len(body) else body
    return body or None
