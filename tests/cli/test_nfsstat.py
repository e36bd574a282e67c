"""nfsstat, the metrics port, ping and info, against a server in a process of its own."""

import contextlib
import errno
import fcntl
import json
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nfsrpc.protocols.nfs_prot import NFS_PROGRAM, NFS_VERSION
from nfsrpc.rpc.retry import MAYBE
from nfsrpc.testing.served import Served
from nfsrpc.transport import reporter
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
        with connect("127.0.0.1", port, policy=MAYBE) as client:
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


@contextlib.contextmanager
def begun(*argv: str, **streams) -> Iterator[subprocess.Popen[bytes]]:
    """`nfsstat --watch`, which never ends by itself: not if a test fails, either."""
    with subprocess.Popen([sys.executable, "-m", "nfsrpc", "nfsstat", "--watch", *argv], **streams) as watch:
        try:
            yield watch
        finally:
            watch.kill()


def calls_of_null(line: str) -> str | None:
    """The column of calls, of NFS' procedure 0."""
    words = line.split()
    return words[3] if words[:3] == ["100003", "2", "NFSPROC_NULL"] else None


def test_watching_through_a_pipe(server):
    """One table below the other: first the calls there were, then calls a second; and one line when the server ends."""
    call_often(server.port, 4)
    with begun("--control", server.control, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watch:
        lines = (line.decode() for line in watch.stdout)
        assert next(lines).split()[:4] == ["PROGRAM", "VERSION", "PROCEDURE", "CALLS"]
        assert next(filter(None, map(calls_of_null, lines))) == "4"
        call_often(server.port, 40)
        rates = (rate for rate in map(calls_of_null, lines) if rate not in (None, "0/s"))
        rate = next(rates)
        assert rate.endswith("/s")
        assert int(rate.removesuffix("/s")) <= 20
        server.stop()
        *_, last = watch.stderr.read().decode().splitlines()
        assert last.endswith("is the server running?")
        assert watch.wait(30) == 1


def test_watching_on_a_terminal(server):
    """A table that is drawn over; Ctrl-C ends it and leaves the last one there."""
    call_often(server.port, 4)
    ours, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    environment = {**os.environ, "TERM": "xterm", "NO_COLOR": "1"}
    with begun(
        "--control", server.control, stdin=terminal, stdout=terminal, stderr=terminal, env=environment,
        start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    ) as watch:  # fmt: skip
        os.close(terminal)
        seen = ""
        while seen.count("PROCEDURE") < 2:
            seen += os.read(ours, 4096).decode()
        assert "\x1b[1A" in seen, "the second table goes up to where the first one began"
        os.write(ours, b"\x03")
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal any more
            while data := os.read(ours, 4096):
                seen += data.decode()
        assert watch.wait(30) == 0
    os.close(ours)
    calls = [*filter(None, map(calls_of_null, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen).splitlines()))]
    assert calls[0] == "4"
    assert "PMAPPROC" not in seen, "a screen has no room for what nobody calls"
    assert all(rate.endswith("/s") for rate in calls[1:])
    assert len(calls) > 1
    assert "Traceback" not in seen


def test_watching_in_json(server):
    with begun("--control", server.control, "--json", stdout=subprocess.PIPE) as watch:
        text, documents = "", []
        while len(documents) < 2:
            text += watch.stdout.readline().decode()
            with contextlib.suppress(json.JSONDecodeError):
                documents.append(json.loads(text))
                text = ""
        watch.send_signal(signal.SIGINT)
        assert watch.wait(30) == 0
    assert documents[0]["uptime"] < documents[1]["uptime"]


def test_a_server_that_is_not_there(tmp_path):
    done = run("nfsstat", "--control", str(tmp_path / "nothing"))
    assert done.returncode == 1
    assert "is the server running?" in done.stderr


def test_sockets_of_the_dead_are_passed_over(tmp_path, monkeypatch):
    """A server that was killed leaves one; one that is busy may have no room for another caller."""
    monkeypatch.setattr(reporter, "control_directory", lambda: tmp_path)
    assert reporter.control_sockets() == []
    with contextlib.ExitStack() as stack:
        sockets = {name: stack.enter_context(socket.socket(socket.AF_UNIX)) for name in ("busy", "dead", "free")}
        for name, sock in sockets.items():
            sock.bind(str(tmp_path / f"{name}.sock"))
        sockets["free"].listen()
        sockets["busy"].listen(0)
        callers = [stack.enter_context(socket.socket(socket.AF_UNIX)) for _ in range(3)]
        for caller in callers:
            caller.setblocking(False)
        assert callers[0].connect_ex(str(tmp_path / "busy.sock")) == 0
        assert errno.EAGAIN in [caller.connect_ex(str(tmp_path / "busy.sock")) for caller in callers[1:]]
        sockets["dead"].close()
        assert [path.stem for path in reporter.control_sockets()] == ["busy", "free"]


def test_prometheus_reads_the_metrics_port(tmp_path):
    """As its own library does."""
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
        families = {family.name: family for family in text_string_to_metric_families(text)}
        assert {name: family.type for name, family in families.items()} == {
            "nfsrpc_failures": "counter", "nfsrpc_replays": "counter", "nfsrpc_call_seconds": "histogram"
        }  # fmt: skip
        null = {"program": "100003", "version": "2", "procedure": "NFSPROC_NULL"}
        buckets = [
            sample.value for sample in families["nfsrpc_call_seconds"].samples
            if sample.name.endswith("_bucket") and sample.labels.items() >= null.items()
        ]  # fmt: skip
        assert buckets == sorted(buckets)
        assert buckets[-1] == 4
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
