"""The AUTH_DH conversations of a server: key, window and last timestamp of each, shared by its workers.

A conversation is forgotten only to make room, and with a server that ends. A
message of a forgotten one could be played again: so a new conversation must
begin after the server did, and after the last timestamp of any conversation that was forgotten.
"""

import secrets
import time
from collections.abc import Callable
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from nfsrpc.protocols.rpc_msg import auth_stat

from .base import Rejected
from .shared import SharedRecords

CAPACITY = 1024
"""Conversations that live at a time: one for each user of each client that mounts. glibc keeps 64."""

Stamp = tuple[int, int]
"""Seconds and microseconds since 1970."""

_RECORD = Struct(">16s8sIIIQHH256s")
_STAMP, _STAMP_AT = Struct(">II"), 24
_WINDOW, _WINDOW_AT = Struct(">I"), 32
_USED, _USED_AT = Struct(">Q"), 36
_NICKNAME = Struct(">HH")
_FLOOR = Struct(">16xII")
_FREE = bytes(16)


class Conversation(NamedTuple):
    """What two sides have agreed on."""

    key: bytes
    netname: str
    window: int


class Conversations:
    """Finds conversations by nickname; `clock` gives the time in seconds since 1970."""

    def __init__(self, capacity: int = CAPACITY, clock: Callable[[], float] = time.time) -> None:
        self._records = SharedRecords(capacity + 1, _RECORD.size)
        now = clock()
        self._records.write(0, _FLOOR.pack(int(now), int(now % 1 * 1_000_000)))

    def begin(self, conversation: Conversation, stamp: Stamp) -> bytes:
        """The nickname of a conversation, which is new or goes on with a full name.

        `Rejected`: AUTH_REJECTEDCRED unless `stamp` is later than its last one;
        AUTH_BADCRED if a new one is too old to be known for new.
        """
        key, netname, window = conversation
        digest = blake2b(key + netname.encode(), digest_size=16).digest()
        records = self._records
        with records:
            place = records.find(digest)
            if place:
                old = _RECORD.unpack(records.read(place))
                if stamp <= old[2:4]:
                    raise Rejected(auth_stat.AUTH_REJECTEDCRED)
                tag = old[6]
                self._move_on(place, stamp)
                records.write(place, _WINDOW.pack(window), _WINDOW_AT)
            else:
                if stamp <= _FLOOR.unpack_from(records.read(0)):
                    raise Rejected(auth_stat.AUTH_BADCRED)
                place, tag = self._room(), secrets.randbelow(1 << 16)
                name = netname.encode()
                record = _RECORD.pack(digest, key, *stamp, window, time.monotonic_ns(), tag, len(name), name)
                records.write(place, _FREE)
                records.write(place, record[len(_FREE) :], len(_FREE))
                records.write(place, digest)
        return _NICKNAME.pack(place, tag)

    def _move_on(self, place: int, stamp: Stamp) -> None:
        self._records.write(place, _STAMP.pack(*stamp), _STAMP_AT)
        self._records.write(place, _USED.pack(time.monotonic_ns()), _USED_AT)

    def _room(self) -> int:
        """A free record, or that of the conversation that has been quiet longest."""
        records = self._records
        lines = list(_RECORD.iter_unpack(records.all()))[1:]
        place, line = min(enumerate(lines, 1), key=lambda item: item[1][5])
        if line[0] != _FREE:
            floor = max(line[2:4], _FLOOR.unpack_from(records.read(0)))
            records.write(0, _FLOOR.pack(*floor))
        return place

    def advance(self, nickname: bytes, read: Callable[[Conversation], Stamp]) -> tuple[Conversation, Stamp]:
        """The conversation called `nickname`, moved on to the timestamp that `read` finds with its key.

        `Rejected`: AUTH_BADCRED for an unknown nickname, AUTH_REJECTEDVERF unless
        the timestamp is later than the last one, and whatever `read` raises.
        """
        place, tag = _NICKNAME.unpack(nickname)
        records = self._records
        if not 0 < place < records.count:
            raise Rejected(auth_stat.AUTH_BADCRED)
        with records:
            digest, key, *last, window, _, found, length, name = _RECORD.unpack(records.read(place))
            if digest == _FREE or found != tag:
                raise Rejected(auth_stat.AUTH_BADCRED)
            conversation = Conversation(key, name[:length].decode(), window)
            stamp = read(conversation)
            if stamp <= tuple(last):
                raise Rejected(auth_stat.AUTH_REJECTEDVERF)
            self._move_on(place, stamp)
        return conversation, stamp
