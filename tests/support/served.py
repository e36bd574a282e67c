"""`nfsrpc serve` on a fresh volume, as a process of its own, for tests of clients."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

START_LIMIT = 30.0  # seconds


class Served:
    """A volume and the server on it; a context manager. `port` answers for portmapper, MOUNT and NFS."""

    def __init__(self, directory: Path, *options: str, export: str = "/export") -> None:
        self.volume = directory / "volume"
        self.export = export
        self.port = 0
        self._ready = directory / "ready"
        self._log = directory / "server.log"
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Served:
        subprocess.run(
            [sys.executable, "-m", "nfsrpc", "mkfs", str(self.volume)], check=True, capture_output=True, timeout=60
        )
        self.start()
        return self

    def start(self) -> None:
        """Serve on a free port, or after `stop` on the old one."""
        self._ready.unlink(missing_ok=True)
        command = [
            sys.executable, "-m", "nfsrpc", "serve", str(self.volume), "--as", self.export, "--no-portmap",
            "--port", str(self.port), "--ready-file", str(self._ready), *self._options,
        ]  # fmt: skip
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(int(START_LIMIT / 0.02)):
            if self._ready.exists():
                self.port = int(self._ready.read_text())
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(0.02)
                break
        raise AssertionError(f"the server did not start:\n{self._log.read_text(errors='replace')}")

    @property
    def pid(self) -> int:
        """Process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)
            self._process = None

    def __exit__(self, *error: object) -> None:
        self.stop()

    def url(self, path: str = "", **arguments: object) -> str:
        """URL of `path` in the export."""
        query = "&".join(f"{name}={value}" for name, value in arguments.items())
        return f"nfs://127.0.0.1:{self.port}{self.export}{path}{'?' + query if query else ''}"
