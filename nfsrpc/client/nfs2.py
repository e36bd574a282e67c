"""NFS version 2 (RFC 1094) from the caller's side: one blocking method per procedure, errors as `OSError`.

Handles are 32 opaque bytes, names and link targets are bytes. What a server
sends is not trusted: names that would lead elsewhere, more data than was asked for
and listings without an end are refused with EIO.
"""

import dataclasses
import errno
import os
from collections.abc import Iterator, Mapping
from struct import Struct, error
from types import MappingProxyType
from typing import Any, NamedTuple

from nfsrpc.protocols import nfs_prot
from nfsrpc.protocols.nfs_prot import fattr, sattr
from nfsrpc.rpc.calls import PendingCall
from nfsrpc.transport.client import Client
from nfsrpc.xdr import Decoder, Limits, Procedure, XdrDecodeError

from .errors import from_status

MAX_DATA = int(nfs_prot.NFS_MAXDATA)
MAX_NAME = int(nfs_prot.NFS_MAXNAMLEN)
MAX_PATH = int(nfs_prot.NFS_MAXPATHLEN)
MAX_OFFSET = 0xFFFF_FFFF
UNSET = 0xFFFF_FFFF
"""A field of `sattr` that shall stay as it is (RFC 1094 §2.3.6)."""
MAX_ENTRIES = 4_000_000
"""Entries of one directory that are believed; more is a server that never stops."""

_STATUS = Struct(">I")


class Answer(NamedTuple):
    """A reply taken apart: its status word, and the whole result if that is 0."""

    status: int
    result: Any


def _by_status(decode: Decoder) -> Decoder:
    """A decoder that reads the result only where the status is NFS_OK.

    Whatever code a server sends, declared by RFC 1094 or not, becomes an
    errno instead of a decoding error.
    """

    def decode_answer(data: bytes, pos: int, limits: Limits) -> tuple[Answer, int]:
        try:
            (status,) = _STATUS.unpack_from(data, pos)
        except error:
            raise XdrDecodeError("no status word", offset=pos) from None
        if status:
            return Answer(status, None), pos + 4
        result, end = decode(data, pos, limits)
        return Answer(0, result), end

    return decode_answer


_WITHOUT_STATUS = (nfs_prot.NFSPROC_NULL, nfs_prot.NFSPROC_ROOT, nfs_prot.NFSPROC_WRITECACHE)
PROCEDURES: Mapping[int, Procedure] = MappingProxyType({
    number: dataclasses.replace(procedure, decode_result=_by_status(procedure.decode_result))
    for number, procedure in nfs_prot.NFS_PROGRAM_2_service.procedures.items()
    if number not in _WITHOUT_STATUS
})


def attributes_to_set(
    *,
    mode: int = UNSET,
    uid: int = UNSET,
    gid: int = UNSET,
    size: int = UNSET,
    atime: tuple[int, int] = (UNSET, UNSET),
    mtime: tuple[int, int] = (UNSET, UNSET),
) -> sattr:
    """A `sattr` with everything unset but what is given; times are (seconds, microseconds)."""
    return sattr(mode, uid, gid, size, nfs_prot.nfstime(*atime), nfs_prot.nfstime(*mtime))


class Entry(NamedTuple):
    """One entry of a directory: the file's number, its name, and where to go on behind it."""

    fileid: int
    name: bytes
    cookie: bytes


class Space(NamedTuple):
    """Room on the server (RFC 1094 §2.2.18): preferred transfer size in bytes, and blocks of `block_size` bytes."""

    transfer_size: int
    block_size: int
    blocks: int
    free: int
    available: int


class Nfs2:
    """The procedures of NFSv2 over one client.

    Every method raises `OSError` of the right subclass with the name it was about (a
    status of the server; EIO for an answer that cannot be meant), or the errors of
    `nfsrpc.rpc.errors`. `timeout` bounds each call, in seconds.
    """

    def __init__(self, client: Client, *, timeout: float | None = None) -> None:
        self.client = client
        self._timeout = timeout

    def submit(self, number: int, argument: Any) -> PendingCall:
        """Send procedure `number` without waiting; `wait` takes what this returns."""
        return self.client.submit(PROCEDURES[number], (argument,), timeout=self._timeout)

    def wait(self, call: PendingCall, *names: bytes) -> Any:
        """The result of a call that `submit` sent, or its error, with `names` in it."""
        answer: Answer = self.client.wait(call)
        if answer.status:
            raise from_status(answer.status, *names)
        return answer.result

    def _ask(self, number: int, argument: Any, *names: bytes) -> Any:
        return self.wait(self.submit(number, argument), *names)

    def getattr(self, handle: bytes) -> fattr:
        """Attributes of a file."""
        return _attributes(self._ask(nfs_prot.NFSPROC_GETATTR, nfs_prot.nfs_fh(handle)))

    def setattr(self, handle: bytes, changes: sattr) -> fattr:
        """Change attributes, return the new ones. See `attributes_to_set`."""
        return _attributes(self._ask(nfs_prot.NFSPROC_SETATTR, nfs_prot.sattrargs(nfs_prot.nfs_fh(handle), changes)))

    def lookup(self, directory: bytes, name: bytes) -> tuple[bytes, fattr]:
        """Handle and attributes of `name` in `directory`; ``.`` and ``..`` may be asked for."""
        return _found(self._ask(nfs_prot.NFSPROC_LOOKUP, _place(directory, name), name))

    def readlink(self, handle: bytes) -> bytes:
        """Target of a symbolic link."""
        target: bytes = self._ask(nfs_prot.NFSPROC_READLINK, nfs_prot.nfs_fh(handle)).data
        if b"\0" in target:
            raise OSError(errno.EIO, "the server sent a link target with NUL in it")
        return target

    def read(self, handle: bytes, offset: int, count: int) -> tuple[bytes, fattr]:
        """At most `count` (up to 8192) bytes at `offset`, and the attributes. No bytes: end of file."""
        return self.take_read(self.send_read(handle, offset, count), count)

    def send_read(self, handle: bytes, offset: int, count: int) -> PendingCall:
        """First half of `read`, without waiting."""
        argument = nfs_prot.readargs(nfs_prot.nfs_fh(handle), _offset(offset), count, 0)
        return self.submit(nfs_prot.NFSPROC_READ, argument)

    def take_read(self, call: PendingCall, count: int) -> tuple[bytes, fattr]:
        """Second half of `read`."""
        result = self.wait(call).reply
        if len(result.data) > count:
            raise OSError(errno.EIO, f"the server sent {len(result.data)} bytes where {count} were asked for")
        return result.data, result.attributes

    def write(self, handle: bytes, offset: int, data: bytes) -> fattr:
        """Write at most 8192 bytes at `offset`; they are on stable storage when this returns (RFC 1094 §2.2.9)."""
        return self.take_write(self.send_write(handle, offset, data))

    def send_write(self, handle: bytes, offset: int, data: bytes) -> PendingCall:
        """First half of `write`, without waiting."""
        _offset(offset + len(data))
        argument = nfs_prot.writeargs(nfs_prot.nfs_fh(handle), 0, offset, 0, data)
        return self.submit(nfs_prot.NFSPROC_WRITE, argument)

    def take_write(self, call: PendingCall) -> fattr:
        """Second half of `write`."""
        return _attributes(self.wait(call))

    def create(self, directory: bytes, name: bytes, attributes: sattr) -> tuple[bytes, fattr]:
        """Make a regular file; one that is there already is kept (a given size is applied to it)."""
        argument = nfs_prot.createargs(_new(directory, name), attributes)
        return _found(self._ask(nfs_prot.NFSPROC_CREATE, argument, name))

    def remove(self, directory: bytes, name: bytes) -> None:
        """Take a name of anything but a directory."""
        self._ask(nfs_prot.NFSPROC_REMOVE, _new(directory, name), name)

    def rename(self, directory: bytes, name: bytes, to_directory: bytes, to_name: bytes) -> None:
        """Rename, replacing what has the new name."""
        argument = nfs_prot.renameargs(_new(directory, name), _new(to_directory, to_name))
        self._ask(nfs_prot.NFSPROC_RENAME, argument, name, to_name)

    def link(self, handle: bytes, directory: bytes, name: bytes) -> None:
        """Give a file one more name."""
        argument = nfs_prot.linkargs(nfs_prot.nfs_fh(handle), _new(directory, name))
        self._ask(nfs_prot.NFSPROC_LINK, argument, name)

    def symlink(self, directory: bytes, name: bytes, target: bytes, attributes: sattr) -> None:
        """Make a symbolic link to `target`. Version 2 returns no handle: look it up."""
        if len(target) > MAX_PATH:
            raise _name_error(errno.ENAMETOOLONG, name)
        argument = nfs_prot.symlinkargs(_new(directory, name), target, attributes)
        self._ask(nfs_prot.NFSPROC_SYMLINK, argument, name)

    def mkdir(self, directory: bytes, name: bytes, attributes: sattr) -> tuple[bytes, fattr]:
        """Make a directory."""
        argument = nfs_prot.createargs(_new(directory, name), attributes)
        return _found(self._ask(nfs_prot.NFSPROC_MKDIR, argument, name))

    def rmdir(self, directory: bytes, name: bytes) -> None:
        """Remove an empty directory."""
        self._ask(nfs_prot.NFSPROC_RMDIR, _new(directory, name), name)

    def readdir(self, directory: bytes, *, page: int = MAX_DATA) -> Iterator[Entry]:
        """All entries, ``.`` and ``..`` as the server has them, in pages of at most `page` bytes.

        EIO for a name that no directory can hold (empty, with ``/`` or NUL), for pages that
        lead back to an earlier one, and for a listing of more than `MAX_ENTRIES`.
        """
        cookie, seen, total = bytes(4), {bytes(4)}, 0
        while True:
            argument = nfs_prot.readdirargs(nfs_prot.nfs_fh(directory), cookie, page)
            listing = self._ask(nfs_prot.NFSPROC_READDIR, argument).reply
            link = listing.entries
            while link is not None:
                yield _entry(link)
                cookie, link, total = link.cookie, link.nextentry, total + 1
            if listing.eof:
                return
            if cookie in seen or total > MAX_ENTRIES:
                raise OSError(errno.EIO, "the server's directory listing does not come to an end")
            seen.add(cookie)

    def statfs(self, handle: bytes) -> Space:
        """Room on the file system of `handle`."""
        info = self._ask(nfs_prot.NFSPROC_STATFS, nfs_prot.nfs_fh(handle)).reply
        return Space(info.tsize, info.bsize, info.blocks, info.bfree, info.bavail)


def _attributes(result: Any) -> fattr:
    attributes: fattr = result.attributes
    return attributes


def _found(result: Any) -> tuple[bytes, fattr]:
    found = result.diropres
    return found.file.data, found.attributes


def _place(directory: bytes, name: bytes) -> nfs_prot.diropargs:
    if not name or b"/" in name or b"\0" in name:
        raise _name_error(errno.EINVAL, name)
    if len(name) > MAX_NAME:
        raise _name_error(errno.ENAMETOOLONG, name)
    return nfs_prot.diropargs(nfs_prot.nfs_fh(directory), name)


def _new(directory: bytes, name: bytes) -> nfs_prot.diropargs:
    """A name that shall be made or taken away: the names of the directory itself and its parent cannot."""
    if name in (b".", b".."):
        raise _name_error(errno.EINVAL, name)
    return _place(directory, name)


def _name_error(number: int, name: bytes) -> OSError:
    return OSError(number, os.strerror(number), os.fsdecode(name))


def _offset(offset: int) -> int:
    if offset > MAX_OFFSET:
        raise OSError(errno.EFBIG, "NFS version 2 ends at 4 GiB")
    return offset


def _entry(link: nfs_prot.entry) -> Entry:
    name = link.name
    if not name or b"/" in name or b"\0" in name:
        raise OSError(errno.EIO, f"the server listed the impossible name {name!r}")
    return Entry(link.fileid, name, link.cookie)
