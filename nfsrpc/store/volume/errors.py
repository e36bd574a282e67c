"""What can be wrong with a volume as such; everything else a store raises is a plain `OSError`."""

import errno
import os


class VolumeError(OSError):
    """A volume cannot be used as asked. `str()` is one line that says what to do."""

    code = errno.EINVAL

    def __init__(self, path: str | os.PathLike[str], why: str) -> None:
        super().__init__(self.code, why, os.fspath(path))
        self.why = why

    def __str__(self) -> str:
        return f"{self.filename}: {self.why}"


class NotAVolume(VolumeError):
    """The path holds no volume, a damaged superblock, or a format this version does not know."""


class VolumeInUse(VolumeError):
    """A server, or another program that needs the volume for itself, holds its lock."""

    code = errno.EBUSY
