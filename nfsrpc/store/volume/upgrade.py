"""Bringing a volume of an older format to the present one.

The steps add to the database what their format adds, each so that doing it
again does no harm; then the superblock says the new format. A crash anywhere
leaves a volume that is whole: the old one, or the new one.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from . import schema
from .database import Database
from .lock import Lock
from .superblock import FORMAT, OLDEST, SuperblockFile

STEPS: Mapping[int, tuple[str, ...]] = {
    1: (schema.QUOTAS,),
}
"""Statements that bring a database from the format in the key to the next."""


def upgrade_volume(path: str | os.PathLike[str]) -> int:
    """Upgrade the volume at `path`, which must not be served; returns the format that it had.

    Handles, keys and fsid stay. NotAVolume: none, or of a newer format; VolumeInUse; OSError.
    """
    volume = Path(path)
    with Lock(volume, oldest=OLDEST):
        superblock = SuperblockFile(volume, oldest=OLDEST)
        try:
            before = superblock.version()
            if before < FORMAT:
                _change_tables(volume, before)
                superblock.update(superblock.read()._replace(home=superblock.home))
            return before
        finally:
            superblock.close()


def _change_tables(volume: Path, version: int) -> None:
    database = Database(volume)
    try:
        database.run(schema.BEGIN_CHANGING)
        for step in range(version, FORMAT):
            for statement in STEPS[step]:
                database.run(statement)
        database.run(schema.COMMIT)
    finally:
        database.close()
