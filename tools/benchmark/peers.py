"""The servers under test, each started for the run, on loopback, on the same file system."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

GANESHA_PORTS = (12049, 12050)  # NFS, MOUNT
START_LIMIT = 30.0  # seconds
GANESHA_PLUGINS = "/usr/lib/x86_64-linux-gnu/ganesha"
DURABLE = "ganesha +D"
"""Ganesha on a directory whose changes the host syncs: it does not do that itself, though RFC 1813 §4.8 demands it."""
GET_FLAGS, SET_FLAGS, DIRSYNC = 0x80086601, 0x40086602, 0x00010000  # <linux/fs.h>
GANESHA_CONFIGURATION = """\
NFS_CORE_PARAM {{
    NFS_Port = {port}; MNT_Port = {mount_port};
    Enable_NLM = false; Enable_RQUOTA = false; Protocols = 3; Plugins_Dir = "{plugins}";
}}
EXPORT {{
    Export_Id = 1; Path = {path}; Pseudo = /bench; Protocols = 3; Transports = UDP, TCP;
    Access_Type = RW; Squash = No_Root_Squash; SecType = sys; FSAL {{ Name = VFS; }}
}}
EXPORT {{
    Export_Id = 2; Path = {synced}; Pseudo = /synced; Protocols = 3; Transports = UDP, TCP;
    Access_Type = RW; Squash = No_Root_Squash; SecType = sys; FSAL {{ Name = VFS; }}
}}
LOG {{ Default_Log_Level = WARN; }}
"""


@dataclass
class Peer:
    """A running server; `nfsrpc x2` has two workers. `pids` are the processes that answer calls.

    `operations`: what it is there for; None: everything.
    """

    name: str
    version: int
    port: int
    mount_port: int
    export: str
    pids: list[int] = field(default_factory=list)
    operations: frozenset[str] | None = None

    def answers(self, operation: str) -> bool:
        """Whether `operation` is measured with it."""
        return self.operations is None or operation in self.operations

    def memory(self) -> int:
        """The most resident memory that any of its processes had so far, in bytes."""
        return max((high_water(pid) for pid in self.pids), default=0)


def high_water(pid: int) -> int:
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(c) for c in children] + [d for c in children for d in descendants(int(c))]


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


@contextlib.contextmanager
def nfsrpc(directory: Path, workers: int) -> Iterator[Peer]:
    """Our server on a volume of its own; its port is whatever is free."""
    volume, ready, log = (directory / f"nfsrpc-{workers}{suffix}" for suffix in ("", ".ready", ".log"))
    subprocess.run([sys.executable, "-m", "nfsrpc", "mkfs", str(volume)], check=True, stdout=subprocess.DEVNULL)
    command = [
        sys.executable, "-m", "nfsrpc", "serve", str(volume), "--port", "0", "--no-portmap",
        "--workers", str(workers), "--ready-file", str(ready),
    ]  # fmt: skip
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
    try:
        wait_until(ready.exists, process, log)
        port = int(ready.read_text().split()[0])
        yield Peer(f"nfsrpc x{workers}", 2, port, port, str(volume), [process.pid, *descendants(process.pid)])
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


def ganesha_missing() -> str:
    """Why Ganesha cannot be run here; empty when it can."""
    if os.geteuid() != 0:
        return "nfs-ganesha is left out: its VFS back end needs root (open_by_handle_at)"
    packages = {"ganesha.nfsd": "nfs-ganesha nfs-ganesha-vfs", "rpcbind": "rpcbind", "unshare": "util-linux"}
    missing = [package for command, package in packages.items() if shutil.which(command) is None]
    if not missing and not Path(GANESHA_PLUGINS, "libfsalvfs.so").exists():
        missing = ["nfs-ganesha-vfs"]
    return f"nfs-ganesha is left out: apt-get install {' '.join(missing)}" if missing else ""


def sync_directory_changes(directory: Path) -> bool:
    """As chattr +D, also for what is made below; False where the file system cannot."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        flags = struct.unpack("i", fcntl.ioctl(descriptor, GET_FLAGS, bytes(4)))[0]
        fcntl.ioctl(descriptor, SET_FLAGS, struct.pack("i", flags | DIRSYNC))
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def ganesha(directory: Path) -> Iterator[list[Peer]]:
    """Ganesha with its VFS back end, NFSv3 only. It insists on an rpcbind: hence the private namespace."""
    export, synced = directory / "ganesha", directory / "ganesha-synced"
    configuration, log = directory / "ganesha.conf", directory / "ganesha.log"
    export.mkdir()
    synced.mkdir()
    durable = sync_directory_changes(synced)
    log.touch()
    port, mount_port = GANESHA_PORTS
    configuration.write_text(
        GANESHA_CONFIGURATION.format(
            port=port, mount_port=mount_port, path=export, synced=synced, plugins=GANESHA_PLUGINS
        )
    )
    for needed in ("/run/rpcbind", "/run/ganesha"):
        Path(needed).mkdir(exist_ok=True)
    rpcbind = subprocess.Popen(["rpcbind", "-f"], stdin=subprocess.DEVNULL)
    try:
        wait_until(lambda: listening(111), rpcbind, log)
        process = subprocess.Popen(
            ["ganesha.nfsd", "-F", "-f", str(configuration), "-L", str(log), "-p", str(directory / "ganesha.pid")],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_until(lambda: listening(port) and listening(mount_port), process, log)
            peers = [Peer("ganesha", 3, port, mount_port, str(export), [process.pid])]
            if durable:
                peers.append(
                    Peer(DURABLE, 3, port, mount_port, str(synced), [process.pid], frozenset({"CREATE"}))
                )
            yield peers
        finally:
            stop(process)
    finally:
        stop(rpcbind)
