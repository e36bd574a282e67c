"""When a call is sent again, and when it is given up: arithmetic on a clock that is passed in.

The three call semantics of the classic RPC literature, as far as the caller
decides them: with one transmission a call is executed *maybe*; with
retransmission *at least once* if a reply comes; *at most once* needs a server
that filters duplicates and keeps its replies, which a caller helps by never
changing the xid of a call that it sends again.
"""

import random as standard_random
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Final

JITTER: Final = standard_random.random
"""Numbers from 0 to 1: they need not be secret, only different from one client to the next."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How the pauses between transmissions of one call grow. All times are seconds.

    first
        Pause after the first transmission. 0.7 s is what NFS clients have
        waited on UDP since the first ones: longer than a disk takes,
        shorter than a person's patience.
    factor
        By what each further pause is longer than the one before.
    ceiling
        No pause is longer.
    jitter
        Each pause is made up to this fraction longer or shorter at random, so
        that clients that lost their packets together do not come back together.
    transmissions
        How often the call is sent at most, None: until its deadline.
    window
        A call is not sent again when this long has passed since it was sent first, not even
        over a new connection: by then a server may have forgotten that it ran.
    least
        If given, the first pause follows how long the server's replies take (RFC 6298, as NFS clients have done since
        4.3BSD Reno): at least this, at most `first`. A lost datagram then costs about a round trip, not 0.7 s.
    """

    first: float = 0.7
    factor: float = 2.0
    ceiling: float = 15.0
    jitter: float = 0.1
    transmissions: int | None = None
    window: float = inf
    least: float | None = None

    def __post_init__(self) -> None:
        if self.first <= 0 or self.factor < 1 or self.ceiling < self.first or not 0 <= self.jitter < 1:
            raise ValueError(f"pauses must be positive and must not shrink: {self}")
        if self.least is not None and not 0 < self.least <= self.first:
            raise ValueError(f"the least first pause must be positive and not longer than the first one: {self}")
        if self.transmissions is not None and self.transmissions < 1:
            raise ValueError("a call is sent at least once")


MAYBE: Final = RetryPolicy(transmissions=1)
"""Sent once, and never again: executed once or not at all, and without a reply nobody knows which."""
AT_LEAST_ONCE: Final = RetryPolicy()
"""Sent until a reply comes: executed once or more often. For calls that may run again without harm."""
AT_MOST_ONCE: Final = RetryPolicy(window=110.0)
"""Sent again only as long as a server that filters duplicates is bound to know the call: never executed twice by such
a server. 110 s is ten less than the 120 for which servers keep calls, for datagrams that wait in the network."""


class Backoff:
    """The pauses of one policy, one after the other, each with its own jitter."""

    __slots__ = ("_pause", "_policy", "_random")

    def __init__(self, policy: RetryPolicy, random: Callable[[], float] = JITTER) -> None:
        self._policy = policy
        self._random = random
        self._pause = policy.first

    def next(self) -> float:
        """Length of the next pause, in seconds."""
        policy, pause = self._policy, self._pause
        self._pause = min(pause * policy.factor, policy.ceiling)
        return pause * (1 + policy.jitter * (2 * self._random() - 1))


class RoundTrips:
    """How long replies take, smoothed, and the policy that follows from it (RFC 6298 §2)."""

    def __init__(self, policy: RetryPolicy) -> None:
        self._most = policy
        self._mean = 0.0
        self._deviation = 0.0
        self.policy = policy
        """For a call that begins now."""

    def took(self, seconds: float) -> None:
        """A reply came `seconds` after its call, which was sent once: else nobody knows which one it answers (Karn)."""
        if not self._mean:
            self._mean, self._deviation = seconds, seconds / 2
        else:
            self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
            self._mean += (seconds - self._mean) / 8
        most = self._most
        first = min(max(self._mean + 4 * self._deviation, most.least or most.first), most.first)
        if not 0.8 < first / self.policy.first < 1.25:
            self.policy = replace(most, first=first, least=None)


class CongestionWindow:
    """How many calls may be in flight where nothing but loss tells that they are too many (Jacobson; RFC 5681 §3.1).

    One more for each reply up to the first loss, half after it, and then one more for every `CAUTION` windows
    of replies: here a loss costs a time-out, not a round trip. Kernels have paced RPC over UDP so since 4.3BSD Reno.
    """

    CAUTION = 16
    LEAST = 4

    def __init__(self, first: int, most: int) -> None:
        self._size = float(min(first, most))
        self._most = most
        self._threshold = float(most)
        self._cut_at = -inf

    @property
    def size(self) -> int:
        """Calls in flight, at most, now."""
        return int(self._size)

    def replied(self) -> None:
        """A reply came to a call that was sent once."""
        size = self._size
        if size < self._most:
            self._size = size + (1 if size < self._threshold else 1 / (self.CAUTION * size))

    def lost(self, sent: float, now: float) -> None:
        """No reply came in time to a call that was sent at `sent`. What was in flight together counts as one loss."""
        if sent >= self._cut_at:
            self._cut_at = now
            self._size = self._threshold = max(self._size / 2, min(self.LEAST, self._most))


class Schedule(Backoff):
    """The transmissions of one call under one policy, up to an absolute deadline.

    `due` is when the call is to be sent next (`inf`: never again),
    `transmissions` how often it has been sent. Times are those of whatever
    clock the caller reads.
    """

    __slots__ = ("_ends", "_most", "deadline", "due", "first_sent", "transmissions")

    def __init__(
        self,
        policy: RetryPolicy,
        now: float,
        deadline: float,
        random: Callable[[], float] = JITTER,
    ) -> None:
        super().__init__(policy, random)
        self._most = policy.transmissions
        self._ends = inf
        self.deadline = deadline
        self.due = now
        self.first_sent = now
        self.transmissions = 0

    def sent(self, now: float) -> None:
        """The call has just been sent: work out when the next time is."""
        if not self.transmissions:
            self.first_sent = now
            self._ends = now + self._policy.window
        self.transmissions += 1
        if self._most is not None and self.transmissions >= self._most:
            self.due = inf
            return
        due = now + self.next()
        self.due = due if due < self.deadline and due < self._ends else inf

    def may_send(self, now: float) -> bool:
        """Whether the call may (still) be sent."""
        return now < self._ends

    def expired(self, now: float) -> bool:
        """Whether the deadline has come."""
        return now >= self.deadline
