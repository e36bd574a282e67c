"""Runs of tools/benchmark, and a cache of its own for what it compiles."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "tools" / "benchmark"
WORKER_MEMORY = 60_000_000  # bytes


@pytest.fixture(scope="module", name="cache")
def cache_of_programs(tmp_path_factory):
    """The load generator is compiled into a cache of its own: a test must not use yesterday's."""
    if shutil.which("cc") is None:
        pytest.skip("not on this machine: cc")
    directory = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(directory))
        yield directory


def bench(*arguments):
    return subprocess.run(
        [sys.executable, str(BENCH), "--rounds", "1", "--json", "-", *arguments],
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
