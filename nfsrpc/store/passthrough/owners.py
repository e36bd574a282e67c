"""Whom new files belong to: whom the caller says, if this process may say so, else its own user."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from . import kernel


class Owners(Protocol):
    """How ownership is treated."""

    honoured: bool
    """Whether files can be given to others."""

    def creating(self, uid: int, gid: int) -> AbstractContextManager[None]:
        """What is made inside belongs to `uid` and `gid` from the first instant, with exactly the mode asked for."""


class Honoured:
    """As in a file system of one's own: the kernel makes files in the name of their owner.

    So nothing is ever given away afterwards, when another file could have come to be under its name.
    """

    honoured = True

    def __init__(self, capabilities: kernel.Capabilities) -> None:
        self._capabilities = capabilities
        self._own = os.geteuid(), os.getegid()

    @contextmanager
    def creating(self, uid: int, gid: int) -> Iterator[None]:
        """See `Owners.creating`. Whether the owner may do it has been asked before: no right is lost here."""
        mask = os.umask(0)
        try:
            if (uid, gid) != self._own:
                kernel.set_fs_ids(uid, gid)
                self._capabilities.restore()
            yield
        finally:
            if (uid, gid) != self._own:
                kernel.set_fs_ids(*self._own)
            os.umask(mask)


class Mapped:
    """Without the right to give files away: everything new belongs to the user that the server runs as."""

    honoured = False

    @contextmanager
    def creating(self, uid: int, gid: int) -> Iterator[None]:
        """See `Owners.creating`."""
        mask = os.umask(0)
        try:
            yield
        finally:
            os.umask(mask)


def owners(capabilities: kernel.Capabilities) -> Owners:
    """What a process with these capabilities can do."""
    needed = (
        kernel.CAP_CHOWN, kernel.CAP_DAC_OVERRIDE, kernel.CAP_FOWNER, kernel.CAP_SETUID, kernel.CAP_SETGID
    )  # fmt: skip
    return Honoured(capabilities) if capabilities.include(*needed) else Mapped()
