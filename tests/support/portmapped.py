"""Started in namespaces of its own: rpcbind, our server registered with it, nfs-ganesha, and our client without ports.

usage: unshare --net --mount python portmapped.py DIRECTORY; prints one line for each thing that works
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

from ganesha import MOUNT_PORT, NFS_PORT
from ganesha import configuration as ganesha_configuration
from until import until

from nfsrpc.auth import SysCredential
from nfsrpc.client import mount
from nfsrpc.client.locate import MOUNT_SERVER, NotServed, locate, open_client
from nfsrpc.client.mountd import MountService
from nfsrpc.rpc.errors import RpcError

OURS = 20490


def listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def registered(proto: str) -> bool:
    """Whether rpcbind knows a MOUNT server: Ganesha listens before it registers."""
    try:
        locate("127.0.0.1", None, MOUNT_SERVER, proto)
    except NotServed:
        return False
    return True


def through_rpcbind(export: Path, volume: Path, ready: Path) -> None:
    """Our server registers with rpcbind; the client finds both of its programs there, over either transport."""
    subprocess.run([sys.executable, "-m", "nfsrpc", "mkfs", str(volume)], check=True, stdout=subprocess.DEVNULL)
    command = [sys.executable, "-m", "nfsrpc", "serve", str(volume), "--as", "/vol", "--port", str(OURS)]
    server = subprocess.Popen([*command, "--ready-file", str(ready)], stdout=subprocess.DEVNULL)
    try:
        until(ready.exists, "our server")
        for proto in ("tcp", "udp"):
            with mount(f"nfs://127.0.0.1/vol?proto={proto}&uid=0&gid=0") as m:
                m.write_bytes(proto, os.urandom(100_000))
                assert len(m.read_bytes(proto)) == 100_000
                assert m._site.nfsd.port == OURS
            print(f"rpcbind {proto}", flush=True)
    finally:
        server.terminate()
        server.wait(30)


def mounts_of_ganesha(export: Path) -> None:
    """Ganesha's MOUNT server is found through rpcbind, and lists its export; version 2 of NFS it does not have."""
    for proto in ("tcp", "udp"):
        place = locate("127.0.0.1", None, MOUNT_SERVER, proto)
        assert place.port == MOUNT_PORT
        with open_client(place, SysCredential(0, 0), 10) as client:
            service = MountService(client)
            assert [listed.path for listed in service.exports()] == [os.fsencode(export)]
            assert service.dump() == []
        print(f"ganesha {proto}", flush=True)
    try:
        mount(f"nfs://127.0.0.1{export}?uid=0&gid=0", hard=False, timeout=10.0).close()
    except (RpcError, OSError) as refused:
        print(f"ganesha has no NFSv2: {type(refused).__name__}: {refused}", flush=True)


def main(directory: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for place in ("/run", "/var/lib/nfs"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    for made in ("/run/rpcbind", "/run/ganesha", "/var/lib/nfs/ganesha"):
        Path(made).mkdir(parents=True)
    export, configuration, log = directory / "export", directory / "ganesha.conf", directory / "ganesha.log"
    export.mkdir()
    log.touch()
    configuration.write_text(ganesha_configuration(export))
    rpcbind = subprocess.Popen(["rpcbind", "-f"])
    try:
        until(lambda: listening(111), "rpcbind")
        through_rpcbind(export, directory / "volume", directory / "ready")
        ganesha = subprocess.Popen(
            ["ganesha.nfsd", "-F", "-f", str(configuration), "-L", str(log), "-p", str(directory / "ganesha.pid")]
        )
        try:
            until(lambda: listening(NFS_PORT) and all(map(registered, ("tcp", "udp"))), "nfs-ganesha")
            mounts_of_ganesha(export)
        finally:
            ganesha.terminate()
            ganesha.wait(30)
    finally:
        rpcbind.terminate()
        rpcbind.wait(10)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
