"""First look at a message whose verifier is good once: was this very message, from this very peer, there just now?

Such a message cannot be accepted a second time, yet a client over UDP that
missed the reply sends exactly the same bytes again. So they are compared
before authentication, and get the very reply they got the first time. Nothing leaks: it goes to
the address and port that it went to before.
"""

from collections.abc import Sequence

from .later import Later
from .message import Refusal
from .security import Peer

_KEPT = 1024
"""Messages kept: what a busy server answers within some retransmission intervals."""
_BYTES = 8 << 20


class RecentReplies:
    """The last messages of single-use flavours and the replies to them, bounded by number and by bytes."""

    def __init__(self, kept: int = _KEPT, size: int = _BYTES) -> None:
        self._kept = kept
        self._size = size
        self._held = 0
        self._under_way: set[tuple[bytes, Peer]] = set()
        self._replies: dict[tuple[bytes, Peer], bytes] = {}
        """In the order in which they were given."""

    def admit(self, message: bytes, peer: Peer) -> None:
        """Return for a message that is new; raise `Refusal` with the old reply, or with none while it is under way."""
        key = message, peer
        reply = self._replies.get(key)
        if reply is not None or key in self._under_way:
            raise Refusal(reply)
        self._under_way.add(key)

    def settle(self, batch: Sequence[tuple[bytes, Peer]], replies: Sequence[list[bytes] | Later | None]) -> None:
        """The calls of `batch` have ended, however: keep the replies to those that were admitted."""
        under_way = self._under_way
        if not under_way:
            return
        for key, reply in zip(batch, replies, strict=True):
            if key in under_way:
                under_way.remove(key)
                if type(reply) is list:
                    self._keep(key, b"".join(reply))

    def _keep(self, key: tuple[bytes, Peer], reply: bytes) -> None:
        replies = self._replies
        replies[key] = reply
        self._held += len(reply) + len(key[0])
        while len(replies) > self._kept or self._held > self._size:
            oldest = next(iter(replies))
            self._held -= len(replies.pop(oldest)) + len(oldest[0])
