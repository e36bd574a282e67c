"""The core on a blocking client: the caller's thread waits, any number of threads may call."""

import threading
from collections.abc import Coroutine
from itertools import repeat
from typing import Any, TypeVar

from nfsrpc.rpc.calls import PendingCall
from nfsrpc.rpc.errors import Disconnected, RpcError, RpcTimeout
from nfsrpc.transport.client import Client

from .errors import from_rpc_error
from .nfs2 import Request
from .options import Options
from .site import Site
from .wire import WINDOW, Flight, Step

T = TypeVar("T")


class BlockingWire:
    """Sends requests over `client` and drives the core's coroutines, see `wire`."""

    def __init__(self, client: Client, site: Site, options: Options) -> None:
        self._client = client
        self._site = site
        self._options = options
        self._lock = threading.Lock()

    @property
    def window(self) -> int:
        """READs or WRITEs of one file in flight: what keeps a server busy for some milliseconds, or fewer over UDP."""
        return min(WINDOW, self._client.window or WINDOW)

    def submit(self, request: Request[T]) -> Flight[T]:
        """Send `request` without waiting."""
        try:
            return Flight(self, request, self._client.submit(request.procedure, (request.argument,)))
        except RpcError as error:
            raise from_rpc_error(error) from error

    def submit_all(self, requests: list[Request[T]]) -> list[Flight[T]]:
        """Send requests of one procedure together."""
        if not requests:
            return []
        try:
            calls = self._client.submit_all(requests[0].procedure, [(request.argument,) for request in requests])
        except RpcError as error:
            raise from_rpc_error(error) from error
        return list(map(Flight, repeat(self), requests, calls))

    def ready(self, flight: Flight[Any]) -> bool:
        """Whether the reply is there."""
        call: PendingCall = flight.call
        return call.done

    def take(self, flight: Flight[T]) -> T:
        """The result of a flight, waited for. On a hard mount a silent server is asked again for ever."""
        call: PendingCall = flight.call
        attempts = 0
        while True:
            try:
                return flight.request.result(self._client.wait(call))
            except (RpcTimeout, Disconnected) as silent:
                attempts += 1
                if not self._options.hard and attempts > self._options.retrans:
                    raise from_rpc_error(silent) from silent
                self._try_again(call, silent)
            except RpcError as error:
                raise from_rpc_error(error) from error

    def _try_again(self, call: PendingCall, failure: RpcError) -> None:
        try:
            self._client.again(call)
        except RpcError:
            raise from_rpc_error(failure) from failure

    def perform(self, step: Step) -> Any:
        """Wait for what a coroutine of the core waits for, and return it."""
        return self.take(step) if isinstance(step, Flight) else self._site.mount_again()

    def drop(self, flight: Flight[Any]) -> None:
        """Nobody waits for it any more."""
        flight.dropped = True
        self._client.cancel(flight.call)

    def run(self, work: Coroutine[Step, Any, T]) -> T:
        """Drive a coroutine of the core to its end; waiting is done without the lock."""
        lock = self._lock
        try:
            with lock:
                step = work.send(None)
            while True:
                try:
                    value = self.perform(step)
                except BaseException as error:
                    with lock:
                        step = work.throw(error)
                else:
                    with lock:
                        step = work.send(value)
        except StopIteration as end:
            result: T = end.value
            return result
