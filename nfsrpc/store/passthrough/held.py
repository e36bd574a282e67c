"""A plain directory that is held for one server."""

import os

from ..interface import Store
from .kernel import Capabilities
from .owners import owners
from .passthrough import Passthrough
from .state import DirectoryLock


class HeldDirectory:
    """A plain directory, with its state kept below the directory `state` (None: the usual place)."""

    def __init__(
        self, path: str | os.PathLike[str], state: str | os.PathLike[str] | None = None, inherited: int | None = None
    ) -> None:
        """CannotServe. `inherited`: the descriptor of a lock that a predecessor holds."""
        self._lock = DirectoryLock(path, state, inherited=inherited)
        self.keep = self._lock.state
        self.user: tuple[int, int] | None = None if owners(Capabilities()).honoured else (os.geteuid(), os.getegid())
        self.fileno = self._lock.fileno
        self.release = self._lock.release

    def attach(self, *, asynchronous: bool = False) -> Store:
        """See `nfsrpc.store.held.Held.attach`: changes of a directory are never answered early."""
        return Passthrough(self._lock)
