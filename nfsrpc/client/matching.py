"""Which files `find` finds: tests by name, kind, size and age."""

import fnmatch
import os
import re
import stat
from collections.abc import Callable

Test = Callable[[str, os.stat_result], bool]
"""Whether a file, given by its path and status, is wanted."""
KINDS = {
    "f": stat.S_IFREG, "d": stat.S_IFDIR, "l": stat.S_IFLNK, "p": stat.S_IFIFO, "c": stat.S_IFCHR, "b": stat.S_IFBLK,
    "s": stat.S_IFSOCK,
}  # fmt: skip
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_AGES = {"": 86400, "d": 86400, "h": 3600, "m": 60, "s": 1, "w": 7 * 86400}


class BadTest(ValueError):
    """What was given is no test."""


def by_name(pattern: str, *, ignore_case: bool = False) -> Test:
    """The last name matches the pattern."""
    matches = re.compile(fnmatch.translate(pattern), re.IGNORECASE if ignore_case else 0).match
    return lambda path, status: matches(path.rpartition("/")[2]) is not None


def by_kind(letters: str) -> Test:
    """One of f, d, l, p, c, b, s, or several with commas."""
    try:
        kinds = {KINDS[letter] for letter in letters.split(",")}
    except KeyError as unknown:
        raise BadTest(f"{unknown.args[0]!r} is no kind of file; there are {', '.join(KINDS)}") from None
    return lambda path, status: stat.S_IFMT(status.st_mode) in kinds


def by_size(text: str) -> Test:
    """``+10k`` is more than 10 KiB, ``-10k`` less, ``10k`` exactly; without a letter bytes."""
    sign, bound = _compared(text, _UNITS, "10k, +1M or -2G")
    return lambda path, status: _holds(sign, status.st_size, bound)


def by_age(text: str, now: float) -> Test:
    """``+7d`` was last changed more than 7 days before `now`, ``-2h`` less than 2 hours; days without a letter."""
    sign, bound = _compared(text, _AGES, "+7d, -2h or -30m")
    if not sign:
        raise BadTest(f"{text!r}: say + for older or - for younger")
    return lambda path, status: _holds(sign, now - status.st_mtime, bound)


def _compared(text: str, units: dict[str, int], examples: str) -> tuple[str, int]:
    found = re.fullmatch(r"([-+]?)(\d+)([a-zA-Z]?)", text)
    if found is None or found[3].lower() not in units:
        raise BadTest(f"{text!r} is not like {examples}")
    return found[1], int(found[2]) * units[found[3].lower()]


def _holds(sign: str, value: float, bound: int) -> bool:
    if sign == "+":
        return value > bound
    return value < bound if sign == "-" else value == bound
