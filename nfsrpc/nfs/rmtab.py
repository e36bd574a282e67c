"""Who has mounted what: the advisory list behind MOUNT's DUMP (RFC 1094 appendix A.5.3)."""

import fcntl
import os
from collections.abc import Callable, Mapping
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

CAPACITY = 512
"""Rows kept; the oldest go first. Clients that vanish never say so, and the list has to fit one datagram."""
DATAGRAM = 60_000
"""Bytes that a reply with all rows may have: one that is longer could not be sent over UDP."""
_WIRE = 18
"""Bytes of a row on the wire besides its texts, at most: that one follows, two lengths, padding."""


class Mount(NamedTuple):
    """One row: a client's numeric address, and the path it mounted."""

    host: bytes
    path: bytes


class Rmtab:
    """The list, in a file of its own that all workers share and that outlives the server.

    The file has one line per mount: address, blank, path with its odd bytes
    percent-encoded. It is read and rewritten under a record lock.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def rows(self) -> list[Mount]:
        """All rows, oldest first."""
        return self._change(lambda rows: rows)

    def add(self, mount: Mount) -> None:
        """Note a mount; one that is there already stays one row."""
        self._change(lambda rows: [*(row for row in rows if row != mount), mount][-CAPACITY:])

    def remove(self, mount: Mount) -> None:
        """Forget one mount."""
        self._change(lambda rows: [row for row in rows if row != mount])

    def remove_host(self, host: bytes) -> None:
        """Forget every mount of one client, and of no other."""
        self._change(lambda rows: [row for row in rows if row.host != host])

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _change(self, change: Callable[[list[Mount]], list[Mount]]) -> list[Mount]:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        try:
            text = os.pread(self._file, os.fstat(self._file).st_size, 0)
            rows = [_row(line) for line in text.decode("ascii", "replace").splitlines() if " " in line]
            changed = change(rows)
            if changed != rows:
                self._write("".join(f"{quote(row.host, ':')} {quote(row.path)}\n" for row in changed).encode())
            return changed
        finally:
            fcntl.lockf(self._file, fcntl.LOCK_UN)

    def _write(self, text: bytes) -> None:
        os.pwrite(self._file, text, 0)
        os.ftruncate(self._file, len(text))


class Rmtabs:
    """The lists of all stores as one; `tables` has each under its store's fsid."""

    def __init__(self, tables: Mapping[int, Rmtab]) -> None:
        self._tables = tables

    def rows(self) -> list[Mount]:
        """Rows, oldest first within each store: as many of the latest as one list has, and one datagram holds."""
        kept: list[Mount] = []
        room = DATAGRAM
        for row in reversed([row for table in self._tables.values() for row in table.rows()]):
            room -= _WIRE + len(row.host) + len(row.path)
            if room < 0 or len(kept) >= CAPACITY:
                break
            kept.append(row)
        kept.reverse()
        return kept

    def add(self, fsid: int, mount: Mount) -> None:
        """Note a mount of the store with this fsid."""
        self._tables[fsid].add(mount)

    def remove(self, mount: Mount) -> None:
        """Forget one mount."""
        for table in self._tables.values():
            table.remove(mount)

    def remove_host(self, host: bytes) -> None:
        """Forget every mount of one client, and of no other."""
        for table in self._tables.values():
            table.remove_host(host)

    def close(self) -> None:
        """Close every file."""
        for table in self._tables.values():
            table.close()


def _row(line: str) -> Mount:
    host, path = line.split(" ", 1)
    return Mount(unquote_to_bytes(host), unquote_to_bytes(path))
