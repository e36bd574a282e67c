"""Contexts that no call has come in yet, in memory that all workers of a server share.

A client may set a context up over one connection and call over another, which may be another
worker's: Linux does, because rpc.gssd sets contexts up for the kernel. So a new context belongs to nobody, and the
first worker that gets a call in it takes it for good. No two have the same one: its sequence numbers are in one place.
"""

import json
from struct import Struct
from typing import NamedTuple

from .gss_wire import HANDLE
from .idmap import Unix
from .shared import SharedRecords

CAPACITY = 1024
"""Contexts that wait for their first call at a time. The oldest makes room for the newest."""
_ROOM = 4096
"""Bytes of one; a context of Kerberos takes some 1200."""

_HEAD = Struct(">dII")
_NEXT = Struct(">I")
_FREE = bytes(HANDLE)


class Unclaimed(NamedTuple):
    """An established context on its way to a worker.

    token
        What the library makes it from again.
    name, unix
        Its principal, and who that is on this machine.
    expires
        When it ends, by the clock of the authenticator.
    """

    token: bytes
    name: str
    unix: Unix | None
    expires: float


class UnclaimedContexts:
    """Made before the workers are forked."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._handles = SharedRecords(capacity + 1, HANDLE)
        """The first one holds the place that was filled last. Its lock is that of both."""
        self._contexts = SharedRecords(capacity + 1, _ROOM)

    def offer(self, handle: bytes, context: Unclaimed) -> bool:
        """Leave `context` to the worker that gets a call with `handle`. False if it is too large for that."""
        who = json.dumps([context.name, context.unix]).encode()
        record = _HEAD.pack(context.expires, len(who), len(context.token)) + who + context.token
        if len(record) > _ROOM:
            return False
        with self._handles as handles:
            (last,) = _NEXT.unpack_from(handles.read(0))
            place = last % (handles.count - 1) + 1
            handles.write(place, _FREE)
            self._contexts.write(place, record)
            handles.write(place, handle)
            handles.write(0, _NEXT.pack(place))
        return True

    def find(self, handle: bytes) -> Unclaimed | None:
        """The context called `handle`, which others may find as well."""
        with self._handles:
            place = self._place(handle)
            if place is None:
                return None
            record = self._contexts.read(place)
        expires, named, length = _HEAD.unpack_from(record)
        name, unix = json.loads(record[_HEAD.size : _HEAD.size + named])
        token = record[_HEAD.size + named : _HEAD.size + named + length]
        return Unclaimed(token, name, unix and Unix(unix[0], unix[1], tuple(unix[2])), expires)

    def take(self, handle: bytes) -> bool:
        """Whether the context called `handle` is the caller's: nobody finds or takes it from then on."""
        with self._handles as handles:
            place = self._place(handle)
            if place is None:
                return False
            handles.write(place, _FREE)
            self._contexts.write(place, bytes(_ROOM))
        return True

    def _place(self, handle: bytes) -> int | None:
        if len(handle) != HANDLE or handle == _FREE:
            return None
        return self._handles.find(handle) or None
