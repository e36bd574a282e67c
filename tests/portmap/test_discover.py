"""Discovery: one question, several answers, and much that is none."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import pytest
from in_threads import looping

from nfsrpc.portmap import aio_discover
from nfsrpc.portmap.discover import Found, discover
from nfsrpc.portmap.forward import Forwarder
from nfsrpc.portmap.registry import Registry
from nfsrpc.portmap.service import Mapper
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service, readargs
from nfsrpc.rpc.dispatch import Binding
from nfsrpc.rpc.retry import RetryPolicy
from nfsrpc.transport import Server

HASTY = RetryPolicy(0.1, 1, 0.1, 0)


class Files(FILEREADWRITE_2_service):
    def __init__(self, name: bytes) -> None:
        self.name = name

    def WRITE(self, arg, call):
        return None

    def READ(self, arg, call):
        return self.name


@contextlib.contextmanager
def running(server: Server) -> Iterator[int]:
    with contextlib.closing(server), looping(server.loop()):
        yield server.ports[0]


@contextlib.contextmanager
def machine(host: str, name: bytes, port: int = 0) -> Iterator[tuple[int, int]]:
    """A portmapper that forwards, and a file service that is registered with it."""
    registry = Registry()
    with running(Server(lambda: [Binding(Files(name))], [(host, 0)])) as files:
        from nfsrpc.portmap.own import own_entries

        for entry in own_entries(9999, 2, host, files):
            registry.set(entry)
        mapper = Mapper(registry, forwarder=Forwarder())
        with running(Server(mapper.bindings, [(host, port)])) as mapped:
            yield mapped, files


def blocking(*words, **options) -> list[Found]:
    return list(discover(*words, **options))


def asynchronously(*words, **options) -> list[Found]:
    async def run() -> list[Found]:
        return [found async for found in aio_discover.discover(*words, **options)]

    return asyncio.run(run())


@pytest.fixture(params=[blocking, asynchronously])
def found_by(request):
    return request.param


def test_each_machine_answers_once(found_by):
    with machine("127.0.0.2", b"two") as (port, two), machine("127.0.0.3", b"three", port) as (_, three):
        read = FILEREADWRITE_2_service.procedures[2]
        addresses = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
        found = found_by(
            9999, 2, procedure=read, args=(readargs(1, 0, 1),),
            timeout=1.5, addresses=addresses, port=port, policy=HASTY,
        )  # fmt: skip
        assert sorted(found, key=lambda f: f.host) == [
            Found("127.0.0.2", two, b"two"), Found("127.0.0.3", three, b"three")
        ]  # fmt: skip
        nobody = found_by(9998, 2, timeout=0.3, addresses=addresses, port=port, policy=HASTY)
        assert nobody == []


@pytest.mark.hostile
def test_what_is_no_answer_is_passed_over(found_by):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def answer() -> None:
            call, peer = sock.recvfrom(9000)
            ok = struct.pack(">5I", 1, 0, 0, 0, 0)
            for reply in (
                b"",
                call[:4],
                call,
                b"\0\0\0\1" + ok + struct.pack(">2I", 7, 0),
                call[:4] + struct.pack(">4I", 1, 1, 1, 1),
                call[:4] + ok,
                call[:4] + ok + struct.pack(">2I", 70000, 0),
                call[:4] + ok + struct.pack(">3I", 7, 4, 1),
                call[:4] + ok + struct.pack(">2I", 7, 0xFFFFFFFF),
                call[:4] + ok + struct.pack(">2I", 4711, 0),
                call[:4] + ok + struct.pack(">2I", 4712, 0),
            ):
                sock.sendto(reply, peer)

        thread = threading.Thread(target=answer)
        thread.start()
        port = sock.getsockname()[1]
        found = found_by(9999, 2, timeout=1.0, addresses=["127.0.0.1"], port=port)
        thread.join()
    assert found == [Found("127.0.0.1", 4711, None)]
