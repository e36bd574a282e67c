"""Permissions as chmod(1) takes them: octal, or letters such as ``u+rwX,go-w``."""

import re
from collections.abc import Callable

Change = Callable[[int, bool], int]
"""From the permission bits that a file has, and whether it is a directory, to those that it shall have."""

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXst]*|[-+=][ugo])+)")
_ACTION = re.compile(r"([-+=])([ugo]|[rwxXst]*)")
_WHO = {"u": 0o4700, "g": 0o2070, "o": 0o1007}
_WHAT = {"r": 0o444, "w": 0o222, "x": 0o111, "s": 0o6000, "t": 0o1000}
_SHIFT = {"u": 6, "g": 3, "o": 0}


class BadMode(ValueError):
    """What was given is no mode."""


def parse_mode(text: str) -> Change:
    """What chmod(1) would do for `text`. Letters without u, g, o or a are for all three. Raises `BadMode`."""
    if re.fullmatch(r"[0-7]{1,4}", text):
        bits = int(text, 8)
        return lambda mode, directory: bits
    clauses = [_CLAUSE.fullmatch(clause) for clause in text.split(",")]
    actions = []
    for clause in clauses:
        if clause is None:
            raise BadMode(f"{text!r} is no mode; it looks like 644, u+x or go-rwx")
        who = set(clause[1].replace("a", "ugo")) or set("ugo")
        actions += [(who, sign, what) for sign, what in _ACTION.findall(clause[2])]

    def change(mode: int, directory: bool) -> int:
        for who, sign, what in actions:
            mode = _changed(mode, directory, who, sign, what)
        return mode

    return change


def _changed(mode: int, directory: bool, who: set[str], sign: str, what: str) -> int:
    reach = 0
    for letter in who:
        reach |= _WHO[letter]
    if what in _SHIFT:
        three = mode >> _SHIFT[what] & 0o7
        bits = (three << 6 | three << 3 | three) & reach
    else:
        bits = 0
        for letter in what:
            if letter == "X":
                bits |= 0o111 if directory or mode & 0o111 else 0
            else:
                bits |= _WHAT[letter]
        bits &= reach
    if sign == "-":
        return mode & ~bits
    if sign == "+":
        return mode | bits
    # The sticky bit is the others', the set-id bits are their owners'; "=" clears what it does not name.
    return mode & ~(reach & (0o1777 if directory else 0o7777)) | bits
