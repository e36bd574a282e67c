"""The blocking clients against servers of raw sockets and hand-written bytes."""

import contextlib
import errno
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nfsrpc.auth import SysCredential
from nfsrpc.rpc.calls import PendingCall
from nfsrpc.rpc.errors import AuthRefused, BadReply, Disconnected, RecordError, RpcError, RpcTimeout
from nfsrpc.rpc.retry import MAYBE, RetryPolicy
from nfsrpc.transport.address import HostUnknown
from nfsrpc.transport.client import Client
from nfsrpc.transport.client_tcp import TcpClient, connect_tcp
from nfsrpc.transport.client_udp import MessageTooLong, UdpClient, connect_udp
from nfsrpc.transport.ping import null_procedure, ping
from nfsrpc.xdr import Limits, Procedure

FAST = RetryPolicy(first=0.02, factor=1, ceiling=0.02, jitter=0)


def encode_blob(args: tuple[bytes], out: list[bytes]) -> None:
    out.append(args[0])


def decode_blob(data: bytes, pos: int, limits: Limits) -> tuple[bytes, int]:
    return data[pos:], len(data)


ECHO = Procedure(9999, 2, 7, "ECHO", encode_blob, decode_blob, lambda value, out: out.append(value), decode_blob)
HEADER = 40
"""Bytes of a call's header with AUTH_NONE."""


def success(xid: bytes, body: bytes) -> bytes:
    return xid + bytes.fromhex("00000001 00000000 00000000 00000000 00000000") + body


def answer(call: bytes) -> bytes:
    """The reply to a call of ECHO."""
    return success(call[:4], call[HEADER:])


def record(message: bytes) -> bytes:
    return struct.pack(">I", 0x80000000 | len(message)) + message


class Script:
    """A server in a thread of its own: `act` gets the server's socket; what it raises fails the test."""

    def __init__(self, sock: socket.socket, act: Callable[[socket.socket], None]) -> None:
        self.sock = sock
        self.port: int = sock.getsockname()[1]
        self._pool = ThreadPoolExecutor(1)
        self._done = self._pool.submit(act, sock)

    def finish(self) -> None:
        self._done.result(timeout=20)
        self._pool.shutdown()


@contextlib.contextmanager
def udp_server(act: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        sock.settimeout(10)
        script = Script(sock, act)
        yield script.port
        script.finish()


@contextlib.contextmanager
def tcp_server(act: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as sock:
        sock.settimeout(10)
        script = Script(sock, act)
        yield script.port
        script.finish()


@contextlib.contextmanager
def accepted(listener: socket.socket) -> Iterator[socket.socket]:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        yield connection


def read_exactly(connection: socket.socket, size: int) -> bytes:
    """`size` bytes, or fewer at the end of the stream."""
    data = b""
    while len(data) < size and (more := connection.recv(size - len(data))):
        data += more
    return data


def read_record(connection: socket.socket) -> bytes:
    """One record of one fragment; b"" at the end of the stream."""
    head = read_exactly(connection, 4)
    if len(head) < 4:
        return b""
    (mark,) = struct.unpack(">I", head)
    assert mark & 0x80000000, "the client sends one fragment a record"
    return read_exactly(connection, mark & 0x7FFFFFFF)


def unused_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


# --- UDP


def test_a_udp_call_is_one_datagram_with_the_credential_in_it() -> None:
    seen = []

    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        seen.append(call)
        sock.sendto(success(call[:4], b"pong"), client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port, credential=SysCredential(1, 2, [3], b"sun")) as client:
        assert client.call(ECHO, (b"ping",)) == b"pong"
    (call,) = seen
    assert call[4:24] == struct.pack(">5I", 0, 2, 9999, 2, 7)
    flavor, length = struct.unpack_from(">2I", call, 24)
    assert (flavor, length) == (1, 28)
    assert call[36:36 + 24] == bytes.fromhex("00000003 73756e00 00000001 00000002 00000001 00000003")
    assert call[60:] == bytes(8) + b"ping"


def test_a_lost_datagram_is_sent_again_byte_for_byte() -> None:
    seen = []

    def act(sock: socket.socket) -> None:
        for _ in range(3):
            call, client = sock.recvfrom(65536)
            seen.append(call)
        sock.sendto(answer(call), client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port, policy=FAST) as client:
        assert client.call(ECHO, (b"once",)) == b"once"
    assert len(seen) == 3
    assert len(set(seen)) == 1


def test_maybe_sends_one_datagram_and_gives_up_at_the_deadline() -> None:
    seen = []

    def act(sock: socket.socket) -> None:
        seen.append(sock.recv(65536))
        sock.settimeout(0.3)
        with contextlib.suppress(TimeoutError):
            seen.append(sock.recv(65536))

    with (
        udp_server(act) as port,
        connect_udp("127.0.0.1", port, policy=MAYBE, timeout=0.1) as client,
        pytest.raises(RpcTimeout, match="sent once"),
    ):
        client.call(ECHO, (b"once",))
    assert len(seen) == 1


def test_foreign_xids_calls_and_rubbish_are_ignored_over_udp() -> None:
    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        foreign = struct.pack(">I", struct.unpack(">I", call[:4])[0] ^ 1)
        for stray in (b"", b"x", call, success(foreign, b"wrong"), call[:4], call[:4] + bytes(4)):
            sock.sendto(stray, client)
        sock.sendto(answer(call), client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port) as client:
        assert client.call(ECHO, (b"right",)) == b"right"


@pytest.mark.hostile
def test_a_reply_from_another_address_is_ignored_over_udp() -> None:
    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            other.sendto(success(call[:4], b"forged"), client)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.2", sock.getsockname()[1]))
            other.sendto(success(call[:4], b"forged"), client)
        sock.sendto(answer(call), client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port) as client:
        assert client.call(ECHO, (b"right",)) == b"right"


def test_a_late_reply_does_not_disturb_later_calls() -> None:
    gave_up = threading.Event()

    def act(sock: socket.socket) -> None:
        late, client = sock.recvfrom(65536)
        gave_up.wait(10)
        current, _ = sock.recvfrom(65536)
        sock.sendto(answer(late), client)
        sock.sendto(answer(current), client)
        current, _ = sock.recvfrom(65536)
        sock.sendto(answer(current), client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port, policy=MAYBE) as client:
        with pytest.raises(RpcTimeout):
            client.call(ECHO, (b"late",), timeout=0.05)
        gave_up.set()
        assert client.call(ECHO, (b"two",)) == b"two"
        assert client.call(ECHO, (b"three",)) == b"three"


@contextlib.contextmanager
def refused(**how: Any) -> Iterator[tuple[int, Client]]:
    """A port on which nobody listens any more, and a client of it, which has another one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        port = gone.getsockname()[1]
        client = connect_udp("127.0.0.1", port, policy=FAST, **how)
    with client:
        yield port, client


def test_a_refused_port_is_tried_until_the_server_is_there() -> None:
    with refused() as (port, client):
        call = client.submit(ECHO, (b"early",))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", port))
            sock.settimeout(10)

            def act(server: socket.socket) -> None:
                message, peer = server.recvfrom(65536)
                server.sendto(answer(message), peer)

            script = Script(sock, act)
            assert client.wait(call) == b"early"
            script.finish()


def test_a_port_that_stays_refused_is_a_timeout_that_says_so() -> None:
    with refused(timeout=0.2) as (_, client), pytest.raises(RpcTimeout, match="Connection refused"):
        client.call(ECHO, (b"",))


def test_the_next_address_of_a_host_is_tried_when_one_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        sock.sendto(answer(call), client)

    with udp_server(act) as port:
        both = [
            (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", port)),
        ]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: both)
        with connect_udp("twice.example", port, policy=MAYBE, timeout=5) as client:
            assert client.call(ECHO, (b"v4",)) == b"v4"
            assert client.peer == f"127.0.0.1:{port}"


@pytest.mark.parametrize("connect", [connect_udp, connect_tcp])
def test_ipv6(connect: Callable[..., Client]) -> None:
    def datagrams(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        sock.sendto(answer(call), client)

    def stream(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            connection.sendall(record(answer(read_record(connection))))

    server = udp_server(datagrams, "::1") if connect is connect_udp else tcp_server(stream, "::1")
    with server as port, connect("::1", port) as client:
        assert client.call(ECHO, (b"six",)) == b"six"
        assert client.peer == f"[::1]:{port}"


def test_a_call_too_long_for_a_datagram_says_so_at_once() -> None:
    with (
        connect_udp("127.0.0.1", unused_port(socket.SOCK_DGRAM)) as client,
        pytest.raises(MessageTooLong, match="65548 bytes"),
    ):
        client.call(ECHO, (bytes(65508),))


def test_the_largest_datagram_goes_both_ways() -> None:
    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        sock.sendto(answer(call), client)

    body = bytes(range(256)) * 255
    with udp_server(act) as port, connect_udp("127.0.0.1", port) as client:
        assert client.call(ECHO, (body,)) == body


def test_a_denied_reply_with_a_body_is_a_typed_error_over_udp() -> None:
    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        sock.sendto(call[:4] + struct.pack(">4I", 1, 1, 1, 5) + b"not to be decoded", client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port) as client, pytest.raises(AuthRefused) as refused:
        client.call(ECHO, (b"",))
    assert refused.value.stat == 5


@pytest.mark.hostile
def test_a_truncated_reply_is_a_bad_reply_not_a_hang() -> None:
    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        sock.sendto(answer(call)[:16], client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port) as client, pytest.raises(BadReply):
        client.call(ECHO, (b"",))


# --- several calls


def test_calls_in_flight_are_answered_in_any_order_over_udp() -> None:
    def act(sock: socket.socket) -> None:
        calls = [sock.recvfrom(65536) for _ in range(8)]
        for call, client in reversed(calls):
            sock.sendto(answer(call), client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port) as client:
        calls = [client.submit(ECHO, (b"%d" % number,)) for number in range(8)]
        assert [client.wait(call) for call in calls] == [b"%d" % number for number in range(8)]


@pytest.mark.parametrize("connect", [connect_udp, connect_tcp])
def test_threads_share_a_client(connect: Callable[..., Client]) -> None:
    def datagrams(sock: socket.socket) -> None:
        for _ in range(400):
            call, client = sock.recvfrom(65536)
            sock.sendto(answer(call), client)

    def stream(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            for _ in range(400):
                connection.sendall(record(answer(read_record(connection))))

    def work(client: Client, worker: int) -> None:
        for number in range(50):
            body = b"%d %d" % (worker, number)
            assert client.call(ECHO, (body,)) == body

    server = udp_server(datagrams) if connect is connect_udp else tcp_server(stream)
    with server as port, connect("127.0.0.1", port) as client, ThreadPoolExecutor(8) as pool:
        for result in [pool.submit(work, client, worker) for worker in range(8)]:
            result.result(timeout=30)


def test_a_thread_that_reads_for_others_lets_a_shorter_deadline_pass_on_time() -> None:
    release = threading.Event()

    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        sock.recvfrom(65536)
        release.wait(10)
        sock.sendto(answer(call), client)

    with (
        udp_server(act) as port,
        connect_udp("127.0.0.1", port, policy=MAYBE) as client,
        ThreadPoolExecutor(1) as pool,
    ):
        patient = pool.submit(client.call, ECHO, (b"patient",), timeout=20)
        while not client._reading:
            threading.Event().wait(0.001)
        with pytest.raises(RpcTimeout):
            client.call(ECHO, (b"hasty",), timeout=0.05)
        release.set()
        assert patient.result(timeout=10) == b"patient"


def test_closing_fails_what_is_pending_in_other_threads() -> None:
    def act(sock: socket.socket) -> None:
        sock.recvfrom(65536)

    with udp_server(act) as port, ThreadPoolExecutor(1) as pool:
        client = connect_udp("127.0.0.1", port, policy=MAYBE)
        waiting = pool.submit(client.call, ECHO, (b"",))
        while not client._reading:
            threading.Event().wait(0.001)
        client.close()
        with pytest.raises(Disconnected, match="closed"):
            waiting.result(timeout=10)
        with pytest.raises(Disconnected, match="closed"):
            client.call(ECHO, (b"",))
        client.close()


# --- TCP


def test_a_tcp_call_is_one_record_of_one_fragment() -> None:
    seen = []

    def act(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            seen.append(read_record(connection))
            connection.sendall(record(answer(seen[0])))

    with tcp_server(act) as port, connect_tcp("127.0.0.1", port) as client:
        assert client.call(ECHO, (b"ping",)) == b"ping"
    assert seen[0][4:HEADER] == struct.pack(">5I", 0, 2, 9999, 2, 7) + bytes(16)


@pytest.mark.hostile
def test_a_reply_in_many_fragments_and_single_bytes() -> None:
    def act(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            reply = answer(read_record(connection))
            stream = b"".join(struct.pack(">I", 1) + reply[at : at + 1] for at in range(len(reply)))
            stream += struct.pack(">II", 0, 0x80000000)
            for at in range(len(stream)):
                connection.send(stream[at : at + 1])

    with tcp_server(act) as port, connect_tcp("127.0.0.1", port) as client:
        assert client.call(ECHO, (b"in pieces",)) == b"in pieces"


@pytest.mark.hostile
def test_two_replies_in_one_segment_and_a_foreign_one_between() -> None:
    def act(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            first, second = read_record(connection), read_record(connection)
            stray = success(b"\xde\xad\xbe\xef", b"wrong")
            connection.sendall(record(answer(second)) + record(stray) + record(b"") + record(answer(first)))

    with tcp_server(act) as port, connect_tcp("127.0.0.1", port) as client:
        calls = [client.submit(ECHO, (body,)) for body in (b"one", b"two")]
        assert [client.wait(call) for call in calls] == [b"one", b"two"]


def test_a_lost_connection_is_made_anew_and_the_calls_sent_again_byte_for_byte() -> None:
    seen = []

    def act(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            seen.append([read_record(connection) for _ in range(3)])
            connection.sendall(record(answer(seen[0][1])))
        with accepted(listener) as connection:
            seen.append([read_record(connection) for _ in range(2)])
            for call in seen[1]:
                connection.sendall(record(answer(call)))

    with tcp_server(act) as port, connect_tcp("127.0.0.1", port, policy=FAST) as client:
        calls = [client.submit(ECHO, (body,)) for body in (b"a", b"b", b"c")]
        assert [client.wait(call) for call in calls] == [b"a", b"b", b"c"]
    assert seen[1] == [seen[0][0], seen[0][2]]


def test_an_idle_connection_that_the_server_closed_is_made_anew() -> None:
    def act(listener: socket.socket) -> None:
        for _ in range(3):
            with accepted(listener) as connection:
                connection.sendall(record(answer(read_record(connection))))

    with tcp_server(act) as port, connect_tcp("127.0.0.1", port, policy=FAST) as client:
        for body in (b"one", b"two", b"three"):
            assert client.call(ECHO, (body,)) == body


def test_maybe_fails_promptly_when_the_connection_is_lost_and_works_again() -> None:
    def act(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            read_record(connection)
        with accepted(listener) as connection:
            connection.sendall(record(answer(read_record(connection))))

    with tcp_server(act) as port, connect_tcp("127.0.0.1", port, policy=MAYBE) as client:
        with pytest.raises(Disconnected):
            client.call(ECHO, (b"never again",))
        assert client.call(ECHO, (b"next",)) == b"next"


def test_a_server_that_stays_away_is_a_timeout_that_says_so() -> None:
    def act(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            listener.close()
            read_record(connection)

    with (
        tcp_server(act) as port,
        connect_tcp("127.0.0.1", port, policy=FAST, timeout=2.0) as client,
        pytest.raises(RpcTimeout, match="Connection refused"),
    ):
        client.call(ECHO, (b"",))


def test_a_server_that_only_closes_is_not_stormed() -> None:
    connections = []
    over = threading.Event()

    def act(listener: socket.socket) -> None:
        listener.settimeout(0.1)
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                listener.accept()[0].close()
                connections.append(1)

    policy = RetryPolicy(first=0.2, factor=1, ceiling=0.2, jitter=0)
    with tcp_server(act) as port:
        with connect_tcp("127.0.0.1", port, policy=policy, timeout=2.0) as client, pytest.raises(RpcTimeout):
            client.call(ECHO, (b"",))
        over.set()
    assert 2 <= len(connections) <= 13


@pytest.mark.parametrize("connect", [connect_udp, connect_tcp])
def test_a_flood_of_foreign_replies_does_not_outlast_the_deadline(connect: Callable[..., Client]) -> None:
    stray = success(b"\xde\xad\xbe\xef", bytes(100))
    over = threading.Event()

    def datagrams(sock: socket.socket) -> None:
        _, client = sock.recvfrom(65536)
        while not over.is_set():
            sock.sendto(stray, client)

    def stream(listener: socket.socket) -> None:
        with accepted(listener) as connection, contextlib.suppress(OSError):
            while not over.is_set():
                connection.sendall(record(stray))

    server = udp_server(datagrams) if connect is connect_udp else tcp_server(stream)
    with server as port, connect("127.0.0.1", port) as client:
        try:
            with pytest.raises(RpcTimeout):
                client.call(ECHO, (b"",), timeout=0.2)
        finally:
            over.set()
            client.close()


def test_nothing_listening_is_said_at_once() -> None:
    with pytest.raises(Disconnected, match="Connection refused"):
        connect_tcp("127.0.0.1", unused_port(socket.SOCK_STREAM))


def test_a_connection_that_does_not_come_about_has_a_deadline() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        full = [socket.socket() for _ in range(4)]
        for other in full:
            other.setblocking(False)
            other.connect_ex(sock.getsockname())
        try:
            with pytest.raises(RpcTimeout, match="Connection timed out"):
                connect_tcp("127.0.0.1", sock.getsockname()[1], connect_timeout=0.1).call(ECHO, (b"",), timeout=0.1)
        finally:
            for other in full:
                other.close()


def test_a_silent_server_is_given_up_at_the_deadline_and_its_connection_dropped() -> None:
    def act(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            read_record(connection)
            assert read_record(connection) == b""
        with accepted(listener) as connection:
            connection.sendall(record(answer(read_record(connection))))

    with tcp_server(act) as port, connect_tcp("127.0.0.1", port, policy=FAST) as client:
        with pytest.raises(RpcTimeout):
            client.call(ECHO, (b"silence",), timeout=0.1)
        assert client.call(ECHO, (b"again",)) == b"again"


@pytest.mark.parametrize(
    "stream",
    [
        struct.pack(">I", 0xFFFFFFFF),
        struct.pack(">I", 0x7FFFFFFF),
        struct.pack(">I", 0) * 2000,
        (struct.pack(">I", 1) + b"x") * 2000,
    ],
    ids=["2 GiB record", "2 GiB fragment", "endless empty fragments", "endless one-byte fragments"],
)
def test_broken_record_marking_ends_every_call(stream: bytes) -> None:
    def act(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            read_record(connection)
            connection.sendall(stream)
            with contextlib.suppress(OSError):
                connection.recv(1)

    with tcp_server(act) as port, connect_tcp("127.0.0.1", port) as client, pytest.raises(RecordError):
        client.call(ECHO, (b"",))


def test_a_reply_over_the_limit_is_refused_before_its_bytes() -> None:
    def act(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            read_record(connection)
            connection.sendall(struct.pack(">I", 0x80000000 | 1001))
            with contextlib.suppress(OSError):
                connection.recv(1)

    with (
        tcp_server(act) as port,
        connect_tcp("127.0.0.1", port, limits=Limits(message=1000)) as client,
        pytest.raises(RecordError),
    ):
        client.call(ECHO, (b"",))


def test_more_calls_than_the_sockets_hold_do_not_block_each_other() -> None:
    """A server reads no further while its replies are not taken: a client that only wrote would stand still with it."""
    body, count = bytes(100_000), 100

    def act(listener: socket.socket) -> None:
        with accepted(listener) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 16)
            for _ in range(count):
                connection.sendall(record(answer(read_record(connection))))

    with tcp_server(act) as port, connect_tcp("127.0.0.1", port) as client:
        calls = [client.submit(ECHO, (body,)) for _ in range(count)]
        assert all(client.wait(call) == body for call in calls)


# --- both


def test_an_unknown_host_is_said_so() -> None:
    for connect in (connect_udp, connect_tcp):
        with pytest.raises(HostUnknown, match=r"no-such-host\.invalid"):
            connect("no-such-host.invalid", 1)


def test_source_ports_are_tried_in_order() -> None:
    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        sock.sendto(success(call[:4], str(client[1]).encode()), client)

    taken = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with taken, udp_server(act) as port:
        taken.bind(("0.0.0.0", 0))
        wanted = unused_port(socket.SOCK_DGRAM)
        ports = [taken.getsockname()[1], wanted]
        with connect_udp("127.0.0.1", port, source_ports=ports) as client:
            assert client.call(ECHO, (b"",)) == str(wanted).encode()


def test_a_source_port_that_was_used_a_moment_ago_is_taken_again_or_passed_over() -> None:
    def act(listener: socket.socket) -> None:
        for _ in range(3):
            with accepted(listener) as connection:
                call = read_record(connection)
                connection.sendall(record(success(call[:4], str(connection.getpeername()[1]).encode())))
                assert read_record(connection) == b""

    with contextlib.ExitStack() as running:
        taken = [running.enter_context(socket.socket()) for _ in range(3)]
        for sock in taken:
            sock.bind(("127.0.0.1", 0))
        ports = [sock.getsockname()[1] for sock in taken]
        port = running.enter_context(tcp_server(act))
        for sock in taken:
            sock.close()
        for _ in range(3):
            with connect_tcp("127.0.0.1", port, source_ports=ports) as client:
                assert int(client.call(ECHO, (b"",))) in ports


def test_ping_calls_procedure_zero() -> None:
    seen = []

    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        seen.append(call)
        sock.sendto(success(call[:4], b""), client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port) as client:
        ping(client, 100003, 2)
    assert seen[0][4:] == struct.pack(">5I", 0, 2, 100003, 2, 0) + bytes(16)


def test_a_void_result_with_bytes_in_it_is_a_bad_reply() -> None:
    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        sock.sendto(success(call[:4], b"1234"), client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port) as client, pytest.raises(BadReply, match="4 bytes"):
        client.call(null_procedure(1, 1), ())


def test_clients_give_back_their_descriptors() -> None:
    def opened() -> int:
        with socket.socket() as probe:
            return probe.fileno()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        before = opened()
        for _ in range(3):
            connect_udp("127.0.0.1", port).close()
            connect_tcp("127.0.0.1", port).close()
        for _ in range(3):
            with pytest.raises(RpcError):
                connect_tcp("127.0.0.1", unused_port(socket.SOCK_STREAM))
        assert opened() == before


def test_the_classes_are_callers_with_a_name_for_their_peer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with connect_udp("127.0.0.1", port) as datagrams, connect_tcp("127.0.0.1", port) as stream:
            assert isinstance(datagrams, UdpClient)
            assert isinstance(stream, TcpClient)
            assert datagrams.peer == stream.peer == f"127.0.0.1:{port}"


@pytest.mark.parametrize("do", ["submit", "submit_all", "post", "call"])
def test_a_closed_client_sends_nothing_and_says_so(do) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        client = connect_udp("127.0.0.1", server.getsockname()[1])
        client.close()
        with pytest.raises(Disconnected, match="closed"):
            getattr(client, do)(ECHO, [(b"",)] if do == "submit_all" else (b"",))
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.recv(1)


class FullAtFirst:
    """An association through which one message can leave at a time, and then none until somebody has waited."""

    def __init__(self, association: Any) -> None:
        self._association = association
        self.sent: list[int] = []

    def send(self, calls: list[PendingCall]) -> list[tuple[PendingCall, OSError]]:
        first, *others = calls
        self.sent.append(len(others) + 1)
        return self._association.send([first]) + [(call, BlockingIOError(errno.EAGAIN, "full")) for call in others]

    def receive(self, most: int, messages: list[bytes]) -> None:
        self._association.receive(most, messages)


@pytest.mark.interpreted
def test_calls_that_find_the_queue_full_leave_when_there_is_room() -> None:
    def act(sock: socket.socket) -> None:
        for _ in range(4):
            call, client = sock.recvfrom(65536)
            sock.sendto(answer(call), client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port, policy=MAYBE, timeout=20) as client:
        client._association = full = FullAtFirst(client._association)
        bodies = [b"%d" % number for number in range(4)]
        assert [client.wait(call) for call in client.submit_all(ECHO, [(body,) for body in bodies])] == bodies
        assert full.sent == [4, 3, 2, 1]


class FullForEver(FullAtFirst):
    """One through which nothing leaves."""

    def send(self, calls: list[PendingCall]) -> list[tuple[PendingCall, OSError]]:
        self.sent.append(len(calls))
        return [(call, BlockingIOError(errno.EAGAIN, "full")) for call in calls]


@pytest.mark.interpreted
def test_a_queue_that_stays_full_is_as_good_as_a_loss() -> None:
    def act(sock: socket.socket) -> None:
        call, client = sock.recvfrom(65536)
        sock.sendto(answer(call), client)

    with udp_server(act) as port, connect_udp("127.0.0.1", port, policy=FAST, timeout=20) as client:
        working = client._association
        client._association = full = FullForEver(working)
        call = client.submit(ECHO, (b"late",))
        assert full.sent == [1, 1]
        client._association = working
        assert client.wait(call) == b"late"
