"""Many connections, a lossy network and workers that are killed: every call ends, none runs twice, nothing grows."""

import asyncio
import contextlib
import gc
import itertools
import os
import random
import select
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_client, readargs, writeargs
from nfsrpc.rpc.errors import RemoteSystemError, RpcError, RpcTimeout
from nfsrpc.rpc.retry import AT_MOST_ONCE, RetryPolicy
from nfsrpc.testing.chaos import Chaos
from nfsrpc.testing.faults import Faults
from nfsrpc.transport.aio import AsyncClient
from nfsrpc.transport.aio_tcp import connect_tcp
from nfsrpc.transport.aio_udp import connect_udp

# One history of all workers, with room for every call of the long form: by default a server remembers 65 536 calls
# for 120 s, and has callers wait beyond that. One host has all connections here, so it may.
SERVER = """
    import os, sys, time
    from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
    from nfsrpc.rpc.dispatch import at_most_once
    from nfsrpc.rpc.history_table import SharedHistory
    from nfsrpc.transport import Server
    from nfsrpc.xdr import Limits

    journal = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    class Journal(FILEREADWRITE_2_service):
        def WRITE(self, arg, call):
            self.READ(arg, call)
        def READ(self, arg, call):
            entry = arg.f.to_bytes(4) + arg.position.to_bytes(4)
            os.write(journal, entry)
            if (arg.f + arg.position) % 500 == 0:
                time.sleep(0.02)  # long enough to be killed in the middle now and then
            return entry

    history = SharedHistory(capacity=1 << 20)
    limits = Limits(connections=4096, connections_per_peer=4096)
    server = Server(lambda: [at_most_once(Journal(), history)], [("127.0.0.1", 0)], 2, limits)
    print(server.ports[0], flush=True)
    server.run()
"""
POLICY = RetryPolicy(0.3, 1.5, 3.0, 0.2, None, AT_MOST_ONCE.window)
LOSSY = Faults(drop=0.05, duplicate=0.05)
DEADLINE = 20.0
LATE = 10.0
"""Seconds by which a busy machine may tell a caller too late that its call has failed."""
SAMPLE = 0.25
WARM = 2.0
"""Seconds in which a new worker gets its connections back, and its memory grows."""
GROWTH = 2048
"""KiB by which a process' own memory may grow after that."""
PER_CONNECTION = 3
"""KiB that a connection may take: a worker gets those of another that is killed, all of them at most."""


class Form(NamedTuple):
    """How large the load is; times are seconds."""

    tcp: int
    udp: int
    seconds: float
    """In which workers are killed."""
    pause: float
    """Between two kills."""
    calm: float
    """In which the load goes on and no worker is killed any more."""
    rest: float
    """Between two calls of one client, in the mean."""


class Load:
    """What the clients did and what became of it."""

    def __init__(self, until: float) -> None:
        self.until = until
        self.answered: set[int] = set()
        """Entries of the journal whose callers have a reply."""
        self.failed: Counter[type[RpcError]] = Counter()
        self.wrong: list[tuple[int, bytes]] = []
        self.longest = 0.0

    async def work(self, client: AsyncClient, number: int, rest: float) -> None:
        """One client: a call that must not run twice after the other, with pauses of `rest` seconds in the mean."""
        files = FILEREADWRITE_2_client(client)
        loop = asyncio.get_running_loop()
        for turn in itertools.count(1):
            began = loop.time()
            if began >= self.until:
                return
            entry = number << 32 | turn
            try:
                if turn % 2:
                    await files.WRITE(writeargs(number, turn, b""))
                elif (got := await files.READ(readargs(number, turn, 8))) != entry.to_bytes(8):
                    self.wrong.append((entry, got))
                self.answered.add(entry)
            except RpcError as error:
                self.failed[type(error)] += 1
            self.longest = max(self.longest, loop.time() - began)
            if rest:
                await asyncio.sleep(2 * rest * random.random())


class Watched:
    """The processes of a server, seen from outside."""

    def __init__(self, supervisor: int) -> None:
        self.supervisor = supervisor
        self.killed: list[int] = []
        self._memory: defaultdict[int, list[tuple[float, int]]] = defaultdict(list)
        """Of each process, in the order of their birth: seconds since it was first seen, and KiB."""
        self._descriptors = self._held()

    def _workers(self) -> list[int]:
        text = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children").read_text()
        return [int(pid) for pid in text.split()]

    def _held(self) -> tuple[int, int]:
        """Descriptors of the supervisor, and of the worker that has most."""
        return descriptors(self.supervisor), max(map(descriptors, self._workers()), default=0)

    async def kill(self, pause: float) -> None:
        """Kill a worker now and then."""
        while True:
            await asyncio.sleep(pause)
            for pid in random.sample(workers := self._workers(), min(1, len(workers))):
                os.kill(pid, signal.SIGKILL)
                self.killed.append(pid)

    async def sample(self) -> None:
        """Look at the memory of each process, again and again."""
        born: dict[int, float] = {}
        while True:
            for pid in (self.supervisor, *self._workers()):
                now = time.monotonic()
                with contextlib.suppress(OSError, StopIteration):  # killed this moment
                    self._memory[pid].append((now - born.setdefault(pid, now), own_memory(pid)))
            await asyncio.sleep(SAMPLE)

    def growth(self) -> dict[int, int]:
        """KiB that each process has grown by since it was warm, of those that lived so long."""
        warm = {pid: [kib for age, kib in seen if age >= WARM] for pid, seen in self._memory.items()}
        return {pid: max(kibs) - kibs[0] for pid, kibs in warm.items() if kibs}

    def peaks(self) -> list[int]:
        """KiB at most of each worker, in the order of their birth."""
        return [max(kib for _, kib in seen) for pid, seen in self._memory.items() if pid != self.supervisor]

    def has_let_go(self) -> bool:
        """Whether no process holds more descriptors than at the beginning; waits for that a while."""
        for _ in range(500):
            with contextlib.suppress(OSError):
                if all(now <= then for now, then in zip(self._held(), self._descriptors, strict=True)):
                    return True
            select.select([], [], [], 0.02)
        return False


async def run(watched: Watched, port: int, lossy: int, form: Form) -> Load:
    clients: list[AsyncClient] = []
    for at in range(0, form.tcp, 50):
        number = min(50, form.tcp - at)
        some = (connect_tcp("127.0.0.1", port, policy=POLICY, timeout=DEADLINE) for _ in range(number))
        clients += await asyncio.gather(*some)
    for _ in range(form.udp):
        clients.append(await connect_udp("127.0.0.1", lossy, policy=POLICY, timeout=DEADLINE))
    load = Load(asyncio.get_running_loop().time() + form.seconds + form.calm)
    sampler = asyncio.create_task(watched.sample())
    work = asyncio.gather(*(load.work(client, number, form.rest) for number, client in enumerate(clients)))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(watched.kill(form.pause), form.seconds)
    await work
    sampler.cancel()
    for client in clients:
        await client.close()
    return load


@contextlib.contextmanager
def serving(place: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server all of whose workers answer, and its port."""
    script = place / "server.py"
    script.write_text(textwrap.dedent(SERVER))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager, open(place / "errors", "w") as errors:
        manager.bind(str(place / "notify"))
        manager.settimeout(60)
        server = subprocess.Popen(
            [sys.executable, str(script), str(place / "journal")],
            stdout=subprocess.PIPE, stderr=errors, text=True,
            env={**os.environ, "NOTIFY_SOCKET": str(place / "notify")},
        )  # fmt: skip
        try:
            port = int(server.stdout.readline())
            assert manager.recv(100).startswith(b"READY=1")
            yield server, port
        finally:
            server.terminate()
            server.wait(30)
            server.stdout.close()


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def own_memory(pid: int) -> int:
    """KiB that are resident and of no file or shared mapping."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))


@pytest.mark.parametrize(
    "form",
    [
        pytest.param(Form(150, 4, 4.0, 0.8, 2.5, 0.0), id="small"),
        pytest.param(Form(2000, 10, 60.0, 2.0, 15.0, 0.3), id="full", marks=pytest.mark.full),
    ],
)
def test_every_call_ends_none_runs_twice_and_nothing_grows(tmp_path, form):
    gc.collect()
    before = descriptors(os.getpid())
    with serving(tmp_path) as (server, port):
        watched = Watched(server.pid)
        with Chaos(("127.0.0.1", port), up=LOSSY, down=LOSSY, seed=1) as chaos:
            load = asyncio.run(run(watched, port, chaos.address[1], form))
            faults = chaos.counts("up") + chaos.counts("down")
        assert watched.has_let_go()
    print(f"{len(watched.killed)} kills, {len(load.answered)} answered, {load.failed}, longest {load.longest:.1f} s")
    print(f"growth {watched.growth()}, peaks {watched.peaks()} KiB; {dict(faults)}")

    executions = Counter(entry for (entry,) in struct.iter_unpack(">Q", (tmp_path / "journal").read_bytes()))
    assert max(executions.values()) == 1
    assert load.answered <= executions.keys()
    assert load.wrong == []
    assert set(load.failed) <= {RemoteSystemError, RpcTimeout}
    assert load.failed[RemoteSystemError] <= len(watched.killed), "one call at most is under way in a worker"
    assert load.longest < DEADLINE + LATE
    assert len(load.answered) > 10 * form.tcp
    assert len(watched.killed) > form.seconds / form.pause / 2
    assert faults["drop"] > 0 < faults["duplicate"]

    growth = watched.growth()
    assert growth.pop(server.pid) < GROWTH
    assert max(growth.values()) < GROWTH + PER_CONNECTION * form.tcp
    assert max(peaks := watched.peaks()) < min(peaks[:2]) + GROWTH + PER_CONNECTION * form.tcp
    assert descriptors(os.getpid()) <= before
