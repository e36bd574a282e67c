"""`nfsrpc replay`: a recorded session runs again on another server, and what is different is told."""

import json
import subprocess
import sys
import time

import pytest
from captures import down, pcap, up

from nfsrpc.testing.chaos import Chaos
from nfsrpc.testing.faults import Faults
from nfsrpc.testing.served import Served

FAIR = Faults()


def nfsrpc(*arguments, status=0):
    done = subprocess.run(
        [sys.executable, "-m", "nfsrpc", *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """A session over UDP, written down by a proxy between client and server."""
    directory = tmp_path_factory.mktemp("recorded")
    content = directory / "content"
    content.write_bytes(bytes(range(256)) * 300)
    frames = []

    def observe(way, data):
        frames.append((time.time_ns(), (up if way == "up" else down)(data)))

    (directory / "server").mkdir()
    with Served(directory / "server") as server, Chaos(
        ("127.0.0.1", server.port), up=FAIR, down=FAIR, observe=observe
    ) as chaos:
        base = f"nfs://127.0.0.1:{chaos.address[1]}/export"
        nfsrpc("put", content, f"{base}/file?proto=udp")
        nfsrpc("ls", "-l", f"{base}?proto=udp")
        nfsrpc("get", f"{base}/file?proto=udp", directory / "back")
        nfsrpc("get", f"{base}/absent?proto=udp", directory / "none", status=1)
    path = directory / "session.pcap"
    path.write_bytes(b"".join(pcap(frames)))
    return path


@pytest.mark.parametrize("options", [(), ("--proto", "tcp"), ("--at-speed",)])
def test_the_same_calls_get_the_same_replies(capture, tmp_path, options):
    with Served(tmp_path, export="/elsewhere") as server:
        said = nfsrpc("replay", capture, f"127.0.0.1:{server.port}", "--map", "/export=/elsewhere", *options)
        assert " 0 do not" in said
        back = tmp_path / "back"
        nfsrpc("get", server.url("/file"), back)
    assert back.read_bytes() == bytes(range(256)) * 300


def test_differences_are_told_and_set_the_status(capture, tmp_path):
    with Served(tmp_path) as server:
        nfsrpc("put", capture, server.url("/absent"))
        said = nfsrpc("replay", capture, f"127.0.0.1:{server.port}", "--json", status=1)
    document = json.loads(said)
    found = {(one["procedure"], one["recorded"], one["now"]) for one in document["differences"]}
    assert ("LOOKUP", "NFSERR_NOENT", "OK") in found
    assert ("READDIR", "OK", "OK") in found
    assert document["same"] > len(document["differences"])


def test_a_read_only_server_is_another_server(capture, tmp_path):
    with Served(tmp_path, "--read-only") as server:
        said = nfsrpc("replay", capture, f"127.0.0.1:{server.port}", status=1)
    assert "CREATE" in said
    assert "status: recorded OK, now NFSERR_ROFS" in said
    assert "its handle comes from CREATE, which got NFSERR_ROFS here" in said
    assert "before the capture began" not in said


def left_out(capture, server, *options, status):
    said = json.loads(nfsrpc("replay", capture, f"127.0.0.1:{server.port}", "--json", *options, status=status))
    return said["left_out"]


def test_why_nothing_goes_on_where_the_mount_fails(capture, tmp_path):
    with Served(tmp_path, export="/elsewhere") as server:
        reasons = left_out(capture, server, status=1)
    assert set(reasons) == {
        "its handle comes from MNT, which got ENOENT here",
        "its handle comes from CREATE, which was left out",
    }


def test_handles_from_before_the_capture(capture, tmp_path):
    """A handle whose giver was not sent again is told from one whose giver is not in the capture."""
    with Served(tmp_path) as server:
        reasons = left_out(capture, server, "--program", "nfs", status=0)
    assert set(reasons) == {
        "of program mount",
        "its handle comes from MNT, which was left out",
        "its handle comes from CREATE, which was left out",
    }


def test_nobody_there_is_one_line(capture):
    said = nfsrpc("replay", capture, "127.0.0.1:9", "--timeout", "0.5", "--proto", "tcp", status=1)
    assert "127.0.0.1:9" in said
    assert len(said.splitlines()) == 1
