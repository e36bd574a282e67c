"""Cookies: 31-bit numbers of our own for the 64-bit positions that the host's file system gives out in directories.

A position is the file system's promise that reading goes on behind the same
name whatever has come and gone meanwhile; knfsd relies on the same one.
A cookie names a position for ever, so it is good after a restart as well.
"""

import errno

from ..volume.database import Database
from ..volume.inodes import make_room
from ..volume.unit import Outcome, Unit
from . import schema
from .files import go_on_changing
from .limits import PassthroughLimits

COOKIE_SELF = 1
COOKIE_PARENT = 2
COOKIE_FIRST = 3
"""Cookies of ``.``, ``..``, and the first of the directory's own."""


class Cookies:
    """The table of cookies."""

    def __init__(self, unit: Unit, database: Database, limits: PassthroughLimits) -> None:
        self._unit = unit
        self._database = database
        self._limits = limits
        self._cache: dict[tuple[int, int], int] = {}

    def cookie(self, directory: int, position: int) -> int:
        """The cookie for `position` in the directory with that file id."""
        key = (directory, position)
        cookie = self._cache.get(key)
        if cookie is not None:
            return cookie
        found = self._database.one(schema.COOKIE_GET, key)
        cookie = self._add(directory, position) if found is None else int(found[0])
        if len(self._cache) >= self._limits.cached_cookies:
            make_room(self._cache)
        self._unit.journal.set(self._cache, key, cookie)
        return cookie

    def _add(self, directory: int, position: int) -> int:
        go_on_changing(self._unit)
        found = self._database.one(schema.COOKIE_GET, (directory, position))
        if found is not None:
            return int(found[0])
        (last,) = self._database.one(schema.COOKIE_LAST, (directory,))
        cookie = COOKIE_FIRST if last is None else last + 1
        if cookie > self._limits.cookie:
            # Two thousand million names have come and gone: who reads just now begins again.
            self._unit.run(schema.COOKIES_DELETE, (directory,))
            self.forget()
            cookie = COOKIE_FIRST
        self._unit.run(schema.COOKIE_ADD, (directory, cookie, position))
        return cookie

    def position(self, directory: int, cookie: int) -> int:
        """The position that a cookie stands for, 0 for the start. EINVAL for one that was never given out."""
        if cookie < COOKIE_FIRST:
            return 0
        found = self._database.one(schema.COOKIE_POSITION, (directory, cookie))
        if found is None:
            raise OSError(errno.EINVAL, "no such cookie")
        return int(found[0])

    def flush(self) -> None:
        """Everything is in the table already."""

    def settle(self, outcome: Outcome) -> None:
        """What is cached holds on; a unit that failed has dropped it already."""

    def forget(self) -> None:
        """Drop what is cached."""
        self._cache.clear()
