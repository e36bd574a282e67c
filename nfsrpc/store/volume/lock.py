"""The lock that says who serves a volume."""

import errno
import fcntl
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from . import uptime
from .database import Database
from .errors import VolumeError, VolumeInUse
from .superblock import FORMAT, SuperblockFile

LOCK_FILE = "lock"
_TRIES, _PAUSE = 25, 0.02
"""How often, and after how many seconds each, a server that shares tries to join those that do."""


class Lock:
    """The lock of a volume, and nothing more: for programs that need the volume at rest."""

    refusal = "the volume is in use by a running server"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        shared: bool = False,
        inherited: int | None = None,
        oldest: int = FORMAT,
    ) -> None:
        """Take it; `shared`: together with others that ask for it so. NotAVolume; VolumeInUse.

        `inherited` is the descriptor of a lock that a predecessor holds and
        hands on. `oldest`: a volume of a format before that is none.
        """
        self.path = Path(path)
        SuperblockFile(self.path, oldest=oldest).close()
        if inherited is not None:
            self._descriptor = inherited
            return
        self._descriptor = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if self._try(fcntl.LOCK_EX):
                self._begin()
                if shared:
                    fcntl.flock(self._descriptor, fcntl.LOCK_SH)
            elif not (shared and self._join()):
                raise VolumeInUse(self.path, self.refusal)
        except BaseException:
            self.release()
            raise

    def _join(self) -> bool:
        """Have it together with others. One that begins has it alone for a moment, so it is worth to try again."""
        for _ in range(_TRIES):
            if self._try(fcntl.LOCK_SH):
                return True
            time.sleep(_PAUSE)
        return False

    def _begin(self) -> None:
        """Nobody else has the volume: what is to be done before anybody has."""

    def _try(self, kind: int) -> bool:
        try:
            fcntl.flock(self._descriptor, kind | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def fileno(self) -> int:
        """The descriptor that holds it."""
        return self._descriptor

    def release(self) -> None:
        """Give up this process's part of the lock. May be called twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "Lock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class VolumeLock(Lock):
    """Held by a server for as long as it serves: made by the supervisor, before it forks workers.

    Workers inherit it, and it is held until the last of them is gone, too. Each
    worker opens its own `Volume` after the fork. Whoever is the first to hold
    it also sets the clock of remembered results going, see `uptime`.
    """

    refusal = f"{Lock.refusal}; several can have it if all are started with --shared"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        shared: bool = False,
        inherited: int | None = None,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """As `Lock`. `monotonic`: ns of a clock that all processes of this machine share."""
        self._monotonic = monotonic
        super().__init__(path, shared=shared, inherited=inherited)

    def _begin(self) -> None:
        self._check_home()
        database = Database(self.path)
        try:
            uptime.set_going(self._descriptor, database, self._monotonic)
        finally:
            database.close()

    def _check_home(self) -> None:
        """A copy has the original's handles, and gives out again what the original has given out since."""
        superblock = SuperblockFile(self.path)
        try:
            home = superblock.read().home
            if home not in (0, superblock.home):
                raise VolumeError(
                    self.path,
                    f"the volume was copied here; `nfsrpc adopt {self.path}` makes it a volume of its own, "
                    "with --moved it stays the one it was",
                )
        finally:
            superblock.close()

    def __enter__(self) -> "VolumeLock":
        return self
