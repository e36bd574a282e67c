"""Serving programs: addresses, workers and a dispatcher put together."""

import os
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING

from nfsrpc.auth import Authenticator, NoneAuthenticator, SysAuthenticator
from nfsrpc.rpc.counters import Counters
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Service, at_most_once
from nfsrpc.rpc.history_table import SharedHistory
from nfsrpc.xdr import DEFAULT_LIMITS, Limits

from .endpoints import Endpoint, activated, bind
from .inheritance import Inheritance
from .loop import Answering, Loop
from .master import Attendant, Plan
from .workers import run

if TYPE_CHECKING:
    import ssl

MakeBindings = Callable[[], Iterable[Binding]]
"""Makes what one worker serves, in that worker's own process: nothing opened there is shared by accident."""


class Server:
    """Programs served on one or several addresses by one or several worker processes.

    `addresses` are (host, port) pairs; port 0 takes a free one. The sockets
    are bound at once, so that a port in use (`PortInUse`) or an address that
    is not this machine's (OSError) is known before anything runs.
    `flavors` are the flavours of authentication taken (AUTH_NONE and AUTH_SYS
    unless given); what their workers share must be made before they are forked.
    Sockets of a predecessor (see `Inheritance`), or of systemd for the same port, are
    used instead of new ones. With `tls` (`nfsrpc.transport.tls.server_context`) TCP connections may be
    protected as RFC 9289 says; bindings say whether they must be.
    """

    def __init__(
        self,
        make_bindings: MakeBindings,
        addresses: Sequence[tuple[str, int]],
        workers: int = 1,
        limits: Limits = DEFAULT_LIMITS,
        flavors: Iterable[Authenticator] | None = None,
        inheritance: Inheritance | None = None,
        tls: "ssl.SSLContext | None" = None,
    ) -> None:
        self.tls = tls
        """With what connections may be protected; another context is for connections that are made from then on."""
        self._inheritance = Inheritance() if inheritance is None else inheritance
        self.succeeded = False
        """Whether `run` ended because a successor serves on."""
        name = f"counters of {workers}"
        self.counters = Counters(workers, self._inheritance.take(name))
        """What has been answered, over all workers and their predecessors."""
        self._inheritance.keep(name, self.counters.fileno())
        self._make_bindings = make_bindings
        self._limits = limits
        self.flavors = tuple((NoneAuthenticator(), SysAuthenticator()) if flavors is None else flavors)
        """The flavours taken; another tuple is for turns that are made from then on."""
        self._workers = workers
        self._endpoints: list[list[Endpoint]] = []
        try:
            for host, port in addresses:
                self._endpoints.append(self._endpoints_at(host, port))
        except OSError:
            self.close()
            raise

    def _endpoints_at(self, host: str, port: int) -> list[Endpoint]:
        name = f"{host}:{port}"
        endpoints = (
            Endpoint.inherited(self._inheritance, name)
            or activated(self._inheritance.activated, port)
            or bind(host, port, self._workers)
        )
        for number, endpoint in enumerate(endpoints):
            endpoint.bequeath(self._inheritance, name, number)
        return endpoints

    @property
    def ports(self) -> list[int]:
        """The port of each address, in their order."""
        return [endpoints[0].port for endpoints in self._endpoints]

    @property
    def places(self) -> list[tuple[str, int]]:
        """The numeric host and the port of each address, in their order."""
        return [endpoints[0].udp.getsockname()[:2] for endpoints in self._endpoints]

    def _answering(self, worker: int) -> Answering:
        recorder = self.counters.recorder(worker)
        return Dispatcher(self._make_bindings(), self.flavors, self._limits, recorder)

    def _loop(self, worker: int, answering: Answering) -> Loop:
        return Loop(
            [mine for endpoints in self._endpoints for mine in _share(endpoints, worker, self._workers)],
            answering,
            self._limits,
            tls=lambda: self.tls,
        )

    def loop(self, worker: int = 0) -> Loop:
        """The loop of one worker, for programs that run it themselves (in a thread, say)."""
        return self._loop(worker, self._answering(worker))

    def run(
        self,
        reload: Callable[[], None] = lambda: None,
        state: Callable[[], str] = lambda: "",
        attendants: Sequence[Attendant] = (),
    ) -> bool:
        """Serve until SIGTERM or SIGINT, or until a successor does; whether one does.

        `reload`, `state` and `attendants` as in `nfsrpc.transport.master.Plan`.
        """
        self.succeeded = run(
            Plan(self._workers, self._answering, self._loop, self._inheritance, reload, state, attendants)
        )
        return self.succeeded

    def close(self) -> None:
        """Close every socket."""
        for endpoints in self._endpoints:
            for endpoint in endpoints:
                endpoint.close()


def _share(endpoints: list[Endpoint], worker: int, workers: int) -> list[Endpoint]:
    """What of `endpoints` is `worker`'s: every one belongs to somebody, and nobody goes without."""
    return endpoints[worker::workers] or [endpoints[worker % len(endpoints)]]


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
    inheritance = Inheritance()
    if semantics is Semantics.AT_MOST_ONCE:
        history = SharedHistory(descriptor=inheritance.take("history"))
        inheritance.keep("history", history.fileno())
        bindings = [at_most_once(service, history) for service in services]
    else:
        bindings = [Binding(service) for service in services]
    server = Server(lambda: bindings, [(host, port)], workers, inheritance=inheritance)
    try:
        print(f"pid {os.getpid()} serves {host} port {server.ports[0]} over UDP and TCP", flush=True)
        server.run()
    finally:
        server.close()
