"""nfs-ganesha, from Debian: NFSv3 over its VFS back end, in a network namespace of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

from peers import Peer, lay_out, stop, wait_until

GANESHA_PORTS = (12049, 12050)  # NFS, MOUNT
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


def missing() -> str:
    """Why Ganesha cannot be run here; empty when it can."""
    if os.geteuid() != 0:
        return "nfs-ganesha is left out: its VFS back end needs root (open_by_handle_at)"
    packages = {"ganesha.nfsd": "nfs-ganesha nfs-ganesha-vfs", "rpcbind": "rpcbind", "unshare": "util-linux"}
    wanted = [package for command, package in packages.items() if shutil.which(command) is None]
    if not wanted and not Path(GANESHA_PLUGINS, "libfsalvfs.so").exists():
        wanted = ["nfs-ganesha-vfs"]
    return f"nfs-ganesha is left out: apt-get install {' '.join(wanted)}" if wanted else ""


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
def running(directory: Path) -> Iterator[list[Peer]]:
    """Ganesha with its VFS back end, NFSv3 only. It insists on an rpcbind: hence the private namespace."""
    export, synced = directory / "ganesha", directory / "ganesha-synced"
    configuration, log = directory / "ganesha.conf", directory / "ganesha.log"
    export.mkdir()
    synced.mkdir()
    lay_out(export)
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
