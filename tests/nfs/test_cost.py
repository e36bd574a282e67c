"""What a call costs the server, in instructions: none may come to cost more unseen.

Instructions, unlike seconds, are the same in each run and on a busy machine. They are compared with those of a fixed
bit of Python in the same run, so that neither the processor nor the build of the interpreter matters.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import counted_calls
import pytest

from nfsrpc.rpc import dispatch

BOUNDS = {
    # as it comes, compiled
    "NULL": (3.0, 1.25),
    "GETATTR": (7.1, 3.7),
    "LOOKUP": (8.7, 4.7),
    "READ": (9.0, 4.9),
    "READDIR": (7.6, 4.1),
    "WRITE": (36.0, 29.0),
    "CREATE": (53.0, 43.0),
}
"""The cost of one call, in rounds of `counted_calls.standard`: an eighth above what it was when this was written."""


def instructions(directory: Path) -> dict[str, int]:
    """Instructions of each thing that `counted_calls` does, by its name."""
    counts = directory / "counts"
    valgrind = ["valgrind", "--tool=callgrind", "--dump-before=getppid", f"--callgrind-out-file={counts}"]
    done = subprocess.run(
        [*valgrind, sys.executable, counted_calls.__file__, directory / "volume"],
        env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return {
        name: int(re.search(r"^totals: (\d+)", counts.with_suffix(f".{2 * n}").read_text(), re.MULTILINE)[1])
        for n, name in enumerate(done.stdout.split(), 1)
    }


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is not installed")
def test_no_call_costs_more_than_it_did(tmp_path):
    counts = instructions(tmp_path)
    standard = counts.pop("standard")
    compiled = not dispatch.__file__.endswith(".py")
    bounds = {name: kinds[compiled] for name, kinds in BOUNDS.items()}
    costs = {name: round(count / standard, 2) for name, count in counts.items()}
    assert costs.keys() == bounds.keys()
    over = {name: f"{cost}, of {bounds[name]}" for name, cost in costs.items() if cost > bounds[name]}
    assert over == {}, costs
