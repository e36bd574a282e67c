"""Paths of a mount as objects, with the habits of `pathlib.Path`."""

import os
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .blocking import Mount
    from .core import AnyPath


class RemotePath(os.PathLike[str]):
    """A path on a mount: what `pathlib.PurePosixPath` computes, and what `pathlib.Path` does.

    `str` and `os.fspath` give the path as the methods of the mount take it.
    """

    __slots__ = ("_mount", "_pure")

    def __init__(self, mount: "Mount", *names: "AnyPath") -> None:
        self._mount = mount
        self._pure = PurePosixPath(*(os.fsdecode(name) for name in names))

    def _new(self, pure: PurePosixPath) -> "RemotePath":
        return RemotePath(self._mount, pure)

    def __fspath__(self) -> str:
        return str(self._pure)

    def __str__(self) -> str:
        return str(self._pure)

    def __repr__(self) -> str:
        return f"<RemotePath {str(self)!r}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RemotePath):
            return NotImplemented
        return self._mount is other._mount and self._pure == other._pure

    def __lt__(self, other: "RemotePath") -> bool:
        return self._pure < other._pure

    def __hash__(self) -> int:
        return hash((id(self._mount), self._pure))

    def __truediv__(self, name: "AnyPath") -> "RemotePath":
        return self._new(self._pure / os.fsdecode(name))

    # --- what follows from the text

    @property
    def name(self) -> str:
        """The last name."""
        return self._pure.name

    @property
    def stem(self) -> str:
        """The last name without its suffix."""
        return self._pure.stem

    @property
    def suffix(self) -> str:
        """What the last name ends with, from its last dot on."""
        return self._pure.suffix

    @property
    def parts(self) -> tuple[str, ...]:
        """The names."""
        return self._pure.parts

    @property
    def parent(self) -> "RemotePath":
        """The path without its last name."""
        return self._new(self._pure.parent)

    @property
    def parents(self) -> list["RemotePath"]:
        """The paths above, the nearest first."""
        return [self._new(pure) for pure in self._pure.parents]

    def joinpath(self, *names: "AnyPath") -> "RemotePath":
        """This path with names behind it."""
        return self._new(self._pure.joinpath(*(os.fsdecode(name) for name in names)))

    def with_name(self, name: str) -> "RemotePath":
        """This path with another last name."""
        return self._new(self._pure.with_name(name))

    def with_suffix(self, suffix: str) -> "RemotePath":
        """This path with another suffix."""
        return self._new(self._pure.with_suffix(suffix))

    def relative_to(self, other: "AnyPath") -> PurePosixPath:
        """This path as seen from `other`. `ValueError` if it is not below it."""
        return self._pure.relative_to(os.fsdecode(other))

    def match(self, pattern: str) -> bool:
        """Whether the path matches, see `pathlib.PurePath.match`."""
        return self._pure.match(pattern)

    # --- what asks the server

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """See `os.stat`."""
        return self._mount.stat(str(self), follow_symlinks=follow_symlinks)

    def lstat(self) -> os.stat_result:
        """See `os.lstat`."""
        return self._mount.lstat(str(self))

    def exists(self) -> bool:
        """Whether there is something here; not for a link that leads nowhere."""
        return self._mount.exists(str(self))

    def is_dir(self) -> bool:
        """Whether a directory is here."""
        return self._mount.isdir(str(self))

    def is_file(self) -> bool:
        """Whether a regular file is here."""
        return self._mount.isfile(str(self))

    def is_symlink(self) -> bool:
        """Whether a symbolic link is here."""
        return self._mount.islink(str(self))

    def iterdir(self) -> Iterator["RemotePath"]:
        """The paths of what is in this directory."""
        for name in self._mount.listdir(str(self)):
            yield self / name

    def glob(self, pattern: str) -> Iterator["RemotePath"]:
        """The paths below this one that match."""
        for path in self._mount.glob(str(self._pure / pattern)):
            yield self._new(PurePosixPath(path))

    def rglob(self, pattern: str) -> Iterator["RemotePath"]:
        """The paths anywhere below this one that match."""
        return self.glob("**/" + pattern)

    def readlink(self) -> PurePosixPath:
        """Target of the symbolic link here."""
        return PurePosixPath(self._mount.readlink(str(self)))

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> Any:
        """See `Mount.open`."""
        return self._mount.open(str(self), mode, buffering, encoding, errors, newline)

    def read_bytes(self) -> bytes:
        """All of the file."""
        return self._mount.read_bytes(str(self))

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        """All of the file, decoded."""
        return self._mount.read_text(str(self), encoding, errors)

    def write_bytes(self, data: bytes) -> int:
        """Make `data` all of the file."""
        return self._mount.write_bytes(str(self), data)

    def write_text(self, text: str, encoding: str | None = None, errors: str | None = None) -> int:
        """Make `text` all of the file."""
        return self._mount.write_text(str(self), text, encoding, errors)

    # --- what changes the server

    def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        """Make the file if it is not there, else set its times to now. `FileExistsError` where that is not ok."""
        if exist_ok and self.exists():
            self._mount.utime(str(self))
            return
        self._mount.open(str(self), "ab" if exist_ok else "xb", 0, permissions=mode).close()

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Make the directory, and with `parents` those above it."""
        if parents:
            self._mount.makedirs(str(self), mode, exist_ok)
            return
        try:
            self._mount.mkdir(str(self), mode)
        except FileExistsError:
            if not exist_ok or not self.is_dir():
                raise

    def rmdir(self) -> None:
        """Remove the empty directory."""
        self._mount.rmdir(str(self))

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove the file or link."""
        try:
            self._mount.remove(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rename(self, target: "AnyPath") -> "RemotePath":
        """Rename, replacing what is there; the new path."""
        self._mount.rename(str(self), target)
        return RemotePath(self._mount, target)

    replace = rename

    def symlink_to(self, target: "AnyPath") -> None:
        """Make this path a symbolic link to `target`."""
        self._mount.symlink(target, str(self))

    def hardlink_to(self, target: "AnyPath") -> None:
        """Make this path one more name of the file at `target`."""
        self._mount.link(target, str(self))

    def chmod(self, mode: int, *, follow_symlinks: bool = True) -> None:
        """Change permissions."""
        self._mount.chmod(str(self), mode, follow_symlinks=follow_symlinks)
