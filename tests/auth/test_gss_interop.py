"""RPCSEC_GSS with libtirpc and MIT's libgssrpc, in both directions."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from auth_peers import LIBGSSRPC, TIRPC, build_with
from kerberos import REALM, Realm
from whoami import ECHO, NULL, WHO, Whoserved

from nfsrpc.auth.gss import GssCredential
from nfsrpc.auth.gss_server import GssAuthenticator
from nfsrpc.auth.idmap import IdMap, Unix
from nfsrpc.rpc.errors import AuthRefused
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp

CONNECT = {"udp": connect_udp, "tcp": connect_tcp}
LIBRARIES = {"libtirpc": TIRPC, "libgssrpc": LIBGSSRPC}
IDMAP = IdMap({f"alice@{REALM}": Unix(1000, 100, ())})
SECURITY = ("krb5", "krb5i", "krb5p")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("gss")


@contextmanager
def c_server(directory, library: str, proto: str) -> Iterator[int]:
    """The port of a C server."""
    program = build_with(directory, "gss_server.c", LIBRARIES[library], f"gss_server_{library}")
    command = [str(program), proto, "nfs@localhost"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield int(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def c_client(directory, library: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = build_with(directory, "gss_client.c", LIBRARIES[library], f"gss_client_{library}")
    return subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("proto", ["udp", "tcp"])
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("workers", [1, 2])
def test_c_clients_call_our_server(realm: Realm, directory, library: str, proto: str, workers: int) -> None:
    with Whoserved([GssAuthenticator(IDMAP)], workers) as served:
        for security in SECURITY:
            done = c_client(directory, library, proto, str(served.port), "nfs@localhost", security, "5")
            assert done.returncode == 0, done.stdout + done.stderr
            assert done.stdout.splitlines() == [f"{security} gss:alice@{REALM} 1000 100 "] * 5


@pytest.mark.parametrize("proto", ["udp", "tcp"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_our_client_calls_c_servers(realm: Realm, directory, library: str, proto: str) -> None:
    with c_server(directory, library, proto) as port:
        for security in SECURITY:
            with CONNECT[proto]("localhost", port, credential=GssCredential(security)) as client:
                client.call(NULL, ())
                assert client.call(WHO, ()) == b"hello from C"
                for length in (1, 2, 3, 1000, 7000):
                    assert client.call(ECHO, (b"x" * length,)) == b"x" * length


@pytest.mark.parametrize("proto", ["udp", "tcp"])
@pytest.mark.parametrize("client", LIBRARIES)
@pytest.mark.parametrize("server", LIBRARIES)
def test_the_c_peers_call_each_other(realm: Realm, directory, client: str, server: str, proto: str) -> None:
    with c_server(directory, server, proto) as port:
        for security in SECURITY:
            done = c_client(directory, client, proto, str(port), "nfs@localhost", security, "2")
            assert done.stdout.splitlines() == ["hello from C"] * 2, done.stderr


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_context_whose_numbers_are_used_up_is_replaced(realm: Realm, directory, library: str) -> None:
    with (
        c_server(directory, library, "udp") as port,
        connect_udp("localhost", port, credential=GssCredential("krb5i")) as client,
    ):
        call = client.submit(WHO, ())
        first = call.auth.context
        assert client.wait(call) == b"hello from C"
        first.sequence = 0x7FFFFFFE
        assert client.call(WHO, ()) == b"hello from C"
        last = client.submit(WHO, ())
        assert client.wait(last) == b"hello from C"
        assert last.auth.context is not first


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_second_version_falls_back_to_the_first_with_c_servers(realm: Realm, directory, library: str) -> None:
    with (
        c_server(directory, library, "tcp") as port,
        connect_tcp("localhost", port, credential=GssCredential("krb5p", version=2)) as client,
    ):
        assert client.call(WHO, ()) == b"hello from C"


def test_a_c_server_refuses_another_flavour_in_words(realm: Realm, directory) -> None:
    with (
        c_server(directory, "libtirpc", "tcp") as port,
        connect_tcp("localhost", port) as client,
        pytest.raises(AuthRefused, match="stronger flavour"),
    ):
        client.call(WHO, ())
