"""Inode numbers that had a file once: fetched some at a time, written once per unit however often they change."""

from typing import Any, Final

from . import schema
from .database import Database
from .unit import Unit

_FETCHED_AT_ONCE: Final = 64

_NOTHING_FETCHED: Final[dict[str, Any]] = {"numbers": (), "used": 0, "all": False}


class FreeNumbers:
    """The table of free numbers with what this unit takes from it and adds to it; a part of `Inodes`."""

    def __init__(self, unit: Unit, database: Database) -> None:
        self._unit = unit
        self._database = database
        # A dictionary, because a step that fails takes changes of dictionaries back.
        self._fetched = dict(_NOTHING_FETCHED)
        self._taken: dict[int, None] = {}
        self._added: dict[int, None] = {}

    def take(self) -> int:
        """The lowest free number, which is so no more; 0 if there is none."""
        journal = self._unit.journal
        fetched = self._next_fetched()
        if self._added:
            added = min(self._added)
            if not fetched or added < fetched:
                journal.drop(self._added, added)
                return added
        if fetched:
            journal.set(self._fetched, "used", self._fetched["used"] + 1)
            journal.set(self._taken, fetched, None)
        return fetched

    def _next_fetched(self) -> int:
        """The lowest number that is in the table and not taken; 0 if there is none."""
        numbers, used = self._fetched["numbers"], self._fetched["used"]
        if used < len(numbers):
            return int(numbers[used])
        if self._fetched["all"]:
            return 0
        rows = self._database.all(schema.FREE_LOWEST, (numbers[-1] if numbers else 0, _FETCHED_AT_ONCE))
        journal = self._unit.journal
        journal.set(self._fetched, "numbers", tuple(number for (number,) in rows))
        journal.set(self._fetched, "used", 0)
        journal.set(self._fetched, "all", len(rows) < _FETCHED_AT_ONCE)
        return int(rows[0][0]) if rows else 0

    def add(self, number: int) -> None:
        """No file has `number` any more."""
        self._unit.journal.set(self._added, number, None)

    def flush(self) -> None:
        """Write what this unit takes and adds, in this order: it may have taken a number and given it back."""
        if self._taken:
            self._database.many(schema.FREE_TAKE, [(number,) for number in self._taken])
        if self._added:
            self._database.many(schema.FREE_ADD, [(number,) for number in self._added])

    def settle(self) -> None:
        """The unit is over. What it added may be lower than what is fetched."""
        self._taken.clear()
        if self._added:
            self.forget()

    def forget(self) -> None:
        """Drop what is known of the table."""
        self._fetched.update(_NOTHING_FETCHED)
        self._taken.clear()
        self._added.clear()
