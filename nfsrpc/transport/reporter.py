"""Telling others how a server does: JSON through a local control socket, Prometheus text over HTTP.

Runs beside a server's workers, in the process that governs them: never waits for
anybody, and never in a call's way.
"""

import contextlib
import errno
import os
import selectors
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from nfsrpc.rpc.counters import BUCKETS, Count

_MOST = 16
"""Readers at a time; a further one takes the place of the oldest."""
_REQUEST = 4096


def control_directory() -> Path:
    """Where this user's servers have their control sockets."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if os.geteuid() == 0:
        return Path("/run/nfsrpc")
    return Path(runtime) / "nfsrpc" if runtime else Path(f"/tmp/nfsrpc-{os.geteuid()}")


def control_path(port: int) -> Path:
    """The control socket of this user's server on `port`."""
    return control_directory() / f"{port}.sock"


def control_sockets() -> list[Path]:
    """Control sockets of this user's servers that run. One that was killed leaves a socket that nobody listens on."""
    return [path for path in sorted(control_directory().glob("*.sock")) if _answered(path)]


def _answered(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        return sock.connect_ex(str(path)) in (0, errno.EAGAIN)


def report(counts: Iterable[Count], started: float, workers: int) -> dict[str, Any]:
    """What the control socket says; `started` is of `time.time`."""
    return {
        "pid": os.getpid(),
        "uptime": time.time() - started,
        "workers": workers,
        "procedures": [
            {
                "program": count.program,
                "version": count.version,
                "procedure": count.procedure,
                "name": count.name,
                "calls": count.calls,
                "failures": count.failures,
                "replays": count.replays,
                "median": count.quantile(0.5),
                "p99": count.quantile(0.99),
                "buckets": count.buckets,
            }
            for count in counts
        ],
    }


def _failures(count: Count) -> int:
    return count.failures


def _replays(count: Count) -> int:
    return count.replays


def prometheus(counts: Iterable[Count]) -> str:
    """The counters in Prometheus' text format, version 0.0.4."""
    counts = list(counts)
    lines = []
    for name, words, value in (
        ("nfsrpc_failures_total", "Calls not answered with SUCCESS", _failures),
        ("nfsrpc_replays_total", "Calls answered with a kept reply", _replays),
    ):
        lines += [f"# HELP {name} {words}.", f"# TYPE {name} counter"]
        lines += [f"{name}{{{_labels(count)}}} {value(count)}" for count in counts]
    name = "nfsrpc_call_seconds"
    lines += [f"# HELP {name} From a turn's begin to when its replies may leave.", f"# TYPE {name} histogram"]
    for count in counts:
        total, weight = 0, 0.0
        for bucket, calls in enumerate(count.buckets):
            total += calls
            weight += calls * 2**bucket * 0.75 / 1e6
            limit = "+Inf" if bucket == BUCKETS - 1 else f"{2**bucket / 1e6:.6f}"
            lines.append(f'{name}_bucket{{{_labels(count)},le="{limit}"}} {total}')
        lines.append(f"{name}_sum{{{_labels(count)}}} {weight:.6f}")
        lines.append(f"{name}_count{{{_labels(count)}}} {total}")
    return "\n".join(lines) + "\n"


def _labels(count: Count) -> str:
    return f'program="{count.program}",version="{count.version}",procedure="{count.name}"'


class Reporter:
    """A control socket and, if wanted, an HTTP port of the loopback interface, with readiness of its own.

    `fileno` and `act` make it an attendant of `nfsrpc.transport.master.Plan`. OSError: a path or
    port cannot be had.
    """

    def __init__(
        self, read: Callable[[], dict[str, Any]], counts: Callable[[], list[Count]], control: Path, http: int | None
    ) -> None:
        self._read = read
        self._counts = counts
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._readers: list[socket.socket] = []
        self._listeners: list[socket.socket] = []
        try:
            self._listen(_unix_listener(control), self._tell)
            if http is not None:
                self._listen(socket.create_server(("127.0.0.1", http), backlog=_MOST), self._expect_request)
        except BaseException:
            self.close()
            raise

    def _listen(self, listener: socket.socket, taken: Callable[[socket.socket], None]) -> None:
        listener.setblocking(False)
        self._listeners.append(listener)
        self._selector.register(listener, selectors.EVENT_READ, partial(self._accept, listener, taken))

    def fileno(self) -> int:
        """Readable when `act` has something to do."""
        return self._selector.fileno()

    def act(self) -> None:
        """Do what is ready to be done."""
        for key, _ in self._selector.select(0):
            key.data()

    def _accept(self, listener: socket.socket, taken: Callable[[socket.socket], None]) -> None:
        with contextlib.suppress(OSError):
            sock, _ = listener.accept()
            sock.setblocking(False)
            taken(sock)

    def _tell(self, sock: socket.socket) -> None:
        """One JSON document for whoever connects. What does not fit its buffer at once is not waited for."""
        import json

        with contextlib.suppress(OSError), sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            sock.sendall(json.dumps(self._read()).encode())

    def _expect_request(self, sock: socket.socket) -> None:
        if len(self._readers) >= _MOST:
            self._drop(self._readers[0])
        self._readers.append(sock)
        self._selector.register(sock, selectors.EVENT_READ, partial(self._respond, sock))

    def _respond(self, sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            request = sock.recv(_REQUEST)
            if request.startswith((b"GET / ", b"GET /metrics ")):
                status, body = "200 OK", prometheus(self._counts()).encode()
            else:
                status, body = "404 Not Found", b"this is /metrics\n"
            kind = "text/plain; version=0.0.4"
            head = f"HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            sock.sendall(head.encode() + body)
        self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        self._selector.unregister(sock)
        self._readers.remove(sock)
        sock.close()

    def close(self, successor: bool = False) -> None:
        """End; the control socket's name stays where a `successor` has taken it."""
        for sock in (*self._readers, *self._listeners):
            sock.close()
        self._selector.close()
        if not successor:
            self._control.unlink(missing_ok=True)


def _unix_listener(path: Path) -> socket.socket:
    """Listen on `path`, for this user alone; a dead server's socket, or a predecessor's, gives way."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.parent.parent == Path("/tmp") and path.parent.stat().st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "the directory belongs to somebody else", str(path.parent))
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        part = path.with_name(f"{path.name}.{os.getpid()}")
        part.unlink(missing_ok=True)
        listener.bind(str(part))
        part.chmod(0o600)
        listener.listen(_MOST)
        part.replace(path)
    except BaseException:
        listener.close()
        raise
    return listener


def ask(path: Path, timeout: float = 5.0) -> Any:
    """What the server behind the control socket `path` says. OSError: none is there."""
    import json

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        sock.connect(str(path))
        data = b""
        while more := sock.recv(1 << 16):
            data += more
    return json.loads(data)
