"""Authentication: one module per flavour, client half and server half side by side."""

from typing import TYPE_CHECKING, Any

from .base import Accept, Authenticator, Credential, Principal, Refusal, Rejected
from .none import NoneAuthenticator, NoneCredential
from .sys import SysAuthenticator, SysCredential

if TYPE_CHECKING:
    from .short import IssuingSysAuthenticator, ShortAuthenticator, Shorthands

__all__ = [
    "Accept",
    "Authenticator",
    "Credential",
    "IssuingSysAuthenticator",
    "NoneAuthenticator",
    "NoneCredential",
    "Principal",
    "Refusal",
    "Rejected",
    "ShortAuthenticator",
    "Shorthands",
    "SysAuthenticator",
    "SysCredential",
]


def __getattr__(name: str) -> Any:
    """AUTH_SHORT is loaded when it is asked for: few servers give shorthands."""
    if name in {"IssuingSysAuthenticator", "ShortAuthenticator", "Shorthands"}:
        from . import short

        return getattr(short, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
