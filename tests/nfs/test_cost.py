"""What a call costs the server, and its start, in instructions: neither may come to cost more unseen.

Instructions, unlike seconds, are the same in each run and on a busy machine. They are compared with those of a fixed
bit of Python in the same run, so that neither the processor nor the build of the interpreter matters.
"""

import os
import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import click
import counted_calls
import pytest

import nfsrpc
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.rpc import dispatch
from nfsrpc.store.volume import make_volume
from nfsrpc.transport import connect_udp
from nfsrpc.transport.ping import ping

BOUNDS = {
    # as it comes, compiled
    "NULL": (1.5, 0.6),
    "GETATTR": (6.1, 2.6),
    "GETATTR again": (2.1, 0.8),
    "LOOKUP": (7.9, 3.4),
    "LOOKUP again": (2.1, 0.8),
    "READ": (8.2, 3.5),
    "READ again": (2.0, 0.8),
    "READDIR": (6.9, 3.0),
    "READDIR again": (2.0, 0.8),
    "WRITE": (33.3, 22.6),
    "CREATE": (47.6, 30.0),
}
"""The cost of one call, in rounds of `counted_calls.standard`: a little above what it was when this was written."""
START = 15.7
"""The cost of a server of a volume until it first waits for a call, in Pythons that do nothing; likewise."""
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
ENVIRONMENT |= {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}

pytestmark = pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")


def counting(counts: Path, *options: str) -> list[str]:
    """The command in front of one whose instructions are counted; `counts` gets them."""
    return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={counts}", *options, sys.executable]


def counted(counts: Path) -> int:
    return int(re.search(r"^totals: (\d+)", counts.read_text(), re.MULTILINE)[1])


def instructions(directory: Path) -> dict[str, int]:
    """Instructions of each thing that `counted_calls` does, by its name."""
    counts = directory / "counts"
    command = [*counting(counts, "--dump-before=getppid"), counted_calls.__file__, directory / "volume"]
    beside = [str(Path(counted_calls.__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(beside)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return {name: counted(counts.with_suffix(f".{2 * n}")) for n, name in enumerate(done.stdout.splitlines(), 1)}


def test_no_call_costs_more_than_it_did(tmp_path):
    counts = instructions(tmp_path)
    standard = counts.pop("standard")
    compiled = not dispatch.__file__.endswith(".py")
    bounds = {name: kinds[compiled] for name, kinds in BOUNDS.items()}
    costs = {name: round(count / standard, 2) for name, count in counts.items()}
    assert costs.keys() == bounds.keys()
    over = {name: f"{cost}, of {bounds[name]}" for name, cost in costs.items() if cost > bounds[name]}
    assert over == {}, costs


def test_no_start_costs_more_than_it_did(tmp_path):
    make_volume(tmp_path / "volume")
    # Nothing of what this environment does to every Python is counted, nor the making of bytecode.
    environment = ENVIRONMENT | {
        "PYTHONPATH": os.pathsep.join(str(Path(package.__file__).parents[1]) for package in (nfsrpc, click)),
        "PYTHONPYCACHEPREFIX": str(tmp_path / "bytecode"),
    }
    run = partial(subprocess.run, env=environment, check=True, capture_output=True, timeout=120)
    run([sys.executable, "-S", "-m", "nfsrpc", "serve", "--help"])
    run([*counting(tmp_path / "nothing"), "-S", "-c", "pass"])
    # What is counted ends where the server first waits for a call.
    command = [*counting(tmp_path / "start", "--dump-before=epoll_wait"), "-S", "-m", "nfsrpc", "serve"]
    command += [tmp_path / "volume", "--port", "0", "--no-portmap"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as server:
        port = next(filter(None, (re.search(r"port (\d+), UDP", line) for line in server.stdout)))[1]
        with connect_udp("127.0.0.1", int(port)) as client:
            ping(client, v2.NFS_PROGRAM, v2.NFS_VERSION)
        server.terminate()
    assert counted(tmp_path / "start.1") / counted(tmp_path / "nothing") <= START
