"""The clock that remembered results age by: the machine's monotonic one, and an offset that servers of a store share.

It runs on where the latest result was made: time without a server does not count. The offset lies in the file that a
server locks, big-endian. It means nothing to those that come when all servers have gone, so it need not
reach the disk, and a start costs no commit.
"""

import os
from collections.abc import Callable
from typing import Final

from .database import Database
from .replay import greatest_age

_SIZE: Final = 8


def set_going(lock: int, database: Database, monotonic: Callable[[], int]) -> None:
    """For whoever is the first to hold the lock whose descriptor is `lock`. `monotonic`: ns, the same for all."""
    offset = greatest_age(database) - monotonic()
    os.pwrite(lock, offset.to_bytes(_SIZE, signed=True), 0)


def offset(lock: int) -> int:
    """ns to be added to the monotonic clock, for all who hold the lock."""
    return int.from_bytes(os.pread(lock, _SIZE, 0), signed=True)
