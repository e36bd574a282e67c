"""Recorded calls made fit for another server: handles and READDIR cookies are the server's own words."""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from nfsrpc.protocols import mount, nfs_prot
from nfsrpc.xdr import Record

MOST = 1 << 17
"""Handles, and cookies, that are remembered; those not used longest are forgotten."""
FIRST = bytes(4)
"""The cookie of a first page is the protocol's (RFC 1094 §2.2.17)."""


class UnknownHandle(LookupError):
    """A call names a handle for which there is none of now; the text says why."""


class Rewriter:
    """What the recorded server called so, the one of now calls otherwise."""

    def __init__(self, paths: dict[bytes, bytes]) -> None:
        self._paths = paths
        self._handles: OrderedDict[bytes, bytes] = OrderedDict()
        self._withheld: OrderedDict[bytes, str] = OrderedDict()
        self._cookies: OrderedDict[tuple[bytes, bytes], bytes] = OrderedDict()

    def arguments(self, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments with this server's handles, cookies and paths, changed in place. Raises `UnknownHandle`."""
        return tuple(self._value(argument) for argument in arguments)

    def _value(self, value: Any) -> Any:
        if isinstance(value, nfs_prot.nfs_fh):
            value.data = self._handle(value.data)
        elif isinstance(value, nfs_prot.readdirargs):
            value.dir.data = self._handle(value.dir.data)
            if value.cookie != FIRST:
                value.cookie = self._cookies.get((value.dir.data, value.cookie), value.cookie)
        elif isinstance(value, Record):
            for name in value.__slots__:
                self._value(getattr(value, name))
        elif isinstance(value, bytes):
            return self._path(value)
        return value

    def _path(self, path: bytes) -> bytes:
        """A bare path, as MNT and UMNT have it, with the longest fitting beginning replaced."""
        for old in sorted(self._paths, key=len, reverse=True):
            if path == old or path.startswith(old.rstrip(b"/") + b"/"):
                return self._paths[old] + path[len(old) :]
        return path

    def _handle(self, recorded: bytes) -> bytes:
        found = self._handles.get(recorded)
        if found is None:
            raise UnknownHandle(self._withheld.get(recorded, "its handle was given out before the capture began"))
        self._handles.move_to_end(recorded)
        return found

    def learn(self, sent: tuple[Any, ...], recorded: Any, now: Any) -> None:
        """Take what two results of one call say about handles and cookies; `sent` are the arguments as sent."""
        if isinstance(recorded, nfs_prot.nfs_fh) and isinstance(now, nfs_prot.nfs_fh):
            self._remember(recorded.data, now.data)
        elif isinstance(recorded, mount.fhstatus) and isinstance(now, mount.fhstatus):
            if recorded.directory is not None and now.directory is not None:
                self._remember(recorded.directory, now.directory)
        elif isinstance(recorded, nfs_prot.dirlist) and isinstance(now, nfs_prot.dirlist):
            self._pages(sent[0].dir.data, recorded, now)
        elif isinstance(recorded, Record) and type(recorded) is type(now):
            for name in recorded.__slots__:
                self.learn(sent, getattr(recorded, name), getattr(now, name))

    def withhold(self, recorded: Any, why: str) -> None:
        """Take down why those handles of a recorded result that were not learnt are not there now."""
        for handle in _handles(recorded):
            if handle not in self._handles:
                self._withheld.setdefault(handle, why)
        while len(self._withheld) > MOST:
            self._withheld.popitem(last=False)

    def _remember(self, recorded: bytes, now: bytes) -> None:
        self._handles[recorded] = now
        self._handles.move_to_end(recorded)
        if len(self._handles) > MOST:
            self._handles.popitem(last=False)

    def _pages(self, directory: bytes, recorded: nfs_prot.dirlist, now: nfs_prot.dirlist) -> None:
        """Go on behind the name that the recorded page went on behind; behind the last one if that is not here."""
        there, last = {}, None
        entry = now.entries
        while entry is not None:
            there[entry.name], last = entry.cookie, entry.cookie
            entry = entry.nextentry
        entry = recorded.entries
        while entry is not None:
            cookie = there.get(entry.name, last)
            if cookie is not None:
                self._cookies[directory, entry.cookie] = cookie
            entry = entry.nextentry
        while len(self._cookies) > MOST:
            self._cookies.popitem(last=False)


def _handles(value: Any) -> Iterator[bytes]:
    """The handles that a result gives out."""
    if isinstance(value, nfs_prot.nfs_fh):
        yield value.data
    elif isinstance(value, mount.fhstatus):
        if value.directory is not None:
            yield value.directory
    elif isinstance(value, Record) and not isinstance(value, nfs_prot.dirlist):
        for name in value.__slots__:
            yield from _handles(getattr(value, name))
