"""RPC over UNIX sockets: records as over TCP, and peers whose user the kernel vouches for."""

import os
import socket
import time
from types import TracebackType
from typing import Any, Self

from nfsrpc.auth.base import Credential
from nfsrpc.auth.sys import SysCredential
from nfsrpc.rpc.calls import CallTable
from nfsrpc.rpc.errors import Disconnected, RpcTimeout
from nfsrpc.rpc.record import RecordReader, frame
from nfsrpc.rpc.retry import MAYBE
from nfsrpc.xdr import DEFAULT_LIMITS, Limits, Procedure

_READ = 1 << 16


def listen_unix(path: str, mode: int = 0o666) -> socket.socket:
    """A listening UNIX socket at `path`, a dead one there before is replaced. OSError, also if one is served there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
            except FileNotFoundError:
                pass
        sock.bind(path)
        os.chmod(path, mode)
        sock.listen(64)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


class UnixCaller:
    """A `nfsrpc.xdr.Caller` over a UNIX socket, one call at a time of `timeout` seconds. OSError if nobody listens."""

    def __init__(
        self, path: str, timeout: float, credential: Credential | None = None, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._timeout = timeout
        self._session = (SysCredential() if credential is None else credential).session("local")
        self._table = CallTable(MAYBE, limits)
        self._reader = RecordReader(limits)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(timeout)
        try:
            self._sock.connect(path)
        except OSError:
            self._sock.close()
            raise

    def call(self, procedure: Procedure, args: tuple[Any, ...]) -> Any:
        """See `nfsrpc.transport.client.Client.call`."""
        now = time.monotonic()
        deadline = now + self._timeout
        call = self._table.open(procedure, args, self._session.begin, now=now, deadline=deadline)
        try:
            self._sock.sendall(b"".join(frame([call.message])))
            while not call.done:
                self._sock.settimeout(max(0.001, deadline - time.monotonic()))
                data = self._sock.recv(_READ)
                if not data:
                    raise Disconnected("the server closed the connection")
                for message in self._reader.feed(data):
                    self._table.receive(message)
        except TimeoutError:
            raise RpcTimeout(f"no reply to {procedure.name} before its deadline") from None
        return call.result()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
