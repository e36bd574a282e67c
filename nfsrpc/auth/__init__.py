"""Authentication: one module per flavour, client half and server half side by side."""

from .base import Accept, Authenticator, Credential, Principal, Refusal, Rejected
from .none import NoneAuthenticator, NoneCredential
from .short import IssuingSysAuthenticator, ShortAuthenticator, Shorthands
from .sys import SysAuthenticator, SysCredential

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
