"""Paths that clients mount."""

import os


def parts_of(path: bytes) -> list[bytes]:
    """The names that `path` consists of."""
    return [part for part in path.split(b"/") if part]


def normal_path(path: bytes) -> bytes:
    """`path` without repeated and trailing slashes. ValueError unless it is absolute and free of ``.`` and ``..``."""
    parts = parts_of(path)
    if not path.startswith(b"/") or any(part in (b".", b"..") or b"\0" in part for part in parts):
        raise ValueError(f"{os.fsdecode(path)!r} is not an absolute path without . and ..")
    return b"/" + b"/".join(parts)
