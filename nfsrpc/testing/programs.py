"""RPC programs served from a thread of the test's own process, so that a test can look into its services."""

import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from nfsrpc.rpc.dispatch import Binding, Service
from nfsrpc.transport.client import Client
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.transport.server import Server

_CALL_TIMEOUT = 20.0


class Programs:
    """`services` on one UDP and TCP port of 127.0.0.1, from `__enter__` to `__exit__`."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._server = Server(lambda: [Binding(service) for service in services], [("127.0.0.1", 0)])
        self._loop = self._server.loop()
        self._thread = threading.Thread(target=self._loop.run, name="rpc programs", daemon=True)
        self._clients: list[Client] = []

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self._server.places[0]

    def connect(self, proto: str = "tcp", *, timeout: float = _CALL_TIMEOUT) -> Client:
        """A blocking client ("tcp" or "udp") for generated stubs; closed with the programs."""
        host, port = self.address
        client: Client = (connect_udp if proto == "udp" else connect_tcp)(host, port, timeout=timeout)
        self._clients.append(client)
        return client

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for client in self._clients:
            client.close()
        self._loop.stop()
        self._thread.join()
        self._server.close()
