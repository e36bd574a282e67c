"""nfsrpc serve with a certificate: who gets in, and one clear line for each mistake."""

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import make_certificates
from click.testing import CliRunner

from nfsrpc.cli import main
from nfsrpc.portmap.client import Portmapper
from nfsrpc.protocols import mount
from nfsrpc.rpc.errors import AuthRefused, RpcError
from nfsrpc.rpc.retry import MAYBE
from nfsrpc.store.volume import make_volume
from nfsrpc.testing.served import Served
from nfsrpc.transport import connect_tcp, connect_udp
from nfsrpc.transport.client import Client
from nfsrpc.transport.tls import ClientTls, TlsFailed, client_context

TOOWEAK = 5


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("keys"))


@pytest.fixture
def serve(tmp_path: Path, keys: Path) -> Iterator[Callable[..., int]]:
    """Starts `nfsrpc serve` with the server's certificate, returns its port."""
    running = []

    def serve(*options: str) -> int:
        make_volume(tmp_path / "vol")
        files = ("--tls-cert", str(keys / "server.pem"), "--tls-key", str(keys / "server.key"))
        command = [sys.executable, "-m", "nfsrpc", "serve", str(tmp_path / "vol"), "--no-portmap", "--port", "0"]
        process = subprocess.Popen(
            [*command, "--ready-file", str(tmp_path / "ready"), *files, *options],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        assert any(line.startswith("port 111") for line in process.stdout)
        return int((tmp_path / "ready").read_text())

    yield serve
    for process in running:
        process.terminate()
        process.communicate(timeout=30)


def tls(keys: Path, own: str | None = None) -> ClientTls:
    files = () if own is None else (str(keys / f"{own}.pem"), str(keys / f"{own}.key"))
    return ClientTls(client_context(str(keys / "ca.pem"), *files), mount.MOUNTPROG, mount.MOUNTVERS)


def exports(client: Client) -> bool:
    """Whether there are any; a call that is not procedure 0."""
    with client:
        return mount.MOUNTPROG_1_client(client).MOUNTPROC_EXPORT() is not None


def test_offered_tls_is_for_who_wants_it(serve: Callable[..., int], keys: Path) -> None:
    port = serve()
    assert exports(connect_tcp("127.0.0.1", port))
    assert exports(connect_tcp("127.0.0.1", port, tls=tls(keys)))


def test_required_tls_leaves_only_the_portmapper_in_clear_text(serve: Callable[..., int], keys: Path) -> None:
    port = serve("--tls", "required")
    assert exports(connect_tcp("127.0.0.1", port, tls=tls(keys)))
    for connect in (connect_tcp, connect_udp):
        with pytest.raises(AuthRefused) as refused:
            exports(connect("127.0.0.1", port))
        assert refused.value.stat == TOOWEAK
        with connect("127.0.0.1", port) as client:
            assert Portmapper(client).dump()


def test_mutual_tls_wants_a_certificate(serve: Callable[..., int], keys: Path) -> None:
    port = serve("--tls", "required", "--tls-ca", str(keys / "ca.pem"), "--workers", "2")
    assert exports(connect_tcp("127.0.0.1", port, tls=tls(keys, "client")))
    with pytest.raises(RpcError):
        exports(connect_tcp("127.0.0.1", port, tls=tls(keys), policy=MAYBE))


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_reads_certificates_again(tmp_path: Path, keys: Path, workers: int) -> None:
    """New connections get the renewed one; files that are no good leave the old ones in force, and one line says so."""
    renewed, used = tmp_path / "renewed", tmp_path / "used"
    renewed.mkdir()
    make_certificates(renewed)
    shutil.copytree(keys, used)
    files = ("--tls-cert", str(used / "server.pem"), "--tls-key", str(used / "server.key"))
    with Served(tmp_path, *files, "--tls", "required", "--workers", str(workers)) as server:

        def trusted_by(authority: Path) -> bool:
            try:
                return exports(connect_tcp(*server.address, tls=tls(authority), policy=MAYBE))
            except TlsFailed:
                return False

        assert trusted_by(keys)
        shutil.copy(renewed / "server.pem", used)
        os.kill(server.pid, signal.SIGHUP)
        mistake = "not a certificate and its key in PEM (key values mismatch)"
        awaited(lambda: f"nothing is reloaded: {files[1]}, {files[3]}: {mistake}\n" in server.log.read_text())
        assert trusted_by(keys)
        assert not trusted_by(renewed)
        shutil.copy(renewed / "server.key", used)
        os.kill(server.pid, signal.SIGHUP)
        awaited(lambda: trusted_by(renewed) and not trusted_by(keys))
        assert server.log.read_text().count("nothing is reloaded") == 1


def awaited(true: Callable[[], bool]) -> None:
    for _ in range(1500):
        if true():
            return
        select.select([], [], [], 0.02)
    raise AssertionError("not in time")


def test_mistakes(tmp_path: Path, keys: Path) -> None:
    def refused(*options: object) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["serve", str(tmp_path), *map(str, options)])
        return result.exit_code, result.stderr.splitlines()[-1]

    certificate, key, text = keys / "server.pem", keys / "server.key", keys / "server.ext"
    for options in (("--tls", "required"), ("--tls-key", key), ("--tls-ca", certificate)):
        assert refused(*options) == (2, f"nfsrpc: serve: {options[0]} needs --tls-cert (see `nfsrpc serve --help`)")
    assert refused("--tls-cert", tmp_path / "none")[0] == 2
    code, line = refused("--tls-cert", certificate, "--tls-key", keys / "client.key")
    files = f"{certificate}, {keys / 'client.key'}"
    assert code == 1
    assert line == f"nfsrpc: {files}: not a certificate and its key in PEM (key values mismatch)"
    assert refused("--tls-cert", text)[1].startswith(f"nfsrpc: {text}: not a certificate and its key")
    code, line = refused("--tls-cert", certificate, "--tls-key", key, "--tls-ca", text)
    assert (code, line.partition(" (")[0]) == (1, f"nfsrpc: {text}: no certificate in PEM")
