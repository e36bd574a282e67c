"""RPC-with-TLS (RFC 9289): probe, handshake, certificates, policy, and bytes slipped in behind the probe."""

import asyncio
import contextlib
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from certificates import make_certificates
from in_threads import awaiting, looping

from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_client, FILEREADWRITE_2_service, readargs
from nfsrpc.rpc.dispatch import Binding
from nfsrpc.rpc.errors import AuthRefused, RpcError
from nfsrpc.rpc.retry import MAYBE
from nfsrpc.transport import Server
from nfsrpc.transport.aio_server import AsyncServer
from nfsrpc.transport.aio_tcp import connect_tcp as connect_async
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.transport.tls import Channel, ClientTls, ServerStream, TlsFailed, client_context, server_context
from nfsrpc.xdr import DEFAULT_LIMITS


def w(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def record(message: bytes) -> bytes:
    return w(0x80000000 | len(message)) + message


PROBE = w(7, 0, 2, 9999, 2, 0, 7, 0, 0, 0)
STARTTLS = bytes.fromhex("00000007 00000001 00000000 00000000 00000008 5354415254544c53 00000000")
NULL = w(8, 0, 2, 9999, 2, 0, 0, 0, 0, 0)
BADCRED = w(1, 1, 1, 1)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("keys"))


class Who(FILEREADWRITE_2_service):
    """READ says what the server knows of the caller's TLS."""

    def WRITE(self, arg, call):
        return None

    def READ(self, arg, call):
        return repr(call.peer.tls).encode() * max(1, arg.length)


Start = Callable[..., int]


@pytest.fixture(params=["loop", "asyncio"])
def start(request, keys: Path) -> Iterator[Start]:
    """Serve with TLS, from the readiness loop or from asyncio; the port."""

    def context(mutual: bool) -> ssl.SSLContext:
        return server_context(str(keys / "server.pem"), str(keys / "server.key"), str(keys / "ca.pem"), mutual)

    def start(*, tls: bool = True, required: bool = False, mutual: bool = False, host: str = "127.0.0.1") -> int:
        binding = Binding(Who(), tls_required=required)
        secure = context(mutual) if tls else None
        if request.param == "loop":
            server = Server(lambda: [binding], [(host, 0)], tls=secure)
            stack.callback(server.close)
            stack.enter_context(looping(server.loop()))
            return server.ports[0]
        ours = AsyncServer([binding], host, tls=secure)
        stack.enter_context(awaiting(ours))
        return ours.port

    with contextlib.ExitStack() as stack:
        yield start


def tls(keys: Path, own: str | None = None, authority: str = "ca") -> ClientTls:
    files = () if own is None else (str(keys / f"{own}.pem"), str(keys / f"{own}.key"))
    return ClientTls(client_context(str(keys / f"{authority}.pem"), *files), 9999, 2)


def read_blocking(port: int, length: int = 1, host: str = "127.0.0.1", **options: Any) -> bytes:
    with connect_tcp(host, port, timeout=20, **options) as client:
        return FILEREADWRITE_2_client(client).READ(readargs(1, 0, length))


def read_async(port: int, length: int = 1, host: str = "127.0.0.1", **options: Any) -> bytes:
    async def run() -> bytes:
        async with await connect_async(host, port, timeout=20, **options) as client:
            return await FILEREADWRITE_2_client(client).READ(readargs(1, 0, length))

    return asyncio.run(run())


@pytest.fixture(params=[read_blocking, read_async], ids=["blocking", "asyncio"])
def read(request) -> Callable[..., bytes]:
    return request.param


def test_calls_inside_tls(start, keys, read):
    port = start()
    assert read(port) == b"None"
    assert read(port, tls=tls(keys)) == b"''"
    assert read(port, tls=tls(keys, "client")) == b"'client.example'"
    assert read(port, 100, tls=tls(keys)) == b"''" * 100


def test_calls_inside_tls_over_ipv6(start, keys, read):
    """The certificate bears the address that was connected to."""
    assert read(start(host="::1", required=True), host="::1", tls=tls(keys)) == b"''"


def test_required_tls_refuses_clear_text(start, keys, read):
    port = start(required=True)
    with pytest.raises(AuthRefused) as refused:
        read(port)
    assert refused.value.stat == 5
    assert read(port, tls=tls(keys)) == b"''"
    with connect_udp("127.0.0.1", port, timeout=20) as client, pytest.raises(AuthRefused):
        FILEREADWRITE_2_client(client).READ(readargs(1, 0, 1))


def test_mutual_tls_wants_a_certificate_of_the_authority(start, keys, read):
    port = start(mutual=True)
    assert read(port, tls=tls(keys, "client")) == b"'client.example'"
    for own in (None, "stranger"):
        with pytest.raises(RpcError):
            read(port, tls=tls(keys, own), policy=MAYBE)


def test_a_client_that_wants_tls_never_speaks_in_clear_text(start, keys, read):
    port = start(tls=False)
    with pytest.raises(TlsFailed, match="does not offer TLS"):
        read(port, tls=tls(keys))


def test_a_server_that_cannot_prove_its_name_is_refused(start, keys, read):
    port = start()
    with pytest.raises(TlsFailed, match="VERIFY_FAILED"):
        read(port, tls=tls(keys, authority="stranger"))
    elsewhere = ClientTls(client_context(str(keys / "ca.pem")), 9999, 2, host="other.example")
    with pytest.raises(TlsFailed, match="VERIFY_FAILED"):
        read(port, tls=elsewhere)


def still_open(port: int, data: bytes, size: int) -> bytes:
    """The `size` bytes that the server says to `data`; then it is quiet, and does not close."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(data)
        said = b""
        while len(said) < size:
            more = sock.recv(1000)
            assert more, said
            said += more
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.recv(1000)
        return said


def closed(port: int, data: bytes) -> bytes:
    """What the server says to `data` before it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(data)
        said = b""
        with contextlib.suppress(ConnectionResetError):  # the close came while bytes of ours were unread
            while more := sock.recv(1000):
                said += more
        return said


def test_the_probe_is_answered_as_the_rfc_shows(start):
    wanted = record(STARTTLS)
    assert still_open(start(), record(PROBE), len(wanted)) == wanted


@pytest.mark.parametrize("behind", [record(NULL), record(NULL)[:10], b"\x80", record(PROBE)])
def test_bytes_slipped_in_behind_the_probe_end_the_connection(start, behind):
    assert closed(start(), record(PROBE) + behind) == b""


def test_clear_text_after_the_probe_ends_the_connection(start):
    port = start()
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(record(PROBE))
        assert sock.recv(100) == record(STARTTLS)
        sock.sendall(record(NULL))
        said = b""
        with contextlib.suppress(ConnectionResetError):  # the close came while bytes of ours were unread
            while more := sock.recv(1000):
                said += more
        assert record(w(8, 1, 0, 0, 0, 0)) not in said


@pytest.mark.parametrize(
    "probe",
    [w(7, 0, 2, 9999, 2, 1, 7, 0, 0, 0), w(7, 0, 2, 9999, 2, 0, 7, 4, 0, 0, 0)],
    ids=["procedure 1", "with a body"],
)
def test_the_flavour_on_anything_but_a_probe_is_refused(start, probe):
    wanted = record(w(7) + BADCRED)
    assert still_open(start(), record(probe), len(wanted)) == wanted


FORGED = bytes.fromhex("1703030020") + bytes(32)
"""A TLS record that nobody has sealed."""


def shaken(authority: Path, feed: Callable[[bytes], bytes]) -> Channel:
    """A client's channel to who answers what he is fed."""
    channel = Channel(client_context(str(authority)), "localhost")
    answer = b""
    while not channel.established:
        channel.feed(answer)
        answer = feed(channel.take())
    return channel


def test_no_reply_can_follow_what_is_not_genuine(keys):
    stream = ServerStream(DEFAULT_LIMITS, server_context(str(keys / "server.pem"), str(keys / "server.key")))
    assert stream.feed(record(PROBE)) == []
    assert stream.urgent() == [w(0x80000000 | len(STARTTLS)), STARTTLS]

    def feed(data: bytes) -> bytes:
        assert stream.feed(data) == []
        return b"".join(stream.urgent())

    client = shaken(keys / "ca.pem", feed)
    client.write(record(NULL))
    assert stream.feed(client.take()) == [NULL]
    with pytest.raises(TlsFailed):
        stream.feed(FORGED)
    with pytest.raises(TlsFailed):
        stream.seal([w(8, 1, 0, 0, 0, 0)])


def test_a_reply_behind_what_is_not_genuine_ends_its_connection_alone(keys, caplog):
    """The reply of an asyncio service is late, and the peer has sent rubbish meanwhile."""
    context = server_context(str(keys / "server.pem"), str(keys / "server.key"))
    asked, answer = threading.Event(), threading.Event()

    class Late(FILEREADWRITE_2_service):
        async def READ(self, arg, call):
            asked.set()
            await asyncio.to_thread(answer.wait, 20)
            return b"late"

        async def WRITE(self, arg, call):
            return None

    with awaiting(server := AsyncServer([Binding(Late())], "127.0.0.1", tls=context)):
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:

            def feed(data: bytes) -> bytes:
                sock.sendall(data)
                return sock.recv(10000) if data else b""

            assert feed(record(PROBE)) == record(STARTTLS)
            client = shaken(keys / "ca.pem", feed)
            client.write(record(w(8, 0, 2, 9999, 2, 2, 0, 0, 0, 0, 1, 0, 1)))
            sock.sendall(client.take())
            assert asked.wait(20)
            sock.sendall(FORGED)
            with contextlib.suppress(TlsFailed):
                client.feed(sock.recv(10000))  # its alert: the server has seen it
            answer.set()
            with contextlib.suppress(ConnectionResetError):
                while sock.recv(10000):
                    continue
        assert read_blocking(server.port, tls=tls(keys)) == b"late"
    assert not [entry for entry in caplog.records if entry.exc_info]


def test_no_tls_below_1_3_and_none_without_alpn(start, keys):
    port = start()
    for break_it in (
        lambda context: setattr(context, "maximum_version", ssl.TLSVersion.TLSv1_2),
        lambda context: context.set_alpn_protocols(["http/1.1"]),
    ):
        context = ssl.create_default_context(cafile=str(keys / "ca.pem"))
        break_it(context)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            sock.sendall(record(PROBE))
            assert sock.recv(100) == record(STARTTLS)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                inside = context.wrap_socket(sock, server_hostname="localhost")
                inside.sendall(record(NULL))
                if not inside.recv(100):
                    raise ConnectionError


def test_an_independent_tls_speaks_to_us(start, keys):
    """Python's own ssl on a socket, instead of ours on bytes."""
    context = ssl.create_default_context(cafile=str(keys / "ca.pem"))
    context.set_alpn_protocols(["sunrpc"])
    with socket.create_connection(("127.0.0.1", start()), timeout=20) as sock:
        sock.sendall(record(PROBE))
        assert sock.recv(100) == record(STARTTLS)
        with context.wrap_socket(sock, server_hostname="localhost") as inside:
            assert (inside.version(), inside.selected_alpn_protocol()) == ("TLSv1.3", "sunrpc")
            inside.sendall(record(NULL))
            assert inside.recv(100) == record(w(8, 1, 0, 0, 0, 0))
            inside.sendall(record(PROBE))
            assert inside.recv(100) == record(w(7) + BADCRED)
            # Told that nothing more comes, the server closes; some versions of Python say so as an error.
            try:
                left = inside.unwrap().recv(100)
            except (ssl.SSLError, ConnectionError):
                left = b""
            assert left == b""


@pytest.mark.parametrize(("own", "name"), [(None, b"''"), ("client", b"'client.example'")])
def test_gnutls_speaks_to_us(start, keys, own, name):
    """A second TLS stack, with a probe of ours: gnutls-cli goes into TLS on SIGALRM, on the same connection."""
    if shutil.which("gnutls-cli") is None:
        pytest.skip("not on this machine: gnutls-bin")
    command = ["gnutls-cli", "--starttls", "--alpn", "sunrpc", "--x509cafile", keys / "ca.pem",
               "--logfile", "/dev/null", "--port", str(start(mutual=own is not None))]  # fmt: skip
    if own is not None:
        command += ["--x509certfile", keys / f"{own}.pem", "--x509keyfile", keys / f"{own}.key"]
    read = w(9, 0, 2, 9999, 2, 2, 0, 0, 0, 0, 1, 0, 1)
    result = w(len(name)) + name + bytes(-len(name) % 4)
    with subprocess.Popen(
        [*command, "localhost"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as gnutls:
        gnutls.stdin.write(record(PROBE))
        assert exactly(gnutls.stdout, record(STARTTLS))
        gnutls.send_signal(signal.SIGALRM)
        assert gnutls.stderr.readline() == b"*** Starting TLS handshake\n"
        gnutls.stdin.write(record(NULL))
        assert exactly(gnutls.stdout, record(w(8, 1, 0, 0, 0, 0)))
        gnutls.stdin.write(record(read))
        assert exactly(gnutls.stdout, record(w(9, 1, 0, 0, 0, 0) + result))
        gnutls.stdin.close()
        assert gnutls.wait(20) == 0


def exactly(stream: IO[bytes], wanted: bytes) -> bool:
    """Whether `wanted` is what comes next, in however many pieces."""
    said = b""
    while len(said) < len(wanted) and (more := stream.read(len(wanted) - len(said))):
        said += more
    return said == wanted


def test_a_server_that_goes_on_in_clear_text_is_not_believed(keys, read):
    def act(listener: socket.socket) -> None:
        with listener.accept()[0] as sock:
            call = sock.recv(1000)
            sock.sendall(record(call[4:8] + STARTTLS[4:]) + record(b"injected"))
            sock.recv(1000)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=act, args=(listener,))
        thread.start()
        with pytest.raises(TlsFailed, match="clear text"):
            read(listener.getsockname()[1], tls=tls(keys))
        thread.join()


def test_a_key_that_wants_a_password_is_an_error(keys, tmp_path):
    locked = tmp_path / "locked.key"
    subprocess.run(["openssl", "ec", "-aes128", "-passout", "pass:secret", "-in", keys / "server.key", "-out", locked],
                   check=True, capture_output=True, timeout=60)  # fmt: skip
    with pytest.raises(ValueError, match="password"):
        server_context(str(keys / "server.pem"), str(locked))


def test_a_key_that_cannot_be_read_is_an_error(keys, tmp_path):
    with pytest.raises(OSError, match="No such file"):
        client_context(str(keys / "ca.pem"), str(keys / "client.pem"), str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="authority"):
        server_context(str(keys / "server.pem"), str(keys / "server.key"), mutual=True)
