"""The connection to a volume's `meta.sqlite`: errors as `OSError`, settings in one place."""

import errno
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from . import schema

FILE: Final = "meta.sqlite"
LOG_FILE: Final = f"{FILE}-wal"

_ERRNO: Final = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
}


blob = bytearray
"""How bytes are best given to a statement: sqlite3 looks for somebody who adapts `bytes`, in vain, at each value."""


def as_oserror(error: sqlite3.Error) -> OSError:
    """The errno that says most of what SQLite says: a full disk is ENOSPC, what is not known is EIO."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    return OSError(_ERRNO.get(code, errno.EIO), f"volume database: {error}")


class Database:
    """One connection, for one process and one thread at a time; transactions are begun and ended by hand."""

    def __init__(self, volume: Path, *, create: bool = False, wait: float = 60.0) -> None:
        """Open the database of `volume`. `wait`: seconds until a lock held by another connection is EBUSY.

        OSError: EACCES or EROFS if this process may not write it, EIO if it is damaged.
        """
        mode = "rwc" if create else "rw"
        uri = f"{(volume / FILE).absolute().as_uri()}?mode={mode}"
        try:
            self._connection = sqlite3.connect(
                uri, uri=True, timeout=wait, isolation_level=None, cached_statements=256, check_same_thread=False
            )
            for pragma in schema.PRAGMAS:
                self._connection.execute(pragma).fetchone()
        except sqlite3.Error as error:
            raise as_oserror(error) from error
        self._execute: Callable[..., sqlite3.Cursor] = self._connection.execute
        self._first: Callable[[], None] = self.nothing_before

    def before_next(self, act: Callable[[], None]) -> None:
        """Call `act` before the next statement, once."""
        self._first = act
        self._execute = self._execute_second

    def nothing_before(self) -> None:
        """Let the next statement be as any other."""
        self._execute = self._connection.execute

    def _execute_second(self, statement: str, values: Sequence[Any]) -> sqlite3.Cursor:
        self.nothing_before()
        self._first()
        return self._connection.execute(statement, values)

    def run(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute one statement."""
        try:
            return self._execute(statement, values)
        except sqlite3.Error as error:
            raise as_oserror(error) from error

    def one(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """First row of the answer, or None."""
        try:
            return self._execute(statement, values).fetchone()
        except sqlite3.Error as error:
            raise as_oserror(error) from error

    def all(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """All rows of the answer; the statement bounds them."""
        try:
            return self._execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise as_oserror(error) from error

    def rows(self, statement: str, values: Sequence[Any] = ()) -> Iterator[Any]:
        """The rows of the answer one by one, for answers of any length."""
        try:
            yield from self._execute(statement, values)
        except sqlite3.Error as error:
            raise as_oserror(error) from error

    def many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """Execute one statement for each row of values."""
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise as_oserror(error) from error

    def copy_to(self, path: Path) -> None:
        """Write the database as this connection sees it, in a reading transaction or without one, to a new file.

        It is not synced. OSError.
        """
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as copy:
                for pragma in schema.COPY_PRAGMAS:
                    copy.execute(pragma).fetchone()
                self._connection.backup(copy)
        except sqlite3.Error as error:
            raise as_oserror(error) from error

    @property
    def in_transaction(self) -> bool:
        """False also after SQLite has rolled back by itself, as it may on a full disk."""
        return self._connection.in_transaction

    def close(self) -> None:
        """Close the connection; an open transaction is rolled back."""
        self._connection.close()
