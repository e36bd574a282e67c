"""What servers may say to a client that is hostile or merely wrong: ignored, or a typed error; blocking and asyncio."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

import pytest

from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_client, readargs
from nfsrpc.rpc.errors import (
    AuthRefused,
    BadReply,
    GarbageArguments,
    ProgramMismatch,
    RecordError,
    RemoteSystemError,
    RpcError,
    RpcMismatch,
)
from nfsrpc.transport import aio_tcp, aio_udp
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp

pytestmark = pytest.mark.hostile


def w(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


ACCEPTED = w(1, 0, 0, 0)
RESULT = ACCEPTED + w(0, 4) + b"data"
"""A reply behind its xid."""

IGNORED: dict[str, Callable[[bytes], list[bytes]]] = {
    "nothing else": lambda xid: [],
    "a foreign xid": lambda xid: [bytes([xid[0] ^ 1]) + xid[1:] + RESULT],
    "a hundred foreign xids": lambda xid: [bytes([xid[0] ^ 1]) + n.to_bytes(3) + RESULT for n in range(100)],
    "a call": lambda xid: [xid + w(0, 2, 9999, 2, 1, 0, 0, 0, 0)],
    "an xid alone": lambda xid: [xid],
    "less than an xid": lambda xid: [b"\xff"],
    "an empty message": lambda xid: [b""],
    "message type 2": lambda xid: [xid + w(2, 0, 0, 0, 0)],
}
FAILED: dict[str, tuple[bytes, type[RpcError]]] = {
    "denied, with a body that could be decoded": (w(1, 1, 1, 5) + RESULT, AuthRefused),
    "denied, no such reason": (w(1, 1, 7), BadReply),
    "RPC version": (w(1, 1, 0, 3, 4), RpcMismatch),
    "reply_stat 2": (w(1, 2, 0, 0, 0), BadReply),
    "accept_stat 9": (ACCEPTED + w(9), BadReply),
    "program mismatch without numbers": (ACCEPTED + w(2), BadReply),
    "program mismatch": (ACCEPTED + w(2, 3, 4), ProgramMismatch),
    "garbage arguments, with a result behind": (ACCEPTED + w(4, 4) + b"data", GarbageArguments),
    "system error": (ACCEPTED + w(5), RemoteSystemError),
    "a verifier longer than the message": (w(1, 0, 0, 400, 0), BadReply),
    "a verifier of 2^32-1 bytes": (w(1, 0, 0, 0xFFFFFFFF, 0), BadReply),
    "a result of 2^32-1 bytes": (ACCEPTED + w(0, 0xFFFFFFFF) + b"data", BadReply),
    "a result over its bound, all there": (ACCEPTED + w(0, 1004) + bytes(1004), BadReply),
    "half a result": (ACCEPTED + w(0, 4) + b"da", BadReply),
    "a result and more": (RESULT + w(0), BadReply),
    "no result": (ACCEPTED + w(0), BadReply),
}
BROKEN = {
    "a record of 2 GiB": w(0xFFFFFFFF),
    "a fragment of 2 GiB": w(0x7FFFFFFF),
    "endless empty fragments": w(0) * 5000,
    "endless one-byte fragments": (w(1) + b"x") * 5000,
}


def record(message: bytes) -> bytes:
    return w(0x80000000 | len(message)) + message


@contextlib.contextmanager
def tcp_server(answer: Callable[[bytes], list[bytes]]) -> Iterator[int]:
    """Answers each call of one connection with what `answer` makes of its xid, whole streams."""

    def act() -> None:
        with listener.accept()[0] as sock, sock.makefile("rb") as calls, contextlib.suppress(OSError):
            while mark := calls.read(4):
                call = calls.read(int.from_bytes(mark) & 0x7FFFFFFF)
                sock.sendall(b"".join(answer(call[:4])))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=act)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()


@contextlib.contextmanager
def udp_server(answer: Callable[[bytes], list[bytes]], strangers: bool = False) -> Iterator[int]:
    """The same for datagrams; with `strangers` every one leaves from a wrong address first."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):

        def act() -> None:
            while True:
                call, client = sock.recvfrom(9000)
                if call == b"end":
                    return
                for message in answer(call[:4]):
                    if strangers:
                        other.sendto(message[:28] + b"evil", client)
                    sock.sendto(message, client)

        sock.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=act)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            other.sendto(b"end", sock.getsockname())
            thread.join()


def blocking(connect: Callable[..., object], port: int, calls: int) -> list[bytes]:
    with connect("127.0.0.1", port) as client:
        return [FILEREADWRITE_2_client(client).READ(readargs(1, 0, 4)) for _ in range(calls)]


def awaiting(connect: Callable[..., object], port: int, calls: int) -> list[bytes]:
    async def run() -> list[bytes]:
        async with await connect("127.0.0.1", port) as client:
            return [await FILEREADWRITE_2_client(client).READ(readargs(1, 0, 4)) for _ in range(calls)]

    return asyncio.run(run())


READERS = {
    "blocking-udp": (blocking, connect_udp), "blocking-tcp": (blocking, connect_tcp),
    "asyncio-udp": (awaiting, aio_udp.connect_udp), "asyncio-tcp": (awaiting, aio_tcp.connect_tcp),
}  # fmt: skip


def read(reader: str, answer: Callable[[bytes], list[bytes]], calls: int = 1) -> list[bytes]:
    """The results of `calls` READs, one after the other, of a server that answers so."""
    how, connect = READERS[reader]
    if reader.endswith("udp"):
        with udp_server(answer) as port:
            return how(connect, port, calls)
    with tcp_server(lambda xid: list(map(record, answer(xid)))) as port:
        return how(connect, port, calls)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("noise", IGNORED.values(), ids=IGNORED)
def test_what_is_no_reply_to_the_call_is_ignored(reader, noise):
    """In front of the reply, and behind it, where the next call finds it."""
    assert read(reader, lambda xid: [*noise(xid), xid + RESULT, *noise(xid)], calls=3) == [b"data"] * 3


@pytest.mark.parametrize("reader", READERS)
def test_a_second_reply_changes_nothing(reader):
    assert read(reader, lambda xid: [xid + RESULT, xid + ACCEPTED + w(0, 4) + b"evil"], calls=3) == [b"data"] * 3


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(("reply", "error"), FAILED.values(), ids=FAILED)
def test_a_reply_that_is_none_is_a_typed_error(reader, reply, error):
    with pytest.raises(error):
        read(reader, lambda xid: [xid + reply])


@pytest.mark.parametrize("reader", ["blocking-udp", "asyncio-udp"])
def test_a_stranger_is_not_believed(reader):
    how, connect = READERS[reader]
    with udp_server(lambda xid: [xid + RESULT], strangers=True) as port:
        assert how(connect, port, 3) == [b"data"] * 3


@pytest.mark.parametrize("reader", ["blocking-tcp", "asyncio-tcp"])
@pytest.mark.parametrize("stream", BROKEN.values(), ids=BROKEN)
def test_broken_record_marking_ends_the_call(reader, stream):
    how, connect = READERS[reader]
    with tcp_server(lambda xid: [stream]) as port, pytest.raises(RecordError):
        how(connect, port, 1)
