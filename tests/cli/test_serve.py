"""The serve command: what it prints, and one clear line for each mistake."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from nfsrpc.cli import main
from nfsrpc.protocols import nfs_prot
from nfsrpc.store.volume import make_volume
from nfsrpc.store.volume.identity import adopt_volume
from nfsrpc.transport import connect_tcp
from nfsrpc.transport.ping import ping

Start = Callable[..., tuple["subprocess.Popen[str]", str]]


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    make_volume(tmp_path / "vol")
    return tmp_path / "vol"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `nfsrpc serve` on a free port, returns the process and its port once it takes calls."""
    running = []

    def start(*arguments: object) -> tuple["subprocess.Popen[str]", str]:
        ready = tmp_path / f"ready{len(running)}"
        command = [sys.executable, "-m", "nfsrpc", "serve", *map(str, arguments)]
        process = subprocess.Popen(
            [*command, "--port", "0", "--ready-file", str(ready)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("port 111"):
                break
        else:
            raise AssertionError("".join(lines))
        found = re.search(r"port (\d+), UDP", "".join(lines))
        assert found is not None, lines
        return process, found[1]

    yield start
    for process in running:
        process.terminate()
        process.communicate(timeout=30)


def refused(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["serve", "--no-portmap", *map(str, arguments)])
    return result.exit_code, result.stderr


def test_mistakes_with_the_path(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    make_volume(tmp_path / "damaged")
    (tmp_path / "damaged" / "superblock").unlink()
    table = {
        "none": "no such file or directory",
        "file": "not a directory",
        "damaged": "it has been a volume, but has no superblock; restore that from a copy",
    }
    for name, why in table.items():
        code, line = refused(tmp_path / name, "--state", tmp_path / "state")
        assert (code, line) == (1, f"nfsrpc: {tmp_path / name}: {why}\n")
    (tmp_path / "plain").mkdir()
    code, line = refused(tmp_path / "plain", "--state", tmp_path / "plain" / "state")
    assert (code, line.partition("; ")[2]) == (1, "choose another place with --state\n")


def act(port: str, *words: object, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "nfsrpc", *(str(word).replace("PORT", port) for word in words)]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)


def test_a_plain_directory_is_read_only_until_rw(start: Start, tmp_path: Path) -> None:
    served = tmp_path / "plain"
    served.mkdir(mode=0o777)
    served.chmod(0o777)
    (served / "f").write_text("of the host")
    options = (served, "--state", tmp_path / "state", "--no-portmap", "--as", "/d")
    process, port = start(*options)
    assert act(port, "get", "nfs://127.0.0.1:PORT/d/f", "-").stdout == "of the host"
    put = act(port, "put", "-", "nfs://127.0.0.1:PORT/d/g", text="x")
    assert (put.returncode, ": Read-only file system (" in put.stderr) == (1, True)
    process.terminate()
    process.wait(30)
    process, port = start(*options, "--rw", "--workers", 2)
    assert act(port, "put", "-", "nfs://127.0.0.1:PORT/d/g", text="of a client").returncode == 0
    assert (served / "g").read_text() == "of a client"
    if os.geteuid() == 0:
        assert (served / "g").stat().st_uid == 65534
    assert sorted(os.listdir(served)) == ["f", "g"]


def test_an_ordinary_user_serves_a_plain_directory(tmp_path: Path) -> None:
    """Everybody acts as that user, and the announcement says so. Root without capabilities is one as well."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "f").write_text("of the host")
    powerless = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
    command = [
        *powerless, sys.executable, "-m", "nfsrpc", "serve", tmp_path / "plain", "--state", tmp_path / "state", "--rw",
        "--no-portmap", "--as", "/d", "--port", "0",
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("port 111"):
                break
        try:
            assert f"(read-write, everybody acts as user {os.geteuid()})" in lines[0], lines
            found = re.search(r"port (\d+), UDP", "".join(lines))
            assert found is not None, lines
            assert act(found[1], "get", "nfs://127.0.0.1:PORT/d/f?uid=77", "-").stdout == "of the host"
            assert act(found[1], "put", "-", "nfs://127.0.0.1:PORT/d/g?uid=77", text="x").returncode == 0
            assert (tmp_path / "plain" / "g").stat().st_uid == os.geteuid()
        finally:
            process.terminate()


def test_a_volume_in_use(start: Start, volume: Path) -> None:
    start(volume, "--no-portmap")
    code, line = refused(volume, "--port", 0)
    why = "the volume is in use by a running server; several can have it if all are started with --shared"
    assert (code, line) == (1, f"nfsrpc: {volume}: {why}\n")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_port_in_use_by_another_server_of_ours(start: Start, volume: Path, tmp_path: Path, workers: int) -> None:
    _, port = start(volume, "--no-portmap", "--workers", workers)
    make_volume(tmp_path / "other")
    code, line = refused(tmp_path / "other", "--port", port, "--workers", workers)
    assert code == 1
    assert line.startswith(f"nfsrpc: port {port} of 127.0.0.1 is in use")
    assert "--port" in line
    assert line.count("\n") == 1


@pytest.mark.parametrize("host", ["192.0.2.77", "no-such-host.invalid"])
def test_an_address_that_is_not_this_machines(volume: Path, host: str) -> None:
    code, line = refused(volume, "--host", host, "--port", 0)
    assert code == 1
    assert line.startswith(f"nfsrpc: --host {host}: ")
    assert line.endswith("give an address of this machine\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Missing argument"),
        (("v", "--as", "relative"), "'relative' is not an absolute path"),
        (("v", "--as", "/a/../b"), "is not an absolute path"),
        (("v", "w", "--as", "/a"), "give it once for each"),
        (("v", "w", "--as", "/a", "--as", "/a/"), "tell them apart"),
        (("v", "--port", "65536"), "65536"),
        (("v", "--workers", "0"), "0"),
    ],
)
def test_wrong_command_lines_are_status_2(arguments: tuple[str, ...], words: str) -> None:
    code, text = refused(*arguments)
    assert code == 2
    assert words in text


def test_lines_to_paste(start: Start, volume: Path) -> None:
    process, port = start(volume, "--as", "/export", "--no-portmap", "--read-only")
    url = f"nfs://127.0.0.1:{port}/export"
    run = subprocess.run([sys.executable, "-m", "nfsrpc", "ls", url], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


def test_port_zero_is_free_and_both_protocols_are_there(start: Start, volume: Path) -> None:
    _, port = start(volume, "--no-portmap")
    with socket.create_connection(("127.0.0.1", int(port)), 10):
        pass
    with pytest.raises(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", int(port)))


def test_the_ready_file_holds_the_port(start: Start, volume: Path, tmp_path: Path) -> None:
    _, port = start(volume, "--no-portmap")
    with socket.create_connection(("127.0.0.1", int(port)), 10):
        assert (tmp_path / "ready0").read_text() == f"{port}\n"


def test_a_volume_and_its_copy_are_not_served_together(volume: Path, tmp_path: Path) -> None:
    shutil.copytree(volume, tmp_path / "copy")
    code, line = refused(tmp_path / "copy", "--port", 0)
    assert code == 1
    assert "was copied here; `nfsrpc adopt" in line
    adopt_volume(tmp_path / "copy", moved=True)
    code, line = refused(volume, tmp_path / "copy", "--port", 0)
    assert code == 1
    assert "is a copy of" in line


def test_workers_that_cannot_start_again_are_given_up(start: Start, volume: Path) -> None:
    """With a reason, and exit status 1, not restarted without end."""
    process, port = start(volume, "--no-portmap", "--workers", 2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with connect_tcp("127.0.0.1", int(port)) as client:
        ping(client, nfs_prot.NFS_PROGRAM, nfs_prot.NFS_VERSION)
    volume.rename(volume.with_name("elsewhere"))
    for pid in map(int, children.read_text().split()):
        os.kill(pid, signal.SIGKILL)
    assert process.wait(60) == 1
    assert process.stdout is not None
    assert process.stdout.read().splitlines()[-1].startswith(f"nfsrpc: workers cannot start, 4 tries each: {volume}")
