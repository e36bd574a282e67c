"""The GSS-API library underneath RPCSEC_GSS: python-gssapi over MIT Kerberos or Heimdal, loaded when it is needed."""

from importlib import import_module
from typing import Any

from nfsrpc.rpc.errors import RpcError

from .des import MissingExtra


class GssFailed(RpcError):
    """The GSS-API library, here or at the server, could not set up or use a context; the text has its words."""


def library() -> Any:
    """The module `gssapi`. `MissingExtra` if it is not installed."""
    try:
        return import_module("gssapi")
    except ImportError:
        raise MissingExtra("RPCSEC_GSS", "gss") from None


def available() -> bool:
    """Whether the library is installed."""
    try:
        library()
    except MissingExtra:
        return False
    return True


def errors() -> type[Exception]:
    """What the library raises."""
    kind: type[Exception] = import_module("gssapi.exceptions").GSSError
    return kind


def words(failure: Any) -> str:
    """One line of what the library says, the mechanism's own words last: they name the cause."""
    text = " ".join(str(failure).split())
    return text or type(failure).__name__
