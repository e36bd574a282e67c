"""Answers that stand: who asks the same again, but for the xid, is told the same again while nothing has changed.

Clients ask for the same attributes and names over and over: every `open` and every look at what they have cached is
such a call. To find its bytes among those answered lately costs less than to take them apart.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from .later import Held, Later
from .security import Peer
from .service import Call, Ground
from .work import Work

LONGEST: Final = 512
"""Bytes of a call that is looked for; longer ones bring data, or names that few ask for twice."""
_LATELY: Final = 512
"""Calls for which one that was run is remembered at least, and for twice as many at most."""
_KEPT: Final = 2048
_BYTES: Final = 6 << 20
_WHOLE: Final = 1024
"""Bytes of an answer that are copied behind the xid; more are a part of the reply of their own."""


class Basis:
    """One state of a resource. `work` is its unit of work, None for answers that rest on no resource."""

    def __init__(self, work: Work | None, count: int) -> None:
        self.holds = True
        self._work = work
        self._count = count
        self._calls = 0
        self._asked: set[int] = set()
        self._asked_before: set[int] = set()

    def look(self) -> bool:
        """Whether the resource is still in that state; if not, it `holds` no more."""
        if self._work is not None and self._work.count() != self._count:
            self.holds = False
            self._asked.clear()  # answers that have fallen keep this object
            self._asked_before.clear()
        return self.holds

    def again(self, mark: int, calls: int) -> bool:
        """Whether `mark` was met lately; from now on it was. Two calls with one mark cost no more than memory.

        `calls` have been run since the last look.
        """
        self._calls += calls
        if self._calls > _LATELY:
            self._calls = 0
            self._asked_before, self._asked = self._asked, set()
        if mark in self._asked or mark in self._asked_before:
            return True
        self._asked.add(mark)
        return False


class Standing:
    """A reply but for its xid, and what it rests on. `row` is where its procedure is counted."""

    __slots__ = ("_basis", "_ground", "_principal", "_rest", "row", "size")

    def __init__(self, call: Call, rest: bytes, basis: Basis, ground: Ground) -> None:
        self.row = call.target.row
        self.size = len(call.message) + len(rest)
        self._principal = call.principal
        self._rest = rest
        self._basis = basis
        self._ground = ground

    def holds(self, peer: Peer) -> bool:
        """Whether the call would be answered just so if it came from `peer` now."""
        return self._basis.holds and self._ground.holds(peer, self._principal)

    def reply(self, message: bytes) -> list[bytes]:
        """The parts of the reply to `message`."""
        xid, rest = message[:4], self._rest
        return [xid + rest] if len(rest) <= _WHOLE else [xid, rest]


class StandingAnswers:
    """The answers of one worker that stand, bounded by number and by bytes: the oldest go first.

    An answer is kept only of a call that comes a second time before many others have, and before a change: what is
    asked once, as by who reads a long file, costs no memory, and drives out nothing. `answers` has them by the call
    behind its xid; those in it need not hold any more. `lasts`: see `Admission.lasts`.
    """

    def __init__(self, lasts: Callable[[Call], bool]) -> None:
        self._lasts = lasts
        self.answers: dict[bytes, Standing] = {}
        self._size = 0
        self._bases: dict[Work | None, Basis] = {None: Basis(None, 0)}
        self._watched: list[tuple[int, Call, Basis, Ground]] = []

    def begin(self) -> None:
        """A turn begins: what others have changed meanwhile, its calls shall see."""
        self._watched.clear()
        for work, basis in list(self._bases.items()):
            if not basis.look():
                del self._bases[work]

    def watch(self, work: Work | None, calls: Sequence[tuple[int, Call]]) -> None:
        """`calls` of `work`, by their places in the turn, are about to be run: see what becomes of the first.

        One of each unit is enough: what is asked for often will be the first one some time soon.
        """
        place, call = calls[0]
        basis = self._bases.get(work) or self._found(work)
        if basis is None or len(call.message) > LONGEST or not basis.again(hash(call.message[4:]), len(calls)):
            return
        make = call.target.ground
        if make is None or call.target.once or not self._lasts(call):
            return
        ground = make(call)
        if ground is not None:
            self._watched.append((place, call, basis, ground))

    def _found(self, work: Any) -> Basis | None:
        count = work.count()
        if count < 0:
            return None
        basis = self._bases[work] = Basis(work, count)
        return basis

    def settle(self, replies: Sequence[list[bytes] | Later | Held | None]) -> None:
        """The calls that are watched have been run: keep those of `replies`, by their places, that still hold."""
        if not self._watched:
            return
        watched, self._watched = self._watched, []
        for place, call, basis, ground in watched:
            reply = replies[place]
            if type(reply) is list and not call.failed and basis.look() and ground.holds(call.peer, call.principal):
                self._keep(call.message[4:], Standing(call, b"".join(reply)[4:], basis, ground))

    def _keep(self, asked: bytes, standing: Standing) -> None:
        if asked in self.answers:
            self._drop(asked)
        self.answers[asked] = standing
        self._size += standing.size
        while len(self.answers) > _KEPT or self._size > _BYTES:
            self._drop(next(iter(self.answers)))

    def _drop(self, asked: bytes) -> None:
        self._size -= self.answers.pop(asked).size
