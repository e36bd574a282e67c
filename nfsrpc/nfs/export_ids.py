"""The 16 bits by which a handle knows its export: the same for ever, for the same path or ``fsid=``."""

import fcntl
import os
from collections.abc import Iterable, Mapping
from hashlib import blake2s
from urllib.parse import quote, unquote_to_bytes

FILE = "exports"
_IDS = 1 << 16


class TooManyExports(ValueError):
    """A store has had as many exports as there are ids."""


def export_ids(keys: Iterable[bytes], known: Mapping[bytes, int] | None = None) -> dict[bytes, int]:
    """`known`, and an id for each of `keys` that it lacks.

    A new one is made from the key itself; where two keys meet, the later takes the next free id,
    and only what is kept of it (`kept_ids`) says that it always will. Raises `TooManyExports`.
    """
    ids = dict(known or {})
    taken = set(ids.values())
    for key in sorted(set(keys) - ids.keys()):
        if len(taken) >= _IDS:
            raise TooManyExports(f"there have been {_IDS} exports of one store")
        number = int.from_bytes(blake2s(key, digest_size=2).digest())
        while number in taken:
            number = (number + 1) % _IDS
        taken.add(number)
        ids[key] = number
    return ids


def kept_ids(directory: str, keys: Iterable[bytes]) -> dict[bytes, int]:
    """The ids of `keys`, and of every export before them, as kept in `directory`; new ones are durable when it returns.

    An id is never given to another key: an export that is taken away and comes
    back finds its handles valid, and nobody else's are. OSError; `TooManyExports`.
    """
    path = os.path.join(directory, FILE)
    lock = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = _read(path)
        ids = export_ids(keys, known)
        if ids != known:
            _write(path, ids)
            os.fsync(lock)
        return ids
    finally:
        os.close(lock)


def _read(path: str) -> dict[bytes, int]:
    """Lines of an id and the percent-encoded key."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            rows = [line.split() for line in file]
    except FileNotFoundError:
        return {}
    good = [row for row in rows if len(row) == 2 and row[0].isdecimal() and int(row[0]) < _IDS]
    return {unquote_to_bytes(key): int(number) for number, key in good}


def _write(path: str, ids: Mapping[bytes, int]) -> None:
    part = f"{path}.new"
    with open(part, "w", encoding="ascii", opener=_private) as file:
        file.writelines(f"{number} {quote(key)}\n" for key, number in ids.items())
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
