"""Sizes, numbers of files and spans of time as people type them, and sizes as they read them."""

import re

import click

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(?:i?B)?", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SPAN = re.compile(r"(\d+)\s*([smhdw]?)")


def size(text: str) -> int:
    """Bytes of ``500M``, ``1.5T``, ``4096``, in powers of 1024; ``none`` is 0: no limit. click.BadParameter."""
    if text == "none":
        return 0
    found = _SIZE.fullmatch(text)
    number = int(float(found[1]) * _UNITS[found[2].upper()]) if found else 0
    if not 0 < number < 1 << 63:
        raise click.BadParameter(f"{text!r} is no size; give bytes, or a number with K, M, G or T, or none")
    return number


def count(text: str) -> int:
    """A number of files; ``none`` is 0, which is no limit. click.BadParameter."""
    if text == "none":
        return 0
    if not text.isdecimal() or not 0 < int(text) < 1 << 32:
        raise click.BadParameter(f"{text!r} is no number of files; give one, or none")
    return int(text)


def span(text: str) -> int:
    """Seconds of ``90s``, ``12h``, ``7d``, ``2w``; a number alone is seconds. click.BadParameter."""
    found = _SPAN.fullmatch(text)
    if not found or len(found[1]) > 9:
        raise click.BadParameter(f"{text!r} is no span of time; give a number with s, m, h, d or w")
    return int(found[1]) * _SECONDS[found[2] or "s"]


def size_text(number: int) -> str:
    """Bytes for people: exact below 1 KiB, three digits above."""
    value = float(number)
    unit = "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024 or unit == "TiB":
            break
        value /= 1024
    return f"{number} B" if unit == "B" else f"{value:.3g} {unit}" if value < 1000 else f"{value:.0f} {unit}"
