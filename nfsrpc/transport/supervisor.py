"""Several worker processes on the same sockets: started, replaced when they die, renewed, ended."""

import logging
import os
import selectors
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from .inheritance import notify
from .loop import Loop
from .master import FORESEEN, Master, Plan, WorkersFailed

_log = logging.getLogger(__name__)
_GRACE = 15.0
"""Seconds that workers have to end after SIGTERM before they are killed."""
_RESTART_PAUSE = 0.5
"""Seconds between a worker's death and its replacement's start if it died young, so that a fault does not spin."""
_TRIES = 4
"""Starts of a worker that may fail one after the other before there is no hope left; each pause is twice the last."""
_LONGEST_PAUSE = 30.0
_UP = b"\0"
_REASON = 4096
"""Bytes of the reason for a failed start that are passed on; a pipe takes them at once."""
_HAND_OVER = signal.SIGQUIT
"""Tells a worker to end and to leave to others what it has not received yet."""
_GOVERNED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD, _HAND_OVER)


@dataclass(slots=True)
class _Worker:
    number: int
    generation: int
    born: float
    up: int
    """The end of a pipe that says when it answers calls, or why it never will."""
    answers: bool = False
    reason: str = ""


class Supervisor(Master):
    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, {signal.SIGCHLD: self._reap})
        self._selector = selectors.DefaultSelector()
        self._workers: dict[int, _Worker] = {}
        self._generation = 0
        """The newest generation of workers; older ones leave once all of it answer."""
        self._restarts: list[tuple[float, int]] = []
        self._failures: Counter[int] = Counter()
        """Failed starts of each worker since its last good one."""
        self._complete: int | None = None
        """The last generation all of which has answered."""
        self._hopeless: WorkersFailed | None = None
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
        if self._hopeless is not None:
            raise self._hopeless
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
        worker = self._workers[pid] = _Worker(number, self._generation, time.monotonic(), up)
        self._selector.register(up, selectors.EVENT_READ, partial(self._heard, worker))

    def _be_worker(self, number: int, ready: int) -> None:
        """Life of a worker process; never returns."""
        status = 1
        try:
            loop = self._set_out(number, ready)
            if loop is not None:
                loop.run()
                status = 0
        except Exception:
            _log.exception("worker %d ends on an error", number)
        finally:
            logging.shutdown()
            os._exit(status)

    def _set_out(self, number: int, ready: int) -> Loop | None:
        """The loop of a new worker; None: it cannot start. The supervisor is told through `ready`."""
        os.close(self._hold)
        self._selector.close()
        # A terminal sends SIGINT to all of its processes; the supervisor makes a SIGTERM of it.
        for ignored in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(ignored, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            loop = self.plan.make_loop(number, self.plan.make_answering(number))
        except FORESEEN as error:
            os.write(ready, str(error).encode()[:_REASON] or b"?")
            return None
        except Exception as error:
            os.write(ready, repr(error).encode()[:_REASON])
            raise
        loop.watch(self._lifeline)
        signal.signal(signal.SIGTERM, lambda _number, _frame: loop.stop())
        signal.signal(_HAND_OVER, lambda _number, _frame: loop.stop(successor=True))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _GOVERNED)
        os.write(ready, _UP)
        os.close(ready)
        return loop

    def _heard(self, worker: _Worker) -> None:
        """A worker says that it answers calls, or why it cannot; or it has ended without a word."""
        if worker.up < 0:  # its end was noticed in this very round
            return
        word = os.read(worker.up, _REASON)
        self._selector.unregister(worker.up)
        os.close(worker.up)
        worker.up = -1
        worker.answers = word == _UP
        if not worker.answers:
            worker.reason = word.decode(errors="replace")
            return
        del self._failures[worker.number]
        newest = [other for other in self._workers.values() if other.generation == self._generation]
        if len(newest) < self.plan.workers or not all(other.answers for other in newest):
            return
        if self._complete != self._generation:
            self._complete = self._generation
            self._answering()
        self._signal(_HAND_OVER, [p for p, other in self._workers.items() if other.generation != self._generation])

    def _reap(self) -> None:
        for pid in list(self._workers):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            worker = self._workers[pid]
            self._heard(worker)
            del self._workers[pid]
            if self._kill_at is None and worker.generation == self._generation:
                self._replace(pid, worker, status)

    def _replace(self, pid: int, worker: _Worker, status: int) -> None:
        """One of the newest generation has died. If it never answered, older ones go on meanwhile."""
        number, now = worker.number, time.monotonic()
        if worker.answers:
            _log.error("worker %d (pid %d) ended with %s; starting another", number, pid, _outcome(status))
            young = now - worker.born < _RESTART_PAUSE
            self._restarts.append((now + _RESTART_PAUSE if young else now, number))
            return
        self._failures[number] += 1
        reason = worker.reason or f"it ended with {_outcome(status)}"
        _log.error("worker %d (pid %d) could not start: %s", number, pid, reason)
        if self._failures[number] >= _TRIES and self._despair(reason):
            return
        pause = min(_RESTART_PAUSE * 2 ** (self._failures[number] - 1), _LONGEST_PAUSE)
        self._restarts.append((now + pause, number))

    def _despair(self, reason: str) -> bool:
        """Whether it is no use to go on with this generation: its predecessor serves on, or nobody does."""
        answering = {worker.generation for worker in self._workers.values() if worker.answers}
        if answering - {self._generation}:
            _log.error("nothing is reloaded: new workers cannot start: %s", reason)
            self._go_back(max(answering - {self._generation}))
            return True
        if self._complete is not None and answering:
            return False
        self._hopeless = WorkersFailed(f"workers cannot start, {_TRIES} tries each: {reason}")
        self._stop()
        return True

    def _go_back(self, generation: int) -> None:
        """Leave the newest generation, which never answered as a whole, for an older one."""
        self._signal(signal.SIGTERM, [p for p, other in self._workers.items() if other.generation > generation])
        self._generation = generation
        self._failures.clear()
        there = {worker.number for worker in self._workers.values() if worker.generation == generation}
        self._restarts = [(0.0, number) for number in range(self.plan.workers) if number not in there]
        notify("READY=1")

    def _renew(self) -> None:
        """Start a new generation; the old ones leave when all of it answer."""
        self._generation += 1
        self._restarts.clear()
        self._failures.clear()
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
