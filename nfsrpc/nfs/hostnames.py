"""Names and netgroups of callers, found out in a thread so that a slow name server stops nobody.

A worker waits a moment for the first answer, and not at all while an earlier
one is overdue: such a call stays unanswered, and the client asks again.
"""

import ctypes
import logging
import socket
import threading
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from queue import SimpleQueue

_log = logging.getLogger(__name__)
_KEPT_SECONDS = 600.0
"""How long an answer is believed before it is asked for again."""
_RETRY_SECONDS = 30.0
"""How long a caller counts as nameless whose name could not be found out."""
_KEPT = 2048
"""Callers remembered."""
_PENDING = 64
"""Callers asked about at once."""
_PATIENCE = 0.5
"""Seconds that a call waits for an answer at most."""
_NO_SUCH_NAME = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class NotYet(Exception):
    """The answer is not there yet: ask again later."""


class Netgroups(Protocol):
    """Where it is known which host belongs to which netgroup."""

    def contains(self, netgroup: str, host: str) -> bool:
        """Whether `host`, a name or an address, is listed in `netgroup`."""


class SystemNetgroups:
    """The netgroups of nsswitch.conf(5), as innetgr(3) knows them. Not for several threads at once."""

    def __init__(self) -> None:
        self._innetgr = ctypes.CDLL(None).innetgr
        self._innetgr.argtypes = [ctypes.c_char_p] * 4
        self._innetgr.restype = ctypes.c_int

    def contains(self, netgroup: str, host: str) -> bool:
        """See `Netgroups`."""
        return bool(self._innetgr(netgroup.encode("utf-8", "surrogateescape"), host.encode(), None, None))


class Facts(NamedTuple):
    """What is known of a caller."""

    names: frozenset[str] = frozenset()
    netgroups: frozenset[str] = frozenset()


class Unreachable(Exception):
    """Whoever should know cannot be asked now."""


def confirmed_names(host: str) -> frozenset[str]:
    """The names of the host at an address, in lower case: those that lead back to it, for anybody can claim any name.

    Raises `Unreachable` if that cannot be found out now.
    """
    try:
        name, _, _ = socket.gethostbyaddr(host)
        infos = socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM, flags=socket.AI_CANONNAME)
    except socket.herror as error:
        if error.errno in (1, 4):  # HOST_NOT_FOUND, NO_DATA
            return frozenset()
        raise Unreachable(str(error)) from None
    except socket.gaierror as error:
        if error.errno in _NO_SUCH_NAME:
            return frozenset()
        raise Unreachable(str(error)) from None
    except OSError as error:
        raise Unreachable(str(error)) from None
    except UnicodeError:  # no name that could be asked for
        return frozenset()
    if not any(info[4][0] == host for info in infos):
        return frozenset()
    return frozenset(found.lower() for found in (name, *(info[3] for info in infos)) if found)


class HostNames:
    """Answers for one worker.

    groups
        The netgroups to ask about.
    changed
        Called, in another thread, when an answer given before holds no longer.
    """

    def __init__(
        self,
        groups: Collection[str],
        netgroups: Netgroups | None = None,
        look_up: Callable[[str], frozenset[str]] = confirmed_names,
        kept_seconds: float = _KEPT_SECONDS,
        patience: float = _PATIENCE,
    ) -> None:
        self._groups = frozenset(groups)
        self._netgroups = SystemNetgroups() if netgroups is None and self._groups else netgroups
        self._look_up = look_up
        self._kept_seconds = kept_seconds
        self._patience = patience
        self._known: dict[str, Facts] = {}
        self._due: dict[str, float] = {}
        self._pending: dict[str, threading.Event] = {}
        self._questions: SimpleQueue[str | None] | None = None
        self.changed: Callable[[], None] = lambda: None

    def names(self, host: str) -> frozenset[str]:
        """See `nfsrpc.nfs.clients.Names`."""
        return self._facts(host).names

    def netgroups(self, host: str) -> frozenset[str]:
        """See `nfsrpc.nfs.clients.Names`."""
        return self._facts(host).netgroups

    def _facts(self, host: str) -> Facts:
        found = self._known.get(host)
        if found is not None:
            return found
        if host in self._pending or len(self._pending) >= _PENDING:
            raise NotYet
        overdue = bool(self._pending)
        answered = self._pending[host] = threading.Event()
        self._asked().put(host)
        if overdue or not answered.wait(self._patience):
            raise NotYet
        found = self._known.get(host)
        if found is None:
            raise NotYet
        return found

    def _asked(self) -> "SimpleQueue[str | None]":
        """Where the thread finds its questions: both are made for the first, for most exports name no hosts."""
        if self._questions is None:
            from queue import SimpleQueue

            self._questions = SimpleQueue()
            threading.Thread(target=self._run, args=(self._questions,), name="host names", daemon=True).start()
        return self._questions

    def close(self) -> None:
        """End the thread, as soon as it has no question under way."""
        if self._questions is not None:
            self._questions.put(None)

    def _run(self, asked: "SimpleQueue[str | None]") -> None:
        from queue import Empty

        while True:
            try:
                host = asked.get(timeout=self._pause())
            except Empty:
                self._renew(time.monotonic())
                continue
            if host is None:
                return
            self._answer(host)

    def _pause(self) -> float | None:
        """Seconds until the first answer is to be asked for again."""
        return max(0.0, min(self._due.values()) - time.monotonic()) if self._due else None

    def _answer(self, host: str) -> None:
        """Find out about a caller that has come. One whose name cannot be found out has none, for a while."""
        if len(self._known) >= _KEPT:
            self._known.clear()
            self._due.clear()
            self.changed()
        try:
            self._known[host] = self._ask(host)
            self._due[host] = time.monotonic() + self._kept_seconds
        except Unreachable as error:
            _log.warning("the name of %s cannot be found out, so it counts as having none: %s", host, error)
            self._known[host] = Facts()
            self._due[host] = time.monotonic() + _RETRY_SECONDS
        finally:
            self._pending.pop(host).set()

    def _renew(self, now: float) -> None:
        """Ask again what is due; who cannot be asked about keeps what is known of him."""
        different = False
        for host in [host for host, due in self._due.items() if due <= now]:
            self._due[host] = now + self._kept_seconds
            try:
                facts = self._ask(host)
            except Unreachable as error:
                _log.warning("the name of %s cannot be found out again: %s", host, error)
                self._due[host] = now + _RETRY_SECONDS
                continue
            if facts != self._known[host]:
                self._known[host] = facts
                different = True
        if different:
            self.changed()

    def _ask(self, host: str) -> Facts:
        names = self._look_up(host)
        if self._netgroups is None:
            return Facts(names)
        labels = (host, *names)
        groups = self._netgroups
        return Facts(names, frozenset(g for g in self._groups if any(groups.contains(g, label) for label in labels)))
