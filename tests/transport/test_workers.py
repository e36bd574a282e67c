"""Servers as processes: ports, workers that die, and ways to end."""

import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from nfsrpc.transport import PortInUse
from nfsrpc.transport.endpoints import bind

SERVER = """
    import os, sys
    from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
    from nfsrpc.transport import serve

    class Pids(FILEREADWRITE_2_service):
        def WRITE(self, arg, call):
            os._exit(3)
        def READ(self, arg, call):
            return os.getpid().to_bytes(4)

    serve([Pids()], port=int(sys.argv[1]), workers=int(sys.argv[2]))
"""


class Process:
    def __init__(self, script: Path, workers: int, port: int = 0) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(port), str(workers)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        line = self.process.stdout.readline()
        self.port = int(re.search(r"port (\d+)", line)[1])

    def ask(self, procedure: int = 2) -> bytes:
        """One call on a new TCP connection: the reply, or b"" if the connection ends without one."""
        args = struct.pack(">3I", 1, 0, 4 if procedure == 2 else 0)
        call = struct.pack(">10I", 1, 0, 2, 9999, 2, procedure, 0, 0, 0, 0) + args
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as sock:
            sock.sendall(struct.pack(">I", 0x80000000 | len(call)) + call)
            try:
                return sock.recv(1000)
            except ConnectionResetError:
                return b""

    def pid(self) -> int:
        reply = self.ask()
        return int.from_bytes(reply[-4:]) if reply else 0

    def pids(self, wanted: int) -> set[int]:
        found: set[int] = set()
        for _ in range(2000):
            found.add(self.pid())
            if len(found) == wanted:
                return found
        raise AssertionError(f"only {found} answered")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=20)


@pytest.fixture
def start(tmp_path):
    script = tmp_path / "server.py"
    script.write_text(textwrap.dedent(SERVER))
    running = []

    def start(workers: int, port: int = 0) -> Process:
        running.append(Process(script, workers, port))
        return running[-1]

    yield start
    for process in running:
        process.end()


def ended(pid: int) -> bool:
    """Wait until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    ready, _, _ = select.select([descriptor], [], [], 20)
    os.close(descriptor)
    return bool(ready)


@pytest.mark.parametrize("workers", [1, 3])
def test_all_workers_answer_on_one_port(start, workers):
    server = start(workers)
    pids = server.pids(workers)
    assert (server.process.pid in pids) is (workers == 1)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_every_process(start, workers, number):
    server = start(workers)
    pids = server.pids(workers)
    server.process.send_signal(number)
    assert server.process.wait(20) == 0
    assert all(ended(pid) for pid in pids)


def test_a_dead_worker_is_replaced_on_the_same_sockets(start):
    server = start(2)
    first = server.pids(2)
    victim = min(first)
    os.kill(victim, signal.SIGKILL)
    assert ended(victim)
    seen = {server.pid() for _ in range(200)} - {0}
    assert victim not in seen
    assert len(server.pids(2) - first) >= 1


def test_a_worker_that_a_call_kills_takes_no_other_with_it(start):
    server = start(2)
    server.pids(2)
    assert server.ask(procedure=1) == b""
    assert 0 not in server.pids(2)


def test_workers_of_a_killed_supervisor_end_and_free_the_port(start):
    server = start(2)
    pids = server.pids(2)
    server.process.kill()
    server.process.wait()
    assert all(ended(pid) for pid in pids)
    assert start(1, server.port).pid()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_in_use_is_an_error_also_if_its_owner_shares_it(start, workers):
    server = start(workers)
    for mine in (1, 2):
        with pytest.raises(PortInUse, match=str(server.port)):
            bind("127.0.0.1", server.port, mine, patience=0)


def test_udp_alone_in_use_is_noticed():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        with pytest.raises(PortInUse):
            bind("127.0.0.1", other.getsockname()[1], patience=0)


def test_a_port_that_is_given_up_soon_is_waited_for():
    (first,) = bind("127.0.0.1", 0)
    port = first.port
    child = os.fork()
    if child == 0:
        select.select([], [], [], 0.1)
        os._exit(0)
    first.close()
    (second,) = bind("127.0.0.1", port, patience=20)
    assert second.port == port
    second.close()
    os.waitpid(child, 0)
