"""The benchmark runs each operation against our server and believes no wrong answer."""

import json
import os
import socket
import struct
import subprocess
import sys
import threading

import pytest
from bench_runs import BENCH, WORKER_MEMORY, bench, cache_of_programs

__all__ = ["cache_of_programs"]


OPERATIONS = ["NULL", "GETATTR", "LOOKUP", "READ", "READDIR", "WRITE", "CREATE", "SEQREAD", "SFS"]


@pytest.mark.timeout(700)
@pytest.mark.parametrize("seconds", ["1", pytest.param("10", marks=pytest.mark.full)])
def test_every_operation_over_both_transports(cache, tmp_path, seconds):
    """Each reply is checked by the generator; and after all of them a worker is no larger than it may be."""
    done = bench("--peers", "nfsrpc", "--workers", "1", "--directory", str(tmp_path), "--seconds", seconds)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["memory_bytes"]["nfsrpc x1"] < WORKER_MEMORY
    results = figures["results"]
    expected = [(o, t) for o in OPERATIONS for t in ("udp", "tcp")]
    expected.remove(("SEQREAD", "udp"))
    assert [(r["operation"], r["transport"]) for r in results] == expected
    for line in results:
        assert line["summary"]["rate"] > 0
        assert line["summary"]["p50"] <= line["summary"]["p99"]
        assert 0 < line["summary"]["busy"] < os.cpu_count() + 0.1  # it is counted in clock ticks


def test_the_limit_is_measured_alike(cache):
    done = bench("--peers", "limit", "--operations", "GETATTR,READDIR", "--seconds", "0.3")
    assert done.returncode == 0, done.stderr
    assert {r["server"] for r in json.loads(done.stdout)["results"]} == {"limit"}


def test_an_unknown_operation_is_named(cache):
    done = bench("--operations", "GETATTR,FROBNICATE")
    assert done.returncode == 2
    assert "unknown operation FROBNICATE" in done.stderr


@pytest.mark.hostile
@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (struct.pack(">I", 5), "MNT /: status 5"),
        (b"", "the reply is too short"),
    ],
)
def test_the_generator_believes_no_wrong_answer(cache, body, complaint):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(60)

        def answer():
            call, peer = s.recvfrom(65536)
            s.sendto(call[:4] + struct.pack(">5I", 1, 0, 0, 0, 0) + body, peer)

        thread = threading.Thread(target=answer)
        thread.start()
        program = (
            f"import sys; sys.path.insert(0, {str(BENCH)!r}); import measure;"
            f" measure.run(measure.build(\'loadgen\'), measure.Load('NULL', 'udp', 1, 1, 0.1), {s.getsockname()[1]},"
            f" {s.getsockname()[1]}, '/', 2)"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
        thread.join()
    assert done.returncode == 1
    assert complaint in done.stderr


def test_the_client_library_beside_a_c_program(cache, tmp_path):
    """How the ratios come out is not for a busy machine to say, but for warm names: there only memory is asked."""
    done = subprocess.run(
        [
            sys.executable, str(BENCH), "client", "--size", "4", "--rounds", "1", "--directory", str(tmp_path),
            "--json", str(tmp_path / "figures.json"),
        ],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [line["what"] for line in figures["transfers"]] == ["write tcp", "read tcp", "write udp", "read udp"]
    assert all(line["c"] > 0 and line["library"] > 0 for line in figures["transfers"])
    cached = {line["what"]: line["ratio"] for line in figures["cached"]}
    assert cached["warm stat"] < 3
    assert cached["warm listdir"] < 3


def test_copies_of_a_small_tree(tmp_path):
    """Every copy is complete, or the benchmark fails; how fast is for people to look at."""
    command = [sys.executable, str(BENCH), "copy", "--files", "20", "--rounds", "1", "--directory", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:]] == [["put", "-r"], ["get", "-r"]]


def test_the_compiled_server_is_a_peer_of_its_own(cache, tmp_path, monkeypatch):
    """It is run by the interpreter that the variable names, whichever that is."""
    monkeypatch.setenv("NFSRPC_BENCH_COMPILED", sys.executable)
    done = bench(
        "--peers", "nfsrpc,compiled", "--workers", "1", "--operations", "GETATTR", "--transports", "udp",
        "--seconds", "1", "--directory", str(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["servers"] == ["nfsrpc x1", "compiled x1"]
    assert [line["server"] for line in figures["results"]] == figures["servers"]
    assert all(line["summary"]["rate"] > 0 for line in figures["results"])


def test_what_could_not_be_compiled_is_told_and_the_others_are_measured(cache, monkeypatch):
    monkeypatch.delenv("NFSRPC_BENCH_COMPILED", raising=False)
    done = bench("--peers", "compiled,limit", "--operations", "GETATTR", "--transports", "udp", "--seconds", "0.3")
    assert done.returncode == 0, done.stderr
    assert "without nfsrpc compiled" in done.stderr
    assert json.loads(done.stdout)["servers"] == ["limit"]


def test_compiled_goes_before_what_has_one_kind_alone():
    command = [str(BENCH.parent / "bench"), "--compiled", "page"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "--compiled goes before auth, client, copy, growth, memory or start" in done.stderr
