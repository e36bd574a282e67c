"""The process that signals are sent to, and what it does with them.

SIGTERM, SIGINT   answer what was received, and end
SIGHUP            read the configuration again: new workers are up before the old ones leave
SIGUSR1           say on stderr how things stand
SIGUSR2           upgrade: start this command anew, hand it everything, and end once it answers
"""

import logging
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nfsrpc.rpc.errors import RpcError

from .inheritance import Inheritance, notify
from .loop import Answering, Loop
from .signals import Signals

if TYPE_CHECKING:
    from .successor import Successor

_log = logging.getLogger(__name__)
FORESEEN = (OSError, ValueError, RpcError)
"""What a configuration that cannot be used raises: told in one line, without a traceback."""

Attendant = tuple[Any, Callable[[], None]]
"""Something with a descriptor, and what to do when it is readable."""


class WorkersFailed(Exception):
    """Workers fail at their start again and again, and none answers."""


class Plan(NamedTuple):
    """What `run` runs.

    make_answering
        What answers calls in worker number `n` (from 0); called in that worker's own process.
    make_loop
        The loop of worker number `n` around that.
    reload
        Reads the configuration again, before what answers is made anew; OSError, ValueError or RpcError: it
        stays as it was.
    state
        What SIGUSR1 says besides the processes.
    """

    workers: int
    make_answering: Callable[[int], Answering]
    make_loop: Callable[[int, Answering], Loop]
    inheritance: Inheritance
    reload: Callable[[], None] = lambda: None
    state: Callable[[], str] = lambda: ""
    attendants: Sequence[Attendant] = ()


class Master(ABC):
    """The process that signals are sent to: what it does with them, whether it has workers or is one."""

    def __init__(self, plan: Plan, acts: Mapping[int, Callable[[], None]]) -> None:
        self.plan = plan
        self._born = time.monotonic()
        self._successor: Successor | None = None
        self._succeeded = False
        self._acts: Mapping[int, Callable[[], None]] = {
            signal.SIGTERM: self._stop,
            signal.SIGINT: self._stop,
            signal.SIGHUP: self._reload,
            signal.SIGUSR1: self._say_state,
            signal.SIGUSR2: self._upgrade,
            **acts,
        }
        self.signals = Signals([signal.Signals(number) for number in self._acts])

    def _on_signals(self) -> None:
        for number in self.signals.take():
            self._acts[number]()

    def _answering(self) -> None:
        """Calls are answered from here on: whoever waits for that is told."""
        self.plan.inheritance.take_over()
        notify(f"READY=1\nMAINPID={os.getpid()}")

    def _stop(self) -> None:
        notify("STOPPING=1")
        self._leave()

    def _reload(self) -> None:
        notify("RELOADING=1")
        try:
            self.plan.reload()
        except FORESEEN as error:
            _log.error("nothing is reloaded: %s", error)
            notify("READY=1")
            return
        self._renew()

    def _upgrade(self) -> None:
        if self._successor is not None:
            _log.warning("process %d is about to take over already", self._successor.pid)
            return
        try:
            self._successor = self.plan.inheritance.start_successor()
        except OSError as error:
            _log.error("no upgrade: %s", error)
            return
        self._attend(self._successor, self._decide)

    def _decide(self) -> None:
        """The successor has taken over, or has failed."""
        successor, self._successor = self._successor, None
        assert successor is not None
        self._disregard(successor)
        if not successor.has_taken_over():
            _log.error("no upgrade: process %d ended before it took over; this one goes on", successor.pid)
            return
        _log.info("process %d has taken over", successor.pid)
        self._succeeded = True
        self._leave()

    def _say_state(self) -> None:
        lines = [f"process {os.getpid()}, up {time.monotonic() - self._born:.0f} s", *self._processes()]
        lines += [line for line in self.plan.state().splitlines() if line]
        print("\n".join(lines), file=sys.stderr, flush=True)

    @abstractmethod
    def run(self) -> bool:
        """See `run`."""

    @abstractmethod
    def _attend(self, readable: Any, act: Callable[[], None]) -> None:
        """Call `act` whenever `readable` is readable."""

    @abstractmethod
    def _disregard(self, readable: Any) -> None:
        """End `_attend`."""

    @abstractmethod
    def _renew(self) -> None:
        """Make all turns anew."""

    @abstractmethod
    def _leave(self) -> None:
        """Begin to end; what has not been received is the successor's if there is one."""

    @abstractmethod
    def _processes(self) -> list[str]:
        """A line about each worker."""
