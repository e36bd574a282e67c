"""What each flavour of authentication costs: the same C clients against our server and libtirpc's.

    tools/bench auth [--seconds 1] [--rounds 5] [--clients 4] [--workers 1] [--transport tcp|udp] [--size 32]

The call carries a string of --size bytes there and back. Shown are medians of
calls per second, and the processor time that the server takes for one; the
servers take turns, so that a slow minute of the machine hits both.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from peers import cpu_seconds, family
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
TESTS = HERE.parents[1] / "tests"
FLAVOURS = ("none", "sys", "krb5", "krb5i", "krb5p")
OURS, THEIRS = "nfsrpc", "libtirpc"
LIBRARIES = ("-I/usr/include/tirpc", "-ltirpc", "-lgssapi_krb5", "-lpthread")


class Server(NamedTuple):
    """A running server and its processes."""

    name: str
    port: int
    pid: int

    def cpu_seconds(self) -> float:
        """Processor time that all of them have taken so far."""
        return sum(map(cpu_seconds, family(self.pid)))


class Sample(NamedTuple):
    """Calls per second, and microseconds of the server's processor time for each."""

    rate: float
    cpu: float


def build(source: Path, directory: Path) -> Path:
    """Compile a C program."""
    program = directory / source.stem
    subprocess.run(["cc", "-O2", "-o", str(program), str(source), *LIBRARIES], check=True)
    return program


@contextlib.contextmanager
def our_server(workers: int) -> Iterator[Server]:
    """Our server with every flavour."""
    from whoami import Whoserved

    from nfsrpc.auth import NoneAuthenticator, SysAuthenticator
    from nfsrpc.auth.gss_server import GssAuthenticator
    from nfsrpc.auth.idmap import IdMap

    with Whoserved([NoneAuthenticator(), SysAuthenticator(), GssAuthenticator(IdMap())], workers) as served:
        yield Server(OURS, served.port, served.pid)


@contextlib.contextmanager
def c_server(program: Path, transport: str) -> Iterator[Server]:
    """The C server, by libtirpc."""
    command = [str(program), transport, "nfs@localhost"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Server(THEIRS, int(process.stdout.readline()), process.pid)
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def measure(o: argparse.Namespace, load: Path, server: Server, flavour: str) -> Sample:
    """Drive `server` with so many client processes at once."""
    command = [str(load), o.transport, str(server.port), flavour, str(o.seconds), str(o.size)]
    before = server.cpu_seconds()
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(o.clients)]
    outputs = [process.communicate(timeout=120)[0] for process in running]
    if any(process.returncode for process in running):
        raise SystemExit(f"bench: {flavour} against {server.name} failed")
    calls = sum(int(output) for output in outputs)
    return Sample(calls / o.seconds, (server.cpu_seconds() - before) / calls * 1e6)


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench auth", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=1.0, help="of one measurement (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="measurements per line (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=4, help="client processes (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes of our server (default: %(default)s)")
    parser.add_argument("--size", type=int, default=32, help="bytes carried there and back (default: %(default)s)")
    parser.add_argument("--transport", choices=("tcp", "udp"), default="tcp", help="(default: %(default)s)")
    o = parser.parse_args(argv)
    if o.transport == "udp" and o.clients > 1:
        parser.error("libtirpc's server has room for one context on its UDP socket: --clients 1")
    return o


def main(argv: list[str]) -> int:
    """Measure and print; the exit status."""
    o = parse(argv)
    sys.path.insert(0, str(TESTS / "support"))
    from kerberos import NoKerberos, Realm

    missing = [name for name in ("cc", "krb5kdc") if shutil.which(name, path=os.environ["PATH"] + ":/usr/sbin") is None]
    if missing:
        raise SystemExit("bench: apt-get install gcc libtirpc-dev libkrb5-dev krb5-kdc krb5-admin-server krb5-user")
    with tempfile.TemporaryDirectory(prefix="nfsrpc-bench.") as name, contextlib.ExitStack() as stack:
        directory = Path(name)
        load = build(HERE / "authload.c", directory)
        program = build(TESTS / "interop" / "c" / "auth" / "gss_server.c", directory)
        (directory / "realm").mkdir()
        try:
            realm = Realm(directory / "realm")
        except NoKerberos as error:
            raise SystemExit(f"bench: {error}") from None
        stack.callback(realm.stop)
        realm.start()
        os.environ.update(realm.environment)
        servers = [stack.enter_context(our_server(o.workers)), stack.enter_context(c_server(program, o.transport))]
        show(o, run(o, load, servers))
    return 0


def run(o: argparse.Namespace, load: Path, servers: list[Server]) -> dict[tuple[str, str], Sample]:
    """Medians by flavour and server."""
    samples: dict[tuple[str, str], list[Sample]] = {}
    for _ in range(o.rounds):
        for flavour in FLAVOURS:
            for server in servers:
                one = measure(o, load, server, flavour)
                samples.setdefault((flavour, server.name), []).append(one)
    return {
        key: Sample(statistics.median(s.rate for s in some), statistics.median(s.cpu for s in some))
        for key, some in samples.items()
    }


def show(o: argparse.Namespace, found: dict[tuple[str, str], Sample]) -> None:
    """Print a table."""
    title = f"ECHO of {o.size} bytes over {o.transport.upper()}, {o.clients} clients, {o.workers} workers of nfsrpc"
    table = Table(title=title)
    for heading in ("flavour", "nfsrpc/s", "libtirpc/s", "ratio", "of AUTH_NONE", "nfsrpc us", "libtirpc us"):
        table.add_column(heading, justify="left" if heading == "flavour" else "right")
    for flavour in FLAVOURS:
        ours, theirs = found[flavour, OURS], found[flavour, THEIRS]
        table.add_row(
            flavour, f"{ours.rate:.0f}", f"{theirs.rate:.0f}", f"{ours.rate / theirs.rate:.2f}",
            f"{ours.rate / found['none', OURS].rate:.2f}", f"{ours.cpu:.1f}", f"{theirs.cpu:.1f}",
        )  # fmt: skip
    Console().print(table)
