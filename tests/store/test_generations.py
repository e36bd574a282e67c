"""(inode, generation) names one file for ever."""

import errno
import os
import stat
import subprocess
import sys

import pytest

from nfsrpc.store.volume import Volume, VolumeLimits, VolumeLock
from nfsrpc.store.volume.superblock import SuperblockFile

REG = stat.S_IFREG | 0o644


def test_a_number_is_reused_at_once_under_a_new_generation(volume, once):
    root = volume.root
    seen = set()
    for _ in range(5):
        file = once(volume, "create", root, b"f", REG, 0, 0)
        seen.add(file.ufid)
        once(volume, "write", file.ufid, 0, b"x")
        once(volume, "unlink", root, b"f")
        for call in (("getattr", file.ufid), ("read", file.ufid, 0, 1), ("write", file.ufid, 0, b"y")):
            with pytest.raises(OSError) as caught:
                once(volume, *call)
            assert caught.value.errno == errno.ESTALE
    assert len(seen) == 5
    assert len({ufid.inode for ufid in seen}) == 1


def test_the_lowest_number_goes_first(volume, once):
    files = [once(volume, "create", volume.root, b"%d" % number, REG, 0, 0) for number in range(6)]
    for number in (4, 1, 2):
        once(volume, "unlink", volume.root, b"%d" % number)
    again = [once(volume, "create", volume.root, b"n%d" % number, REG, 0, 0).inode for number in range(4)]
    assert again == [files[1].inode, files[2].inode, files[4].inode, files[5].inode + 1]


def test_remove_and_create_in_one_unit(volume, once):
    old = once(volume, "create", volume.root, b"f", REG, 0, 0)
    once(volume, "write", old.ufid, 0, b"old")
    with volume.work(changing=True):
        with volume.step():
            volume.unlink(volume.root, b"f")
        with volume.step():
            new = volume.create(volume.root, b"f", REG, 0, 0)
            volume.write(new.ufid, 0, b"n")
    assert new.inode == old.inode
    assert new.generation != old.generation
    with volume.work(changing=False):
        assert volume.read(new.ufid, 0, 10)[0] == b"n"


def test_never_rolled_back(volume, once):
    seen = set()
    for round_number in range(10):
        volume.begin(True)
        try:
            with volume.step():
                seen.add(volume.create(volume.root, b"f", REG, 0, 0).generation)
                raise InterruptedError
        except InterruptedError:
            pass
        with volume.step():
            seen.add(volume.create(volume.root, b"f", REG, 0, 0).generation)
        (volume.abort if round_number % 2 else volume.commit)()
        if not round_number % 2:
            once(volume, "unlink", volume.root, b"f")
    assert len(seen) == 20


KILLED = """
import os, sys
from nfsrpc.store.volume import Volume, VolumeLimits
volume = Volume.open(sys.argv[1], limits=VolumeLimits(generation_block=7))
volume.begin(True)
for number in range(int(sys.argv[2])):
    with volume.step():
        print(volume.create(volume.root, b"%d" % number, 0o100644, 0, 0).generation, flush=True)
os.kill(os.getpid(), 9)
"""


def test_never_given_out_again_after_a_crash(volume_path):
    seen = []
    for count in (1, 7, 8, 20, 3):
        command = [sys.executable, "-c", KILLED, str(volume_path), str(count)]
        seen += subprocess.run(command, stdout=subprocess.PIPE, check=False).stdout.split()
    assert len(seen) == len(set(seen)) == 39


def test_blocks_of_several_processes_are_apart(volume_path, once):
    with VolumeLock(volume_path) as lock:
        workers = [Volume(volume_path, lock, limits=VolumeLimits(generation_block=3)) for _ in range(3)]
        seen = [
            once(worker, "create", worker.root, b"%d" % (10 * turn + place), REG, 0, 0).generation
            for turn in range(7)
            for place, worker in enumerate(workers)
        ]
        for worker in workers:
            worker.close()
    assert len(set(seen)) == 21
    superblock = SuperblockFile(volume_path)
    assert max(seen) < superblock.read().reserved
    superblock.close()


def test_reserved_before_the_first_is_used(volume, monkeypatch):
    """If the superblock cannot be synced, no file gets a generation of the block."""

    def fail(descriptor):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(os, "fdatasync", fail)
    volume.begin(True)
    with pytest.raises(OSError), volume.step():
        volume.create(volume.root, b"f", REG, 0, 0)
    volume.abort()


def test_exhausted(volume_path, once):
    superblock = SuperblockFile(volume_path)
    last = superblock.read().reserved + 2
    superblock.close()
    volume = Volume.open(volume_path, limits=VolumeLimits(generation=last, generation_block=2))
    for number in range(3):
        once(volume, "create", volume.root, b"%d" % number, REG, 0, 0)
    with pytest.raises(OSError) as caught:
        once(volume, "create", volume.root, b"3", REG, 0, 0)
    assert caught.value.errno == errno.ENOSPC
    volume.close()


def test_inode_numbers_exhausted(volume_path, once):
    volume = Volume.open(volume_path, limits=VolumeLimits(inode=5))
    for number in range(3):
        once(volume, "create", volume.root, b"%d" % number, REG, 0, 0)
    assert volume.statfs().inodes_free == 0
    with pytest.raises(OSError) as caught:
        once(volume, "create", volume.root, b"3", REG, 0, 0)
    assert caught.value.errno == errno.ENOSPC
    once(volume, "unlink", volume.root, b"1")
    assert volume.statfs().inodes_free == 1
    once(volume, "create", volume.root, b"3", REG, 0, 0)
    volume.close()
