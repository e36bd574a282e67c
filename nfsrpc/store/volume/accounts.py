"""Quotas: what each owner has in a volume, and may have; and what all of them may have together.

Counting costs a little with every change, so it is done only in a volume in
which there is a limit. The table has a row for every owner of a file then, and
the row of `WHOLE`; without any limit it is empty.
"""

import errno
import os
from typing import Final

from ..interface import Attributes, Quota
from . import schema
from .database import Database
from .unit import Unit

WHOLE: Final = -1
"""The owner under whom the whole volume is counted."""
BLOCK: Final = 4096
"""Bytes that space is taken in, as far as can be told beforehand."""

_CACHED: Final = 1024
NOTHING: Final = Quota(0, 0, 0, 0)


def _refused(owner: int) -> OSError:
    if owner == WHOLE:
        return OSError(errno.ENOSPC, "the volume has reached its size")
    return OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


def growth(size: int, used: int, offset: int, end: int) -> int:
    """Bytes of disk that a write to [`offset`, `end`) can come to take in a file of `size` with `used` bytes of disk.

    Exact for a file without holes; with holes it is the most that it may be.
    """
    touched = -(-end // BLOCK) - offset // BLOCK
    missing = -(-max(size, end) // BLOCK) - used // BLOCK
    return max(0, min(touched, missing)) * BLOCK


class Quotas:
    """The accounts that a unit looks at and changes; a part of `Inodes`, which tells of every row that changes."""

    def __init__(self, unit: Unit, database: Database) -> None:
        self._unit = unit
        self._database = database
        self._accounts: dict[int, Quota] = {}
        self._dirty: dict[int, None] = {}
        self.idle = False
        """Known to have nothing to do: who is in haste looks here before he calls `demand` or `moved`."""
        self._known = False

    @property
    def counting(self) -> bool:
        """Whether anything in the volume is limited."""
        if not self._known:
            self.idle = self._database.one(schema.QUOTA_GET, (WHOLE,)) is None
            self._known = True
        return not self.idle

    def account(self, owner: int) -> Quota:
        """What `owner` has and may have."""
        found = self._accounts.get(owner)
        if found is None:
            row = self._database.one(schema.QUOTA_GET, (owner,))
            found = NOTHING if row is None else Quota(*row)
            self._accounts[owner] = found
        return found

    def demand(self, owner: int, used: int, inodes: int = 0) -> None:
        """Room for so many bytes and files more of `owner`: EDQUOT, or ENOSPC where it is the volume that is full."""
        if self.counting:
            self._demand(WHOLE, used, inodes)
            self._demand(owner, used, inodes)

    def demand_of_owner(self, owner: int, used: int) -> None:
        """As `demand`, for a file that has been there and comes to be `owner`'s."""
        if self.counting:
            self._demand(owner, used, 1)

    def _demand(self, owner: int, used: int, inodes: int) -> None:
        account = self.account(owner)
        if used and account.bytes_limit and account.bytes_used + used > account.bytes_limit:
            raise _refused(owner)
        if inodes and account.inodes_limit and account.inodes_used + inodes > account.inodes_limit:
            raise _refused(owner)

    def moved(self, before: Attributes | None, after: Attributes | None) -> None:
        """A row of the inode table changes; None: there was, or will be, none."""
        if not self.counting:
            return
        if before is not None and after is not None and before.uid == after.uid:
            if before.used != after.used:
                self._add(after.uid, after.used - before.used, 0)
            return
        if before is not None:
            self._add(before.uid, -before.used, -1)
        if after is not None:
            self._add(after.uid, after.used, 1)

    def _add(self, owner: int, used: int, inodes: int) -> None:
        journal = self._unit.journal
        for each in (owner, WHOLE):
            old = self.account(each)
            new = old._replace(bytes_used=old.bytes_used + used, inodes_used=old.inodes_used + inodes)
            journal.set(self._accounts, each, new)
            journal.set(self._dirty, each, None)

    def flush(self) -> None:
        """Write the accounts that this unit has changed."""
        if self._dirty:
            self._database.many(schema.QUOTA_PUT, [(owner, *self._accounts[owner]) for owner in self._dirty])

    def settle(self) -> None:
        """What was written is what holds now."""
        self._dirty.clear()
        if len(self._accounts) > _CACHED:
            self._accounts.clear()

    def forget(self) -> None:
        """Drop what is known of the table."""
        self._accounts.clear()
        self._dirty.clear()
        self._known = self.idle = False
