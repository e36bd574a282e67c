"""Serving programs: addresses, workers and a dispatcher put together."""

import os
from collections.abc import Callable, Iterable, Sequence
from enum import Enum

from nfsrpc.auth import Authenticator, NoneAuthenticator, SysAuthenticator
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Service, at_most_once
from nfsrpc.rpc.history import MemoryHistory
from nfsrpc.rpc.history_table import SharedHistory
from nfsrpc.xdr import DEFAULT_LIMITS, Limits

from .endpoints import Endpoint, bind
from .loop import Loop
from .workers import run

MakeBindings = Callable[[], Iterable[Binding]]
"""Makes what one worker serves, in that worker's own process: nothing opened there is shared by accident."""


class Server:
    """Programs served on one or several addresses by one or several worker processes.

    `addresses` are (host, port) pairs; port 0 takes a free one. The sockets
    are bound at once, so that a port in use (`PortInUse`) or an address that
    is not this machine's (OSError) is known before anything runs.
    `flavors` are the flavours of authentication taken (AUTH_NONE and AUTH_SYS
    unless given); what their workers share must be made before they are forked.
    """

    def __init__(
        self,
        make_bindings: MakeBindings,
        addresses: Sequence[tuple[str, int]],
        workers: int = 1,
        limits: Limits = DEFAULT_LIMITS,
        flavors: Iterable[Authenticator] | None = None,
    ) -> None:
        self._make_bindings = make_bindings
        self._limits = limits
        self._flavors = tuple((NoneAuthenticator(), SysAuthenticator()) if flavors is None else flavors)
        self._workers = workers
        self._endpoints: list[list[Endpoint]] = []
        try:
            for host, port in addresses:
                self._endpoints.append(bind(host, port, workers))
        except OSError:
            self.close()
            raise

    @property
    def ports(self) -> list[int]:
        """The port of each address, in their order."""
        return [endpoints[0].port for endpoints in self._endpoints]

    def loop(self, worker: int = 0) -> Loop:
        """The loop of one worker, for programs that run it themselves (in a thread, say)."""
        dispatcher = Dispatcher(self._make_bindings(), self._flavors, self._limits)
        return Loop([endpoints[worker] for endpoints in self._endpoints], dispatcher.turn, self._limits)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        run(self._workers, self.loop)

    def close(self) -> None:
        """Close every socket."""
        for endpoints in self._endpoints:
            for endpoint in endpoints:
                endpoint.close()


class Semantics(Enum):
    """What a server does with a call that comes twice; see docs/call-semantics.md.

    `MAYBE` and `AT_LEAST_ONCE` run what arrives: how often it is sent is the caller's decision
    (`nfsrpc.rpc.retry`). `AT_MOST_ONCE` runs no call twice.
    """

    MAYBE = "maybe"
    AT_LEAST_ONCE = "at_least_once"
    AT_MOST_ONCE = "at_most_once"


def serve(
    services: Iterable[Service],
    host: str = "127.0.0.1",
    port: int = 0,
    workers: int = 1,
    semantics: Semantics = Semantics.AT_LEAST_ONCE,
) -> None:
    """Serve `services` on one UDP and TCP port until SIGTERM or SIGINT. Says on stdout where.

    With `AT_MOST_ONCE` all workers share one history of all calls; `nfsrpc.rpc.dispatch.at_most_once`
    and `Server` leave out procedures that may run again.
    """
    if semantics is Semantics.AT_MOST_ONCE:
        history = MemoryHistory() if workers == 1 else SharedHistory()
        bindings = [at_most_once(service, history) for service in services]
    else:
        bindings = [Binding(service) for service in services]
    server = Server(lambda: bindings, [(host, port)], workers)
    try:
        print(f"pid {os.getpid()} serves {host} port {server.ports[0]} over UDP and TCP", flush=True)
        server.run()
    finally:
        server.close()
