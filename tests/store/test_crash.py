"""SIGKILL: every acknowledged unit is there afterwards, none is there by halves, each once."""

import random
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from nfsrpc.store.volume import Volume, make_volume
from nfsrpc.store.volume.fsck import check_volume

SCRIPT = Path(__file__).with_name("crash_workload.py")
workload = runpy.run_path(str(SCRIPT))
UNITS = 40


def start(path, seed, units, point):
    command = [sys.executable, str(SCRIPT), str(path), str(seed), str(units), str(point)]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def acknowledged(output):
    """Number of units that the process said it had committed."""
    return sum(
        1 for line in output.splitlines(keepends=True) if line.endswith(b"\n") and not line.startswith(b"points")
    )


def states(base, seed, count):
    """What a twin that nobody kills looks like after `count` units, and after one more."""
    make_volume(base)
    twin = Volume.open(base, limits=workload["LIMITS"])
    for number in range(count):
        workload["run_unit"](twin, seed, number)
    with twin.work(changing=False):
        before = workload["tree"](twin)
    workload["run_unit"](twin, seed, count)
    with twin.work(changing=False):
        after = workload["tree"](twin)
    twin.close()
    return before, after


def check(path, twin_path, seed, count):
    """The volume at `path` shows `count` units or, if the process died just before saying so, one more."""
    assert [finding for finding in check_volume(path) if not finding.leftover] == []
    before, after = states(twin_path, seed, count)
    volume = Volume.open(path, limits=workload["LIMITS"])
    with volume.work(changing=False):
        found = workload["tree"](volume)
    one_more = volume.recall(workload["key_of"](seed, count)) is not None
    assert found == (after if one_more else before)
    for number in range(count):
        assert volume.recall(workload["key_of"](seed, number)) == str(number).encode()
    # It goes on working, from where it is.
    for number in range(count + one_more, count + one_more + 3):
        workload["run_unit"](volume, seed, number)
    volume.close()
    assert [finding for finding in check_volume(path) if not finding.leftover] == []


def points(path):
    """How many points there are to die at."""
    make_volume(path)
    output, _ = start(path, 1, UNITS, 0).communicate()
    return int(output.split()[-1])


def die_at(tmp_path, seed, point):
    path = tmp_path / f"volume{point}"
    make_volume(path)
    output, _ = start(path, seed, UNITS, point).communicate()
    check(path, tmp_path / f"twin{point}", seed, acknowledged(output))


def test_killed_at_a_system_call(tmp_path):
    last = points(tmp_path / "whole")
    assert last > 200
    for point in random.Random(2).sample(range(1, last), 8):
        die_at(tmp_path, 1, point)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_killed_at_every_system_call(tmp_path):
    for point in range(1, points(tmp_path / "whole") + 1):
        die_at(tmp_path, 1, point)


def killed_at_random(tmp_path, seed):
    path = tmp_path / f"volume{seed}"
    make_volume(path)
    process = start(path, seed, 300, 0)
    lines = [process.stdout.readline() for _ in range(random.Random(seed).randrange(1, 200))]
    process.kill()
    output = b"".join(lines) + process.stdout.read()
    process.wait()
    process.stdout.close()
    check(path, tmp_path / f"twin{seed}", seed, acknowledged(output))


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random(tmp_path, seed):
    killed_at_random(tmp_path, seed)


@pytest.mark.full
@pytest.mark.parametrize("first", range(100, 300, 20))
def test_killed_at_random_often(tmp_path, first):
    for seed in range(first, first + 20):
        killed_at_random(tmp_path, seed)
