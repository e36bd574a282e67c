"""The database's log on stable storage: synced by us and not by SQLite, so that the next writer need not wait for it.

A commit writes the log while it has the writer lock, and syncs it when it has
given the lock up: meanwhile another process can be at its own unit. What a log
has in it lies in the order of the commits, so each sync covers all before it.
"""

import errno
import os
from pathlib import Path
from typing import Protocol

from . import schema
from .database import LOG_FILE, Database
from .host import sync_data


class Durability(Protocol):
    """What makes commits durable."""

    def check(self) -> None:
        """Before a unit that changes: OSError if what was committed earlier may still not be durable."""

    def sync(self) -> None:
        """Return when every commit so far is on stable storage. OSError if it may not be."""

    def close(self) -> None:
        """Give up what is open."""


class Log:
    """The log of one connection's database."""

    def __init__(self, volume: Path, database: Database) -> None:
        self._database = database
        self._doubtful = False
        # The log is made by the first transaction, and stays while a connection is open.
        database.one(schema.VERSION)
        # Open from now on: the host tells of an error once, to those who had the file open then.
        self._descriptor = os.open(volume / LOG_FILE, os.O_RDWR | os.O_CLOEXEC)
        database.run(schema.UNSYNCED_PRAGMA)

    def check(self) -> None:
        """See `Durability.check`."""
        if self._doubtful:
            self._fold()

    def sync(self) -> None:
        """See `Durability.sync`."""
        try:
            sync_data(self._descriptor)
        except OSError:
            self._doubtful = True
        self.check()

    def _fold(self) -> None:
        """Copy the log into the database, and begin it anew.

        After a sync that failed the next one may succeed without having written
        what the first could not: the log itself is not to be trusted any more.
        """
        busy, _, _ = self._database.one(schema.FOLD_LOG)
        if busy:
            raise OSError(errno.EIO, "the volume's log cannot be brought to the disk")
        self._doubtful = False

    def close(self) -> None:
        """See `Durability.close`."""
        os.close(self._descriptor)


class SyncedBehind:
    """Of a volume whose log is synced behind the replies, by `writebehind`."""

    def __init__(self, database: Database) -> None:
        database.run(schema.UNSYNCED_PRAGMA)

    def check(self) -> None:
        """Nothing waits for the disk."""

    def sync(self) -> None:
        """Nothing waits for the disk."""

    def close(self) -> None:
        """Nothing is open."""
