"""A volume that acknowledges first: what a power cut can take, and what it can never do."""

import errno
import logging
import os
import random
import runpy
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from nfsrpc.store import Changes
from nfsrpc.store.volume import Volume, make_volume
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.store.volume.identity import adopt_volume

HERE = Path(__file__).parent
SCRIPT = HERE / "crash_workload.py"
workload = runpy.run_path(str(SCRIPT))
powercut = runpy.run_path(str(HERE / "powercut.py"))
UNITS = 40
REG = stat.S_IFREG | 0o644


def rows(tree):
    """What the tables say of a tree, without the files' bytes."""
    return {path: found[:4] for path, found in tree.items()}


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """After each number of units: the rows, and how many generations have been given out."""
    path = tmp_path_factory.mktemp("twin") / "volume"
    make_volume(path)
    twin = Volume.open(path, limits=workload["LIMITS"])
    found = []
    for number in range(UNITS + 1):
        with twin.work(changing=False):
            given = max(0, twin._files._generations._next - twin.root.generation)
            found.append((rows(workload["tree"](twin)), given))
        workload["run_unit"](twin, 1, number)
    twin.close()
    return found


@pytest.fixture(scope="module")
def traced(tmp_path_factory):
    """(path, what was there before, calls) of the whole workload, run asynchronously."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    base = tmp_path_factory.mktemp("traced")
    path = base / "volume"
    make_volume(path)
    shutil.copytree(path, base / "before")
    command = [*powercut["STRACE"], base / "trace", sys.executable, SCRIPT, path, "1", str(UNITS), "0", "async"]
    done = subprocess.run(command, check=False, capture_output=True)
    if b"ptrace" in done.stderr.lower():
        pytest.skip("tracing is not allowed here")
    assert done.returncode == 0, done.stderr
    return path, base / "before", list(powercut["calls"](base / "trace"))


def check(path, states, acknowledged):
    """The volume is whole, as it was after some unit; no generation that anybody has seen comes again."""
    assert [finding for finding in check_volume(path) if not finding.leftover] == []
    adopt_volume(path, moved=True)
    volume = Volume.open(path, limits=workload["LIMITS"])
    with volume.work(changing=False):
        tree = workload["tree"](volume)  # reads every file: none is lost
    latest = [place for place, (known, _) in enumerate(states[: acknowledged + 2]) if known == rows(tree)]
    assert latest, "a state that never was"
    volume.begin(True)
    with volume.step():
        made = volume.create(volume.root, b"new", REG, 0, 0)
    assert made.generation - volume.root.generation > states[acknowledged][1] - 1
    volume.abort()
    volume.close()
    assert [finding for finding in check_volume(path) if not finding.leftover] == []
    return latest[-1]


def cut_at(traced, states, tmp_path, cuts, policies):
    path, before, calls = traced
    disk = powercut["Disk"](path, before)
    acknowledged = 0
    reached = []
    for place, call in enumerate(calls):
        if place in cuts:
            for keep in policies:
                disk.after_power_cut(tmp_path / "after", keep)
                reached.append((check(tmp_path / "after", states, acknowledged), acknowledged))
        disk.apply(*call)
        name, arguments, _ = call
        acknowledged += name == "write" and arguments[0].startswith("1<") and acknowledged < UNITS
    return reached


def test_power_cuts(traced, states, tmp_path):
    rng = random.Random(3)
    cuts = {len(traced[2]) - 1, *rng.sample(range(len(traced[2])), 25)}
    reached = cut_at(traced, states, tmp_path, cuts, [lambda change: False, lambda change: rng.random() < 0.5])
    assert reached[-2:] == [(UNITS, UNITS)] * 2, "closing has synced everything"


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_power_cut_at_every_call(traced, states, tmp_path):
    rng = random.Random(4)
    odds = [lambda change, share=share: rng.random() < share for share in (0.0, 0.2, 0.5, 0.9)]
    cut_at(traced, states, tmp_path, range(len(traced[2])), odds)


@pytest.fixture
def behind(volume_path):
    """A volume opened asynchronously."""
    opened = Volume.open(volume_path, asynchronous=True)
    yield opened
    opened.close()


def test_acknowledged_without_a_sync(behind, once, monkeypatch):
    """Not even one that hangs holds a reply up."""
    gate = threading.Event()
    real = os.fdatasync

    def slow(descriptor):
        if threading.current_thread() is not threading.main_thread():
            assert gate.wait(60)
        real(descriptor)

    file = once(behind, "create", behind.root, b"f", REG, 0, 0).ufid
    monkeypatch.setattr(os, "fdatasync", slow)
    for number in range(20):
        once(behind, "write", file, number * 10, b"0123456789")
    assert behind.getattr(file).size == 200
    gate.set()
    behind.close()
    assert list(check_volume(behind.path)) == []


def test_nothing_is_left_on_record_at_the_end(behind, once):
    for number in range(30):
        file = once(behind, "create", behind.root, b"%d" % number, REG, 0, 0).ufid
        once(behind, "write", file, 0, b"x" * 9000)
        once(behind, "setattr", file, Changes(size=10))
        if number % 2:
            once(behind, "unlink", behind.root, b"%d" % number)
    behind.close()
    assert list(check_volume(behind.path)) == []
    assert len(list(behind.path.glob("data/*/*"))) == 15


def test_what_is_removed_stays_until_the_removal_is_durable(behind, once, monkeypatch):
    """Otherwise a power cut could bring back a name whose bytes are gone."""
    file = once(behind, "create", behind.root, b"f", REG, 0, 0).ufid
    once(behind, "write", file, 0, b"precious")
    behind._contents._behind.drain()
    (host,) = behind.path.glob("data/*/*")
    with monkeypatch.context() as patch:
        patch.setattr("nfsrpc.store.volume.writebehind._synced", lambda path: False)
        once(behind, "unlink", behind.root, b"f")
        behind._contents._behind.drain()
        once(behind, "create", behind.root, b"g", REG, 0, 0)
        assert host.read_bytes() == b"precious"
    behind.close()
    assert [finding.leftover for finding in check_volume(behind.path)] != []
    Volume.open(behind.path).close()
    assert not host.exists()


def test_a_removal_that_is_found_is_made_durable_before_it_is_done(behind, once, monkeypatch):
    """The log that tells of it may still be in the host's memory only when the volume is opened again."""
    file = once(behind, "create", behind.root, b"f", REG, 0, 0).ufid
    once(behind, "write", file, 0, b"precious")
    monkeypatch.setattr("nfsrpc.store.volume.writebehind._synced", lambda path: False)
    once(behind, "unlink", behind.root, b"f")
    behind.close()
    done = []
    real_fsync, real_unlink = os.fsync, os.unlink

    def fsync(descriptor):
        done.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        real_fsync(descriptor)

    def unlink(name, **where):
        done.append(os.path.basename(name))
        real_unlink(name, **where)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "unlink", unlink)
    opened = Volume.open(behind.path)
    host = f"{file.inode:08x}.{file.generation:08x}"
    assert done.index("meta.sqlite-wal") < done.index(host)
    opened.close()


def test_without_a_descriptor_to_sync_by(behind, once, monkeypatch):
    """What cannot be synced now stays on record, and is when the volume is opened again."""
    file = once(behind, "create", behind.root, b"f", REG, 0, 0).ufid

    def none_left(descriptor):
        raise OSError(errno.EMFILE, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "dup", none_left)
        once(behind, "write", file, 0, b"data")
    behind.close()
    assert [(finding.inode, finding.leftover) for finding in check_volume(behind.path)] == [(file.inode, True)]
    Volume.open(behind.path).close()
    assert list(check_volume(behind.path)) == []


def test_a_sync_that_fails_behind_is_told_once(behind, once, monkeypatch, caplog):
    file = once(behind, "create", behind.root, b"f", REG, 0, 0).ufid
    other = once(behind, "create", behind.root, b"g", REG, 0, 0).ufid

    def fail(descriptor):
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patch:
        patch.setattr("nfsrpc.store.volume.writebehind.sync_data", fail)
        once(behind, "write", file, 0, b"lost")
        behind._contents._behind.drain()
    assert "acknowledged data has not reached the disk" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR
    once(behind, "write", other, 0, b"fine")
    with pytest.raises(OSError, match="what was written before has not reached the disk") as caught:
        once(behind, "write", file, 0, b"again")
    assert caught.value.errno == errno.EIO
    once(behind, "write", file, 0, b"again")
    assert behind.read(file, 0, 10)[0] == b"again"
