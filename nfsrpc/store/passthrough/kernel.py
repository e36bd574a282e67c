"""The system calls of Linux that Python has no name for: file handles, directory positions, times, capabilities."""

import ctypes
import errno
import os
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

AT_EMPTY_PATH = 0x1000
CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_SETGID, CAP_SETUID = 0, 1, 2, 3, 6, 7
"""Numbers of <linux/capability.h>."""
NEEDED = ("name_to_handle_at", "open_by_handle_at", "getdents64", "utimensat", "syncfs", "setfsuid", "capset")

_AT_FDCWD = -100
_UTIME_OMIT = (1 << 30) - 2
_MAX_HANDLE = 128
"""MAX_HANDLE_SZ of <linux/exportfs.h>."""
_TRIES = 100
"""How often the kernel may say that it has no memory before it is believed."""
_HANDLE_HEAD = struct.Struct("=I")
_TIMESPECS = struct.Struct("@4l")
_DIRENT_HEAD = struct.Struct("=QqHB")
"""linux_dirent64: inode, position behind this entry, length of this entry, type; then the name, NUL-ended."""
_CAPABILITY_VERSION = 0x20080522
_CAPABILITY_DATA = struct.Struct("=6I")

_libc = ctypes.CDLL(None, use_errno=True)


def missing() -> list[str]:
    """Those of `NEEDED` that this host has not."""
    return [name for name in NEEDED if not hasattr(_libc, name)]


def _failure(what: str | bytes | None = None) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), what)


class Handle(NamedTuple):
    """The kernel's name of a file for ever: type and bytes as one string; and the mount it was reached through."""

    data: bytes
    mount: int


class Handles:
    """name_to_handle_at(2) and open_by_handle_at(2), with one buffer for all calls of a process."""

    def __init__(self) -> None:
        self._buffer = ctypes.create_string_buffer(4 + 4 + _MAX_HANDLE)
        self._mount = ctypes.c_int()
        self._mount_at = ctypes.byref(self._mount)

    def of(self, directory: int, name: bytes = b"", flags: int = AT_EMPTY_PATH) -> Handle:
        """The handle of the open file `directory`, or with `flags` 0 of `name` in it; no link is followed.

        OSError: EOPNOTSUPP where the file system has none.
        """
        _HANDLE_HEAD.pack_into(self._buffer, 0, _MAX_HANDLE)
        if _libc.name_to_handle_at(directory, name, self._buffer, self._mount_at, flags):
            raise _failure()
        (length,) = _HANDLE_HEAD.unpack_from(self._buffer)
        return Handle(self._buffer.raw[4 : 8 + length], self._mount.value)

    def open(self, mount: int, data: bytes, flags: int) -> int:
        """A descriptor for the file with the handle `data` on the file system of the descriptor `mount`.

        OSError: ESTALE if there is no such file any more, EPERM without CAP_DAC_READ_SEARCH.
        """
        buffer = _HANDLE_HEAD.pack(len(data) - 4) + data
        for _ in range(_TRIES):
            descriptor = _libc.open_by_handle_at(mount, buffer, flags | os.O_CLOEXEC)
            if descriptor >= 0:
                return int(descriptor)
            failure = _failure()
            # Also said of a file that is gone, while another is being made under its inode number.
            if failure.errno != errno.ENOMEM:
                break
            os.sched_yield()
        raise failure


class DirectoryEntry(NamedTuple):
    """A name of a directory, and the position behind it, where reading can go on."""

    name: bytes
    position: int


def directory_entries(descriptor: int, position: int, size: int = 1 << 15) -> Iterator[DirectoryEntry]:
    """The names from `position` on (0: the start), read in pieces of `size` bytes as they are asked for."""
    os.lseek(descriptor, position, os.SEEK_SET)
    buffer = ctypes.create_string_buffer(size)
    while (length := _libc.getdents64(descriptor, buffer, size)) > 0:
        page = buffer.raw
        at = 0
        while at < length:
            _, behind, entry, _ = _DIRENT_HEAD.unpack_from(page, at)
            start = at + _DIRENT_HEAD.size
            yield DirectoryEntry(page[start : page.index(b"\0", start)], behind)
            at += entry
    if length < 0:
        raise _failure()


def set_times(path: str, atime: int | None, mtime: int | None) -> None:
    """utimensat(2) in ns; None leaves a time as it is. Follows `path`, so that it can be one in /proc/self/fd."""
    values = [part for time in (atime, mtime) for part in _timespec(time)]
    if _libc.utimensat(_AT_FDCWD, os.fsencode(path), _TIMESPECS.pack(*values), 0):
        raise _failure(path)


def _timespec(time: int | None) -> tuple[int, int]:
    return (0, _UTIME_OMIT) if time is None else divmod(time, 10**9)


def sync_file_system(descriptor: int) -> None:
    """syncfs(2): everything of the file system that `descriptor` is on."""
    if _libc.syncfs(descriptor):
        raise _failure()


class Capabilities:
    """What this thread may do beyond its user's rights."""

    def __init__(self) -> None:
        self._header: Any = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
        data = ctypes.create_string_buffer(_CAPABILITY_DATA.size)
        if _libc.capget(self._header, data):
            raise _failure()
        self._data = data.raw
        low, _, _, high, _, _ = _CAPABILITY_DATA.unpack(self._data)
        self._effective = low | high << 32

    def include(self, *numbers: int) -> bool:
        """Whether all of `numbers` are in effect."""
        return all(self._effective >> number & 1 for number in numbers)

    def restore(self) -> None:
        """Put in effect again what was when this was made; changing the fs user id takes some away."""
        if _libc.capset(self._header, self._data):
            raise _failure()


def set_fs_ids(uid: int, gid: int) -> None:
    """setfsuid(2), setfsgid(2): whom files that are made belong to. OSError(EPERM) if it is not so afterwards."""
    _libc.setfsgid(ctypes.c_uint(gid))
    _libc.setfsuid(ctypes.c_uint(uid))
    # Asking with an impossible id is the only way to see what is in force.
    if _now(_libc.setfsuid) != uid or _now(_libc.setfsgid) != gid:
        raise OSError(errno.EPERM, "the file system user cannot be changed")


def _now(call: Any) -> int:
    return int(call(ctypes.c_uint(0xFFFFFFFF))) & 0xFFFFFFFF
