"""What can go wrong with a remote call, as seen by the caller (RFC 5531 §9)."""

from collections.abc import Mapping
from types import MappingProxyType

AUTH_STAT_WORDS: Mapping[int, str] = MappingProxyType({
    1: "the credential is broken (AUTH_BADCRED)",
    2: "the server wants a new credential or does not take this flavour (AUTH_REJECTEDCRED)",
    3: "the verifier is broken (AUTH_BADVERF)",
    4: "the verifier has expired or was replayed (AUTH_REJECTEDVERF)",
    5: "the server demands a stronger flavour (AUTH_TOOWEAK)",
    6: "the server's own verifier was not accepted (AUTH_INVALIDRESP)",
    7: "the server gave no reason (AUTH_FAILED)",
    13: "the server has no such security context (RPCSEC_GSS_CREDPROBLEM)",
    14: "the security context is not usable (RPCSEC_GSS_CTXPROBLEM)",
})


class RpcError(Exception):
    """Base of everything that a remote call may raise, besides the errors of the codec."""


class RpcMismatch(RpcError):
    """The server does not speak RPC version 2, but `low` to `high`."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__(f"the server speaks RPC versions {low} to {high}, not 2")
        self.low = low
        self.high = high


FLAVOR_WORDS: Mapping[int, str] = MappingProxyType({
    0: "AUTH_NONE",
    1: "AUTH_SYS",
    2: "AUTH_SHORT",
    3: "AUTH_DH",
    4: "AUTH_KERB4",
    6: "RPCSEC_GSS",
})


class AuthRefused(RpcError):
    """The credential or verifier was refused, by the server or (AUTH_INVALIDRESP) the server's own by us.

    `stat` is the auth_stat of RFC 5531 §9, `flavor` that of the credential, if it is known.
    """

    def __init__(self, stat: int, flavor: int | None = None) -> None:
        whose = "" if flavor is None else f"{FLAVOR_WORDS.get(flavor, f'flavour {flavor}')} "
        super().__init__(f"{whose}authentication refused: {AUTH_STAT_WORDS.get(stat, f'auth_stat {stat}')}")
        self.stat = stat
        self.flavor = flavor


class ProgramUnavailable(RpcError):
    """Nobody serves the program at that address."""

    def __init__(self) -> None:
        super().__init__("the server does not have this program")


class ProgramMismatch(RpcError):
    """The server has the program, in versions `low` to `high`."""

    def __init__(self, low: int, high: int) -> None:
        super().__init__(f"the server has versions {low} to {high} of this program")
        self.low = low
        self.high = high


class ProcedureUnavailable(RpcError):
    """The server's version of the program has no such procedure."""

    def __init__(self) -> None:
        super().__init__("the server does not have this procedure")


class GarbageArguments(RpcError):
    """The server could not decode the arguments. Raised by a handler, it is the server's answer."""

    def __init__(self) -> None:
        super().__init__("the server could not decode the arguments")


class RemoteSystemError(RpcError):
    """The server failed while it handled the call (SYSTEM_ERR). Raised by a handler, it is the server's answer."""

    def __init__(self) -> None:
        super().__init__("the server failed while it handled the call")


class BadReply(RpcError):
    """The reply is no RPC reply, or not one that RFC 5531 allows."""


class RecordError(RpcError):
    """A TCP peer broke the record marking of RFC 5531 §11, or a cap on it: the connection cannot go on."""


class RpcTimeout(RpcError, TimeoutError):
    """No reply before the deadline. The call may or may not have been executed."""


class Disconnected(RpcError, ConnectionError):
    """The connection broke while the call was under way. It may or may not have been executed."""
