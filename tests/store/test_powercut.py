"""The current fails: every acknowledged unit holds, whatever becomes of what was not synced."""

import random
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nfsrpc.store.volume import Volume, make_volume
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.store.volume.identity import adopt_volume

HERE = Path(__file__).parent
SCRIPT = HERE / "crash_workload.py"
workload = runpy.run_path(str(SCRIPT))
powercut = runpy.run_path(str(HERE / "powercut.py"))
UNITS = 40


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """What a volume shows after each number of units."""
    path = tmp_path_factory.mktemp("twin") / "volume"
    make_volume(path)
    twin = Volume.open(path, limits=workload["LIMITS"])
    found = []
    for number in range(UNITS + 1):
        with twin.work(changing=False):
            found.append(workload["tree"](twin))
        workload["run_unit"](twin, 1, number)
    twin.close()
    return found


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """(path, what was there before, calls) of the whole workload."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    base = tmp_path_factory.mktemp("traced")
    path = base / "volume"
    make_volume(path)
    trace = base / "trace"
    shutil.copytree(path, base / "before")
    command = [*powercut["STRACE"], trace, sys.executable, SCRIPT, path, "1", str(UNITS), "0"]
    done = subprocess.run(command, check=False, capture_output=True)
    if b"ptrace" in done.stderr.lower():
        pytest.skip("tracing is not allowed here")
    assert done.returncode == 0, done.stderr
    calls = list(powercut["calls"](trace))
    assert sum(map(is_acknowledgement, calls)) == UNITS + 1
    return path, base / "before", calls


def is_acknowledgement(call):
    name, arguments, _ = call
    return name == "write" and arguments[0].startswith("1<")


def check(path, states, count):
    """`count` units were acknowledged; the next may have got as far as the disk."""
    assert [finding for finding in check_volume(path) if not finding.leftover] == []
    adopt_volume(path, moved=True)
    volume = Volume.open(path, limits=workload["LIMITS"])
    with volume.work(changing=False):
        found = workload["tree"](volume)
    for number in range(count):
        assert volume.recall([key := workload["key_of"](1, number)]) == {key: str(number).encode()}
    one_more = bool(volume.recall([workload["key_of"](1, count)]))
    generations = {volume.lookup(volume.root, entry.name).generation for entry in volume.readdir(volume.root, 2, 99)[0]}
    volume.begin(True)
    with volume.step():
        assert volume.create(volume.root, b"new", 0o100644, 0, 0).generation not in generations
    volume.abort()
    volume.close()
    assert found == states[count + one_more]


def drop_all(change):
    return False


def cut_at(traced, states, tmp_path, cuts, policies):
    """Cut the power before each of the calls `cuts`, once for each of the policies on what was not synced."""
    path, before, calls = traced
    disk = powercut["Disk"](path, before)
    acknowledged = 0
    for place, call in enumerate(calls):
        if place in cuts:
            for keep in policies:
                disk.after_power_cut(tmp_path / "after", keep)
                check(tmp_path / "after", states, acknowledged)
        disk.apply(*call)
        acknowledged += is_acknowledgement(call)


def test_power_cuts(traced, states, tmp_path):
    rng = random.Random(3)
    cuts = set(rng.sample(range(len(traced[2])), 25))
    cut_at(traced, states, tmp_path, cuts, [drop_all, lambda change: rng.random() < 0.5])


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_power_cut_at_every_call(traced, states, tmp_path):
    rng = random.Random(4)
    odds = [lambda change, share=share: rng.random() < share for share in (0.2, 0.5, 0.9)]
    cut_at(traced, states, tmp_path, range(len(traced[2])), [drop_all, *odds])
