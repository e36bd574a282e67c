"""tools/rpc_speed runs, and says something of everything it promises."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "rpc_speed"


def test_both_servers_and_both_clients_are_measured():
    if shutil.which("rpcgen") is None or not Path("/usr/include/tirpc/rpc/rpc.h").exists():
        pytest.skip("not on this machine: rpcgen and libtirpc-dev")
    done = subprocess.run(
        [sys.executable, str(TOOL), "--seconds", "0.02", "--rounds", "1", "--calls", "160"],
        capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    for start in (["udp", "null"], ["udp", "echo", "1024"], ["tcp", "echo", "32768"]):
        assert len([row for row in rows if row[: len(start)] == start]) == 2, "with one worker, and with two"
    assert [row[0] for row in rows if len(row) == 4 and row[0] in ("udp", "tcp")] == ["udp", "tcp"]
