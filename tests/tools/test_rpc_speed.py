"""tools/rpc_speed runs, and says something of everything it promises."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "rpc_speed"


def test_both_servers_and_all_clients_are_measured():
    if shutil.which("rpcgen") is None or not Path("/usr/include/tirpc/rpc/rpc.h").exists():
        pytest.skip("not on this machine: rpcgen and libtirpc-dev")
    done = subprocess.run(
        [sys.executable, str(TOOL), "--seconds", "0.2", "--rounds", "1", "--calls", "320"],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    clients = next(number for number, row in enumerate(rows) if row[:1] == ["clients,"])
    for start in (["udp", "null"], ["udp", "echo", "1024"], ["tcp", "echo", "32768"]):
        found = [row[len(start) :] for row in rows[:clients] if row[: len(start)] == start]
        assert len(found) == 2, "with one worker, and with two"
        assert {len(row) for row in found} == {9 if "NFSRPC_BENCH_COMPILED" in os.environ else 6}
        assert all(float(rate) > 0 for row in found for rate in row[::3])
    others = [module for module in ("pyvisa_py", "shenaniganfs") if importlib.util.find_spec(module)]
    figures = [row for row in rows[clients + 1 :] if row[:1] in (["udp"], ["tcp"])]
    ways = [["64", "together"], ["16", "together"], ["16", "each"], ["single"]]
    assert [row[-14 - len(way) : -14] for row, way in zip(figures, ways * 4, strict=True)] == ways * 4
    for proto, *row in figures:
        blocking, asyncio, compiled, compiled_asyncio, bare, pyvisa, shenaniganfs = row[-14::2]
        assert min(map(float, (blocking, asyncio, bare))) > 0
        assert all((rate == "-") == (used == "-") for rate, used in zip(row[-14::2], row[-13::2], strict=True))
        assert (compiled == "-") == (compiled_asyncio == "-") == ("NFSRPC_BENCH_COMPILED" not in os.environ)
        assert (pyvisa != "-") == ("pyvisa_py" in others and "single" in row)
        assert (shenaniganfs != "-") == ("shenaniganfs" in others and proto == "tcp")
