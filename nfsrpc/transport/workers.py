"""One or several worker processes on the same sockets."""

import logging
from collections.abc import Callable
from typing import Any

from .heap import keep_freed
from .inheritance import notify
from .master import FORESEEN, Master, Plan

_log = logging.getLogger(__name__)


def run(plan: Plan) -> bool:
    """Serve until told to end; whether a successor goes on serving.

    One worker is this process itself. Several are forked, and one that dies
    is replaced and takes over its predecessor's sockets; workers whose
    supervisor was killed end by themselves.
    """
    keep_freed()
    master: Master
    if plan.workers == 1:
        master = Alone(plan)
    else:
        from .supervisor import Supervisor

        master = Supervisor(plan)
    with master.signals:
        return master.run()


class Alone(Master):
    """The only worker, and its own master."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, {})

    def run(self) -> bool:
        self._loop = self.plan.make_loop(0, self.plan.make_answering(0))
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
        try:
            self._loop.replace(self.plan.make_answering(0))
        except Exception as error:
            _log.error("nothing is reloaded: %s", error, exc_info=not isinstance(error, FORESEEN))
        notify("READY=1")

    def _leave(self) -> None:
        self._loop.stop(successor=self._succeeded)

    def _processes(self) -> list[str]:
        return [f"worker 0: this process, {self._loop.connections} connections"]
