"""Builds the load generator and runs it."""

from __future__ import annotations

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
    "loadgen": ("loadgen.c", "prepare.c", "calls.c"),
    "limit": ("limit.c", "calls.c"),
    "transfer": ("transfer.c", "calls.c"),
}
HEADERS = ("loadgen.h", "calls.h")
OPERATIONS = ("NULL", "GETATTR", "LOOKUP", "READ", "WRITE", "CREATE", "READDIR")


@dataclass(frozen=True)
class Load:
    """How hard a server is driven: `connections` × `window` calls in flight for `seconds`."""

    operation: str
    transport: str
    connections: int
    window: int
    seconds: float


@dataclass(frozen=True)
class Sample:
    """What one run of the load generator measured: replies/s, µs, and datagrams sent again."""

    rate: float
    p50: float
    p99: float
    resent: int


@dataclass(frozen=True)
class Summary:
    """The medians of several samples, and how far the rates lie apart (0.1: (max - min) / median is 10 %)."""

    rate: float
    p50: float
    p99: float
    resent: int
    spread: float


@dataclass(frozen=True)
class Line:
    """One line of the result: one operation over one transport against one server."""

    operation: str
    transport: str
    server: str
    summary: Summary


def build(name: str) -> Path:
    """One of `PROGRAMS`, compiled anew when a source is newer. Exits when there is no C compiler."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nfsrpc"
    binary = cache / name
    sources = [HERE / source for source in PROGRAMS[name]]
    newest = max(path.stat().st_mtime for path in [*sources, *(HERE / header for header in HEADERS)])
    if binary.exists() and binary.stat().st_mtime > newest:
        return binary
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit("bench: a C compiler is missing: apt-get install gcc libc6-dev")
    cache.mkdir(parents=True, exist_ok=True)
    fresh = cache / f"{name}.{os.getpid()}"
    options = ["-std=c11", "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE"]
    subprocess.run([compiler, *options, "-o", str(fresh), *map(str, sources)], check=True)
    fresh.rename(binary)
    return binary


def run(loadgen: Path, load: Load, port: int, mount_port: int, export: str, version: int) -> Sample:
    """One measured run. Exits when the server gave a wrong answer or none."""
    command = [
        str(loadgen), "--operation", load.operation, "--port", str(port), "--mount-port", str(mount_port),
        "--export", export, "--version", str(version), "--connections", str(load.connections),
        "--window", str(load.window), "--seconds", str(load.seconds),
    ]  # fmt: skip
    if load.transport == "tcp":
        command.append("--tcp")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"bench: {load.operation} over {load.transport} on port {port}: {done.stderr.strip()}")
    answer = json.loads(done.stdout)
    return Sample(answer["rate"], answer["p50_us"], answer["p99_us"], answer["resent"])


def summarise(samples: list[Sample]) -> Summary:
    rates = [s.rate for s in samples]
    middle = statistics.median(rates)
    return Summary(
        rate=middle,
        p50=statistics.median(s.p50 for s in samples),
        p99=statistics.median(s.p99 for s in samples),
        resent=sum(s.resent for s in samples),
        spread=(max(rates) - min(rates)) / middle if middle else 0.0,
    )
