"""SIGKILL: every acknowledged unit is there afterwards, none is there by halves, each once."""

import os
import random
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from nfsrpc.store.volume import Volume, VolumeLock, make_volume
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.store.volume.quota import Limits

SCRIPT = Path(__file__).with_name("crash_workload.py")
workload = runpy.run_path(str(SCRIPT))
UNITS = 40


def start(path, seed, units, point, mode="sync"):
    command = [sys.executable, str(SCRIPT), str(path), str(seed), str(units), str(point), mode]
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
    one_more = bool(volume.recall([workload["key_of"](seed, count)]))
    assert found == (after if one_more else before)
    for number in range(count):
        assert volume.recall([key := workload["key_of"](seed, number)]) == {key: str(number).encode()}
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


def killed_at_random(tmp_path, seed, mode):
    path = tmp_path / f"volume{seed}"
    make_volume(path, size=Limits(used=1 << 40))
    process = start(path, seed, 300, 0, mode)
    lines = [process.stdout.readline() for _ in range(random.Random(seed).randrange(1, 200))]
    process.kill()
    output = b"".join(lines) + process.stdout.read()
    process.wait()
    process.stdout.close()
    check(path, tmp_path / f"twin{seed}", seed, acknowledged(output))


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("first", [0, 4])
def test_killed_at_random(tmp_path, first, mode):
    """The host itself does not stop: what is acknowledged before it is synced holds as well. So do accounts."""
    for seed in range(first, first + 4):
        killed_at_random(tmp_path, seed, mode)


@pytest.mark.full
@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("first", range(100, 300, 20))
def test_killed_at_random_often(tmp_path, first, mode):
    for seed in range(first, first + 20):
        killed_at_random(tmp_path, seed, mode)


LINE = b"line %08d\n"


def serve(path, lock, number, acknowledge):
    """A worker: adds files to a directory that all share, and lines to a file of its own; says so after each unit."""
    volume = Volume(path, lock)
    log = volume.lookup(volume.root, b"log %d" % number).ufid
    for turn in range(100000):
        with volume.work(changing=True):
            with volume.step():
                made = volume.create(volume.root, b"%d-%d" % (number, turn), 0o100644, 0, 0)
                volume.write(made.ufid, 0, LINE % turn)
            with volume.step():
                volume.write(log, volume.getattr(log).size, LINE % turn)
            if turn % 3 == 2:
                with volume.step():
                    volume.unlink(volume.root, b"%d-%d" % (number, turn - 2))
        os.write(acknowledge, b"x")


def fork_worker(path, lock, number):
    """(pid, pipe on which it acknowledges)"""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.close(reading)
            serve(path, lock, number, writing)
        finally:
            os._exit(1)
    os.close(writing)
    return pid, reading


def kill_workers_in_turn(path, rng, rounds):
    """Kill one of three workers at a time, and put another in its place; how many units each has acknowledged."""
    counts = []

    def reap(worker):
        pid, reading = worker
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        while chunk := os.read(reading, 65536):
            counts[place_of[pid]] += len(chunk)
        os.close(reading)

    place_of = {}
    with VolumeLock(path) as lock:
        volume = Volume(path, lock)
        with volume.work(changing=True):
            for number in range(rounds + 3):
                with volume.step():
                    volume.create(volume.root, b"log %d" % number, 0o100644, 0, 0)
        volume.close()
        workers = []
        for number in range(rounds + 3):
            if len(workers) == 3:
                reap(workers.pop(rng.randrange(3)))
            worker = fork_worker(path, lock, number)
            place_of[worker[0]] = number
            counts.append(0)
            workers.append(worker)
            for pid, reading in workers:
                for _ in range(rng.randrange(1, 6)):
                    counts[place_of[pid]] += len(os.read(reading, 1))
        for worker in workers:
            reap(worker)
    return counts


def check_workers(path, counts):
    assert [finding for finding in check_volume(path) if not finding.leftover] == []
    volume = Volume.open(path)
    with volume.work(changing=False):
        names = {entry.name for entry in volume.readdir(volume.root, 2, 1000000)[0]}
        for number, count in enumerate(counts):
            log = volume.read(volume.lookup(volume.root, b"log %d" % number).ufid, 0, 1 << 24)[0]
            done = len(log) // len(LINE % 0)
            assert done in (count, count + 1)
            assert log == b"".join(LINE % turn for turn in range(done))
            left = {turn for turn in range(done) if turn % 3 != 0 or turn + 2 >= done}
            assert {name for name in names if name.startswith(b"%d-" % number)} == {
                b"%d-%d" % (number, turn) for turn in left
            }
            for turn in left:
                row = volume.lookup(volume.root, b"%d-%d" % (number, turn))
                assert volume.read(row.ufid, 0, 100)[0] == LINE % turn
    volume.close()


@pytest.mark.parametrize("rounds", [6, pytest.param(200, marks=pytest.mark.full)])
def test_workers_killed_beside_others(volume_path, rounds):
    counts = kill_workers_in_turn(volume_path, random.Random(rounds), rounds)
    check_workers(volume_path, counts)
