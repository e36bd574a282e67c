"""NFS version 2 (RFC 1094) from the caller's side: one `Request` per procedure, errors as `OSError`.

Whoever carries a request, blocking or not, sends its procedure and argument and
gives it the answer. `Nfs2` does so over a blocking client.

Handles are 32 opaque bytes, names and link targets are bytes. What a server
sends is not trusted: names that would lead elsewhere, more data than was asked for
and listings without an end are refused with EIO.
"""

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from struct import Struct, error
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from nfsrpc.protocols import nfs_prot
from nfsrpc.protocols.nfs_prot import fattr, sattr
from nfsrpc.rpc.calls import PendingCall
from nfsrpc.transport.client import Client
from nfsrpc.xdr import DEFAULT_LIMITS, Decoder, Limits, Procedure, XdrDecodeError

from .errors import from_status

MAX_DATA = int(nfs_prot.NFS_MAXDATA)
MAX_NAME = int(nfs_prot.NFS_MAXNAMLEN)
MAX_PATH = int(nfs_prot.NFS_MAXPATHLEN)
MAX_OFFSET = 0xFFFF_FFFF
UNSET = 0xFFFF_FFFF
"""A field of `sattr` that shall stay as it is (RFC 1094 §2.3.6)."""
_SLASH, _NUL = b"/\0"
"""As numbers: what else `bytes` is asked for it takes for a number first, and makes an error of that."""
MAX_ENTRIES = 4_000_000
"""Entries of one directory that are believed; more is a server that never stops."""

_STATUS = Struct(">I")
_READ = Struct(">I 68s I")
"""How the result of READ begins: status, attributes, bytes of data (RFC 1094 §2.2.7)."""

Answer = tuple[int, Any]
"""A reply taken apart: its status word, and the whole result if that is 0."""


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
            return (status, None), pos + 4
        result, end = decode(data, pos, limits)
        return (0, result), end

    return decode_answer


_decode_any_read = _by_status(nfs_prot.NFS_PROGRAM_2_service.procedures[nfs_prot.NFSPROC_READ].decode_result)


def _decode_read(data: bytes, pos: int, limits: Limits) -> tuple[Answer, int]:
    """The result of READ as (data, attributes as they travel, see `attributes_of`): the same ones page after page."""
    try:
        status, attributes, size = _READ.unpack_from(data, pos)
    except error:
        return _decode_any_read(data, pos, limits)  # a refusal, or an error that says what is missing
    begin = pos + 76
    fill = begin + size
    end = fill + (-size & 3)
    if status or size > MAX_DATA or end > len(data) or any(data[fill:end]):
        answer, end = _decode_any_read(data, pos, limits)
        return (answer if answer[0] else (0, (answer[1].reply.data, attributes))), end
    return (0, (data[begin:fill], attributes)), end


def attributes_of(encoded: bytes) -> fattr:
    """Attributes that are still as they travelled. EIO if they cannot be meant."""
    try:
        return nfs_prot.decode_fattr(encoded, 0, DEFAULT_LIMITS)[0]
    except XdrDecodeError as broken:
        raise OSError(errno.EIO, f"the server sent attributes that cannot be decoded: {broken}") from broken


_WITHOUT_STATUS = (nfs_prot.NFSPROC_NULL, nfs_prot.NFSPROC_ROOT, nfs_prot.NFSPROC_WRITECACHE)
PROCEDURES: Mapping[int, Procedure] = MappingProxyType(
    {
        number: procedure._replace(
            decode_result=_decode_read if number == nfs_prot.NFSPROC_READ else _by_status(procedure.decode_result),
        )
        for number, procedure in nfs_prot.NFS_PROGRAM_2_service.procedures.items()
        if number not in _WITHOUT_STATUS
    }
)


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


T = TypeVar("T")


class Request(Generic[T]):
    """One call of NFSv2, not sent yet: procedure, argument, the names it is about, and what to make of its result."""

    __slots__ = ("argument", "names", "number", "take")

    def __init__(self, number: int, argument: Any, take: Callable[[Any], T], *names: bytes) -> None:
        self.number = number
        self.argument = argument
        self.take = take
        self.names = names

    @property
    def procedure(self) -> Procedure:
        """How its argument and result travel."""
        return PROCEDURES[self.number]

    def result(self, answer: Answer) -> T:
        """What the server's answer means: the result, or the `OSError` of its status."""
        status, result = answer
        if status:
            raise from_status(status, *self.names)
        return self.take(result)


def _attributes(result: Any) -> fattr:
    attributes: fattr = result.attributes
    return attributes


def _found(result: Any) -> tuple[bytes, fattr]:
    found = result.diropres
    return found.file.data, found.attributes


def _nothing(result: Any) -> None:
    """Only the status counts."""


def getattr_(handle: bytes) -> Request[fattr]:
    """Attributes of a file."""
    return Request(nfs_prot.NFSPROC_GETATTR, nfs_prot.nfs_fh(handle), _attributes)


def setattr_(handle: bytes, changes: sattr) -> Request[fattr]:
    """Change attributes, return the new ones. See `attributes_to_set`."""
    argument = nfs_prot.sattrargs(nfs_prot.nfs_fh(handle), changes)
    return Request(nfs_prot.NFSPROC_SETATTR, argument, _attributes)


def lookup(directory: bytes, name: bytes) -> Request[tuple[bytes, fattr]]:
    """Handle and attributes of `name` in `directory`; ``.`` and ``..`` may be asked for."""
    return Request(nfs_prot.NFSPROC_LOOKUP, _place(directory, name), _found, name)


def readlink(handle: bytes) -> Request[bytes]:
    """Target of a symbolic link."""
    return Request(nfs_prot.NFSPROC_READLINK, nfs_prot.nfs_fh(handle), _target)


def _target(result: Any) -> bytes:
    target: bytes = result.data
    if _NUL in target:
        raise OSError(errno.EIO, "the server sent a link target with NUL in it")
    return target


def read(handle: bytes, offset: int, count: int) -> Request[tuple[bytes, bytes]]:
    """At most `count` (up to 8192) bytes at `offset`, and the attributes for `attributes_of`. No bytes: end of file."""
    argument = nfs_prot.readargs(nfs_prot.nfs_fh(handle), _offset(offset), count, 0)
    return Request(nfs_prot.NFSPROC_READ, argument, _at_most(count))


def reads(handle: bytes, offsets: Iterable[int], count: int) -> list[Request[tuple[bytes, bytes]]]:
    """A `read` of each of `offsets`."""
    number, file, arguments = int(nfs_prot.NFSPROC_READ), nfs_prot.nfs_fh(handle), nfs_prot.readargs
    take = _at_most(count)
    return [Request(number, arguments(file, _offset(offset), count, 0), take) for offset in offsets]


@lru_cache(64)
def _at_most(count: int) -> Callable[[tuple[bytes, bytes]], tuple[bytes, bytes]]:
    """What a READ of `count` bytes makes of its result: the same for nearly all of them."""

    def take(result: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        if len(result[0]) > count:
            raise OSError(errno.EIO, f"the server sent {len(result[0])} bytes where {count} were asked for")
        return result

    return take


def write(handle: bytes, offset: int, data: bytes) -> Request[fattr]:
    """Write at most 8192 bytes at `offset`; they are on stable storage when it is answered (RFC 1094 §2.2.9)."""
    _offset(offset + len(data))
    argument = nfs_prot.writeargs(nfs_prot.nfs_fh(handle), 0, offset, 0, data)
    return Request(nfs_prot.NFSPROC_WRITE, argument, _attributes)


def create(directory: bytes, name: bytes, attributes: sattr) -> Request[tuple[bytes, fattr]]:
    """Make a file; a regular one that is there already is kept (a given size is applied to it)."""
    argument = nfs_prot.createargs(_new(directory, name), attributes)
    return Request(nfs_prot.NFSPROC_CREATE, argument, _found, name)


def remove(directory: bytes, name: bytes) -> Request[None]:
    """Take a name of anything but a directory."""
    return Request(nfs_prot.NFSPROC_REMOVE, _new(directory, name), _nothing, name)


def rename(directory: bytes, name: bytes, to_directory: bytes, to_name: bytes) -> Request[None]:
    """Rename, replacing what has the new name."""
    argument = nfs_prot.renameargs(_new(directory, name), _new(to_directory, to_name))
    return Request(nfs_prot.NFSPROC_RENAME, argument, _nothing, name, to_name)


def link(handle: bytes, directory: bytes, name: bytes) -> Request[None]:
    """Give a file one more name."""
    argument = nfs_prot.linkargs(nfs_prot.nfs_fh(handle), _new(directory, name))
    return Request(nfs_prot.NFSPROC_LINK, argument, _nothing, name)


def symlink(directory: bytes, name: bytes, target: bytes, attributes: sattr) -> Request[None]:
    """Make a symbolic link to `target`. Version 2 returns no handle: look it up."""
    if len(target) > MAX_PATH:
        raise _name_error(errno.ENAMETOOLONG, name)
    argument = nfs_prot.symlinkargs(_new(directory, name), target, attributes)
    return Request(nfs_prot.NFSPROC_SYMLINK, argument, _nothing, name)


def mkdir(directory: bytes, name: bytes, attributes: sattr) -> Request[tuple[bytes, fattr]]:
    """Make a directory."""
    argument = nfs_prot.createargs(_new(directory, name), attributes)
    return Request(nfs_prot.NFSPROC_MKDIR, argument, _found, name)


def rmdir(directory: bytes, name: bytes) -> Request[None]:
    """Remove an empty directory."""
    return Request(nfs_prot.NFSPROC_RMDIR, _new(directory, name), _nothing, name)


def statfs(handle: bytes) -> Request[Space]:
    """Room on the file system of `handle`."""
    return Request(nfs_prot.NFSPROC_STATFS, nfs_prot.nfs_fh(handle), _space)


def _space(result: Any) -> Space:
    info = result.reply
    return Space(info.tsize, info.bsize, info.blocks, info.bfree, info.bavail)


class Listing:
    """A directory on its way, page by page: ask for `request` and give its result to `take` until `complete`.

    EIO for a name that no directory can hold (empty, with ``/`` or NUL), for pages that
    lead back to an earlier one, and for a listing of more than `MAX_ENTRIES`.
    """

    def __init__(self, directory: bytes, page: int = MAX_DATA) -> None:
        self._directory = directory
        self._page = page
        self._cookie = bytes(4)
        self._seen = {bytes(4)}
        self._total = 0
        self.complete = False

    def request(self) -> Request[Any]:
        """The next page, of at most as many bytes as a page shall have."""
        argument = nfs_prot.readdirargs(nfs_prot.nfs_fh(self._directory), self._cookie, self._page)
        return Request(nfs_prot.NFSPROC_READDIR, argument, lambda result: result.reply)

    def take(self, page: Any) -> list[Entry]:
        """The entries of a page, ``.`` and ``..`` as the server has them."""
        entries = []
        following = page.entries
        while following is not None:
            entries.append(_entry(following))
            following = following.nextentry
        self._total += len(entries)
        self.complete = bool(page.eof)
        if entries:
            self._cookie = entries[-1].cookie
        if not self.complete and (self._cookie in self._seen or self._total > MAX_ENTRIES):
            raise OSError(errno.EIO, "the server's directory listing does not come to an end")
        self._seen.add(self._cookie)
        return entries


class Sent(NamedTuple, Generic[T]):
    """A request on its way."""

    request: Request[T]
    call: PendingCall


class Nfs2:
    """The procedures of NFSv2 over one client, one blocking method each.

    Every method raises `OSError` of the right subclass with the name it was about (a
    status of the server; EIO for an answer that cannot be meant), or the errors of
    `nfsrpc.rpc.errors`. `timeout` bounds each call, in seconds.
    """

    def __init__(self, client: Client, *, timeout: float | None = None) -> None:
        self.client = client
        self._timeout = timeout

    def submit(self, request: Request[T]) -> Sent[T]:
        """Send `request` without waiting; `wait` takes what this returns."""
        return Sent(request, self.client.submit(request.procedure, (request.argument,), timeout=self._timeout))

    def wait(self, sent: Sent[T]) -> T:
        """The result of a request that `submit` sent."""
        return sent.request.result(self.client.wait(sent.call))

    def ask(self, request: Request[T]) -> T:
        """Send `request`, return its result."""
        return self.wait(self.submit(request))

    def getattr(self, handle: bytes) -> fattr:
        """See `getattr_`."""
        return self.ask(getattr_(handle))

    def setattr(self, handle: bytes, changes: sattr) -> fattr:
        """See `setattr_`."""
        return self.ask(setattr_(handle, changes))

    def lookup(self, directory: bytes, name: bytes) -> tuple[bytes, fattr]:
        """See `lookup`."""
        return self.ask(lookup(directory, name))

    def readlink(self, handle: bytes) -> bytes:
        """See `readlink`."""
        return self.ask(readlink(handle))

    def read(self, handle: bytes, offset: int, count: int) -> tuple[bytes, fattr]:
        """See `read`; the attributes are decoded."""
        data, attributes = self.ask(read(handle, offset, count))
        return data, attributes_of(attributes)

    def write(self, handle: bytes, offset: int, data: bytes) -> fattr:
        """See `write`."""
        return self.ask(write(handle, offset, data))

    def create(self, directory: bytes, name: bytes, attributes: sattr) -> tuple[bytes, fattr]:
        """See `create`."""
        return self.ask(create(directory, name, attributes))

    def remove(self, directory: bytes, name: bytes) -> None:
        """See `remove`."""
        self.ask(remove(directory, name))

    def rename(self, directory: bytes, name: bytes, to_directory: bytes, to_name: bytes) -> None:
        """See `rename`."""
        self.ask(rename(directory, name, to_directory, to_name))

    def link(self, handle: bytes, directory: bytes, name: bytes) -> None:
        """See `link`."""
        self.ask(link(handle, directory, name))

    def symlink(self, directory: bytes, name: bytes, target: bytes, attributes: sattr) -> None:
        """See `symlink`."""
        self.ask(symlink(directory, name, target, attributes))

    def mkdir(self, directory: bytes, name: bytes, attributes: sattr) -> tuple[bytes, fattr]:
        """See `mkdir`."""
        return self.ask(mkdir(directory, name, attributes))

    def rmdir(self, directory: bytes, name: bytes) -> None:
        """See `rmdir`."""
        self.ask(rmdir(directory, name))

    def readdir(self, directory: bytes, *, page: int = MAX_DATA) -> Iterator[Entry]:
        """All entries of a directory, see `Listing`."""
        listing = Listing(directory, page)
        while not listing.complete:
            yield from listing.take(self.ask(listing.request()))

    def statfs(self, handle: bytes) -> Space:
        """See `statfs`."""
        return self.ask(statfs(handle))


def _place(directory: bytes, name: bytes) -> nfs_prot.diropargs:
    if not name or _SLASH in name or _NUL in name:
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
    if not name or _SLASH in name or _NUL in name:
        raise OSError(errno.EIO, f"the server listed the impossible name {name!r}")
    return Entry(link.fileid, name, link.cookie)
