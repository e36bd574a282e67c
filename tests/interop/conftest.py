"""Peers that this project did not write: the Linux kernel's client, Debian's RPC programs, C made by rpcgen."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from realm_fixtures import realm, running_realm

__all__ = ["realm", "running_realm"]  # fixtures that are made elsewhere

REPO = Path(__file__).resolve().parents[2]
SPECS = REPO / "xdr_specs"
KERNEL_CLIENT = REPO / "tools" / "kernel_client"
os.environ["PATH"] += ":/usr/sbin:/sbin"  # where rpcbind and its kin live; not on everyone's path
Kind = Literal["volume", "directory"]
START_LIMIT = 30.0  # seconds


def need(*commands: str) -> None:
    """Skips the test when one of the commands is not on this machine."""
    missing = [c for c in commands if shutil.which(c) is None]
    if missing:
        pytest.skip(f"not on this machine: {', '.join(missing)}")


@pytest.fixture
def need_commands() -> Callable[..., None]:
    """Skips the test unless the commands are on this machine: `need_commands("rpcinfo")`."""
    return need


# --- namespaces ------------------------------------------------------------------


@dataclass
class Namespace:
    """Network, mount and process namespaces of our own: every port is free, 111 included, and /run is empty."""

    holder: int
    enter: list[str]

    def popen(self, argv: list[str], **options: Any) -> subprocess.Popen[Any]:
        return subprocess.Popen([*self.enter, *argv], **options)

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*self.enter, *argv], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def namespace(recorded_namespace: Callable[[int], Any]) -> Iterator[Namespace]:
    need("unshare", "nsenter", "ip", "mount")
    as_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    prepare = "ip link set lo up && mount -t tmpfs tmpfs /run && mkdir /run/rpcbind && echo ready && exec cat"
    holder = subprocess.Popen(
        ["unshare", *as_user, "--net", "--mount", "sh", "-c", prepare],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdin is not None
    assert holder.stdout is not None
    assert holder.stderr is not None
    try:
        if holder.stdout.readline() != "ready\n":
            pytest.skip(f"this machine allows no network namespace: {holder.stderr.read().strip()}")
        # unshare execs the shell, which execs cat: the pid stays that of the namespaces' holder
        enter = ["nsenter", "--target", str(holder.pid), "--net", "--mount"]
        if as_user:
            enter += ["--user", "--preserve-credentials"]
        with recorded_namespace(holder.pid):
            yield Namespace(holder.pid, enter)
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.stderr.close()
        holder.wait(10)


# --- our server ------------------------------------------------------------------


class Server:
    """`nfsrpc serve` on a volume, as a process of its own (and its workers): started, killed, started again."""

    def __init__(self, volume: Path, ready: Path, options: list[str], enter: list[str]) -> None:
        self.volume = volume
        self.kind: Kind = "volume"
        self.port = 0
        self.enter = enter  # what puts a command into the server's namespaces
        self._ready, self._options = ready, options
        self._process: subprocess.Popen[bytes] | None = None
        self._alive = -1  # a pipe that every process of the server has open: at its end all of them are gone

    @property
    def export(self) -> str:
        return str(self.volume)

    def restart(self, *options: str) -> None:
        """Ends it, and serves the same with these options besides the ones it had."""
        self.stop()
        self._options += options
        self.start()

    def start(self, port: int = 0) -> None:
        """Serves on `port`, or on a free one; after a restart the old port is asked for again."""
        self._ready.unlink(missing_ok=True)
        command = [
            *self.enter, sys.executable, "-m", "nfsrpc", "serve", str(self.volume),
            "--port", str(port or self.port), "--ready-file", str(self._ready), *self._options,
        ]  # fmt: skip
        log = self._ready.with_suffix(".log")
        self._alive, held = os.pipe()
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True,
                pass_fds=[held],
            )  # fmt: skip
        os.close(held)
        self.port = int(_wait_for_file(self._ready, self._process, log).split()[0])

    def kill(self) -> None:
        """SIGKILL for the supervisor and its workers: nothing is flushed, nobody says goodbye."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)
        process.wait(30)
        os.read(self._alive, 1)
        os.close(self._alive)


def _wait_for_file(path: Path, process: subprocess.Popen[bytes], log: Path) -> str:
    """The text of a file that the process is going to write; fails when it ends first or takes too long."""
    for _ in range(int(START_LIMIT / 0.02)):
        if path.exists():
            return path.read_text()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.02)
            pytest.fail(f"the server ended with status {process.returncode}:\n{log.read_text(errors='replace')}")
    pytest.fail(f"the server was not ready within {START_LIMIT:g} s:\n{log.read_text(errors='replace')}")


MakeServer = Callable[..., Server]


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[MakeServer]:
    """Makes a volume and a running server on it: `make_server("--workers", "2", namespace=None, port=0)`.

    With `kind="directory"` it is a plain directory, in which root may do everything.
    """
    servers: list[Server] = []

    def make(
        *options: str, namespace: Namespace | None = None, port: int = 0, kind: Kind = "volume"
    ) -> Server:
        number = len(servers)
        volume = tmp_path / f"{kind}{number}"
        if kind == "volume":
            subprocess.run(
                [sys.executable, "-m", "nfsrpc", "mkfs", str(volume)], check=True, capture_output=True, timeout=60
            )
        else:
            volume.mkdir()
            options = (*options, "--rw", "--no-root-squash", "--state", str(tmp_path / "state"))
        enter = namespace.enter if namespace else []
        # outside a namespace port 111 belongs to the machine, or to the test that runs beside this one
        more = [] if namespace else ["--no-portmap"]
        server = Server(volume, tmp_path / f"server{number}.ready", [*options, *more], enter)
        server.kind = kind
        servers.append(server)
        server.start(port)
        return server

    yield make
    for server in servers:
        server.stop()


@pytest.fixture
def server(make_server: MakeServer) -> Server:
    return make_server()


# --- the kernel's client -----------------------------------------------------------


@dataclass
class GuestResult:
    status: int
    output: str
    errors: str
    calls: dict[str, dict[str, int]]  # RPC counts by procedure
    seconds: dict[str, float]

    def __str__(self) -> str:
        return f"status {self.status}\n{self.output[-4000:]}\n{self.errors[-4000:]}"


class KernelClient:
    """Runs commands in a mount that a real Linux kernel makes; see tools/kernel_client/run --help."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._runs = 0

    def run(
        self,
        server: Server,
        proto: str,
        command: str,
        *,
        opts: str = "",
        timeout: float = 240,
        on_line: Callable[[str], None] = lambda line: None,
    ) -> GuestResult:
        """Mounts the server's volume and runs the command there; `on_line` gets each line that it prints, at once."""
        self._runs += 1
        stats = self._directory / f"guest{self._runs}.json"
        argv = [
            *server.enter, sys.executable, str(KERNEL_CLIENT / "run"), "--proto", proto, "--port", str(server.port),
            "--export", server.export, "--timeout", str(timeout), "--stats", str(stats), f"--opts={opts}",
            "--", command,
        ]  # fmt: skip
        guest = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert guest.stdout is not None
        assert guest.stderr is not None
        errors: list[str] = []
        reader = threading.Thread(target=lambda: errors.append(guest.stderr.read()), daemon=True)
        reader.start()
        lines = []
        for line in guest.stdout:
            lines.append(line)
            on_line(line.rstrip("\n"))
        status = guest.wait(timeout)
        reader.join(10)
        for stream in (guest.stdout, guest.stderr):
            stream.close()
        document = json.loads(stats.read_text()) if stats.exists() else {}
        return GuestResult(
            status, "".join(lines), "".join(errors), document.get("calls", {}), document.get("seconds", {})
        )


@pytest.fixture(scope="session")
def guest_boots() -> None:
    """Skips where the guest is not there, or where it may not run (it needs ptrace)."""
    need("libslirp-helper")
    if subprocess.run([KERNEL_CLIENT / "setup", "--check"], check=False).returncode:
        pytest.skip("the kernel client has not been built: tools/kernel_client/setup")
    boot = [sys.executable, KERNEL_CLIENT / "run", "--no-mount", "--timeout", "120", "--", "true"]
    done = subprocess.run(boot, capture_output=True, text=True, timeout=180, check=False)
    if done.returncode:
        pytest.skip(f"user-mode Linux does not run on this machine: {done.stderr.strip().splitlines()[-1:]}")


@pytest.fixture
def make_kernel_client(guest_boots: None, tmp_path: Path) -> Callable[[], KernelClient]:
    """Makes clients, each with a kernel of its own."""
    return lambda: KernelClient(Path(tempfile.mkdtemp(dir=tmp_path)))


@pytest.fixture
def kernel_client(make_kernel_client: Callable[[], KernelClient]) -> KernelClient:
    return make_kernel_client()


# --- C ---------------------------------------------------------------------------


class CBuilder:
    """Compiles C beside what rpcgen makes of one of our .x files, or of the system's, against libtirpc."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def build(self, spec: str | Path, source: Path | str, *parts: str) -> Path:
        """The program of `source` (a path, or C text) and the given outputs of rpcgen: "xdr", "clnt", "svc".

        `spec` is the name of a file of ours, or the path of any.
        """
        file = spec if isinstance(spec, Path) else SPECS / f"{spec}.x"
        spec = file.stem
        text = source.read_text() if isinstance(source, Path) else source
        directory = Path(tempfile.mkdtemp(dir=self._directory))
        shutil.copy(file, directory)
        (directory / "program.c").write_text(text)
        made = {"xdr": "-c", "clnt": "-l", "svc": "-m"}
        self._run(directory, "rpcgen", "-C", "-h", "-o", f"{spec}.h", f"{spec}.x")
        for part in parts:
            self._run(directory, "rpcgen", "-C", made[part], "-o", f"{spec}_{part}.c", f"{spec}.x")
        generated = [f"{spec}_{part}.c" for part in parts]
        # -w: the headers that rpcgen writes do not compile without warnings
        self._run(
            directory, "gcc", "-w", "-I/usr/include/tirpc", "-o", "program", "program.c", *generated, "-ltirpc"
        )  # fmt: skip
        return directory / "program"

    @staticmethod
    def _run(directory: Path, *argv: str) -> None:
        done = subprocess.run(argv, cwd=directory, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, f"{' '.join(argv)}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def c_builder(tmp_path_factory: pytest.TempPathFactory) -> CBuilder:
    need("gcc", "rpcgen")
    if not Path("/usr/include/tirpc/rpc/rpc.h").exists():
        pytest.skip("not on this machine: libtirpc-dev")
    return CBuilder(tmp_path_factory.mktemp("c"))
