"""The asyncio clients and server, against each other and against the blocking ones."""

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Any

import pytest

from nfsrpc.auth import NoneAuthenticator, SysCredential
from nfsrpc.auth.base import PlainAuth, PlainSession
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_client, FILEREADWRITE_2_service, readargs, writeargs
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Drop, at_most_once
from nfsrpc.rpc.dispatch_async import AsyncDispatcher
from nfsrpc.rpc.errors import Disconnected, GarbageArguments, ProgramUnavailable, RemoteSystemError, RpcTimeout
from nfsrpc.rpc.history import MemoryHistory
from nfsrpc.rpc.retry import AT_LEAST_ONCE, AT_MOST_ONCE, MAYBE, RetryPolicy
from nfsrpc.testing.chaos import Chaos
from nfsrpc.testing.faults import Faults
from nfsrpc.transport import client_tcp, client_udp
from nfsrpc.transport.aio_server import AsyncServer
from nfsrpc.transport.aio_tcp import connect_tcp
from nfsrpc.transport.aio_udp import connect_udp
from nfsrpc.xdr import Limits

HASTY = RetryPolicy(0.03, 1.3, 0.3, 0.1)
WRITE, READ = (FILEREADWRITE_2_service.procedures[n] for n in (1, 2))


class Files(FILEREADWRITE_2_service):
    """WRITE waits for a gate that READ of file 0 opens; file 1 echoes; file 2 counts."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.count = 0

    async def WRITE(self, arg, call):
        if arg.f == 9:
            raise Drop
        await self.gate.wait()

    async def READ(self, arg, call):
        if arg.f == 0:
            self.gate.set()
        if arg.f == 2:
            self.count += 1
            return b"%d" % self.count
        if arg.f == 3:
            raise GarbageArguments
        if arg.f == 4:
            raise ValueError
        return b"%d" % arg.position


CONNECT: dict[str, Callable[..., Any]] = {"udp": connect_udp, "tcp": connect_tcp}


@pytest.fixture(params=["udp", "tcp"])
def connect(request) -> Callable[..., Any]:
    return CONNECT[request.param]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_calls_overlap_and_find_their_callers(connect, host):
    async def run() -> None:
        async with AsyncServer([Binding(Files())], host) as server, await connect(host, server.port) as client:
            files = FILEREADWRITE_2_client(client)
            blocked = asyncio.create_task(client.call(WRITE, (writeargs(1, 0, b""),)))
            results = await asyncio.gather(*(files.READ(readargs(1, n, 1)) for n in range(200)))
            assert results == [b"%d" % n for n in range(200)]
            assert not blocked.done()
            await files.READ(readargs(0, 0, 1))
            assert await blocked is None

    asyncio.run(run())


def test_calls_sent_together_are_awaited_in_any_order(connect):
    async def run() -> None:
        async with AsyncServer([Binding(Files())]) as server, await connect("127.0.0.1", server.port) as client:
            calls = await client.submit_all(READ, [(readargs(1, n, 1),) for n in range(100)])
            assert [await client.wait(call) for call in reversed(calls)] == [b"%d" % n for n in reversed(range(100))]
            assert await client.submit_all(READ, []) == []
            silent = await client.submit_all(WRITE, [(writeargs(9, n, b""),) for n in range(3)], timeout=0.1)
            for call in silent:
                with pytest.raises(RpcTimeout):
                    await client.wait(call)
        with pytest.raises(Disconnected):
            await client.submit_all(READ, [(readargs(1, 0, 1),)])

    asyncio.run(run())


def test_errors_are_typed(connect):
    async def run() -> None:
        async with AsyncServer([Binding(Files())]) as server:
            async with await connect("127.0.0.1", server.port, credential=SysCredential(1, 1, (), b"h")) as client:
                files = FILEREADWRITE_2_client(client)
                for number, error in ((3, GarbageArguments), (4, RemoteSystemError)):
                    with pytest.raises(error):
                        await files.READ(readargs(number, 0, 1))
                with pytest.raises(RpcTimeout):
                    await client.call(WRITE, (writeargs(1, 0, b""),), timeout=0.1)
                assert await files.READ(readargs(1, 5, 1)) == b"5"
                foreign = READ._replace(program=9998)
                with pytest.raises(ProgramUnavailable):
                    await client.call(foreign, (readargs(1, 0, 1),))
                await files.READ(readargs(0, 0, 1))  # lets the server go
            with pytest.raises(Disconnected):
                await client.call(READ, (readargs(1, 0, 1),))

    asyncio.run(run())


class Insisting(PlainSession):
    """AUTH_NONE that is worth another attempt whatever the server says; a credential, and its own session."""

    def session(self, host: str) -> "Insisting":
        return self

    def refresh(self, stat: int, used: Any) -> bool:
        return True


@pytest.mark.parametrize("way", ["blocking", "asyncio"])
def test_a_refused_call_is_not_made_again_once_the_client_is_closed(way):
    """Or its bytes go wherever the number of the client's socket leads by then."""
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        port = server.getsockname()[1]

        def refuse() -> None:
            call, client = server.recvfrom(1000)
            server.sendto(call[:4] + struct.pack(">4I", 1, 1, 1, 5), client)

        def blocking() -> None:
            client = client_udp.connect_udp("127.0.0.1", port, credential=Insisting(PlainAuth((0, b""))))
            call = client.submit(READ, (readargs(1, 0, 1),))
            refuse()
            while not call.done:
                client.attend(0.01)
            client.close()
            client.wait(call)

        async def awaiting() -> None:
            client = await connect_udp("127.0.0.1", port, credential=Insisting(PlainAuth((0, b""))))
            call = await client.submit(READ, (readargs(1, 0, 1),))
            refuse()
            while not call.done:
                await asyncio.sleep(0)
            await client.close()
            await client.wait(call)

        with pytest.raises(Disconnected, match="closed"):
            blocking() if way == "blocking" else asyncio.run(awaiting())
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(1)


def test_nothing_listens():
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        with pytest.raises(Disconnected):
            await connect_tcp("127.0.0.1", port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 0))
            client = await connect_udp(*silent.getsockname(), timeout=0.2, policy=HASTY)
        async with client:
            with pytest.raises(RpcTimeout, match="refused"):
                await client.call(READ, (readargs(1, 0, 1),))

    asyncio.run(run())


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("proto", "faults"),
    [("udp", Faults(drop=0.2, duplicate=0.2, reorder=0.1)), ("tcp", Faults(split=0.3, cut=0.03))],
)
def test_a_bad_network_loses_and_doubles_nothing(proto, faults):
    policy = RetryPolicy(0.03, 1.3, 0.3, 0.1, None, AT_MOST_ONCE.window)
    service = Files()

    async def run(chaos: Chaos, server: AsyncServer) -> None:
        async with server, await CONNECT[proto](*chaos.address, policy=policy, timeout=60) as client:
            files = FILEREADWRITE_2_client(client)
            results = await asyncio.gather(*(files.READ(readargs(2, n, 1)) for n in range(150)))
        assert sorted(map(int, results)) == list(range(1, 151))
        assert service.count == 150

    server = AsyncServer([at_most_once(service, MemoryHistory())])
    with Chaos(("127.0.0.1", server.port), up=faults, down=faults, seed=3) as chaos:
        asyncio.run(run(chaos, server))


def test_a_lost_connection_fails_pending_calls_only_under_maybe():
    async def run(policy: RetryPolicy) -> Any:
        first = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            call = await reader.readexactly(4 + 52)
            if first.is_set():
                writer.write(struct.pack(">I", 0x8000001C) + call[4:8] + struct.pack(">6I", 1, 0, 0, 0, 0, 0))
                await writer.drain()
            first.set()
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
            port = listener.sockets[0].getsockname()[1]
            async with await connect_tcp("127.0.0.1", port, policy=policy, timeout=20) as client:
                return await client.call(READ, (readargs(1, 0, 1),))

    assert asyncio.run(run(HASTY)) == b""
    with pytest.raises(Disconnected):
        asyncio.run(run(MAYBE))


def test_a_cancelled_call_is_forgotten(connect):
    async def run() -> None:
        async with AsyncServer([Binding(Files())]) as server, await connect("127.0.0.1", server.port) as client:
            task = asyncio.create_task(client.call(WRITE, (writeargs(1, 0, b""),)))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert len(client._table) == 0
            assert await client.call(READ, (readargs(1, 1, 1),)) == b"1"
            await client.call(READ, (readargs(0, 0, 1),))  # lets the server go

    asyncio.run(run())


def test_the_server_breaks_with_who_breaks_the_rules():
    async def run() -> None:
        async with AsyncServer([Binding(Files())], limits=Limits(message=1000)) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(struct.pack(">I", 0x7FFFFFFF))
            assert await reader.read() == b""
            writer.close()
            async with await connect_tcp("127.0.0.1", server.port) as client:
                assert await client.call(READ, (readargs(1, 1, 1),)) == b"1"

    asyncio.run(run())


def test_blocking_clients_are_served_too():
    service = Files()

    async def run() -> None:
        async with AsyncServer([Binding(service)]) as server:
            for connect in (client_udp.connect_udp, client_tcp.connect_tcp):

                def work(connect=connect) -> list[bytes]:
                    with connect("127.0.0.1", server.port) as client:
                        calls = [client.submit(READ, (readargs(1, n, 1),)) for n in range(50)]
                        return [client.wait(call) for call in calls]

                assert await asyncio.to_thread(work) == [b"%d" % n for n in range(50)]

    asyncio.run(run())


# --- one-way calls, and calls the other way round


def count(served: list[int]) -> FILEREADWRITE_2_service:
    class Counting(FILEREADWRITE_2_service):
        def WRITE(self, arg, call):
            served.append(arg.f)

        def READ(self, arg, call):
            return b"%d" % len(served)

    return Counting()


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_posted_calls_run_in_order_before_the_next_one(proto):
    served: list[int] = []

    async def run() -> None:
        async with AsyncServer([Binding(count(served))]) as server:
            async with await CONNECT[proto]("127.0.0.1", server.port) as client:
                for number in range(30):
                    client.post(WRITE, (writeargs(number, 0, b""),))
                assert await client.call(READ, (readargs(0, 0, 1),)) == b"30"
            connect = client_udp.connect_udp if proto == "udp" else client_tcp.connect_tcp

            def work() -> bytes:
                with connect("127.0.0.1", server.port) as client:
                    for number in range(30, 60):
                        client.post(WRITE, (writeargs(number, 0, b""),))
                    return client.call(READ, (readargs(0, 0, 1),))

            assert await asyncio.to_thread(work) == b"60"

    asyncio.run(run())
    assert served == list(range(60))


def record(message: bytes) -> bytes:
    return struct.pack(">I", 0x80000000 | len(message)) + message


def call_back(sock: socket.socket) -> bytes:
    """A server that, asked anything, first calls READ of the client, and answers with the client's answer."""
    with sock.accept()[0] as connection:
        connection.settimeout(20)
        asked = connection.recv(1000)
        connection.sendall(record(struct.pack(">13I", 77, 0, 2, 9999, 2, 2, 0, 0, 0, 0, 1, 0, 1)))
        answer = connection.recv(1000)
        connection.sendall(record(asked[4:8] + struct.pack(">5I", 1, 0, 0, 0, 0) + answer[28:]))
        connection.recv(1)
        return answer


class Ours(FILEREADWRITE_2_service):
    def WRITE(self, arg, call):
        return None

    def READ(self, arg, call):
        return b"from the client"


EXPECTED = record(struct.pack(">7I", 77, 1, 0, 0, 0, 0, 15) + b"from the client\0")


def test_a_blocking_client_serves_on_its_own_connection():
    from concurrent.futures import ThreadPoolExecutor

    with socket.create_server(("127.0.0.1", 0)) as sock, ThreadPoolExecutor(1) as pool:
        seen = pool.submit(call_back, sock)
        serves = Dispatcher([Binding(Ours())], [NoneAuthenticator()])
        with client_tcp.connect_tcp("127.0.0.1", sock.getsockname()[1], serves=serves) as client:
            assert FILEREADWRITE_2_client(client).READ(readargs(5, 0, 1)) == b"from the client"
        assert seen.result(20) == EXPECTED


def test_an_asyncio_client_serves_on_its_own_connection():
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            seen = asyncio.create_task(asyncio.to_thread(call_back, sock))
            serves = AsyncDispatcher([Binding(Ours())], [NoneAuthenticator()])
            async with await connect_tcp("127.0.0.1", sock.getsockname()[1], serves=serves) as client:
                assert await FILEREADWRITE_2_client(client).READ(readargs(5, 0, 1)) == b"from the client"
            assert await seen == EXPECTED

    asyncio.run(run())


def test_calls_to_a_client_that_serves_nothing_are_ignored():
    def server(sock: socket.socket) -> None:
        with sock.accept()[0] as connection:
            asked = connection.recv(1000)
            call = struct.pack(">10I", 77, 0, 2, 9999, 2, 0, 0, 0, 0, 0)
            connection.sendall(record(call) + record(asked[4:8] + struct.pack(">6I", 1, 0, 0, 0, 0, 0)))
            connection.recv(1)

    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            task = asyncio.create_task(asyncio.to_thread(server, sock))
            async with await connect_tcp("127.0.0.1", sock.getsockname()[1], policy=AT_LEAST_ONCE) as client:
                assert await client.call(READ, (readargs(1, 0, 1),)) == b""
            await task

    asyncio.run(run())
