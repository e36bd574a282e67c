"""What is served: the `Store` interface, and the stores behind it."""

from nfsrpc.rpc.work import Work

from .interface import (
    DIRECTORY,
    KIND,
    REGULAR,
    SYMLINK,
    Attributes,
    Changes,
    Entry,
    OldKey,
    Quota,
    Space,
    Store,
    Ufid,
)

__all__ = [
    "DIRECTORY",
    "KIND",
    "REGULAR",
    "SYMLINK",
    "Attributes",
    "Changes",
    "Entry",
    "OldKey",
    "Quota",
    "Space",
    "Store",
    "Ufid",
    "Work",
]
