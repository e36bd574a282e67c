"""Authentication: one module per flavour, client half and server half side by side."""

from .base import Authenticator, Credential, Principal, Rejected
from .none import NoneAuthenticator, NoneCredential
from .sys import SysAuthenticator, SysCredential

__all__ = [
    "Authenticator",
    "Credential",
    "NoneAuthenticator",
    "NoneCredential",
    "Principal",
    "Rejected",
    "SysAuthenticator",
    "SysCredential",
]
