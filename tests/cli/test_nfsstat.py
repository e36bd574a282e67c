"""nfsstat, the metrics port, ping and info, against a server in a process of its own."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from nfsrpc.protocols.nfs_prot import NFS_PROGRAM, NFS_VERSION
from nfsrpc.testing.served import Served
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.transport.ping import ping


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "nfsrpc", *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def call_often(port: int, times: int) -> None:
    """On one connection each, so that several workers get some."""
    for number in range(times):
        connect = connect_tcp if number % 2 else connect_udp
        with connect("127.0.0.1", port) as client:
            ping(client, NFS_PROGRAM, NFS_VERSION)


@pytest.fixture(params=[1, 2])
def server(request, tmp_path: Path):
    control = str(tmp_path / "control")
    with Served(tmp_path, "--workers", str(request.param), "--control", control, "--metrics", "0") as served:
        served.control = control
        yield served


def test_calls_of_all_workers_are_counted(server):
    call_often(server.port, 40)
    said = json.loads(run("nfsstat", "--control", server.control, "--json").stdout)
    (null,) = [line for line in said["procedures"] if (line["program"], line["procedure"]) == (NFS_PROGRAM, 0)]
    assert null["calls"] == sum(null["buckets"]) == 40
    assert (null["version"], null["failures"]) == (2, 0)
    assert 0 < null["median"] <= null["p99"]
    table = run("nfsstat", "--control", server.control).stdout.splitlines()
    assert table[0].split() == ["PROGRAM", "VERSION", "PROCEDURE", "CALLS", "FAILED", "AGAIN", "MEDIAN", "99", "%"]
    assert any(line.split()[:4] == ["100003", "2", null["name"], "40"] for line in table)


def test_a_server_that_is_not_there(tmp_path):
    done = run("nfsstat", "--control", str(tmp_path / "nothing"))
    assert done.returncode == 1
    assert "is the server running?" in done.stderr


def test_prometheus_reads_the_metrics_port(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Served(tmp_path, "--control", str(tmp_path / "control"), "--metrics", str(port)) as server:
        call_often(server.port, 4)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        labels = 'program="100003",version="2",procedure="NFSPROC_NULL"'
        assert f"nfsrpc_call_seconds_count{{{labels}}} 4" in text.splitlines()
        assert f'nfsrpc_call_seconds_bucket{{{labels},le="+Inf"}} 4' in text.splitlines()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/else", timeout=20)


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_ping(server, proto):
    done = run("ping", f"127.0.0.1:{server.port}", "--proto", proto, "-c", "3", "-i", "0")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("3 of 3 calls answered; least/mean/most ")


def test_ping_says_what_is_wrong(server):
    done = run("ping", f"127.0.0.1:{server.port}", "--program", "300000", "--version", "1", "-c", "1")
    assert done.returncode == 1
    assert "does not have this program" in done.stdout
    assert "none of 1 calls was answered" in done.stderr
