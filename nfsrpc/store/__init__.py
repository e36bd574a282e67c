"""What is served: the `Store` interface, and the stores behind it."""

from nfsrpc.rpc.work import Work

from .interface import Attributes, Changes, Entry, OldKey, Quota, Space, Store, Ufid

__all__ = ["Attributes", "Changes", "Entry", "OldKey", "Quota", "Space", "Store", "Ufid", "Work"]
