"""A volume and `nfsrpc serve` on it, as a process of its own, for tests of clients."""

import contextlib
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

START_LIMIT = 30.0
"""Seconds that a server has to start; a busy machine is slow."""
_LOOK = 0.02
HOST = "127.0.0.1"


class Served:
    """A fresh volume in `directory` and a server for it on a free port of 127.0.0.1; a context manager.

    `options` are further ones of ``nfsrpc serve``. `port` answers for portmapper, MOUNT
    and NFS, over UDP and TCP; it stays the same when the server is started again.
    """

    def __init__(self, directory: Path, *options: str, export: str = "/export") -> None:
        self.volume = directory / "volume"
        self.export = export
        self.port = 0
        self.log = directory / "server.log"
        """What the server has said."""
        self._ready = directory / "ready"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        subprocess.run(
            [sys.executable, "-m", "nfsrpc", "mkfs", str(self.volume)], check=True, capture_output=True, timeout=60
        )
        self.start()
        return self

    def start(self) -> None:
        """Serve on a free port, or after `stop` or `kill` on the old one. AssertionError with its log if it fails."""
        self._ready.unlink(missing_ok=True)
        command = [
            sys.executable, "-m", "nfsrpc", "serve", str(self.volume), "--as", self.export, "--no-portmap",
            "--port", str(self.port), "--ready-file", str(self._ready), *self._options,
        ]  # fmt: skip
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(int(START_LIMIT / _LOOK)):
            if self._ready.exists():
                self.port = int(self._ready.read_text())
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK)
                break
        raise AssertionError(f"the server did not start:\n{self.log.read_text(errors='replace')}")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return HOST, self.port

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """SIGTERM, and wait: what has been received is answered first."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def kill(self) -> None:
        """SIGKILL: what was not on stable storage yet is gone, and nothing is answered any more."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(30)
            self._process = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def url(self, path: str = "", **arguments: object) -> str:
        """URL of `path` in the export, with `arguments` behind the ``?``: ``url("/f", proto="udp", uid=0)``."""
        query = "&".join(f"{name}={value}" for name, value in arguments.items())
        return f"nfs://{HOST}:{self.port}{self.export}{path}{'?' + query if query else ''}"
