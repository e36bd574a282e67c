"""What is served: the `Store` interface, and the stores behind it."""

from .interface import Attributes, Changes, Entry, Space, Store, Ufid, Work

__all__ = ["Attributes", "Changes", "Entry", "Space", "Store", "Ufid", "Work"]
