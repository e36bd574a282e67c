"""What signals do to a server, while a client never stops calling: nothing is lost."""

import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import termios
import textwrap
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from until import until

from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_client, readargs
from nfsrpc.rpc.retry import AT_MOST_ONCE, RetryPolicy
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp

SERVER = """
    import os, sys
    from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
    from nfsrpc.rpc.dispatch import at_most_once
    from nfsrpc.transport import Server
    from nfsrpc.rpc.history_table import SharedHistory
    from nfsrpc.transport.inheritance import Inheritance

    class Settings(FILEREADWRITE_2_service):
        def __init__(self):
            self.text = open(sys.argv[3], "rb").read()
            if self.text == b"worthless":
                raise ValueError("worthless settings")
            print("set", flush=True)
        def WRITE(self, arg, call):
            return None
        def READ(self, arg, call):
            return self.text if arg.f == 1 else os.getpid().to_bytes(4)

    def reload():
        if open(sys.argv[3]).read() == "broken":
            raise ValueError("the settings are broken")

    if open(sys.argv[3]).read() == "fatal":
        sys.exit("no start with such settings")
    inheritance = Inheritance()
    history = SharedHistory(descriptor=inheritance.take("history"))
    inheritance.keep("history", history.fileno())
    make = lambda: [at_most_once(Settings(), history)]
    server = Server(make, [("127.0.0.1", int(sys.argv[1]))], int(sys.argv[2]), inheritance=inheritance)
    print("port", server.ports[0], flush=True)
    server.run(reload, lambda: "all is well")
    print("ended", os.getpid(), flush=True)
"""
PATIENT = RetryPolicy(0.1, 1.5, 1.0, 0.1, None, AT_MOST_ONCE.window)


class Process:
    def __init__(
        self, directory: Path, workers: int, environment: dict[str, str], port: int = 0, *, text: str = "first", **kw
    ) -> None:
        self.settings = directory / "settings"
        self.settings.write_text(text)
        script = directory / "server.py"
        script.write_text(textwrap.dedent(SERVER))
        self.output = open(directory / "output", "w+")  # noqa: SIM115 - outlives this call
        self.errors = open(directory / "errors", "w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(port), str(workers), str(self.settings)],
            stdout=self.output, stderr=self.errors, env={**os.environ, **environment}, start_new_session=True,
            **kw,
        )  # fmt: skip
        self.port = int(self.awaited(r"port (\d+)"))
        if text == "first":
            self.awaited(f"(?s)((set.*){{{workers}}})")

    def awaited(self, pattern: str, file: str = "output") -> str:
        """The first group of `pattern` once it is in the output."""
        for _ in range(1500):
            text = Path(getattr(self, file).name).read_text()
            if found := re.search(pattern, text):
                return found[1]
            select.select([], [], [], 0.02)
        raise AssertionError(f"no {pattern!r} in {text!r}; errors: {Path(self.errors.name).read_text()}")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait(20)
        self.output.close()
        self.errors.close()


class Steady:
    """Calls without end from a thread, over UDP and TCP, and what came back."""

    def __init__(self, port: int) -> None:
        self.udp = connect_udp("127.0.0.1", port, policy=PATIENT, timeout=60)
        self.tcp = connect_tcp("127.0.0.1", port, policy=PATIENT, timeout=60)
        self.pids: set[bytes] = set()
        self.failures: list[Exception] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(client,)) for client in (self.udp, self.tcp)]
        for thread in self._threads:
            thread.start()

    def _call(self, client) -> None:
        files = FILEREADWRITE_2_client(client)
        try:
            while not self._stop.is_set():
                self.pids.add(files.READ(readargs(0, 0, 4)))
        except Exception as failure:
            self.failures.append(failure)

    def text(self) -> bytes:
        return FILEREADWRITE_2_client(self.udp).READ(readargs(1, 0, 4))

    def awaited(self, wanted: bytes) -> None:
        until(lambda: self.text() == wanted)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self.udp.close()
        self.tcp.close()


@pytest.fixture(params=[1, 2])
def server(request, tmp_path) -> Iterator[Process]:
    process = Process(tmp_path, request.param, {})
    yield process
    process.end()


@pytest.fixture
def steady(server) -> Iterator[Steady]:
    caller = Steady(server.port)
    yield caller
    caller.end()
    assert caller.failures == []


def test_sighup_reads_the_settings_again_and_loses_no_call(server, steady):
    assert steady.text() == b"first"
    for round_ in range(3):
        server.settings.write_text(f"round {round_}")
        server.send(signal.SIGHUP)
        steady.awaited(b"round %d" % round_)
    assert server.process.poll() is None


def test_settings_that_are_broken_are_not_taken(server, steady):
    server.settings.write_text("broken")
    server.send(signal.SIGHUP)
    server.awaited("(nothing is reloaded): the settings are broken", "errors")
    assert steady.text() == b"first"


def test_settings_that_no_worker_can_start_with_are_given_up(server, steady):
    """The old workers answer on, those that die meanwhile are replaced once the settings are good again."""
    server.settings.write_text("worthless")
    server.send(signal.SIGHUP)
    server.awaited("(nothing is reloaded): .*worthless settings", "errors")
    assert steady.text() == b"first"
    server.settings.write_text("better")
    server.send(signal.SIGHUP)
    steady.awaited(b"better")


def test_sigusr1_says_how_things_stand(server):
    server.send(signal.SIGUSR1)
    server.awaited("(all is well)", "errors")
    assert server.awaited(r"process (\d+), up", "errors") == str(server.process.pid)


def test_an_upgrade_loses_no_call(server, steady):
    """The old process ends with status 0, another one answers on the same port, with the same history."""
    files = FILEREADWRITE_2_client(steady.udp)
    before = files.READ(readargs(0, 0, 4))
    server.settings.write_text("new program")
    server.send(signal.SIGUSR2)
    steady.awaited(b"new program")
    assert server.process.wait(30) == 0
    assert files.READ(readargs(0, 0, 4)) != before


def test_an_upgrade_that_fails_changes_nothing(server, steady):
    server.settings.write_text("fatal")
    server.send(signal.SIGUSR2)
    server.awaited("(no upgrade): process", "errors")
    assert server.process.poll() is None
    assert steady.text()


def test_sigterm_answers_what_was_received(server):
    """Calls that are in the worker's socket when the signal comes are answered before the connection ends."""
    with socket.create_connection(("127.0.0.1", server.port), 30) as sock, sock.makefile("rb") as replies:
        sock.sendall(read(0))
        worker = int.from_bytes(reply(replies))
        os.kill(worker, signal.SIGSTOP)
        sock.sendall(b"".join(map(read, [1] * 20)))
        while acknowledged_not_yet(sock):
            select.select([], [], [], 0.01)
        server.send(signal.SIGTERM)
        os.kill(worker, signal.SIGCONT)
        assert [reply(replies) for _ in range(20)] == [b"first"] * 20
        assert replies.read() == b""
        assert server.process.wait(30) == 0


def read(file: int) -> bytes:
    """A record that calls READ."""
    return struct.pack(">14I", 0x80000000 | 52, 7, 0, 2, 9999, 2, 2, 0, 0, 0, 0, file, 0, 4)


def reply(replies: BinaryIO) -> bytes:
    """The result in the next record: an opaque<>."""
    record = replies.read(int.from_bytes(replies.read(4)) & 0x7FFFFFFF)
    return record[28:][: int.from_bytes(record[24:28])]


def acknowledged_not_yet(sock: socket.socket) -> int:
    """Bytes that are not in the peer's kernel yet (SIOCOUTQ of tcp(7))."""
    return int.from_bytes(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def test_workers_that_cannot_start_end_the_server(tmp_path):
    server = Process(tmp_path, 2, {}, text="worthless")
    try:
        assert server.process.wait(60) == 1
        server.awaited("(WorkersFailed): workers cannot start, 4 tries each: worthless settings", "errors")
    finally:
        server.end()


def test_workers_that_die_and_cannot_start_again_end_the_server(tmp_path):
    server = Process(tmp_path, 2, {})
    try:
        pids: set[int] = set()
        while len(pids) < 2:
            with connect_tcp("127.0.0.1", server.port) as client:
                pids.add(int.from_bytes(FILEREADWRITE_2_client(client).READ(readargs(0, 0, 4))))
        server.settings.write_text("worthless")
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        assert server.process.wait(60) == 1
        server.awaited("(WorkersFailed): workers cannot start", "errors")
    finally:
        server.end()


# --- the service manager


@pytest.mark.parametrize("workers", [1, 2])
def test_readiness_is_told_to_the_service_manager(tmp_path, workers):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        server = Process(tmp_path, workers, {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        try:
            assert manager.recv(100).decode() == f"READY=1\nMAINPID={server.process.pid}"
            if workers > 1:  # one that is replaced is no news
                with connect_tcp("127.0.0.1", server.port) as client:
                    os.kill(int.from_bytes(FILEREADWRITE_2_client(client).READ(readargs(0, 0, 4))), signal.SIGKILL)
                server.awaited(f"(?s)((set.*){{{workers + 1}}})")
            server.send(signal.SIGHUP)
            assert manager.recv(100) == b"RELOADING=1"
            assert manager.recv(100).startswith(b"READY=1")
            server.send(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
        finally:
            server.end()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_manager_that_does_not_listen_holds_nobody_up(tmp_path, workers):
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as others:
            others.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    others.sendto(b"WATCHDOG=1", path)
        server = Process(tmp_path, workers, {"NOTIFY_SOCKET": path})
        try:
            server.awaited("(cannot be told READY=1)", "errors")
            with connect_tcp("127.0.0.1", server.port) as client:
                assert FILEREADWRITE_2_client(client).READ(readargs(1, 0, 4)) == b"first"
            server.send(signal.SIGTERM)
            assert server.process.wait(30) == 0
        finally:
            server.end()


@pytest.mark.parametrize("workers", [1, 2])
def test_sockets_of_the_service_manager_are_used(tmp_path, workers):
    """As sd_listen_fds(3): descriptors 3 and 4, and the pid of the very process."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        port = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))

        def give() -> None:
            os.dup2(os.dup(tcp.fileno()), 3)
            os.dup2(os.dup(udp.fileno()), 4)

        wrapper = tmp_path / "sitecustomize.py"
        wrapper.write_text("import os\nif 'LISTEN_FDS' in os.environ: os.environ['LISTEN_PID'] = str(os.getpid())\n")
        environment = {"LISTEN_FDS": "2", "LISTEN_PID": "0", "PYTHONPATH": str(tmp_path)}
        server = Process(tmp_path, workers, environment, port, pass_fds=(3, 4), preexec_fn=give)
        try:
            for connect in (connect_udp, connect_tcp):
                with connect("127.0.0.1", port) as client:
                    assert FILEREADWRITE_2_client(client).READ(readargs(1, 0, 4)) == b"first"
        finally:
            server.end()
