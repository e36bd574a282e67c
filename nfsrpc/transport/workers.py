"""One or several worker processes on the same sockets, and the signals that govern them.

SIGTERM, SIGINT   answer what was received, and end
SIGHUP            read the configuration again: new workers are up before the old ones leave
SIGUSR1           say on stderr how things stand
SIGUSR2           upgrade: start this command anew, hand it everything, and end once it answers
"""

import logging
import os
import selectors
import signal
import socket
import sys
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from types import FrameType
from typing import Any

from nfsrpc.rpc.errors import RpcError

from .inheritance import Inheritance, Successor, notify
from .loop import Loop, Turn

_log = logging.getLogger(__name__)
_GRACE = 15.0
"""Seconds that workers have to end after SIGTERM before they are killed."""
_RESTART_PAUSE = 0.5
"""Seconds between a worker's death and its replacement's start if it died young, so that a fault does not spin."""
_HAND_OVER = signal.SIGQUIT
"""Tells a worker to end and to leave to others what it has not received yet."""
_GOVERNED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, _HAND_OVER)

Attendant = tuple[Any, Callable[[], None]]
"""Something with a descriptor, and what to do when it is readable."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What `run` runs.

    make_turn
        What answers calls in worker number `n` (from 0); called in that worker's own process.
    make_loop
        The loop of worker number `n` around such a turn.
    reload
        Reads the configuration again, before turns are made anew; OSError, ValueError or RpcError: it
        stays as it was.
    state
        What SIGUSR1 says besides the processes.
    """

    workers: int
    make_turn: Callable[[int], Turn]
    make_loop: Callable[[int, Turn], Loop]
    inheritance: Inheritance
    reload: Callable[[], None] = lambda: None
    state: Callable[[], str] = lambda: ""
    attendants: Sequence[Attendant] = field(default=())


def run(plan: Plan) -> bool:
    """Serve until told to end; whether a successor goes on serving.

    One worker is this process itself. Several are forked, and one that dies
    is replaced and takes over its predecessor's sockets; workers whose
    supervisor was killed end by themselves.
    """
    master = _Alone(plan) if plan.workers == 1 else _Supervisor(plan)
    with master.signals:
        return master.run()


class _Signals:
    """Signals as something to read; a context manager that puts the old handlers back."""

    def __init__(self, numbers: Sequence[signal.Signals]) -> None:
        self._numbers = numbers
        self._previous: dict[signal.Signals, Any] = {}
        self._received: deque[int] = deque()
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)

    def __enter__(self) -> "_Signals":
        self._previous = {number: signal.signal(number, self._note) for number in self._numbers}
        return self

    def _note(self, number: int, _frame: FrameType | None) -> None:
        self._received.append(number)
        with suppress(BlockingIOError):
            self._theirs.send(b"\0")

    def fileno(self) -> int:
        """What becomes readable."""
        return self._ours.fileno()

    def take(self) -> list[int]:
        """The signals that came, oldest first."""
        with suppress(BlockingIOError):
            self._ours.recv(4096)
        return [self._received.popleft() for _ in range(len(self._received))]

    def __exit__(self, *error: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._ours.close()
        self._theirs.close()


class _Master(ABC):
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
        self.signals = _Signals([signal.Signals(number) for number in self._acts])

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
        except (OSError, ValueError, RpcError) as error:
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


class _Alone(_Master):
    """The only worker, and its own master."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, {})

    def run(self) -> bool:
        self._loop = self.plan.make_loop(0, self.plan.make_turn(0))
        self._loop.attend(self.signals, self._on_signals)
        for readable, act in self.plan.attendants:
            self._loop.attend(readable, act)
        self._answering()
        self._loop.run()
        return self._succeeded

    def _attend(self, readable: Any, act: Callable[[], None]) -> None:
        self._loop.attend(readable, act)

    def _disregard(self, readable: Any) -> None:
        self._loop.disregard(readable)

    def _renew(self) -> None:
        self._loop.replace(self.plan.make_turn(0))
        notify("READY=1")

    def _leave(self) -> None:
        self._loop.stop(successor=self._succeeded)

    def _processes(self) -> list[str]:
        return [f"worker 0: this process, {self._loop.connections} connections"]


@dataclass(slots=True)
class _Worker:
    number: int
    generation: int
    born: float
    up: int
    """The end of a pipe that says when it answers calls."""
    answers: bool = False


class _Supervisor(_Master):
    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, {signal.SIGCHLD: self._reap})
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, _Worker] = {}
        self._generation = 0
        """The newest generation of workers; older ones leave once all of it answer."""
        self._restarts: list[tuple[float, int]] = []
        self._lifeline, self._hold = os.pipe()
        self._kill_at: float | None = None

    def run(self) -> bool:
        """Start the workers, replace those that die, and end when told to."""
        self._selector.register(self.signals, selectors.EVENT_READ, self._on_signals)
        for readable, act in self.plan.attendants:
            self._selector.register(readable, selectors.EVENT_READ, act)
        try:
            for number in range(self.plan.workers):
                self._start(number)
            while self._kill_at is None or self._workers:
                for key, _ in self._selector.select(self._pause()):
                    key.data()
                self._on_time()
        finally:
            self._selector.close()
            os.close(self._lifeline)
            os.close(self._hold)
        return self._succeeded

    def _pause(self) -> float | None:
        times = [when for when, _ in self._restarts]
        if self._kill_at is not None:
            times.append(self._kill_at)
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _on_time(self) -> None:
        now = time.monotonic()
        due = [number for when, number in self._restarts if when <= now]
        self._restarts = [(when, number) for when, number in self._restarts if when > now]
        for number in due:
            if self._kill_at is None:
                self._start(number)
        if self._kill_at is not None and now >= self._kill_at:
            self._kill_at = now + _GRACE
            self._signal(signal.SIGKILL, self._workers)

    def _start(self, number: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        up, ready = os.pipe()
        # A signal that comes before the new process has handlers of its own waits for them.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _GOVERNED)
        pid = os.fork()
        if pid == 0:
            os.close(up)
            self._be_worker(number, ready)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        os.close(ready)
        self._workers[pid] = _Worker(number, self._generation, time.monotonic(), up)
        self._selector.register(up, selectors.EVENT_READ, partial(self._is_up, pid))

    def _be_worker(self, number: int, ready: int) -> None:
        """Life of a worker process; never returns."""
        status = 1
        try:
            os.close(self._hold)
            self._selector.close()
            # A terminal sends SIGINT to all of its processes; the supervisor makes a SIGTERM of it.
            for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                signal.signal(ignored, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            loop = self.plan.make_loop(number, self.plan.make_turn(number))
            loop.watch(self._lifeline)
            signal.signal(signal.SIGTERM, lambda _number, _frame: loop.stop())
            signal.signal(_HAND_OVER, lambda _number, _frame: loop.stop(successor=True))
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _GOVERNED)
            os.write(ready, b"\0")
            os.close(ready)
            loop.run()
            status = 0
        except Exception:
            _log.exception("worker %d ends on an error", number)
        finally:
            logging.shutdown()
            os._exit(status)

    def _is_up(self, pid: int) -> None:
        """A worker answers calls, or has ended before it could."""
        worker = self._workers[pid]
        worker.answers = os.read(worker.up, 1) != b""
        self._forget_pipe(worker)
        newest = [other for other in self._workers.values() if other.generation == self._generation]
        if len(newest) < self.plan.workers or not all(other.answers for other in newest):
            return
        self._answering()
        self._signal(_HAND_OVER, [p for p, other in self._workers.items() if other.generation != self._generation])

    def _forget_pipe(self, worker: _Worker) -> None:
        if worker.up >= 0:
            self._selector.unregister(worker.up)
            os.close(worker.up)
            worker.up = -1

    def _reap(self) -> None:
        for pid in list(self._workers):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            worker = self._workers.pop(pid)
            self._forget_pipe(worker)
            if self._kill_at is None and worker.generation == self._generation:
                self._replace(pid, worker, status)

    def _replace(self, pid: int, worker: _Worker, status: int) -> None:
        """One of the newest generation has died. If it never answered, older ones go on meanwhile."""
        _log.error("worker %d (pid %d) ended with %s; starting another", worker.number, pid, _outcome(status))
        now = time.monotonic()
        young = now - worker.born < _RESTART_PAUSE
        self._restarts.append((now + _RESTART_PAUSE if young else now, worker.number))

    def _renew(self) -> None:
        """Start a new generation; the old ones leave when all of it answer."""
        self._generation += 1
        self._restarts.clear()
        for number in range(self.plan.workers):
            self._start(number)

    def _leave(self) -> None:
        if self._kill_at is None:
            self._kill_at = time.monotonic() + _GRACE
            self._signal(_HAND_OVER if self._succeeded else signal.SIGTERM, self._workers)

    def _signal(self, number: signal.Signals, pids: Any) -> None:
        for pid in list(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _attend(self, readable: Any, act: Callable[[], None]) -> None:
        self._selector.register(readable, selectors.EVENT_READ, act)

    def _disregard(self, readable: Any) -> None:
        self._selector.unregister(readable)

    def _processes(self) -> list[str]:
        now = time.monotonic()
        return [
            f"worker {worker.number}: pid {pid}, generation {worker.generation}, up {now - worker.born:.0f} s"
            f"{'' if worker.answers else ', does not answer yet'}"
            for pid, worker in sorted(self._workers.items())
        ]


def _outcome(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
