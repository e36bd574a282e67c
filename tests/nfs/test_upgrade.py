"""An NFS server is upgraded, and reloaded, while a client writes: no call is lost, none runs twice."""

import os
import select
import signal
import threading
from pathlib import Path

import pytest

from nfsrpc.auth import SysCredential
from nfsrpc.client.mountd import MountService
from nfsrpc.client.nfs2 import Nfs2, attributes_to_set
from nfsrpc.rpc.retry import RetryPolicy
from nfsrpc.testing.served import Served
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.reporter import ask

HASTY = RetryPolicy(0.1, 1.5, 1.0, 0.1)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGHUP])
def test_a_client_notices_nothing(tmp_path: Path, workers: str, number: signal.Signals) -> None:
    control = tmp_path / "control"
    with Served(tmp_path, "--workers", workers, "--control", str(control)) as served:
        first = ask(control)["pid"]
        stop = threading.Event()
        made: list[bytes] = []
        credential = SysCredential(0, 0, (), b"h")
        with connect_tcp("127.0.0.1", served.port, credential=credential, policy=HASTY, timeout=60) as client:
            nfs, root = Nfs2(client), MountService(client).mnt(served.export.encode())

            def make() -> None:
                while not stop.is_set():
                    name = b"f%d" % len(made)
                    nfs.create(root, name, attributes_to_set(mode=0o644))
                    made.append(name)

            thread = threading.Thread(target=make)
            thread.start()
            try:
                os.kill(first, number)
                if number == signal.SIGUSR2:
                    assert served._process.wait(60) == 0
                    second = ask(control)["pid"]
                    assert second != first
                before = len(made)
                while len(made) < before + 20 and thread.is_alive():
                    stop.wait(0.01)
            finally:
                stop.set()
                thread.join()
            assert len(made) >= before + 20
            listed = {entry.name for entry in nfs.readdir(root)} - {b".", b".."}
            assert listed == set(made)
        if number == signal.SIGUSR2:
            descriptor = os.pidfd_open(second)
            os.kill(second, signal.SIGTERM)
            assert select.select([descriptor], [], [], 30)[0]
            os.close(descriptor)
