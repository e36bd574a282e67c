"""Generations: numbers given out once in the life of a volume, whatever crashes or is rolled back."""

import errno

from .limits import VolumeLimits
from .superblock import SuperblockFile


class Generations:
    """The block of generations that this process has reserved, durably, before it gave out the first of it.

    Used under the writer lock only. Nothing is ever put back: what a crash
    leaves of a block is lost.
    """

    def __init__(self, superblock: SuperblockFile, limits: VolumeLimits) -> None:
        self._superblock = superblock
        self._limits = limits
        self._next = 0
        self._end = 0

    def take(self) -> int:
        """The next one. ENOSPC when the volume has used all: a copy of it, with a new fsid, begins anew."""
        if self._next == self._end:
            self._reserve()
        taken = self._next
        self._next += 1
        return taken

    def _reserve(self) -> None:
        superblock = self._superblock.read()
        start = superblock.reserved
        end = min(start + self._limits.generation_block, self._limits.generation + 1)
        if start >= end:
            raise OSError(errno.ENOSPC, "every generation of this volume has been given out")
        self._superblock.update(superblock._replace(reserved=end))
        self._next, self._end = start, end
