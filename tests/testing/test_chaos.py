"""The bad network as a proxy, between raw sockets."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from nfsrpc.testing.chaos import Chaos
from nfsrpc.testing.faults import Faults
from nfsrpc.transport.endpoints import bind

pytestmark = pytest.mark.hostile

NONE = Faults()


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A UDP and TCP server that sends back what it gets, with the sender's port in front over UDP."""
    (endpoint,) = bind("127.0.0.1", 0)
    with endpoint.tcp as tcp, endpoint.udp as udp:
        tcp.setblocking(True)
        udp.setblocking(True)

        def datagrams() -> None:
            with contextlib.suppress(OSError):
                while (received := udp.recvfrom(65536))[0] != b"stop":
                    udp.sendto(b"%d " % received[1][1] + received[0], received[1])

        def streams() -> None:
            while (connection := tcp.accept()[0]).recv(4, socket.MSG_PEEK) != b"stop":
                threading.Thread(target=copy, args=(connection,), daemon=True).start()
            connection.close()

        def copy(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                while data := connection.recv(65536):
                    connection.sendall(data)

        threads = [threading.Thread(target=target) for target in (datagrams, streams)]
        for thread in threads:
            thread.start()
        yield tcp.getsockname()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"stop", udp.getsockname())
        with socket.create_connection(tcp.getsockname()) as end:
            end.sendall(b"stop")
        for thread in threads:
            thread.join(10)


def udp_client(chaos: Chaos) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.connect(chaos.address)
    sock.settimeout(10)
    return sock


def test_datagrams_pass_and_each_client_has_a_port_of_its_own_towards_the_server(echo: tuple[str, int]) -> None:
    with Chaos(echo, up=NONE, down=NONE) as chaos, udp_client(chaos) as one, udp_client(chaos) as two:
        ports = []
        for client in (one, two, one):
            client.send(b"hello")
            port, data = client.recv(100).split()
            assert data == b"hello"
            ports.append(port)
    assert ports[0] == ports[2] != ports[1]


def test_both_directions_are_struck(echo: tuple[str, int]) -> None:
    seen: list[tuple[str, bytes]] = []
    faults = Faults(duplicate=1, pause=0.01)
    with (
        Chaos(echo, up=faults, down=faults, observe=lambda way, data: seen.append((way, data))) as chaos,
        udp_client(chaos) as client,
    ):
        client.send(b"once")
        assert [client.recv(100).split()[1] for _ in range(4)] == [b"once"] * 4
        assert chaos.counts("up")["duplicate"] == 1
        assert chaos.counts("down")["duplicate"] == 2
    assert [way for way, _ in seen] == ["up", "down", "down"]


def test_a_message_that_nothing_overtakes_is_let_go_in_the_end(echo: tuple[str, int]) -> None:
    with Chaos(echo, up=Faults(reorder=1, pause=0.01), down=NONE) as chaos, udp_client(chaos) as client:
        client.send(b"alone")
        assert client.recv(100).endswith(b"alone")


def test_a_stream_survives_splits_and_delays(echo: tuple[str, int]) -> None:
    data = bytes(range(256)) * 4000
    bad = Faults(split=1, delay=0.5, pause=0.002)
    with Chaos(echo, up=bad, down=bad) as chaos, socket.create_connection(chaos.address, 10) as client:
        sender = threading.Thread(target=client.sendall, args=(data,))
        sender.start()
        received = b""
        while len(received) < len(data):
            received += client.recv(65536)
        sender.join(10)
    assert received == data


@pytest.mark.parametrize("faults", [Faults(cut=1), Faults(truncate=1)], ids=["cut", "truncate"])
def test_a_stream_that_is_cut_ends_at_both_sides(echo: tuple[str, int], faults: Faults) -> None:
    with Chaos(echo, up=faults, down=NONE) as chaos, socket.create_connection(chaos.address, 10) as client:
        client.sendall(b"x" * 100)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while data := client.recv(100):
                received += data
        assert len(received) < 100


def test_a_server_that_is_not_there_closes_the_connection() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        place = unused.getsockname()
    with Chaos(place, up=NONE, down=NONE) as chaos, socket.create_connection(chaos.address, 10) as client:
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
        with udp_client(chaos) as datagrams:
            datagrams.send(b"to nobody")
            datagrams.send(b"to nobody")


def test_the_command(echo: tuple[str, int]) -> None:
    command = [sys.executable, "-m", "nfsrpc.testing", f"127.0.0.1:{echo[1]}"]
    command += ["--up", "duplicate=1,pause=0", "--seed", "7"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        place, _, rest = process.stdout.readline().partition(" ")
        assert rest.strip() == f"leads to 127.0.0.1:{echo[1]}, seed 7"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.connect(("127.0.0.1", int(place.partition(":")[2])))
            client.send(b"x")
            client.recv(100)
            client.recv(100)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read().splitlines() == ["up: duplicate 1, passed 2", "down: passed 2"]
        assert process.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "is not HOST:PORT"),
        (["h:1", "--up", "lose=1"], "no such fault"),
        (["h:1", "--listen", "x"], "is not HOST:PORT"),
    ],
)
def test_mistakes_of_the_command(arguments: list[str], words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nfsrpc.testing", *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert words in done.stderr
