"""A path that is to be served: which kind of store is there, and holding it for one server.

The supervisor holds it before it forks workers; each of them attaches its own `Store`.
"""

import os
from pathlib import Path
from typing import Protocol

from .errors import CannotServe, DirectoryInUse
from .interface import Store
from .volume import Volume, VolumeInUse, VolumeLock
from .volume.contents import DIRECTORY as CONTENTS
from .volume.database import FILE as DATABASE_FILE
from .volume.superblock import FILE as SUPERBLOCK_FILE

IN_USE = (VolumeInUse, DirectoryInUse)
"""What `hold` raises while somebody else has it."""


class Held(Protocol):
    """A store that this server has for itself, or shares with others."""

    keep: Path
    """Directory for what the server itself keeps about the store; clients cannot reach it."""
    user: tuple[int, int] | None
    """(uid, gid) that every caller acts as, where files cannot be given to others; None: each as who it is."""

    def attach(self, *, asynchronous: bool = False) -> Store:
        """A store of this process. `asynchronous`: changes may be answered before they are on stable storage."""

    def fileno(self) -> int:
        """The descriptor that holds it, for a successor."""

    def release(self) -> None:
        """Give up this process's part of the lock. May be called twice."""


class HeldVolume:
    """A volume."""

    user: tuple[int, int] | None = None

    def __init__(self, path: str | os.PathLike[str], shared: bool = False, inherited: int | None = None) -> None:
        """NotAVolume; VolumeInUse. See `hold`."""
        self.keep = Path(path)
        self._lock = VolumeLock(path, shared=shared, inherited=inherited)
        self.fileno = self._lock.fileno
        self.release = self._lock.release

    def attach(self, *, asynchronous: bool = False) -> Store:
        """See `Held.attach`."""
        return Volume(self.keep, self._lock, asynchronous=asynchronous)


def is_volume(path: str | os.PathLike[str]) -> bool:
    """Whether a volume is at `path`. CannotServe if it has lost its superblock: its files are not for clients."""
    if os.path.lexists(os.path.join(path, SUPERBLOCK_FILE)):
        return True
    if all(os.path.lexists(os.path.join(path, name)) for name in (DATABASE_FILE, CONTENTS)):
        raise CannotServe(path, f"it has been a volume, but has no {SUPERBLOCK_FILE}; restore that from a copy")
    return False


def hold(
    path: str | os.PathLike[str],
    *,
    state: str | os.PathLike[str] | None = None,
    shared: bool = False,
    inherited: int | None = None,
) -> Held:
    """Hold what is at `path`, a volume or a plain directory. NotAVolume, VolumeInUse, CannotServe.

    `shared`: a volume, beside servers that share it, too. `inherited`: the
    descriptor of a lock that a predecessor holds.
    """
    for above in Path(os.path.abspath(path)).parents:
        if all(os.path.lexists(above / name) for name in (SUPERBLOCK_FILE, DATABASE_FILE)):
            raise CannotServe(path, f"it lies in the volume {above}; serve that, and mount what is below it")
    if is_volume(path):
        return HeldVolume(path, shared, inherited)
    if shared:
        raise CannotServe(path, "a plain directory is served by one server at a time; only volumes can be shared")
    from .passthrough.held import HeldDirectory  # Linux's own system calls, of which a volume needs none

    return HeldDirectory(path, state, inherited)
