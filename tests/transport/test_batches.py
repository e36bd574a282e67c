"""Several datagrams in one system call: the Python that defines it, and the C that takes its place when compiled."""

import errno
import importlib.util
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from nfsrpc.transport import batches as installed
from nfsrpc.transport import datagrams
from nfsrpc.transport.association import BatchedAssociation, associate

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has the two system calls")


def definition() -> ModuleType:
    """batches.py, whatever is imported by its name."""
    path = Path(datagrams.__file__).with_name("batches.py")
    spec = importlib.util.spec_from_file_location("nfsrpc.transport.batches_as_defined", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["installed", "defined"])
def batches(request: pytest.FixtureRequest) -> ModuleType:
    return installed if request.param == "installed" else definition()


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        yield sock


@pytest.fixture
def client(server: socket.socket) -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.connect(server.getsockname())
        yield sock


def sockaddr(sock: socket.socket) -> bytes:
    """The address of an IPv4 socket as the system has it, with zeros behind it."""
    host, port = sock.getsockname()
    family = socket.AF_INET.to_bytes(2, sys.byteorder)
    return (family + port.to_bytes(2, "big") + socket.inet_aton(host)).ljust(installed.NAME, b"\0")


def test_both_have_the_same_numbers(batches) -> None:
    assert (batches.AVAILABLE, batches.COUNT, batches.PARTS, batches.NAME) == (True, 32, 16, 32)


def test_a_datagram_comes_with_the_address_as_the_system_has_it(batches, server, client) -> None:
    incoming = batches.Incoming(server)
    client.send(b"one")
    client.send(b"")
    assert incoming.receive(5) == [(b"one", sockaddr(client)), (b"", sockaddr(client))]


def test_control_messages_come_behind_the_address(batches, server, client) -> None:
    server.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
    client.send(b"one")
    ((message, whence),) = batches.Incoming(server).receive(1)
    assert message == b"one"
    assert whence.startswith(sockaddr(client))
    assert len(whence) == installed.NAME + socket.CMSG_SPACE(12)
    assert socket.inet_aton("127.0.0.1") in whence[installed.NAME :]


def test_one_that_is_connected_knows_its_peer(batches, server, client) -> None:
    client.setblocking(False)
    incoming = batches.Incoming(client)
    server.sendto(b"one", client.getsockname())
    assert incoming.receive(5) == [(b"one", bytes(installed.NAME))]
    assert batches.Outgoing(client).send([([b"on", b"e"], b""), ([b"two"], b"")]) == []
    assert [server.recv(10), server.recv(10)] == [b"one", b"two"]


def test_parts_leave_as_one_datagram(batches, server, client) -> None:
    parts = [b"%x" % number for number in range(installed.PARTS)]
    leaving = [(parts, sockaddr(client)), ([b"x" * 40000, b"y" * 20000], sockaddr(client)), ([], sockaddr(client))]
    assert batches.Outgoing(server).send(leaving) == []
    assert [client.recv(65536) for _ in leaving] == [b"0123456789abcdef", b"x" * 40000 + b"y" * 20000, b""]


def test_those_that_cannot_leave_are_named(batches, server, client) -> None:
    to = sockaddr(client)
    failed = batches.Outgoing(server).send([([bytes(65508)], to), ([b"a"], to), ([bytes(70000)], to), ([b"b"], to)])
    assert [(place, type(error), error.errno, error.strerror) for place, error in failed] == [
        (0, OSError, errno.EMSGSIZE, "Message too long"),
        (2, OSError, errno.EMSGSIZE, "Message too long"),
    ]
    assert [client.recv(10), client.recv(10)] == [b"a", b"b"]


def test_nothing_there_is_an_error_of_the_socket_module(batches, server) -> None:
    with pytest.raises(BlockingIOError):
        batches.Incoming(server).receive(4)


def test_nothing_to_send_sends_nothing(batches, server) -> None:
    assert batches.Outgoing(server).send([]) == []


HERE = bytes(installed.NAME)


@pytest.mark.parametrize(
    "datagrams",
    [
        [([b"a"], HERE)] * (installed.COUNT + 1),
        [([b"a"] * (installed.PARTS + 1), HERE)],
        [([b"a"], HERE[1:])],
        [([b"a"], bytes(1000))],
        [([b"a"], b"")],
    ],
    ids=["too many", "too many parts", "half an address", "more than an address", "no address"],
)
def test_what_cannot_be_sent_is_refused_and_nothing_is_sent(batches, datagrams, server, client) -> None:
    outgoing = batches.Outgoing(server)
    with pytest.raises(ValueError, match=r"COUNT|parts|address"):
        outgoing.send([([b"before"], sockaddr(client)), *datagrams][-installed.COUNT - 1 :])
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)


def test_one_that_is_connected_takes_no_address(batches, server, client) -> None:
    with pytest.raises(ValueError, match="address"):
        batches.Outgoing(client).send([([b"a"], sockaddr(server))])


NATIVE = pytest.mark.skipif(not installed.CHEAP, reason="looks at the C, which is not there where nothing is compiled")


@NATIVE
@pytest.mark.parametrize(
    "datagram",
    [
        None,
        ([b"a"],),
        ((b"a",), HERE),
        ([b"a"], "address"),
        (["a"], HERE),
        ([bytearray(b"a")], HERE),
    ],
)
def test_what_is_no_datagram_is_refused_and_nothing_is_sent(datagram, server, client) -> None:
    with pytest.raises(TypeError):
        installed.Outgoing(server).send([([b"before"], sockaddr(client)), datagram])
    client.setblocking(False)
    with pytest.raises(BlockingIOError):
        client.recv(1)


@NATIVE
@pytest.mark.parametrize("datagrams", [None, ()])
def test_what_is_no_list_is_refused(datagrams, server) -> None:
    with pytest.raises(ValueError, match="list"):
        installed.Outgoing(server).send(datagrams)


def test_what_is_no_socket_is_refused(batches) -> None:
    for made in (batches.Incoming, batches.Outgoing):
        with pytest.raises(AttributeError):
            made("socket")


def test_a_socket_that_waits_for_others_does_not_wait_here(batches, server) -> None:
    server.settimeout(20)
    with pytest.raises(BlockingIOError):
        batches.Incoming(server).receive(1)


def test_a_closed_socket_has_nothing_and_takes_nothing(batches, server, client) -> None:
    incoming, outgoing, to = batches.Incoming(server), batches.Outgoing(server), sockaddr(client)
    server.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        incoming.receive(1)
    assert [(place, error.errno) for place, error in outgoing.send([([b"a"], to)] * 2)] == [
        (0, errno.EBADF),
        (1, errno.EBADF),
    ]


def test_a_batch_of_a_socket_that_is_closed_already_is_as_good(batches, server) -> None:
    server.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        batches.Incoming(server).receive(1)


def test_messages_are_kept_when_others_come(batches, server, client) -> None:
    incoming = batches.Incoming(server)
    sizes = (100, 9000, 65507, 8192, 8193, 0, 8191)
    kept = []
    for size in sizes:
        client.send(bytes([size % 251]) * size)
        kept += incoming.receive(2)
    assert [message for message, _ in kept] == [bytes([size % 251]) * size for size in sizes]


def test_long_messages_of_one_batch_leave_as_they_are(batches, server, client) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    messages = [bytes([number]) * 10000 for number in range(8)]
    outgoing = batches.Outgoing(server)
    assert outgoing.send([([message[:5000], message[5000:]], sockaddr(client)) for message in messages]) == []
    assert [client.recv(65536) for _ in messages] == messages


def test_where_the_package_is_compiled_the_c_is_there_and_used(server, client) -> None:
    compiled = not datagrams.__file__.endswith(".py")
    assert installed.CHEAP is compiled
    assert installed.__file__.endswith(".py") is not compiled
    assert isinstance(datagrams.datagrams(server, wildcard=False), datagrams.BatchedDatagrams) is compiled
    assert isinstance(associate(client), BatchedAssociation) is compiled


@pytest.mark.parametrize("room", [-(10**30), -1, 0])
def test_no_room_takes_nothing(batches, room, server, client) -> None:
    client.send(b"one")
    assert batches.Incoming(server).receive(room) == []
    assert server.recv(10) == b"one"


def test_much_room_takes_a_batch(batches, server, client) -> None:
    for _ in range(installed.COUNT + 1):
        client.send(b"one")
    incoming = batches.Incoming(server)
    assert [len(incoming.receive(10**30)), len(incoming.receive(10**30))] == [installed.COUNT, 1]
