"""The core on an asyncio client: the twin of `blocking_wire`. Everything runs in the event loop's thread."""

import asyncio
import errno
import os
from collections.abc import Coroutine
from typing import Any, TypeVar

from nfsrpc.rpc.calls import PendingCall
from nfsrpc.rpc.errors import Disconnected, RpcError, RpcTimeout
from nfsrpc.transport.aio import AsyncClient

from .errors import from_rpc_error
from .nfs2 import Request
from .options import Options
from .site import Site
from .wire import WINDOW, Flight, Step

T = TypeVar("T")


class AsyncWire:
    """Sends requests over `client`, each as a task of its own, and drives the core's coroutines, see `wire`."""

    def __init__(self, client: AsyncClient, site: Site, options: Options) -> None:
        self._client = client
        self._site = site
        self._options = options
        self._loop = asyncio.get_running_loop()

    @property
    def window(self) -> int:
        """READs or WRITEs of one file in flight: what keeps a server busy for some milliseconds, or fewer over UDP."""
        return min(WINDOW, self._client.window or WINDOW)

    def submit(self, request: Request[T]) -> Flight[T]:
        """Send `request` without waiting."""
        task = self._loop.create_task(self._fly(request))
        task.add_done_callback(_noticed)
        return Flight(self, request, task)

    def submit_all(self, requests: list[Request[T]]) -> list[Flight[T]]:
        """Send requests together: what is sent in one round of the event loop leaves together anyway."""
        return [self.submit(request) for request in requests]

    async def _fly(self, request: Request[T]) -> T:
        """The result of `request`. On a hard mount a silent server is asked again for ever."""
        attempts = 0
        call: PendingCall | None = None
        while True:
            try:
                if call is None:
                    call = await self._client.submit(request.procedure, (request.argument,))
                return request.result(await self._client.wait(call))
            except (RpcTimeout, Disconnected) as silent:
                attempts += 1
                if call is None or (not self._options.hard and attempts > self._options.retrans):
                    raise from_rpc_error(silent) from silent
                self._try_again(call, silent)
            except RpcError as error:
                raise from_rpc_error(error) from error

    def _try_again(self, call: PendingCall, failure: RpcError) -> None:
        try:
            self._client.again(call)
        except RpcError:
            raise from_rpc_error(failure) from failure

    def ready(self, flight: Flight[Any]) -> bool:
        """Whether the result is there."""
        task: asyncio.Task[Any] = flight.call
        return task.done()

    def take(self, flight: Flight[T]) -> T:
        """The result of a flight that is ready."""
        task: asyncio.Task[T] = flight.call
        return task.result()

    def drop(self, flight: Flight[Any]) -> None:
        """Nobody waits for it any more."""
        flight.dropped = True
        flight.call.cancel()

    async def run(self, work: Coroutine[Step, Any, T]) -> T:
        """Drive a coroutine of the core to its end."""
        try:
            step = work.send(None)
            while True:
                try:
                    value = await self._perform(step)
                except BaseException as error:
                    step = work.throw(error)
                else:
                    step = work.send(value)
        except StopIteration as end:
            result: T = end.value
            return result

    async def _perform(self, step: Step) -> Any:
        if isinstance(step, Flight):
            # Others may wait for the same flight: whoever is cancelled leaves it alone.
            try:
                return await asyncio.shield(step.call)
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if not step.dropped or (task is not None and task.cancelling()):
                    raise
                raise OSError(errno.ECANCELED, os.strerror(errno.ECANCELED)) from None
        return await self._loop.run_in_executor(None, self._site.mount_again)


def _noticed(task: "asyncio.Task[Any]") -> None:
    """A flight that nobody waited for may have failed: that is no news."""
    if not task.cancelled():
        task.exception()
