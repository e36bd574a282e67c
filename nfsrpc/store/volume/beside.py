"""Changing a volume beside the servers that serve it: under the writer lock alone, as one more of their processes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from .database import Database
from .log import Log
from .superblock import SuperblockFile
from .unit import Unit
from .writer import Writer


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
    writer = Writer(Path(path))
    try:
        writer.take()
        yield
    finally:
        writer.close()
