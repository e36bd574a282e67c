"""What forbids serving what is at a path; else a store of a plain directory raises plain `OSError`s."""

import errno
import os


class CannotServe(OSError):
    """The directory cannot be served as asked. `str()` is one line that says what to do."""

    def __init__(self, path: str | os.PathLike[str], why: str, code: int = errno.EINVAL) -> None:
        super().__init__(code, why, os.fspath(path))
        self.why = why

    def __str__(self) -> str:
        return f"{self.filename}: {self.why}"


class DirectoryInUse(CannotServe):
    """Another server has the directory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, "the directory is being served already", errno.EBUSY)
