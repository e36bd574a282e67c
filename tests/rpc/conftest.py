"""A small program served three ways: in memory, over UDP and over TCP, spoken to with raw bytes."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from nfsrpc.auth import NoneAuthenticator, SysAuthenticator
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Peer
from nfsrpc.rpc.record import RecordReader, frame
from nfsrpc.transport.endpoints import bind
from nfsrpc.transport.loop import Loop

SILENCE = 0.3
"""Seconds after which a message counts as unanswered; only for what must never be answered."""


class Files(FILEREADWRITE_2_service):
    """The textbook's service over a dict of bytearrays."""

    def __init__(self) -> None:
        self.files: dict[int, bytearray] = {}

    def WRITE(self, arg, call):
        content = self.files.setdefault(arg.f, bytearray())
        content[arg.position : arg.position + len(arg.data)] = arg.data

    def READ(self, arg, call):
        return bytes(self.files.get(arg.f, b""))[arg.position : arg.position + arg.length]


class Carrier(Protocol):
    def ask(self, message: bytes) -> bytes | None:
        """Send one message, return its reply, or None if there is none."""


class MemoryCarrier:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def ask(self, message: bytes) -> bytes | None:
        (reply,) = self._dispatcher.turn([(message, Peer("127.0.0.1", 1, "memory"))])
        return None if reply is None else b"".join(reply)


class UdpCarrier:
    def __init__(self, port: int) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))
        self.sock.settimeout(SILENCE)

    def ask(self, message: bytes) -> bytes | None:
        self.sock.send(message)
        try:
            return self.sock.recv(65536)
        except TimeoutError:
            return None


class TcpCarrier:
    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, message: bytes) -> bytes | None:
        with socket.create_connection(("127.0.0.1", self._port)) as sock:
            return self.exchange(sock, b"".join(frame([message])))

    @staticmethod
    def exchange(sock: socket.socket, stream: bytes) -> bytes | None:
        sock.settimeout(SILENCE)
        sock.sendall(stream)
        reader = RecordReader()
        try:
            while data := sock.recv(65536):
                if records := reader.feed(data):
                    return records[0]
        except TimeoutError:
            return None
        return None


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def dispatcher(files: Files) -> Dispatcher:
    return Dispatcher([Binding(files)], [NoneAuthenticator(), SysAuthenticator()])


@pytest.fixture
def served(dispatcher: Dispatcher) -> Iterator[int]:
    """The port of a loop that serves the dispatcher."""
    (endpoint,) = bind("127.0.0.1", 0)
    loop = Loop([endpoint], dispatcher.turn)
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield endpoint.port
    loop.stop()
    thread.join()
    endpoint.close()


@pytest.fixture(params=["memory", "udp", "tcp"])
def carrier(request: pytest.FixtureRequest, dispatcher: Dispatcher) -> Iterator[Carrier]:
    if request.param == "memory":
        yield MemoryCarrier(dispatcher)
        return
    port = request.getfixturevalue("served")
    if request.param == "tcp":
        yield TcpCarrier(port)
        return
    udp = UdpCarrier(port)
    yield udp
    udp.sock.close()


@pytest.fixture
def words() -> Callable[..., bytes]:
    """Big-endian 32-bit words, the alphabet of every message."""
    return lambda *values: struct.pack(f">{len(values)}I", *values)
