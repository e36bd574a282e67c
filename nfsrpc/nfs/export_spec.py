"""An export as it is asked for, by a file or on the command line."""

import os
from typing import NamedTuple

from .clients import EVERYBODY, ClientSpec
from .export_options import Access, ExportOptions


class Rule(NamedTuple):
    """One client of an export, and the options it gets."""

    client: ClientSpec
    options: ExportOptions


ANYBODY = ("none", "sys")
"""The ways of being known that prove nothing, and need nothing."""
OPEN = Rule(EVERYBODY, ExportOptions(by_security=dict.fromkeys(ANYBODY, Access(False, False, False, False))))
"""Everybody may do everything: what a volume on the command line is served with."""


class ExportSpec(NamedTuple):
    """A mount path, the store behind it (by the path it is kept at), and who may mount it.

    `path` is absolute, without a trailing slash (but ``/``). Options that cannot differ between
    clients are those of the first rule (`fsid`), or the safest of all (`sync`).
    """

    path: bytes
    store: str
    rules: tuple[Rule, ...] = (OPEN,)

    @property
    def fsid(self) -> int | None:
        """The file system id that clients shall see; None: the store's own."""
        return self.rules[0].options.fsid

    @property
    def sync(self) -> bool:
        """Whether changes are answered when they are on stable storage: they are if any client is to have it so."""
        return any(rule.options.sync for rule in self.rules)

    @property
    def security(self) -> frozenset[str]:
        """Every way of being known that some client may use."""
        return frozenset(name for rule in self.rules for name in rule.options.terms())

    @property
    def key(self) -> bytes:
        """What its handles know it by: an export under the same key has the same handles."""
        return self.path if self.fsid is None else b"fsid=%d" % self.fsid

    def as_one(self, uid: int, gid: int) -> "ExportSpec":
        """The same export, in which every caller acts as this user and group."""
        rules = tuple(Rule(rule.client, rule.options.as_one(uid, gid)) for rule in self.rules)
        return self._replace(rules=rules)

    def __str__(self) -> str:
        return os.fsdecode(self.path)
