"""Many connections, a lossy network and workers that are killed: every call ends, none runs twice."""

import asyncio
import gc
import os
import random
import signal
import struct
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import pytest

from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_client, readargs, writeargs
from nfsrpc.rpc.errors import RemoteSystemError, RpcError, RpcTimeout
from nfsrpc.rpc.retry import AT_MOST_ONCE, RetryPolicy
from nfsrpc.testing.chaos import Chaos
from nfsrpc.testing.faults import Faults
from nfsrpc.transport.aio import AsyncClient
from nfsrpc.transport.aio_tcp import connect_tcp
from nfsrpc.transport.aio_udp import connect_udp

SERVER = """
    import os, sys
    from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
    from nfsrpc.transport import serve
    from nfsrpc.transport.server import Semantics

    journal = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    class Journal(FILEREADWRITE_2_service):
        def WRITE(self, arg, call):
            os.write(journal, arg.f.to_bytes(4) + arg.position.to_bytes(4))
        def READ(self, arg, call):
            return os.getpid().to_bytes(4) + len(os.listdir("/proc/self/fd")).to_bytes(4)

    serve([Journal()], workers=2, semantics=Semantics.AT_MOST_ONCE)
"""
POLICY = RetryPolicy(0.3, 1.5, 3.0, 0.2, None, AT_MOST_ONCE.window)
LOSSY = Faults(drop=0.05, duplicate=0.05)


class Load:
    """What the clients did and what became of it."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.answered: set[tuple[int, int]] = set()
        self.failed: Counter[type[RpcError]] = Counter()
        self.workers: set[int] = set()

    async def work(self, client: AsyncClient, number: int) -> None:
        """One client: a call that changes something after the other, each given some seconds."""
        files = FILEREADWRITE_2_client(client)
        loop = asyncio.get_running_loop()
        turn = 0
        async with client:
            while loop.time() < self.until:
                turn += 1
                try:
                    await files.WRITE(writeargs(number, turn, b""))
                    self.answered.add((number, turn))
                    if turn % 10 == 1:
                        self.workers.add(int.from_bytes((await files.READ(readargs(turn, number, 8)))[:4]))
                except RpcError as error:
                    self.failed[type(error)] += 1

    async def kill(self, pause: float) -> int:
        """Kill a worker now and then; how often."""
        loop = asyncio.get_running_loop()
        kills = 0
        while loop.time() < self.until - pause:
            await asyncio.sleep(pause)
            for pid in random.sample(sorted(self.workers), min(1, len(self.workers))):
                self.workers.discard(pid)
                try:
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
                except ProcessLookupError:
                    continue
        return kills


async def run(port: int, lossy_port: int, tcp: int, udp: int, seconds: float, pause: float) -> tuple[Load, int]:
    load = Load(asyncio.get_running_loop().time() + seconds)
    clients: list[AsyncClient] = []
    for at in range(0, tcp, 50):
        some = (connect_tcp("127.0.0.1", port, policy=POLICY, timeout=20) for _ in range(min(50, tcp - at)))
        clients += await asyncio.gather(*some)
    for _ in range(udp):
        clients.append(await connect_udp("127.0.0.1", lossy_port, policy=POLICY, timeout=20))
    killer = asyncio.create_task(load.kill(pause))
    await asyncio.gather(*(load.work(client, number) for number, client in enumerate(clients)))
    return load, await killer


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def resident(pid: int) -> int:
    """KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@pytest.mark.parametrize(
    ("tcp", "udp", "seconds", "pause"),
    [pytest.param(150, 4, 4.0, 0.8, id="small"), pytest.param(2000, 10, 60.0, 2.0, id="full", marks=pytest.mark.full)],
)
def test_every_call_ends_and_none_runs_twice(tmp_path, tcp, udp, seconds, pause):
    script, journal = tmp_path / "server.py", tmp_path / "journal"
    script.write_text(textwrap.dedent(SERVER))
    gc.collect()
    before = descriptors()
    server = subprocess.Popen(
        [sys.executable, str(script), str(journal)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        port = int(server.stdout.readline().split()[5])
        small = resident(server.pid)
        with Chaos(("127.0.0.1", port), up=LOSSY, down=LOSSY, seed=1) as chaos:
            load, kills = asyncio.run(run(port, chaos.address[1], tcp, udp, seconds, pause))
        large = resident(server.pid)
    finally:
        server.terminate()
        server.wait(30)
        server.stdout.close()
    entries = [struct.unpack(">2I", entry) for entry in chunks(journal.read_bytes(), 8)]
    executions = Counter(entries)
    assert max(executions.values()) == 1
    assert load.answered <= executions.keys()
    assert set(load.failed) <= {RemoteSystemError, RpcTimeout}
    assert kills > 0
    assert len(load.answered) > 10 * tcp / 5
    assert descriptors() <= before
    assert large < small + 4096


def chunks(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]
