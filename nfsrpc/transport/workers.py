"""One or several worker processes on the same sockets, and the signals that end them."""

import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from .loop import Loop

_log = logging.getLogger(__name__)
_GRACE = 15.0
"""Seconds that workers have to end after SIGTERM before they are killed."""
_RESTART_PAUSE = 0.5
"""Seconds between a worker's death and its replacement's start if it died young, so that a fault does not spin."""

_POLL = 0.01
"""Seconds between two looks whether the workers have ended."""

MakeLoop = Callable[[int], Loop]
"""Makes the loop of worker number `n` (from 0), in that worker's own process."""


def run(workers: int, make_loop: MakeLoop) -> None:
    """Serve until SIGTERM or SIGINT; both let every worker finish its turn and answer it.

    One worker is this process itself. Several are forked, and one that dies
    is replaced and takes over its predecessor's sockets; workers whose
    supervisor was killed end by themselves.
    """
    if workers == 1:
        loop = make_loop(0)
        with _stopped_by_signals(loop):
            loop.run()
    else:
        _Supervisor(workers, make_loop).run()


@contextmanager
def _stopped_by_signals(loop: Loop) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        loop.stop()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class _Supervisor:
    def __init__(self, workers: int, make_loop: MakeLoop) -> None:
        self._workers = workers
        self._make_loop = make_loop
        self._running: dict[int, tuple[int, float]] = {}
        self._lifeline, self._hold = os.pipe()
        self._stopping = False

    def run(self) -> None:
        """Start the workers, replace those that die, and end when told to."""
        blocked = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
        signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
        try:
            for number in range(self._workers):
                self._start(number)
            while not self._stopping:
                received = signal.sigwait(blocked)
                if received == signal.SIGCHLD:
                    self._replace_dead()
                else:
                    self._stopping = True
            self._stop()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)
            os.close(self._lifeline)
            os.close(self._hold)

    def _start(self, number: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            self._be_worker(number)
        self._running[pid] = (number, time.monotonic())

    def _be_worker(self, number: int) -> None:
        """Life of a worker process; never returns."""
        status = 1
        try:
            os.close(self._hold)
            # A terminal sends SIGINT to all of its processes; the supervisor makes a SIGTERM of it.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            loop = self._make_loop(number)
            loop.watch(self._lifeline)
            signal.signal(signal.SIGTERM, lambda _number, _frame: loop.stop())
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
            loop.run()
            status = 0
        except Exception:
            _log.exception("worker %d ends on an error", number)
        finally:
            logging.shutdown()
            os._exit(status)

    def _replace_dead(self) -> None:
        for pid in list(self._running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if not ended:
                continue
            number, born = self._running.pop(pid)
            _log.error("worker %d (pid %d) ended with %s; starting another", number, pid, _outcome(status))
            if time.monotonic() - born < _RESTART_PAUSE:
                time.sleep(_RESTART_PAUSE)
            self._start(number)

    def _stop(self) -> None:
        """SIGTERM to all, wait, SIGKILL to those that do not end."""
        for pid in self._running:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _GRACE
        while self._running:
            for pid in list(self._running):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del self._running[pid]
            if time.monotonic() > deadline:
                for pid in self._running:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(_POLL)


def _outcome(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
