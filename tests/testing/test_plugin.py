"""The pytest plugin, as another project uses it, and as a project that does not use it meets it."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from until import until

from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_client, FILEREADWRITE_2_service, readargs, writeargs
from nfsrpc.rpc.errors import RpcTimeout
from nfsrpc.testing.chaos import Chaos
from nfsrpc.testing.faults import Faults
from nfsrpc.testing.programs import Programs
from nfsrpc.testing.served import Served
from nfsrpc.transport import connect_tcp, connect_udp

EXAMPLE = Path(__file__).with_name("example")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "testing.md"
HEADER = """from nfsrpc.transport import connect_udp
from weather import Thermometer, publish, published, reading

"""


def pytest_run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A pytest of its own in `directory`, with the `nfsrpc` of this environment on the PATH."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=directory, env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip


def test_the_example_project_and_what_the_page_shows(tmp_path: Path) -> None:
    project = tmp_path / "weather"
    shutil.copytree(EXAMPLE, project, ignore=shutil.ignore_patterns("__pycache__"))
    compiled = [sys.executable, "-m", "nfsrpc", "gen", "thermometer.x", "-o", "thermometer.py"]
    subprocess.run(compiled, cwd=project, check=True, timeout=60)
    shown = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (project / "test_page.py").write_text(HEADER + "\n".join(shown))
    done = pytest_run(project)
    assert done.returncode == 0, done.stdout + done.stderr
    tests = sum(path.read_text().count("\ndef test_") for path in project.glob("test_*.py"))
    assert f"{tests + 1} passed" in done.stdout  # one of them over both transports


def test_a_project_that_uses_none_of_it_pays_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_foreign.py").write_text(
        "import sys\n"
        "def test_what_is_loaded(pytestconfig):\n"
        "    assert pytestconfig.pluginmanager.has_plugin('nfsrpc')\n"
        "    ours = {name for name in sys.modules if name.partition('.')[0] == 'nfsrpc'}\n"
        "    assert ours == {'nfsrpc', 'nfsrpc.testing', 'nfsrpc.testing.plugin',\n"
        "                    'nfsrpc.conformance', 'nfsrpc.conformance.discovery'}\n"
        "    assert 'click' not in sys.modules\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers --strict-config -W error\n")
    done = pytest_run(tmp_path, "-p", "no:randomly")
    assert done.returncode == 0, done.stdout + done.stderr


class Bytes(FILEREADWRITE_2_service):
    """One file."""

    def __init__(self) -> None:
        self.data = b""

    def WRITE(self, arg: writeargs, call: object) -> None:
        self.data = arg.data

    def READ(self, arg: readargs, call: object) -> bytes:
        return self.data


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_a_test_can_look_into_its_own_service(rpc_server: Callable[..., Programs], proto: str) -> None:
    service = Bytes()
    FILEREADWRITE_2_client(rpc_server(service).connect(proto)).WRITE(writeargs(1, 0, b"hello"))
    assert service.data == b"hello"


def test_faults_come_and_go_while_a_client_is_connected(
    rpc_server: Callable[..., Programs], lossy_link: Callable[..., Chaos]
) -> None:
    link = lossy_link(rpc_server(Bytes()))
    with connect_udp(*link.address) as client:
        files = FILEREADWRITE_2_client(client)
        files.WRITE(writeargs(1, 0, b"one"))
        link.strike(up=Faults(drop=1))
        with pytest.raises(RpcTimeout):
            client.call(Bytes.procedures[2], (readargs(1, 0, 3),), timeout=0.05)
        until(lambda: link.counts("up")["drop"] > 0)
        link.strike(up=Faults())
        assert files.READ(readargs(1, 0, 3)) == b"one"


def test_directions_are_struck_apart(rpc_server: Callable[..., Programs], lossy_link: Callable[..., Chaos]) -> None:
    link = lossy_link(rpc_server(Bytes()), down=Faults(duplicate=1, pause=0))
    with connect_tcp(*link.address) as client:
        FILEREADWRITE_2_client(client).WRITE(writeargs(1, 0, b"x"))
    with connect_udp(*link.address) as client:
        FILEREADWRITE_2_client(client).READ(readargs(1, 0, 1))
    assert (link.counts("up")["duplicate"], link.counts("down")["duplicate"]) == (0, 1)


def test_a_url_by_way_of_a_link(lossy_link: Callable[..., Chaos]) -> None:
    link = lossy_link(("127.0.0.1", 9))
    host, port = link.address
    assert link.url("nfs://server:2049/a%20b?uid=0") == f"nfs://{host}:{port}/a%20b?uid=0"


def test_every_test_has_an_empty_directory(nfs_url: str, nfs_server: Served) -> None:
    assert nfs_url == nfs_server.url("/test_every_test_has_an_empty_directory")
    listed = subprocess.run(
        [sys.executable, "-m", "nfsrpc", "ls", "-a", nfs_url], capture_output=True, text=True, check=True
    )
    assert listed.stdout.split() == [".", ".."]


@pytest.mark.parametrize("name", ["a/b", "a b"])
def test_names_that_cannot_be_a_directory_or_are_taken(nfs_url: str, name: str) -> None:
    assert re.search(r"/test_names_that_cannot_be_a_directory_or_are_taken-a-b(-1)?$", nfs_url)


def test_a_server_of_ones_own_dies_and_comes_back(make_nfs_server: Callable[..., Served]) -> None:
    server = make_nfs_server("--read-only", export="/mine")
    put = [sys.executable, "-m", "nfsrpc", "put", "-", server.url("/f")]
    refused = subprocess.run(put, input="x", capture_output=True, text=True, check=False)
    assert "Read-only file system" in refused.stderr
    port = server.port
    server.kill()
    gone = subprocess.run(put, input="x", capture_output=True, text=True, check=False)
    assert "Connection refused" in gone.stderr
    server.start()
    assert server.port == port
    again = subprocess.run(put, input="x", capture_output=True, text=True, check=False)
    assert "Read-only file system" in again.stderr
