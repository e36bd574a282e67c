"""The benchmark's other instruments: open loop, recorded load, more peers, growth, memory, start, pages, plots."""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from bench_runs import BENCH, WORKER_MEMORY, bench, cache_of_programs
from captures import call, down, pcap, reply, ticking, up

NFS = 100003, 2
HANDLES = bytes(31) + b"a", bytes(31) + b"b"
ATTRIBUTES = bytes(3) + b"\1" + bytes(64)

__all__ = ["cache_of_programs"]


def run(*arguments, status=0):
    done = subprocess.run(
        [sys.executable, str(BENCH), *map(str, arguments)], capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_half_the_load_is_half_the_load(cache):
    """All calls of the open loop are sent and answered, however late: half as many a second as in the closed one."""
    done = bench("--peers", "limit", "--operations", "GETATTR", "--transports", "tcp", "--seconds", "0.3", "--half",
                 "--connections", "16", "--rounds", "3")  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = json.loads(done.stdout)["results"]
    assert line["summary"]["half_rate"] == pytest.approx(line["summary"]["rate"] / 2, rel=0.25)
    assert 0 < line["summary"]["half_p50"] <= line["summary"]["half_p99"]


def loadgen(*arguments):
    program = f"import sys; sys.path.insert(0, {str(BENCH)!r}); import measure; print(measure.build('loadgen'))"
    built = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    done = subprocess.run(
        [built.stdout.strip(), *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def limit():
    program = f"import sys; sys.path.insert(0, {str(BENCH)!r}); import measure; print(measure.build('limit'))"
    built = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return subprocess.Popen([built.stdout.strip()], stdout=subprocess.PIPE, text=True)


def test_an_open_loop_sends_what_it_was_told_and_counts_from_when_it_should_have(cache):
    """A rate that nobody can answer is not made smaller: all its calls are sent, and the waiting is in the latency."""
    with limit() as server:
        try:
            port = server.stdout.readline().strip()
            small = json.loads(loadgen("--port", port, "--operation", "NULL", "--rate", 500, "--seconds", 1)[1])
            # 8 slots: 2 million calls a second pile up in front of them
            huge = json.loads(
                loadgen("--port", port, "--operation", "NULL", "--rate", 2e6, "--seconds", 0.1, "--window", 8)[1]
            )
        finally:
            server.kill()
    assert small["replies"] == pytest.approx(500, rel=0.2)
    assert huge["replies"] == pytest.approx(200_000, rel=0.05)
    assert huge["p99_us"] > 50_000
    assert huge["late_p99_us"] > huge["p50_us"] / 2


def calls_of_a_capture():
    """NULL; two GETATTRs of different files; a READ in the middle; a LOOKUP that fails; a RENAME."""
    words = (5000).to_bytes(4) + (100).to_bytes(4) + bytes(4)
    messages = [
        (0, b"", b""),
        (1, HANDLES[0], bytes(4) + ATTRIBUTES),
        (1, HANDLES[1], bytes(4) + ATTRIBUTES),
        (6, HANDLES[0] + words, bytes(4) + ATTRIBUTES + (100).to_bytes(4) + bytes(100)),
        (4, HANDLES[0] + b"\0\0\0\1x\0\0\0", (2).to_bytes(4)),
        (11, (HANDLES[0] + b"\0\0\0\1x\0\0\0") * 2, bytes(4)),
    ]
    for xid, (procedure, arguments, result) in enumerate(messages):
        yield up(call(xid, *NFS, procedure, arguments))
        yield down(reply(xid, result))


def test_what_a_capture_holds_becomes_a_load(cache, tmp_path):
    capture, calls = tmp_path / "session.pcap", tmp_path / "calls.txt"
    capture.write_bytes(b"".join(pcap(ticking(calls_of_a_capture()))))
    said = run("recorded", capture, calls)
    assert "4 calls" in said
    assert "1 LOOKUP (NFSERR_NOENT)" in said
    assert "1 RENAME" in said
    assert [line.split() for line in calls.read_text().splitlines()] == [
        ["0.000", "NULL", "0", "0", "1"],
        ["2000.000", "GETATTR", "1", "0", "1"],
        ["4000.000", "GETATTR", "2", "0", "1"],
        ["6000.000", "READ", "1", "5000", "100"],
    ]
    done = bench("--peers", "nfsrpc", "--workers", "1", "--recording", str(calls), "--seconds", "1", "--half",
                 "--directory", str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert [(r["operation"], r["transport"]) for r in results] == [("recorded", "udp"), ("recorded", "tcp")]
    assert all(r["summary"]["rate"] > 0 and r["summary"]["half_p99"] > 0 for r in results)


def test_a_capture_that_is_none_is_told(tmp_path):
    (tmp_path / "x").write_bytes(b"no capture")
    assert "not a capture" in run("recorded", tmp_path / "x", tmp_path / "y", status=1)


@pytest.mark.parametrize(
    "line", ["1 GETATTR 0 0", "1 FROBNICATE 0 0 1", "1 READ 0 0 9000", "5 NULL 0 0 1\n4 NULL 0 0 1"]
)
def test_a_load_that_cannot_be_understood_is_told(cache, tmp_path, line):
    (tmp_path / "calls").write_text(line + "\n")
    status, _, said = loadgen("--port", 1, "--recording", tmp_path / "calls")
    assert status == 2
    assert "calls" in said or "FROBNICATE" in said


@pytest.mark.parametrize("mix", ["GETATTR=0", "GETATTR=x", "", "NOTHING=1"])
def test_a_mix_that_cannot_be_understood_is_told(cache, mix):
    status, _, said = loadgen("--port", 1, "--operation", mix)
    assert status in {1, 2}
    assert said.startswith("loadgen: ")


READS = ["GETATTR", "LOOKUP", "READ", "READDIR"]


@pytest.mark.parametrize(
    ("peer", "name", "operations", "transports"),
    [
        ("rpcgen", "rpcgen", READS, {"udp", "tcp"}),
        ("shenaniganfs", "ShenanigaNFS", ["GETATTR", "LOOKUP", "WRITE", "CREATE"], {"tcp"}),
        ("filesystem", "file system", [*READS, "WRITE", "CREATE"], {"udp", "tcp"}),
    ],
)
def test_other_peers_are_measured_alike(cache, tmp_path, peer, name, operations, transports):
    """The generator checks each reply of theirs as it does ours."""
    if peer == "rpcgen" and not (shutil.which("rpcgen") and Path("/usr/include/tirpc/rpc/rpc.h").exists()):
        pytest.skip("not on this machine: rpcgen and libtirpc-dev")
    if peer == "shenaniganfs" and find_spec("shenaniganfs") is None:
        pytest.skip("not in this environment: shenaniganfs")
    done = bench("--peers", peer, "--operations", ",".join(operations), "--seconds", "1", "--directory",
                 str(tmp_path))  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert {(r["operation"], r["transport"]) for r in results} == {(o, t) for o in operations for t in transports}
    assert {r["server"] for r in results} == {name}
    assert all(r["summary"]["rate"] > 0 for r in results)


@pytest.mark.parametrize(
    ("against", "scale", "rounds"),
    [
        ("names in the directory", 0.01, 1),
        pytest.param("names in the directory; files in the volume", 1, 3, marks=pytest.mark.full),
    ],
)
def test_what_grows_costs_the_same(cache, tmp_path, against, scale, rounds):
    """A thousand names (100 000 in the long form) or one: GETATTR, LOOKUP and a READDIR page do not notice."""
    run("growth", "--against", against, "--scale", scale, "--rounds", rounds, "--seconds", 0.3,
        "--directory", tmp_path, "--json", tmp_path / "growth.json")  # fmt: skip
    curves = json.loads((tmp_path / "growth.json").read_text())["growth"]
    assert {curve["against"] for curve in curves} == set(against.split("; "))
    for curve in curves:
        if curve["operation"] != "CREATE":  # which waits for the disk
            assert curve["points"][-1][1] < 2 * curve["points"][0][1], curve


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("calls", [20_000, pytest.param(1_000_000, marks=pytest.mark.full)])
def test_a_worker_stays_small(cache, tmp_path, calls):
    run("memory", "--calls", calls, "--directory", tmp_path, "--json", tmp_path / "memory.json")
    points = json.loads((tmp_path / "memory.json").read_text())["memory"]
    assert points[-1]["calls"] >= calls
    assert max(point["bytes"] for point in points) < WORKER_MEMORY
    if calls == 1_000_000:  # by then all that is bounded has reached its bound
        assert points[-1]["bytes"] < 1.05 * points[-4]["bytes"]


def test_the_first_answer_comes_soon(tmp_path):
    """At most as long as 8 empty Pythons (a busy machine gets three tries)."""
    for _ in range(3):
        run("start", "--rounds", 5, "--json", tmp_path / "start.json")
        ratio = json.loads((tmp_path / "start.json").read_text())["start"]["ratio"]
        if ratio <= 8:
            return
    pytest.fail(f"{ratio:.1f} times `python -c pass`")


def summary(rate):
    busy = rate / 1000
    return {"rate": rate, "p50": 1, "p99": 2, "resent": 0, "spread": 0, "busy": busy, "half_p50": 3, "half_p99": 4}


def document(operation, rate):
    results = [
        {"operation": operation, "transport": transport, "server": server, "summary": summary(rate)}
        for transport in ("udp", "tcp")
        for server in ("nfsrpc x1", "limit")
    ]
    return {
        "machine": "a machine", "python": "3", "connections": 4, "window": 4, "rounds": 5, "seconds": 1,
        "servers": ["nfsrpc x1", "limit"], "memory_bytes": {"nfsrpc x1": 5_000_000}, "results": results,
    }  # fmt: skip


def test_a_page_of_several_runs(tmp_path):
    """Lines of several files come together; of one that is there twice the later counts."""
    files = [tmp_path / f"{number}.json" for number in range(3)]
    for file, figures in zip(
        files, (document("NULL", 1000), document("GETATTR", 2000), document("NULL", 3000)), strict=True
    ):
        file.write_text(json.dumps(figures))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- figures of tools/bench -->\nold\n<!-- end of figures -->\nafter\n")
    run("page", *files, "--into", page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("<!-- end of figures -->\nafter\n")
    assert "| NULL udp | 3,000 (2) | 3,000 (2) |" in text
    assert "| GETATTR tcp | 2,000 (2) | 2,000 (2) |" in text
    assert "| NULL tcp | 3 / 4 | 3 / 4 |" in text
    assert "old" not in text


def test_a_page_says_what_a_second_worker_brings(tmp_path):
    figures = document("NULL", 1000)
    figures["servers"] = ["nfsrpc x1", "nfsrpc x2", "compiled x1", "compiled x2", "limit"]
    second = {"operation": "NULL", "transport": "udp", "server": "nfsrpc x2", "summary": summary(1300)}
    figures["results"].insert(1, second)
    (tmp_path / "a.json").write_text(json.dumps(figures))
    page = tmp_path / "page.md"
    page.write_text("<!-- figures of tools/bench -->\n<!-- end of figures -->\n")
    run("page", tmp_path / "a.json", "--into", page)
    assert "| NULL udp | 1.30 (1.0, 1.3) |  |" in page.read_text()
    assert "| NULL tcp | 1." not in page.read_text()


def test_workers_that_a_server_starts_late_are_counted():
    program = (
        f"import os, subprocess, sys; sys.path.insert(0, {str(BENCH)!r}); import peers\n"
        "peer = peers.Peer('nfsrpc x2', 2, 0, 0, '/', [os.getpid()])\n"
        "child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n"
        "print(peer.processes() == [os.getpid(), child.pid])\n"
        "child.communicate(b'\\n')\n"
        "print(peer.processes() == [os.getpid()])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("True\nTrue\n", "")


def test_plots_for_light_and_dark_pages(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "a.json").write_text(json.dumps(document("GETATTR", 98_765)))
    curve = {"against": "exports", "operation": "LOOKUP", "points": [[1, 8.0], [64, 9.0]]}
    (tmp_path / "b.json").write_text(json.dumps({"growth": [curve]}))
    run("page", tmp_path / "a.json", tmp_path / "b.json", "--plot", tmp_path / "plot")
    for theme in ("light", "dark"):
        compared = (tmp_path / f"plot-{theme}.svg").read_text()
        for text in ("GETATTR", "99 k", "nfsrpc x1", "UDP: replies/s"):
            assert text in compared
        assert "limit" not in compared
        assert "exports" in (tmp_path / f"plot-growth-{theme}.svg").read_text()
        assert (tmp_path / f"plot-{theme}.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_missing_in_a_page_is_told(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(document("NULL", 1)))
    (tmp_path / "page.md").write_text("no figures here\n")
    assert "has no line" in run("page", tmp_path / "a.json", "--into", tmp_path / "page.md", status=1)
