"""The GSS-API library underneath RPCSEC_GSS: python-gssapi over MIT Kerberos or Heimdal, loaded when it is needed."""

from collections.abc import Callable
from functools import partial
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


class Protection:
    """What an established context does with bytes; bound once, because it is done for every call.

    The library's own methods of a context take seven times as long as the functions below them.
    """

    __slots__ = ("sign", "unwrap", "verify", "wrap")

    def __init__(self, security: Any) -> None:
        raw = import_module("gssapi.raw")
        self.sign: Callable[[bytes], bytes] = partial(raw.get_mic, security)
        """The signature of a message."""
        self.verify: Callable[[bytes, bytes], Any] = partial(raw.verify_mic, security)
        """Raises `errors()` unless the second argument is the peer's signature of the first."""
        self.wrap: Callable[[bytes, bool], Any] = partial(raw.wrap, security)
        """A message encrypted (if the second argument says so) and signed: the attribute `message`."""
        self.unwrap: Callable[[bytes], Any] = partial(raw.unwrap, security)
        """The inverse: the attributes `message` and `encrypted`. May change the bytes it is given."""


def words(failure: Any) -> str:
    """One line of what the library says, the mechanism's own words last: they name the cause."""
    text = " ".join(str(failure).split())
    return text or type(failure).__name__
