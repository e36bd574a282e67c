"""First look at a message whose verifier is good once: was this very message, from this very peer, there just now?

Such a message cannot be accepted a second time, yet a client over UDP that
missed the reply sends exactly the same bytes again. So they are compared
before authentication, and get the very reply they got the first time. Nothing leaks: it goes to
the address and port that it went to before.
"""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

from .later import Later
from .message import Refusal
from .security import Peer

_KEPT = 1024
"""Replies kept: what a busy server answers within some retransmission intervals."""
_BYTES = 4 << 20

_Key = tuple[bytes, Peer]


class RecentReplies:
    """The replies to the last messages of single-use flavours, bounded by number and by bytes."""

    def __init__(self, kept: int = _KEPT, size: int = _BYTES) -> None:
        self._kept = kept
        self._size = size
        self._held = 0
        self._replies: OrderedDict[_Key, bytes] = OrderedDict()
        self._open: dict[tuple[bytes, Peer], _Key] = {}

    def admit(self, message: bytes, peer: Peer) -> None:
        """Return for a message that is new; raise `Refusal` with the old reply, or with none while it is under way."""
        key = blake2b(message, digest_size=16).digest(), peer
        if key in self._replies:
            self._replies.move_to_end(key)
            raise Refusal(self._replies[key])
        if (message, peer) in self._open:
            raise Refusal(None)
        self._open[message, peer] = key

    def settle(self, batch: Sequence[tuple[bytes, Peer]], replies: Sequence[list[bytes] | Later | None]) -> None:
        """The calls of `batch` have ended, however: keep the replies to those that were admitted."""
        if not self._open:
            return
        for place, reply in zip(batch, replies, strict=True):
            key = self._open.pop((place[0], place[1]), None)
            if key is not None and type(reply) is list:
                self._keep(key, b"".join(reply))

    def _keep(self, key: _Key, reply: bytes) -> None:
        self._replies[key] = reply
        self._held += len(reply)
        while len(self._replies) > self._kept or self._held > self._size:
            _, gone = self._replies.popitem(last=False)
            self._held -= len(gone)
