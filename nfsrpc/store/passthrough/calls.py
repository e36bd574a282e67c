"""What the calls of a unit have done, and what they are told of it.

What has been done on the host cannot be undone. A call that fails in the middle
leaves at least nothing behind that it has made; and when not everything could
be synced, each call learns of what it has changed itself, and of nothing else.
"""

import os
import stat
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

from ..interface import Ufid
from ..volume.replay import Replay
from ..volume.unit import Unit
from .limits import PassthroughLimits
from .pending import Pending
from .reach import Reach

_KEPT = 120 * 10**9
"""ns that a failure is remembered: nobody retransmits longer."""


class Step:
    """Context manager of one call, see `Work.step`. A call that fails takes back what it has made."""

    def __init__(self, unit: Unit, pending: Pending, reach: Reach) -> None:
        self._unit = unit.step()
        self._pending = pending
        self._reach = reach
        self._made: list[tuple[int, bytes, int, bytes | None]] = []

    def made(self, above: int, name: bytes, kind: int) -> None:
        """The call has just made a file of type `kind` under `name` in the open directory `above`."""
        self._made.append((above, name, kind, self._reach.handle_of(above, name)))

    def __enter__(self) -> None:
        self._made.clear()
        self._pending.begin_call()
        self._unit.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            while self._made:
                with suppress(OSError):
                    self._unmake(*self._made.pop())
        self._unit.__exit__(kind, error, trace)

    def _unmake(self, above: int, name: bytes, kind: int, handle: bytes | None) -> None:
        if self._reach.handle_of(above, name) != handle:
            return
        if stat.S_ISDIR(kind):
            os.rmdir(name, dir_fd=above)
        else:
            os.unlink(name, dir_fd=above)


class _Done(NamedTuple):
    client: bytes
    result: bytes
    changed: frozenset[Ufid]


class Results:
    """The results of a unit's calls, on their way to being kept."""

    def __init__(self, replay: Replay, limits: PassthroughLimits, monotonic: Callable[[], int]) -> None:
        self._replay = replay
        self._limits = limits
        self._monotonic = monotonic
        self._done: dict[bytes, _Done] = {}
        self._failed: OrderedDict[bytes, tuple[int, OSError]] = OrderedDict()

    def remember(self, key: bytes, client: bytes, result: bytes, changed: frozenset[Ufid]) -> None:
        """The call has run, and has `changed` these files."""
        self._done[key] = _Done(client, result, changed)

    def recall(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """What is kept. OSError if one of the calls was run and its change could not be brought to the disk."""
        for key in keys:
            born, error = self._failed.get(key, (0, None))
            if error is not None and self._monotonic() - born < _KEPT:
                raise OSError(error.errno, error.strerror)
        return self._replay.recall(keys)

    def keep(self, failed: Mapping[Ufid, OSError]) -> None:
        """Keep the results with the unit, but those of calls that changed a file which could not be synced."""
        for key, done in self._done.items():
            errors = [failed[node] for node in done.changed if node in failed]
            if errors:
                self._fail([key], errors[0])
            else:
                self._replay.remember(key, done.client, done.result)

    def give_up(self, error: OSError) -> None:
        """No result of this unit can be kept."""
        self._fail(self._done, error)

    def _fail(self, keys: Collection[bytes], error: OSError) -> None:
        now = self._monotonic()
        for key in keys:
            self._failed[key] = now, error
        while len(self._failed) > self._limits.failed_calls:
            self._failed.popitem(last=False)

    def end_unit(self) -> None:
        """The next unit begins with nothing."""
        self._done.clear()
