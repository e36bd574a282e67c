"""Peers that are no products: a C server made by rpcgen, ShenanigaNFS, and the file system without any server."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import measure
from peers import Peer, lay_out

HERE = Path(__file__).resolve().parent
SPECS = HERE.parents[1] / "xdr_specs"
SHENANIGAN = HERE.parents[1] / "tests" / "conformance" / "shenanigan.py"
TIRPC = Path("/usr/include/tirpc")
READS = frozenset({"NULL", "GETATTR", "LOOKUP", "READ", "READDIR", measure.SEQUENTIAL})
LOCAL = frozenset({"GETATTR", "LOOKUP", "READ", "READDIR", "WRITE", "CREATE", measure.SEQUENTIAL})
FILE_SYSTEM = "file system"


def rpcgen_missing() -> str:
    """Why the C server cannot be built; empty when it can."""
    if shutil.which("cc") and shutil.which("rpcgen") and (TIRPC / "rpc" / "rpc.h").exists():
        return ""
    return "the rpcgen server is left out: apt-get install gcc rpcsvc-proto libtirpc-dev"


def shenanigan_missing() -> str:
    """Why ShenanigaNFS cannot run; empty when it can."""
    return (
        "" if find_spec("shenaniganfs") else "ShenanigaNFS is left out: pip install shenaniganfs (Python < 3.13)"
    )


def build_rpcgen_server(directory: Path) -> Path:
    """The C server: what rpcgen makes of our .x files, and rpcgen_server.c."""
    for spec in ("nfs_prot", "mount"):
        shutil.copy(SPECS / f"{spec}.x", directory)
        for part, to in (("-h", f"{spec}.h"), ("-c", f"{spec}_xdr.c")):
            subprocess.run(["rpcgen", "-C", part, "-o", to, f"{spec}.x"], cwd=directory, check=True)
    subprocess.run(["rpcgen", "-C", "-m", "-o", "nfs_prot_svc.c", "nfs_prot.x"], cwd=directory, check=True)
    compiler = ["cc", "-O2", "-D_GNU_SOURCE", "-isystem", str(TIRPC), "-I.", "-c"]
    made = ["nfs_prot_xdr.c", "mount_xdr.c", "nfs_prot_svc.c"]  # rpcgen's output does not compile without warnings
    subprocess.run([*compiler, "-w", *made], cwd=directory, check=True)
    subprocess.run(
        [*compiler, "-std=c11", "-Wall", "-Wextra", str(HERE / "rpcgen_server.c")], cwd=directory, check=True
    )
    objects = [f"{Path(name).stem}.o" for name in (*made, "rpcgen_server.c")]
    subprocess.run(["cc", "-o", "rpcgen_server", *objects, "-ltirpc"], cwd=directory, check=True)
    return directory / "rpcgen_server"


@contextlib.contextmanager
def printing_its_port(command: list[str]) -> Iterator[tuple[int, int]]:
    """A server that prints its port on one line: process id and port."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.pid, int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def rpcgen(directory: Path) -> Iterator[Peer]:
    """A C server over libtirpc that reads real files. It changes none: its export is laid out before."""
    export, build = directory / "rpcgen", directory / "rpcgen-build"
    lay_out(export)
    build.mkdir()
    with printing_its_port([str(build_rpcgen_server(build)), str(export)]) as (pid, port):
        yield Peer("rpcgen", 2, port, port, str(export), [pid], READS)


@contextlib.contextmanager
def shenanigan() -> Iterator[Peer]:
    """ShenanigaNFS, in Python as well: files in memory, over TCP only.

    Left out: READ, which answers 4 KiB at most, and READDIR, which never fills the reply that it is asked for.
    """
    with printing_its_port([sys.executable, str(SHENANIGAN)]) as (pid, port):
        calls = frozenset({"NULL", "GETATTR", "LOOKUP", "WRITE", "CREATE"})
        yield Peer("ShenanigaNFS", 2, port, port, "/export", [pid], calls, frozenset({"tcp"}))


@dataclass(eq=False)
class FileSystem(Peer):
    """No server: what the kernel takes for the same work on the same file system, called directly."""

    def sample(self, load: measure.Load) -> measure.Sample:
        """One run of local.c; its operations do not know of transports."""
        threads = min(load.connections * load.window, 64)
        command = [str(measure.build("local")), self.export, load.operation, str(threads), str(load.seconds)]
        return measure.sampled(command, f"{load.operation} in {self.export}")


def file_system(directory: Path) -> Peer:
    """The lower bound of a store."""
    top = directory / "local"
    lay_out(top)
    return FileSystem(FILE_SYSTEM, 0, 0, 0, str(top / "bench"), operations=LOCAL)
