"""The servers under test, each started for the run, on loopback, on the same file system."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import measure

BLOCK = 8192  # bytes
START_LIMIT = 30.0  # seconds
COMPILED = "NFSRPC_BENCH_COMPILED"
"""The variable with the interpreter that has the package compiled; tools/bench sets it."""


@dataclass(eq=False)
class Peer:
    """A running server; `nfsrpc x2` has two workers.

    `pids` were started; what they have started themselves counts as well.
    `operations`, `transports`: what it is there for; None: everything.
    """

    name: str
    version: int
    port: int
    mount_port: int
    export: str
    pids: list[int] = field(default_factory=list)
    operations: frozenset[str] | None = None
    transports: frozenset[str] | None = None

    def answers(self, operation: str, transport: str) -> bool:
        """Whether `operation` is measured with it."""
        return (self.operations is None or operation in self.operations) and (
            self.transports is None or transport in self.transports
        )

    def sample(self, load: measure.Load) -> measure.Sample:
        """One run of the load generator against it."""
        loadgen = measure.build("loadgen")
        before, begun = self.cpu_seconds(), time.perf_counter()
        sample = measure.run(loadgen, load, self.port, self.mount_port, self.export, self.version)
        return replace(sample, server=self.cpu_seconds() - before, seconds=time.perf_counter() - begun)

    def processes(self) -> list[int]:
        """Those that are there now."""
        return [process for pid in self.pids for process in family(pid)]

    def cpu_seconds(self) -> float:
        """Processor time that all its processes have taken so far."""
        return sum(map(cpu_seconds, self.processes()))

    def memory(self) -> int:
        """The most resident memory that any of its processes had so far, in bytes."""
        return max((high_water(pid) for pid in self.processes()), default=0)


def high_water(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has taken so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """`pid` and all processes below it."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(process for child in children for process in family(int(child)))]


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for the condition `ready()`; exits with the end of the log when the server ends or takes too long."""
    limit = time.monotonic() + START_LIMIT
    while not ready():
        if process.poll() is not None or time.monotonic() > limit:
            tail = log.read_text(errors="replace").splitlines()[-10:]
            raise SystemExit("bench: a server did not start:\n" + "\n".join(tail))
        time.sleep(0.05)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def make_volume(path: Path) -> Path:
    """An empty volume; its path."""
    subprocess.run([sys.executable, "-m", "nfsrpc", "mkfs", str(path)], check=True, stdout=subprocess.DEVNULL)
    return path


def nfsrpc(directory: Path, workers: int) -> contextlib.AbstractContextManager[Peer]:
    """Our server on a volume of its own; its port is whatever is free."""
    return serving([make_volume(directory / f"nfsrpc-{workers}")], workers)


def compiled_missing() -> str:
    """Why our server cannot be measured compiled; "" where it can."""
    return "" if os.environ.get(COMPILED) else "without nfsrpc compiled: tools/bench could not compile it"


def compiled(directory: Path, workers: int) -> contextlib.AbstractContextManager[Peer]:
    """Our server with the package compiled, on a volume of its own."""
    # -P: the checkout's own nfsrpc, in the current directory, must not come first.
    python = (os.environ[COMPILED], "-P")
    return serving([make_volume(directory / f"compiled-{workers}")], workers, "compiled", python)


@contextlib.contextmanager
def serving(
    volumes: list[Path], workers: int, name: str = "nfsrpc", python: tuple[str, ...] = (sys.executable,)
) -> Iterator[Peer]:
    """Our server on these volumes, run by the command `python`; the load goes to the last one."""
    last = volumes[-1]
    ready, log = last.with_suffix(".ready"), last.with_suffix(".log")
    command = [
        *python, "-m", "nfsrpc", "serve", *map(str, volumes), "--port", "0", "--no-portmap",
        "--workers", str(workers), "--ready-file", str(ready),
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(ready.exists, process, log)
        port = int(ready.read_text().split()[0])
        yield Peer(f"{name} x{workers}", 2, port, port, str(last), [process.pid])
    finally:
        stop(process)


@contextlib.contextmanager
def limit(program: Path) -> Iterator[Peer]:
    """The C program that answers with prepared replies: what this machine can do at most."""
    process = subprocess.Popen([program], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        yield Peer("limit", 2, port, port, "/", [process.pid])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def lay_out(directory: Path) -> None:
    """What the load generator looks for in a server's export, made in a directory of this machine."""
    many = directory / "bench" / "many"
    many.mkdir(parents=True)
    for number in range(64):
        (many / f"file-{number:02}").touch()
    (directory / "bench" / "file").write_bytes(random.randbytes(512 * BLOCK))
    (directory / "bench" / "large").write_bytes(random.randbytes(8192 * BLOCK))
    (directory / "bench" / "link").symlink_to("many/file-00")
