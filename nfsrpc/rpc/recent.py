"""First look at a message whose verifier is good once: was this very message, from this very peer, there just now?

Such a message cannot be accepted a second time, yet a client over UDP that
missed the reply sends exactly the same bytes again. So they are compared
before authentication, and get the very reply they got the first time. Nothing leaks: it goes to
the address and port that it went to before.
"""

from collections.abc import Sequence
from typing import Final

from .later import Held, Later
from .message import Refusal
from .security import Peer

_KEPT: Final = 1024
"""Messages kept: what a busy server answers within some retransmission intervals."""
_BYTES: Final = 8 << 20


class RecentReplies:
    """The last messages of single-use flavours and the replies to them, bounded by number and by bytes."""

    def __init__(self, kept: int = _KEPT, size: int = _BYTES) -> None:
        self._kept = kept
        self._size = size
        self._held = 0
        self._under_way = False
        self._waiting: set[tuple[bytes, Peer]] = set()
        """Those that are held: a copy that comes meanwhile gets no answer, and does not end them."""
        self._replies: dict[tuple[bytes, Peer], list[bytes]] = {}
        """In the order in which they came; empty while the call is under way."""

    def admit(self, message: bytes, peer: Peer) -> None:
        """Return for a message that is new; raise `Refusal` with the old reply, or with none while it is under way."""
        new: list[bytes] = []
        found = self._replies.setdefault((message, peer), new)
        if found is not new:
            raise Refusal(found[0] if found else None)
        self._under_way = True

    def settle(self, batch: Sequence[tuple[bytes, Peer]], replies: Sequence[list[bytes] | Later | Held | None]) -> None:
        """The calls of `batch` have ended, however, but for those held: keep the replies to what was admitted."""
        if not self._under_way:
            return
        for key, reply in zip(batch, replies, strict=True):
            kept = self._replies.get(key)
            if kept is None or kept:
                continue
            if isinstance(reply, Held):
                self._waiting.add(key)
            elif key in self._waiting:
                continue
            elif type(reply) is list:
                kept.append(b"".join(reply))
                self._held += len(kept[0]) + len(key[0])
            else:
                del self._replies[key]
        self._under_way = bool(self._waiting)
        self._make_room()

    def release(self) -> None:
        """What was held has been run, and is settled next."""
        self._waiting.clear()

    def _make_room(self) -> None:
        replies = self._replies
        while len(replies) > self._kept or self._held > self._size:
            oldest = next(iter(replies))
            if not replies[oldest]:  # it is held: there is room when it has been settled
                return
            self._held -= len(replies.pop(oldest)[0]) + len(oldest[0])
