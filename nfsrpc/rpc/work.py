"""Units of work: what a turn of the server's loop makes durable together.

A worker drains the calls that are ready, runs them inside one unit, commits
once, and only then lets the replies go. So a synced commit is paid once per
turn instead of once per call, and nothing is ever acknowledged before it is
on stable storage.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class Work(Protocol):
    """What a transactional resource behind a service offers to the dispatcher."""

    def count(self) -> int:
        """A number that has changed, for every process, before anybody is told of a change of the resource.

        -1 while it is not known, or never will be: then nothing that is said of the resource stands.
        """

    def begin(self, changing: bool) -> None:
        """Open a unit. `changing` says that a call in it may change the resource: waits for the writer's lock."""

    def commit(self) -> None:
        """Make the unit durable. OSError: it may not be, and `abort` is called next.

        A call of it has then not happened, or `recall` knows its result.
        """

    def abort(self) -> None:
        """Undo the unit, and forget everything cached of the resource."""

    def step(self) -> AbstractContextManager[None]:
        """One call inside a changing unit: an exception that leaves the block undoes that call alone."""

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """The results there are under `keys` (see `remember`), also from before a crash.

        One that is older than its lifetime is no result: the call is another one, of a client that counts anew.
        """

    def remember(self, key: bytes, client: bytes, result: bytes) -> None:
        """Keep `result` under `key` as part of this unit.

        Entries are kept for 120 s of the server's uptime, and the number kept
        for one `client` is bounded.
        """
