"""AUTH_DH with glibc's own Sun RPC code on the other side, in both directions, through our keyserv."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from auth_peers import build, need_glibc
from until import until
from whoami import WHO, Whoserved

from nfsrpc.auth import des
from nfsrpc.auth.dh import DhAuthenticator, DhCredential
from nfsrpc.auth.idmap import IdMap, Unix
from nfsrpc.auth.keys import OwnKeys, PublicKey, PublicKeyFile
from nfsrpc.rpc.errors import AuthRefused
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp

pytest.importorskip("Crypto", reason="needs pycryptodome")
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the keyserv's socket and the domain are the machine's"),
]

USER, SERVER = "unix.1000@example.com", "unix.vm@example.com"
SECRET = {USER: "1" * 48, SERVER: "2" * 48}
CONNECT = {"udp": connect_udp, "tcp": connect_tcp}


class Machine:
    """Mount and UTS namespaces: host vm in domain example.com, an empty /run, our keyserv with the keys of both."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.chmod(0o755)
        self.keys = directory / "publickey"
        file = PublicKeyFile(self.keys)
        for netname, secret in SECRET.items():
            file.put(netname, PublicKey(des.public_of(secret), ""))
        kept = directory / "kept"
        kept.write_text(json.dumps({"0": SECRET[SERVER], "1000": SECRET[USER]}))
        prepare = "domainname example.com && hostname vm && mount -t tmpfs none /run && echo ready && exec cat"
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--uts", "sh", "-c", prepare],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        if self._holder.stdout.readline() != "ready\n":
            pytest.skip(f"this machine allows no namespaces: {self._holder.stderr.read().strip()}")
        self.enter = ["nsenter", "--target", str(self._holder.pid), "--mount", "--uts"]
        self.environment = dict(os.environ, NSS_TEST_KEYS=str(self.keys), LD_LIBRARY_PATH=str(directory))
        command = [*self.enter, sys.executable, "-m", "nfsrpc", "keyserv"]
        command += ["--public-keys", str(self.keys), "--keep", str(kept)]
        self._keyserv = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert "serves /var/run/keyservsock" in self._keyserv.stdout.readline()

    def need_other_users(self) -> None:
        """Skip where the checkout, or the Python that runs it, is private to root."""
        probe = self.run(sys.executable, "-c", "import nfsrpc.cli, Crypto", uid=1000)
        if probe.returncode:
            pytest.skip(f"other users cannot run this checkout: {probe.stderr.strip().splitlines()[-1]}")

    def run(self, *command: str, uid: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a program on this machine as a user."""
        become = ["setpriv", f"--reuid={uid}", "--clear-groups"] if uid else []
        return subprocess.run(
            [*self.enter, *become, *command],
            env=self.environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    @contextmanager
    def server(self, program: Path, proto: str) -> Iterator[int]:
        """The port of a C server that runs here as root."""
        process = subprocess.Popen(
            [*self.enter, str(program), proto],
            env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(30)
            process.stdout.close()

    def close(self) -> None:
        self._keyserv.terminate()
        self._keyserv.wait(30)
        self._keyserv.stdout.close()
        for pipe in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            pipe.close()
        self._holder.wait(30)


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    need_glibc()
    with tempfile.TemporaryDirectory(prefix="nfsrpc-dh.") as name:  # pytest's own are private to root
        directory = Path(name)
        build(directory, "nss_test.c", "-shared", "-fPIC", name="libnss_test.so.2")
        build(directory, "des_client.c")
        build(directory, "des_server.c", "-lpthread")
        made = Machine(directory)
        try:
            yield made
        finally:
            made.close()


def public(netname: str) -> str:
    return des.public_of(SECRET[netname])


def authenticator(**options) -> DhAuthenticator:
    return DhAuthenticator(OwnKeys(SECRET[SERVER], public), IdMap({USER: Unix(1000, 100, (7,))}), **options)


@pytest.mark.parametrize("proto", ["udp", "tcp"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_glibc_client_calls_our_server(machine: Machine, proto: str, workers: int) -> None:
    with Whoserved([authenticator()], workers) as served:
        client = str(machine.directory / "des_client")
        done = machine.run(client, proto, str(served.port), SERVER, public(SERVER), "60", "5", uid=1000)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [f"dh dh:{USER} 1000 100 7"] * 5


def test_a_glibc_client_is_told_that_its_clock_is_wrong(machine: Machine) -> None:
    with Whoserved([authenticator(clock=lambda: time.time() + 3600)]) as served:
        client = str(machine.directory / "des_client")
        done = machine.run(client, "udp", str(served.port), SERVER, public(SERVER), "60", "1", uid=1000)
    assert done.returncode == 1
    assert "Authentication error" in done.stderr


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_our_client_calls_a_glibc_server(machine: Machine, proto: str) -> None:
    credential = DhCredential(OwnKeys(SECRET[USER], public), USER, SERVER)
    with (
        machine.server(machine.directory / "des_server", proto) as port,
        CONNECT[proto]("127.0.0.1", port, credential=credential) as client,
    ):
        assert client.call(WHO, ()) == f"{USER} window 60 uid 1000 gid 1001".encode()
        call = client.submit(WHO, ())
        assert client.wait(call) == f"{USER} window 60 uid 1000 gid 1001".encode()
        assert call.auth.credential[1][:4] == bytes([0, 0, 0, 1])
        client._session._nickname = b"\x7f\0\0\0"  # one that the server does not have
        assert client.call(WHO, ()).startswith(USER.encode())


def test_a_glibc_server_refuses_what_is_too_old(machine: Machine) -> None:
    keys = OwnKeys(SECRET[USER], public)
    late = DhCredential(keys, USER, SERVER, clock=lambda: time.time() - 61)
    with (
        machine.server(machine.directory / "des_server", "udp") as port,
        connect_udp("127.0.0.1", port, credential=late) as client,
        pytest.raises(AuthRefused, match="AUTH_DH authentication refused") as refused,
    ):
        client.call(WHO, ())
    assert refused.value.stat == 1


@pytest.mark.parametrize("workers", [1, 2])
def test_the_commands_with_nothing_but_their_defaults(machine: Machine, workers: int) -> None:
    """/etc/publickey, the keyserv's own socket, netnames from the machine's names: serve --sec dh, and ?sec=dh."""
    upper, work = machine.directory / f"upper{workers}", machine.directory / f"work{workers}"
    upper.mkdir()
    work.mkdir()
    options = f"lowerdir=/etc,upperdir={upper},workdir={work}"
    if machine.run("mount", "-t", "overlay", "overlay", "-o", options, "/etc").returncode:
        pytest.skip("this machine has no overlay file system to put an /etc/publickey into")
    try:
        machine.run("cp", str(machine.keys), "/etc/publickey")
        _serve_and_call(machine, workers)
    finally:
        machine.run("umount", "-l", "/etc")


def _serve_and_call(machine: Machine, workers: int) -> None:
    machine.need_other_users()
    nfsrpc = [sys.executable, "-m", "nfsrpc"]
    volume, ready = machine.directory / f"volume{workers}", machine.directory / f"ready{workers}"
    assert machine.run(*nfsrpc, "mkfs", str(volume), "--mode", "1777").returncode == 0
    command = [*nfsrpc, "serve", str(volume), "--as", "/v", "--sec", "dh", "--port", "0", "--no-portmap"]
    command += ["--workers", str(workers), "--ready-file", str(ready)]
    server = subprocess.Popen([*machine.enter, *command], stdout=subprocess.DEVNULL)
    try:
        until(lambda: ready.exists() or server.poll() is not None, "a server")
        assert server.poll() is None
        url = f"nfs://127.0.0.1:{ready.read_text().strip()}/v"
        secure = f"sec=dh&netname={SERVER}"
        done = machine.run(*nfsrpc, "put", "/etc/publickey", f"{url}/f?{secure}", uid=1000)
        assert done.returncode == 0, done.stderr
        done = machine.run(*nfsrpc, "get", f"{url}/f?{secure}&proto=udp", "-", uid=1000)
        assert done.stdout == machine.keys.read_text(), done.stderr
        weaker = machine.run(*nfsrpc, "ls", url, uid=1000)
        assert "AUTH_TOOWEAK" in weaker.stderr
        stranger = machine.run(*nfsrpc, "ls", f"{url}?{secure}", uid=1001)
        assert "the keyserv has no secret key of this user: give it one with `nfsrpc keylogin`" in stranger.stderr
        nobody = machine.run(*nfsrpc, "ls", f"{url}?sec=dh", uid=1000)
        assert "no public key is known for unix.127@example.com" in nobody.stderr
    finally:
        server.terminate()
        server.wait(30)


THROUGH_KEYSERV = """
import sys
from nfsrpc.auth.dh import DhCredential
from nfsrpc.auth.keys import PublicKeyFile, own_netname
from nfsrpc.keyserv.client import KeyservKeys
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
sys.path.insert(0, sys.argv[4])
from whoami import WHO
keys = KeyservKeys(PublicKeyFile(sys.argv[2]).public)
credential = DhCredential(keys, own_netname(), sys.argv[3])
connect = {"udp": connect_udp, "tcp": connect_tcp}[sys.argv[5]]
with connect("127.0.0.1", int(sys.argv[1]), credential=credential) as client:
    print(client.call(WHO, ()).decode())
"""


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_our_client_finds_its_key_with_the_keyserv(machine: Machine, proto: str) -> None:
    machine.need_other_users()
    support = str(Path(__file__).resolve().parents[1] / "support")
    with machine.server(machine.directory / "des_server", proto) as port:
        script = (sys.executable, "-c", THROUGH_KEYSERV, str(port), str(machine.keys), SERVER, support, proto)
        done = machine.run(*script, uid=1000)
        assert done.stdout == f"{USER} window 60 uid 1000 gid 1001\n", done.stderr
        stranger = machine.run(*script, uid=1001)
        assert "the keyserv has no secret key of this user" in stranger.stderr
