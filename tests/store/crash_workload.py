"""Units of work that follow from their number alone; run by a process that is to be killed, and by its twin.

    python crash_workload.py VOLUME SEED UNITS POINT [async]

runs so many units unless it is killed, and prints the number of each one that is
committed. POINT: kills itself with SIGKILL at that system call (0: never).
"""

import itertools
import os
import random
import signal
import stat
import sys

from nfsrpc.store import Changes
from nfsrpc.store.volume import Volume, VolumeLimits
from nfsrpc.store.volume.database import Database

LIMITS = VolumeLimits(generation_block=5, descriptors=4)


def key_of(seed, number):
    return f"unit {seed} {number}".encode()


def payload(seed, number):
    return random.Random(f"{seed} {number}").randbytes(3000 + 97 * number)


def run_unit(volume, seed, number):
    """Unit `number` of the workload `seed`: a few calls, each a step, with the names that are there."""
    rng = random.Random(f"{seed}/{number}")
    volume.begin(True)
    for _ in range(rng.randint(1, 6)):
        try:
            with volume.step():
                call(volume, rng, payload(seed, number))
        except OSError:
            continue
    volume.remember(key_of(seed, number), b"client", str(number).encode())
    volume.commit()


def pick(volume, rng, directory):
    names = sorted(entry.name for entry in volume.readdir(directory, 2, 10000)[0])
    if not names:
        return b"none"
    return rng.choice(names)


def some_directory(volume, rng):
    directory = volume.root
    for _ in range(3):
        row = volume.getattr(directory)
        try:
            row = volume.lookup(directory, pick(volume, rng, directory))
        except FileNotFoundError:
            return directory
        if not stat.S_ISDIR(row.mode) or rng.random() < 0.5:
            return directory
        directory = row.ufid
    return directory


def call(volume, rng, data):
    above = some_directory(volume, rng)
    name = f"n{rng.randrange(12)}".encode()
    kind = rng.choice(["file", "file", "write", "write", "write", "dir", "link", "rename", "remove", "resize"])
    if kind == "file":
        row = volume.create(above, name, stat.S_IFREG | 0o644, 1, 2)
        volume.write(row.ufid, rng.choice([0, 5000]), data)
    elif kind == "dir":
        volume.create(above, name, stat.S_IFDIR | 0o755, 1, 2)
    elif kind == "rename":
        volume.rename(above, pick(volume, rng, above), some_directory(volume, rng), name)
    elif kind == "remove":
        victim = pick(volume, rng, above)
        directory = stat.S_ISDIR(volume.lookup(above, victim).mode)
        (volume.rmdir if directory else volume.unlink)(above, victim)
    else:
        node = volume.lookup(above, pick(volume, rng, above)).ufid
        if kind == "link":
            volume.link(node, above, name)
        elif kind == "write":
            size = volume.getattr(node).size
            volume.write(node, rng.choice([size, size + 9000]), data)
        else:
            volume.setattr(node, Changes(size=rng.choice([0, 100, 4096, 20000])))


def tree(volume, directory=None, path=b""):
    """Everything below `directory`: path to (mode, nlink, owner, size, contents)."""
    found = {}
    for entry in volume.readdir(directory or volume.root, 2, 10000)[0]:
        row = volume.lookup(directory or volume.root, entry.name)
        below = path + b"/" + entry.name
        if stat.S_ISDIR(row.mode):
            found[below] = (row.mode, row.nlink)
            found.update(tree(volume, row.ufid, below))
        else:
            found[below] = (row.mode, row.nlink, row.inode, row.size, volume.read(row.ufid, 0, 1 << 30)[0])
    return found


def arm(point):
    """Count the calls that touch the disk, before and after each; die at number `point`. Returns the counter."""
    counter = itertools.count(1)
    reached = [0]

    def tick():
        reached[0] = next(counter)
        if reached[0] == point:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(function):
        def counted(*arguments, **named):
            tick()
            result = function(*arguments, **named)
            tick()
            return result

        return counted

    for name in ("pwrite", "fdatasync", "fsync", "ftruncate", "unlink", "mkdir"):
        setattr(os, name, around(getattr(os, name)))
    plain = Database.run

    def run(self, statement, values=()):
        return (around(plain) if statement in ("COMMIT", "BEGIN IMMEDIATE") else plain)(self, statement, values)

    Database.run = run
    return reached


def main(path, seed, units, point, mode="sync"):
    volume = Volume.open(path, limits=LIMITS, asynchronous=mode == "async")
    reached = arm(int(point))
    for number in range(int(units)):
        run_unit(volume, seed, number)
        os.write(1, b"%d\n" % number)
    volume.close()
    os.write(1, b"points %d\n" % reached[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
