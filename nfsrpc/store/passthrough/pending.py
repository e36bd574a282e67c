"""What a unit has changed on the host and not yet synced: each file once, however often it was changed."""

import errno
import os
import stat
from collections import OrderedDict
from contextlib import suppress

from ..interface import Ufid
from ..volume.host import start_writing
from . import kernel
from .limits import PassthroughLimits
from .reach import through

_OPEN = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


class Pending:
    """Contents opened in this unit, and what of all that was changed has still to be brought to the disk."""

    def __init__(self, top: int, limits: PassthroughLimits) -> None:
        """`top`: a descriptor of the exported directory."""
        self._top = top
        self._limits = limits
        self._contents: OrderedDict[tuple[Ufid, int], int] = OrderedDict()
        self._changed: dict[Ufid, int] = {}
        self._whole: set[Ufid] = set()
        self._step: set[Ufid] = set()
        self.failed: dict[Ufid, OSError] = {}
        """What could not be synced in this unit, and why."""

    # --- opening ----------------------------------------------------------------------------------------------------

    def contents(self, node: Ufid, descriptor: int, flags: int) -> int:
        """A descriptor for reading or writing (`flags`: O_RDONLY, O_WRONLY) the held regular file `node`."""
        key = (node, flags)
        found = self._contents.get(key)
        if found is None:
            found = os.open(through(descriptor), flags | _OPEN)
            self.adopt(node, found, flags)
        return found

    def adopt(self, node: Ufid, descriptor: int, flags: int) -> None:
        """Take over a descriptor opened elsewhere."""
        if len(self._contents) >= self._limits.files:
            self._give_up(next(iter(self._contents)))
        self._contents[node, flags] = descriptor

    def _give_up(self, key: tuple[Ufid, int]) -> None:
        descriptor = self._contents.pop(key)
        if self._changed.get(key[0]) == descriptor:
            del self._changed[key[0]]
            self._sync(key[0], descriptor)
        os.close(descriptor)

    # --- noting -----------------------------------------------------------------------------------------------------

    def begin_call(self) -> None:
        """What is noted from here on is changed by one call."""
        self._step.clear()

    def of_call(self) -> frozenset[Ufid]:
        """What the call has changed."""
        return frozenset(self._step)

    def written(self, node: Ufid, descriptor: int) -> None:
        """The open contents `descriptor` of `node` have been changed."""
        self._step.add(node)
        self._changed[node] = descriptor

    def changed(self, node: Ufid, descriptor: int) -> None:
        """Names in, or attributes of, the held file `node` have been changed.

        Of what cannot be opened (a device, a file that its owner may not read) the file system is synced.
        """
        self._step.add(node)
        if node in self._changed or node in self._whole:
            return
        try:
            mode = os.fstat(descriptor).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise OSError(errno.EINVAL, "not to be opened")
            self._changed[node] = self.contents(node, descriptor, os.O_RDONLY)
        except OSError:
            self._whole.add(node)

    # --- syncing ----------------------------------------------------------------------------------------------------

    def sync(self) -> dict[Ufid, OSError]:
        """Bring everything to the disk. What could not be is returned, with the reason; the rest is there."""
        changed = list(self._changed.items())
        self._changed.clear()
        if len(changed) > 1:
            for node, descriptor in changed:
                try:
                    start_writing(descriptor)
                except OSError as error:
                    self.failed[node] = error
        for node, descriptor in changed:
            self._sync(node, descriptor)
        if self._whole:
            try:
                kernel.sync_file_system(self._top)
            except OSError as error:
                self.failed.update(dict.fromkeys(self._whole, error))
            self._whole.clear()
        return self.failed

    def _sync(self, node: Ufid, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            self.failed[node] = error

    def end_unit(self) -> None:
        """Close everything, and forget what was noted."""
        while self._contents:
            with suppress(OSError):
                os.close(self._contents.popitem()[1])
        self._changed.clear()
        self._whole.clear()
        self._step.clear()
        self.failed.clear()
