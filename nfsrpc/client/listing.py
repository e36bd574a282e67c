"""Entries of a directory, as `os.scandir` has them: a name, and what it is, known when the directory was listed."""

import os
import stat
from typing import Generic, TypeVar

from .node import Node

Name = TypeVar("Name", str, bytes)


class RemoteEntry(Generic[Name]):
    """One entry of a remote directory, with the habits of `os.DirEntry`; it implements `os.PathLike`.

    What it is was asked when the directory was listed, so nothing here waits, but for a symbolic link
    that is to be followed.
    """

    __slots__ = ("_found", "_target", "name", "path")

    def __init__(self, name: Name, path: Name, found: Node | OSError, target: os.stat_result | None) -> None:
        self.name: Name = name
        self.path: Name = path
        self._found = found
        self._target = target

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Status of the entry. `FileNotFoundError` for a link that is to be followed and leads nowhere."""
        found = self._found
        if isinstance(found, OSError):
            raise found
        if not (follow_symlinks and found.is_link):
            return found.status
        if self._target is None:
            raise FileNotFoundError(2, os.strerror(2), self.path)
        return self._target

    def _is(self, kind: int, follow_symlinks: bool) -> bool:
        try:
            return stat.S_IFMT(self.stat(follow_symlinks=follow_symlinks).st_mode) == kind
        except OSError:
            return False

    def is_dir(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a directory, or a link to one."""
        return self._is(stat.S_IFDIR, follow_symlinks)

    def is_file(self, *, follow_symlinks: bool = True) -> bool:
        """Whether it is a regular file, or a link to one."""
        return self._is(stat.S_IFREG, follow_symlinks)

    def is_symlink(self) -> bool:
        """Whether it is a symbolic link."""
        return self._is(stat.S_IFLNK, False)

    def inode(self) -> int:
        """The file's number."""
        return self.stat(follow_symlinks=False).st_ino

    def __fspath__(self) -> Name:
        return self.path

    def __repr__(self) -> str:
        return f"<RemoteEntry {self.name!r}>"
