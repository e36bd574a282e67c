"""Units of work: one transaction, the caches that hold while nobody else commits, and steps inside it.

A reading unit begins without a transaction where the caches still hold, and
ends without one if they are all it needs. Once it needs the database it has
one: all it answers from there on, from a cache or not, is of one snapshot,
which may be newer than what it answered before. A changing unit holds the
writer lock from `begin` to the end of its transaction and of the work on
content files that follows it; then the log is synced, beside the next writer.
Only what cannot be taken back, cutting and removing content files, waits for
that sync with the lock held.
"""

import errno
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Protocol

from . import schema
from .database import Database
from .journal import Journal
from .log import Durability
from .writer import Writer


class Outcome(Enum):
    """How a changing unit ended."""

    COMMITTED = "committed"
    UNSYNCED = "committed, but a crash might still take it: nothing may follow that cannot be taken back"
    UNDONE = "undone"
    UNKNOWN = "the commit itself failed: undone here, but a crash might still bring it out of the database's log"


class Part(Protocol):
    """Something of the volume that keeps state in memory during a unit, or across units."""

    def flush(self) -> None:
        """Before the transaction commits: sync, and write what was put off. OSError fails the unit."""

    def settle(self, outcome: Outcome) -> None:
        """The unit is over, the writer lock still held: carry out or drop what waited for its end. Raises nothing."""

    def forget(self) -> None:
        """Others have changed the store, or the unit failed: drop all that is cached."""


def _nothing() -> None:
    """Nothing is to be started."""


def _never() -> bool:
    """All that follows a unit can be taken back."""
    return False


class Unit:
    """The unit of work of one process; at most one is open at a time."""

    def __init__(self, volume: Path, database: Database, durability: Durability) -> None:
        self._database = database
        self._durability = durability
        self._writer = Writer(volume)
        self._version = -1
        self._count = -1
        self._parts: tuple[Part, ...] = ()
        self._start: Callable[[], None] = _nothing
        self._final: Callable[[], bool] = _never
        self._open = False
        self._waiting = False
        self._broken = False
        self._savepoint = False
        self.changing = False
        self.journal = Journal()
        self._step = Step(self)

    def join(self, *parts: Part) -> None:
        """Take part in every unit; flushed and settled in this order."""
        self._parts = parts

    def call(self, *, start: Callable[[], None], final: Callable[[], bool]) -> None:
        """`start` before the first part is flushed; `final`: whether settling will do what cannot be taken back."""
        self._start = start
        self._final = final

    def count(self) -> int:
        """See `Work.count`."""
        return self._writer.count()

    def begin(self, changing: bool) -> None:
        """Open a unit; see `Work.begin`."""
        if self._open:
            raise RuntimeError("a unit of work is open already")
        self._broken = False
        if changing:
            self._begin_changing()
        elif self._holds():
            self._database.before_next(self.fix)
            self._waiting = self._open = True
        else:
            self._begin(schema.BEGIN)

    def _holds(self) -> bool:
        """Whether nobody has committed since the caches were last looked after."""
        count = self._writer.count()
        return count >= 0 and count == self._count and not self._database.in_transaction

    def _begin_changing(self) -> None:
        self._writer.take()
        try:
            self._durability.check()
            if self._holds():
                self._database.run(schema.BEGIN_CHANGING)
                self._open = True
            else:
                self._begin(schema.BEGIN_CHANGING)
        except BaseException:
            self._writer.give_up()
            raise
        self.changing = True

    def _begin(self, statement: str) -> None:
        self._roll_back()
        # Whoever commits between this and the snapshot is only noticed once too often.
        count = self._writer.count()
        self._database.run(statement)
        try:
            self._look_around()
        except BaseException:
            self._roll_back()
            raise
        self._count = count
        self._open = True

    def fix(self) -> None:
        """Have all answers from here on be of one snapshot: before what needs the database after a cache, or twice."""
        if self._waiting:
            self._stop_waiting()
            self._begin(schema.BEGIN)

    def _stop_waiting(self) -> None:
        self._waiting = False
        self._database.nothing_before()

    def _roll_back(self) -> None:
        """What SQLite has open still: an error may have ended the transaction, or may have left it as it was."""
        if self._database.in_transaction:
            self._database.run(schema.ROLLBACK)

    def _look_around(self) -> None:
        """Fix the snapshot; if anybody else has committed since the last one, nothing cached holds."""
        (version,) = self._database.one(schema.VERSION)
        if version != self._version:
            self._version = version
            self._each_forget()

    def refresh(self) -> None:
        """Move a reading unit on to the newest snapshot. After an OSError the unit can only be aborted."""
        self._broken = True
        self._end_reading()
        self._begin(schema.BEGIN)
        self._broken = False

    def _end_reading(self) -> None:
        if self._waiting:
            self._stop_waiting()
        else:
            self._database.run(schema.COMMIT)

    def commit(self) -> None:
        """Make the unit durable; see `Work.commit`."""
        if not self._open:
            raise RuntimeError("no unit of work is open")
        try:
            self._check_whole()
            if not self.changing:
                self._end_reading()
                self._open = False
                return
            self._start()
            for part in self._parts:
                part.flush()
            self._writer.begin_change()
        except BaseException:
            self.abort()
            raise
        try:
            self._database.run(schema.COMMIT)
        except BaseException:
            self._undo(Outcome.UNKNOWN)
            raise
        self._writer.end_change()
        self._count = self._writer.count()
        if self._final():
            self._end_synced()
        else:
            self._end(Outcome.COMMITTED)
            self._durability.sync()

    def _end_synced(self) -> None:
        try:
            self._durability.sync()
        except BaseException:
            self._end(Outcome.UNSYNCED)
            raise
        self._end(Outcome.COMMITTED)

    def abort(self) -> None:
        """Undo the unit; see `Work.abort`. Nothing to do when none is open."""
        if self._open:
            self._undo(Outcome.UNDONE)

    def _undo(self, outcome: Outcome) -> None:
        try:
            self._stop_waiting()
            self._roll_back()
        finally:
            self._version = self._count = -1
            self._each_forget()
            self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        self.journal.stop()
        self._savepoint = False
        if self.changing:
            try:
                for part in self._parts:
                    part.settle(outcome)
                if outcome is Outcome.UNDONE:
                    self._writer.end_change()
            finally:
                self.changing = False
                self._writer.give_up()
        self._open = False

    def _each_forget(self) -> None:
        for part in self._parts:
            part.forget()

    def step(self) -> "Step":
        """One call inside a changing unit; see `Work.step`. Steps do not nest."""
        return self._step

    def check_changing(self) -> None:
        """RuntimeError in a unit not begun as a changing one; EIO in one that an error has undone already."""
        if not self.changing:
            raise RuntimeError("a change outside a changing unit of work")
        if self._broken or not self._database.in_transaction:
            self._check_whole()

    def _check_whole(self) -> None:
        """SQLite may have rolled back by itself after an error; what came then would be a transaction of its own."""
        if self._broken or not (self._waiting or self._database.in_transaction):
            raise OSError(errno.EIO, "the unit of work was undone by an earlier error")

    def write_over(self) -> None:
        """Content that others see is about to be written over, whatever becomes of the unit."""
        self._writer.begin_change()

    def run(self, statement: str, values: tuple[object, ...] = ()) -> None:
        """Execute a statement that changes the store, so that the step it belongs to can take it back."""
        self._set_savepoint()
        self._database.run(statement, values)

    def many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        """As `run`, for each row of values."""
        self._set_savepoint()
        self._database.many(statement, rows)

    def _set_savepoint(self) -> None:
        self.check_changing()
        if self._step.running and not self._savepoint:
            self._database.run(schema.SAVEPOINT)
            self._savepoint = True

    def end_step(self, undo: bool) -> None:
        """Close the savepoint of a step, if it came to have one, and its journal."""
        if undo:
            self.journal.undo()
        else:
            self.journal.stop()
        if not self._savepoint:
            return
        self._savepoint = False
        try:
            if undo:
                self._database.run(schema.SAVEPOINT_UNDO)
            self._database.run(schema.SAVEPOINT_RELEASE)
        except OSError:
            self._broken = True
            raise

    def close(self) -> None:
        """Undo an open unit, and give up the descriptor."""
        self.abort()
        self._durability.close()
        self._writer.close()


class Step:
    """Context manager of one call. A savepoint is set only when the call comes to change something."""

    __slots__ = ("_unit", "running")

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self.running = False

    def __enter__(self) -> None:
        if self.running:
            raise RuntimeError("a step is running already")
        self.running = True
        self._unit.journal.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.running = False
        self._unit.end_step(undo=kind is not None)
