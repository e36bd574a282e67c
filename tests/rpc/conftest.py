"""A small program served three ways: in memory, over UDP and over TCP, spoken to with raw bytes."""

import socket
import struct
from collections.abc import Callable, Iterator
from typing import Protocol

import defects
import pytest
from in_threads import looping
from xdr_values import module_of_text

from nfsrpc.auth import NoneAuthenticator, SysAuthenticator
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Peer
from nfsrpc.rpc.record import RecordReader, frame
from nfsrpc.transport.endpoints import bind
from nfsrpc.transport.loop import Loop

PATIENCE = 30.0
"""Seconds that an answer may take on a very busy machine."""
NULL = struct.pack(">10I", 0x55555555, 0, 2, 9999, 2, 0, 0, 0, 0, 0)
NULL_REPLY = struct.pack(">6I", 0x55555555, 1, 0, 0, 0, 0)


class Files(FILEREADWRITE_2_service):
    """The textbook's service over a dict of bytearrays."""

    def __init__(self) -> None:
        self.files: dict[int, bytearray] = {}

    def WRITE(self, arg, call):
        content = self.files.setdefault(arg.f, bytearray())
        content[arg.position : arg.position + len(arg.data)] = arg.data

    def READ(self, arg, call):
        return bytes(self.files.get(arg.f, b""))[arg.position : arg.position + arg.length]


class TYPES(module_of_text(defects.TYPES).TYPES_1_service):  # type: ignore[misc] - made a moment ago
    """Arguments of every kind of type, and what is done with them: nothing."""

    def _nothing(self, arg, call):
        return None

    FLAG = COLOUR = CHOICE = NUMBERS = NAME = FIVE = LIST = MANY = _nothing


class Carrier(Protocol):
    def ask(self, message: bytes) -> bytes:
        """Send one message, return its reply."""

    def passes_over(self, message: bytes) -> bool:
        """Send one message and a good call behind it; whether only the latter is answered."""


class MemoryCarrier:
    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def ask(self, message: bytes) -> bytes:
        (reply,) = self._dispatcher.turn([(message, Peer("127.0.0.1", 1, "memory"))])
        return b"".join(reply)

    def passes_over(self, message: bytes) -> bool:
        peer = Peer("127.0.0.1", 1, "memory")
        first, second = self._dispatcher.turn([(message, peer), (NULL, peer)])
        return first is None and b"".join(second) == NULL_REPLY


class UdpCarrier:
    def __init__(self, port: int) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(("127.0.0.1", port))
        self.sock.settimeout(PATIENCE)

    def ask(self, message: bytes) -> bytes:
        self.sock.send(message)
        return self.sock.recv(65536)

    def passes_over(self, message: bytes) -> bool:
        self.sock.send(message)
        return self.ask(NULL) == NULL_REPLY


class TcpCarrier:
    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, message: bytes) -> bytes:
        return self._first_reply([message])

    def passes_over(self, message: bytes) -> bool:
        return self._first_reply([message, NULL]) == NULL_REPLY

    def _first_reply(self, messages: list[bytes]) -> bytes:
        with socket.create_connection(("127.0.0.1", self._port), PATIENCE) as sock:
            sock.sendall(b"".join(part for message in messages for part in frame([message])))
            reader = RecordReader()
            while data := sock.recv(65536):
                if records := reader.feed(data):
                    return records[0]
        raise AssertionError("the server closed the connection")


@pytest.fixture
def files() -> Files:
    return Files()


@pytest.fixture
def dispatcher(files: Files) -> Dispatcher:
    return Dispatcher([Binding(files), Binding(TYPES())], [NoneAuthenticator(), SysAuthenticator()])


@pytest.fixture
def served(dispatcher: Dispatcher) -> Iterator[int]:
    """The port of a loop that serves the dispatcher."""
    (endpoint,) = bind("127.0.0.1", 0)
    with looping(Loop([endpoint], dispatcher)):
        yield endpoint.port
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
