"""This process with fewer rights, for real: capabilities taken out of effect, or another user."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager

CAP_DAC_READ_SEARCH = 2
_VERSION = 0x20080522
_DATA = struct.Struct("=6I")
_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _data() -> bytes:
    data = ctypes.create_string_buffer(_DATA.size)
    _check(_libc.capget(struct.pack("=Ii", _VERSION, 0), data))
    return data.raw


def has(capability: int) -> bool:
    """Whether it is in effect."""
    return bool(_DATA.unpack(_data())[0] >> capability & 1)


@contextmanager
def without(capability: int) -> Iterator[None]:
    """This thread does without a capability (of the first 32) for a while."""
    before = _data()
    low, *rest = _DATA.unpack(before)
    header = struct.pack("=Ii", _VERSION, 0)
    _check(_libc.capset(header, _DATA.pack(low & ~(1 << capability), *rest)))
    try:
        yield
    finally:
        _check(_libc.capset(header, before))


@contextmanager
def as_user(uid: int, gid: int) -> Iterator[None]:
    """This process acts as an ordinary user for a while: effective ids, and with them every capability."""
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)
