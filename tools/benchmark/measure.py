"""Builds the load generator and runs it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = {
    "loadgen": ("loadgen.c", "engine.c", "schedule.c", "prepare.c", "operations.c", "calls.c"),
    "limit": ("limit.c", "calls.c"),
    "transfer": ("transfer.c", "calls.c"),
    "local": ("local.c",),
}
HEADERS = ("loadgen.h", "engine.h", "schedule.h", "operations.h", "calls.h")
MIXES = {
    "SFS": "LOOKUP=36,GETATTR=26,READ=14,WRITE=7,READLINK=7,READDIR=6,CREATE=1,REMOVE=1,SETATTR=1,STATFS=1",
}
"""What a mix is made of. SFS: the operations of SPEC SFS 2.0 for NFS version 2 (162.nfsv2), in percent."""
SEQUENTIAL = "SEQREAD"
OPERATIONS = ("NULL", "GETATTR", "LOOKUP", "READ", "READDIR", "WRITE", "CREATE", SEQUENTIAL, "SFS")


@dataclass(frozen=True)
class Load:
    """How hard a server is driven: `connections` × `window` calls in flight for `seconds`.

    With a `rate` so many calls are sent every second, answered or not (an open loop). `recording`: the file whose
    calls are made, see `recorded`.
    """

    operation: str
    transport: str
    connections: int
    window: int
    seconds: float
    rate: float = 0.0
    recording: Path | None = None


@dataclass(frozen=True)
class Sample:
    """What one run of the load generator measured: replies/s, µs, and datagrams sent again.

    `late`: the 99th percentile of how much later than intended the generator sent a call, in µs (open loop only).
    `answered`: calls of the whole run, with those before the measured time. `seconds`: how long the whole took;
    `generator`, `server`: the processor time that each of them took meanwhile.
    """

    rate: float
    p50: float
    p99: float
    resent: int
    late: float = 0.0
    answered: int = 0
    generator: float = 0.0
    server: float = 0.0
    seconds: float = 0.0

    @property
    def busy(self) -> float:
        """Processors that server and generator together kept busy; 0 where that was not looked at."""
        return (self.generator + self.server) / self.seconds if self.seconds else 0.0


@dataclass(frozen=True)
class Summary:
    """The medians of several samples, and how far the rates lie apart (0.1: (max - min) / median is 10 %).

    `busy`: as in `Sample`. `half_rate`, `half_p50`, `half_p99`: replies/s and µs of an open loop with half that rate;
    None where that was not measured.
    """

    rate: float
    p50: float
    p99: float
    resent: int
    spread: float
    busy: float
    half_rate: float | None = None
    half_p50: float | None = None
    half_p99: float | None = None


@dataclass(frozen=True)
class Line:
    """One line of the result: one operation over one transport against one server."""

    operation: str
    transport: str
    server: str
    summary: Summary


def build(name: str) -> Path:
    """One of `PROGRAMS`, compiled once for each state of its sources. Exits when there is no C compiler."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nfsrpc"
    sources = [HERE / source for source in PROGRAMS[name]]
    state = hashlib.sha256(b"".join(path.read_bytes() for path in [*sources, *(HERE / h for h in HEADERS)]))
    binary = cache / f"{name}-{state.hexdigest()[:12]}"
    if binary.exists():
        return binary
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit("bench: a C compiler is missing: apt-get install gcc libc6-dev")
    cache.mkdir(parents=True, exist_ok=True)
    fresh = cache / f"{name}.{os.getpid()}"
    options = ["-std=c11", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE"]
    command = [compiler, *options, "-o", str(fresh), *map(str, sources), "-lm", "-lpthread"]
    subprocess.run(command, check=True)
    fresh.rename(binary)
    return binary


def run(loadgen: Path, load: Load, port: int, mount_port: int, export: str, version: int) -> Sample:
    """One measured run. Exits when the server gave a wrong answer or none."""
    what = ["--operation", MIXES.get(load.operation, load.operation)]
    if load.recording is not None:
        what = ["--recording", str(load.recording)]
    command = [
        str(loadgen), *what, "--port", str(port), "--mount-port", str(mount_port),
        "--export", export, "--version", str(version), "--connections", str(load.connections),
        "--seconds", str(load.seconds),
    ]  # fmt: skip
    command += ["--rate", str(load.rate)] if load.rate else ["--window", str(load.window)]
    if load.transport == "tcp":
        command.append("--tcp")
    return sampled(command, f"{load.operation} over {load.transport} on port {port}")


def sampled(command: list[str], what: str) -> Sample:
    """What a program of ours measured. Exits when that fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {what}: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    measured = (answer[name] for name in ("rate", "p50_us", "p99_us", "resent", "late_p99_us", "answered"))
    return Sample(*measured, generator=answer.get("generator_cpu_seconds", 0.0))


def summarise(samples: list[Sample], half: list[Sample]) -> Summary:
    """`half`: what was measured with half the rate, if anything."""
    rates = [s.rate for s in samples]
    middle = statistics.median(rates)
    return Summary(
        rate=middle,
        p50=statistics.median(s.p50 for s in samples),
        p99=statistics.median(s.p99 for s in samples),
        resent=sum(s.resent for s in samples),
        spread=(max(rates) - min(rates)) / middle if middle else 0.0,
        busy=statistics.median(s.busy for s in samples),
        half_rate=statistics.median(s.rate for s in half) if half else None,
        half_p50=statistics.median(s.p50 for s in half) if half else None,
        half_p99=statistics.median(s.p99 for s in half) if half else None,
    )
