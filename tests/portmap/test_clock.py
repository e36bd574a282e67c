"""Another host's clock, by rpcbind and by the time service."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest

from nfsrpc.portmap.clock import clock_of, rpcbind_time, time_service_time
from nfsrpc.rpc.errors import RpcError


class Answering:
    """A UDP service that answers every datagram with what `answer` makes of it."""

    def __init__(self, answer) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.port = self._sock.getsockname()[1]
        self.asked: list[bytes] = []
        self._answer = answer
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            data, peer = self._sock.recvfrom(1000)
            if data == b"stop":
                return
            self.asked.append(data)
            self._sock.sendto(self._answer(data), peer)

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"stop", ("127.0.0.1", self.port))
        self._thread.join()
        self._sock.close()


@pytest.fixture
def answering() -> Iterator:
    made: list[Answering] = []

    def make(answer) -> Answering:
        made.append(Answering(answer))
        return made[-1]

    yield make
    for service in made:
        service.close()


def rpcbind(seconds: int):
    return lambda call: call[:4] + struct.pack(">6I", 1, 0, 0, 0, 0, seconds)


def time_service(seconds: int):
    return lambda call: struct.pack(">I", seconds + 2_208_988_800 & 0xFFFF_FFFF)


def test_rpcbind_is_asked_for_its_time(answering) -> None:
    service = answering(rpcbind(1_000_000))
    assert rpcbind_time("127.0.0.1", service.port) == 1_000_000
    assert service.asked[0][4:24] == struct.pack(">5I", 0, 2, 100000, 3, 6)


@pytest.mark.parametrize("seconds", [0, 1_000_000, 2_000_000_000, 2_100_000_000, 4_000_000_000])
def test_the_time_service_counts_from_1900(answering, seconds: int) -> None:
    service = answering(time_service(seconds))
    assert time_service_time("127.0.0.1", service.port) == seconds
    assert service.asked == [bytes(4)]


def test_a_broken_time_service_is_told(answering) -> None:
    with pytest.raises(RpcError, match="answers 3 bytes"):
        time_service_time("127.0.0.1", answering(lambda _: b"abc").port)
    with pytest.raises(RpcError, match="no time service"):
        time_service_time("127.0.0.1", 1, timeout=0.2)


def test_a_clock_runs_on_from_the_other_hosts_time(answering) -> None:
    now = [5000.25]
    service = answering(rpcbind(8600))
    clock = clock_of("127.0.0.1", rpcbind_port=service.port, clock=lambda: now[0])
    assert clock() == 8600.25
    now[0] += 10
    assert clock() == 8610.25
    assert len(service.asked) == 1


def test_without_rpcbind_the_time_service_is_asked(answering) -> None:
    service = answering(time_service(1400))
    clock = clock_of("127.0.0.1", rpcbind_port=1, time_port=service.port, timeout=0.3, clock=lambda: 5000.0)
    assert clock() == 1400.0


def test_a_clock_that_is_right_is_left_alone(answering) -> None:
    service = answering(rpcbind(int(time.time())))
    assert clock_of("127.0.0.1", rpcbind_port=service.port) is time.time
