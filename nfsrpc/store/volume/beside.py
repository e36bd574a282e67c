"""Changing a volume beside the servers that serve it: under the writer lock alone, as one more of their processes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .database import Database
from .log import Log
from .superblock import SuperblockFile
from .unit import WRITER_FILE, Unit


class Beside(NamedTuple):
    """What a program that works beside servers has of the volume. Servers notice what it commits at once."""

    superblock: SuperblockFile
    unit: Unit
    database: Database


@contextmanager
def beside_servers(path: str | os.PathLike[str], *, changing: bool) -> Iterator[Beside]:
    """A unit of work of the volume at `path`, served or not; an exception undoes it. NotAVolume."""
    volume = Path(path)
    superblock = SuperblockFile(volume)
    try:
        database = Database(volume)
        try:
            unit = Unit(volume, database, Log(volume, database))
            try:
                unit.begin(changing)
                yield Beside(superblock, unit, database)
                unit.commit()
            finally:
                unit.close()
        finally:
            database.close()
    finally:
        superblock.close()


@contextmanager
def changes_wait(path: str | os.PathLike[str]) -> Iterator[None]:
    """Nobody changes the volume at `path` meanwhile: the changing units of its servers wait. Reading goes on."""
    descriptor = os.open(Path(path) / WRITER_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
