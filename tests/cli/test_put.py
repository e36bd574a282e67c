"""nfsrpc put."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from nfsrpc.testing.served import Served

Run = Callable[..., str]


@pytest.fixture
def contents(run: Callable[..., Result], served: Served) -> Callable[[str], bytes]:
    """What the file at a path of the export holds."""
    return lambda path: run("get", served.url(path, uid=0), "-").stdout_bytes


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "local"
    path.write_bytes(os.urandom(100_001))
    path.chmod(0o750)
    return path


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_file_with_its_mode(
    nfsrpc: Run, served: Served, local: Path, contents: Callable[[str], bytes], proto: str
) -> None:
    assert nfsrpc("put", local, served.url(f"/new-{proto}", uid=0, gid=0, proto=proto)) == ""
    assert contents(f"/new-{proto}") == local.read_bytes()
    assert nfsrpc("ls", "-l", served.url(f"/new-{proto}")).startswith("-rwxr-x---  1  0  0  100001 ")


@pytest.mark.parametrize("end", ["", "/"])
def test_into_a_directory_under_its_own_name(
    nfsrpc: Run, served: Served, local: Path, contents: Callable[[str], bytes], end: str
) -> None:
    nfsrpc("put", local, served.url(end, uid=0))
    assert contents("/local") == local.read_bytes()


def test_a_shorter_file_over_a_longer_one(
    nfsrpc: Run, served: Served, local: Path, tmp_path: Path, contents: Callable[[str], bytes]
) -> None:
    url = served.url("/over", uid=0)
    nfsrpc("put", local, url)
    (tmp_path / "short").write_bytes(b"short")
    nfsrpc("put", tmp_path / "short", url)
    assert contents("/over") == b"short"


def test_standard_input(served: Served, contents: Callable[[str], bytes]) -> None:
    data = os.urandom(50_000)
    command = [sys.executable, "-m", "nfsrpc", "put", "-", served.url("/piped", uid=0)]
    subprocess.run(command, input=data, check=True, timeout=60)
    assert contents("/piped") == data


def test_an_empty_file(nfsrpc: Run, served: Served, contents: Callable[[str], bytes]) -> None:
    nfsrpc("put", "/dev/null", served.url("/empty", uid=0))
    assert contents("/empty") == b""


def test_what_is_on_the_server_after_success_is_there_after_a_restart(
    nfsrpc: Run, local: Path, tmp_path: Path, run: Callable[..., Result]
) -> None:
    with Served(tmp_path) as server:
        nfsrpc("put", local, server.url("/kept", uid=0))
        server.stop()
        server.start()
        assert run("get", server.url("/kept", uid=0), "-").stdout_bytes == local.read_bytes()


def test_mistakes(failing: Run, served: Served, local: Path, tmp_path: Path) -> None:
    assert "No such file or directory" in failing("put", tmp_path / "none", served.url("/x", uid=0))
    assert "Is a directory" in failing("put", tmp_path, served.url("/x", uid=0))
    assert "there is no such directory" in failing("put", local, served.url("/none/", uid=0))
    assert "/export/no: No such file" in failing("put", local, served.url("/no/where", uid=0))
    assert "name the file" in failing("put", "-", served.url("/", uid=0))
    refused = failing("put", local, served.url("/denied", uid=4711, gid=4711))
    assert "/export/denied: Permission denied" in refused
    assert "?uid=0" in refused


def test_a_file_beyond_version_2_is_said_before_anything_is_sent(failing: Run, tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 32)
    assert "ends at 4 GiB" in failing("put", tmp_path / "sparse", "nfs://127.0.0.1:1/x")
