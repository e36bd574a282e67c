"""Runs in one of two guests: takes turns with the other one at a file, and never sees what is old.

The mount keeps attributes of files for a minute and those of directories not at all: only what NFS promises between
close(2) and open(2) makes the other's lines appear.
"""

import os
import sys
import time

TURNS = 12
PAUSE = 0.05  # seconds; between two looks for the other's mark


def await_mark(name):
    while not os.path.exists(name):
        time.sleep(PAUSE)


def read(name):
    with open(name, "rb") as f:
        return f.read()


def main(directory, me, other, first):
    os.chdir(directory)
    expected = b""
    names = [me, other] if first else [other, me]
    for turn in range(TURNS):
        for name in names:
            line = f"{name} wrote {turn:04} ".encode() * 600 + b"\n"
            expected += line
            if name == me:
                with open("data", "ab") as f:
                    f.write(line)
                with open(f"mark-{me}-{turn}", "wb"):
                    pass
            else:
                await_mark(f"mark-{other}-{turn}")
                found = read("data")
                if found != expected:
                    print("turn", turn, "stale:", len(found), "of", len(expected), "bytes", flush=True)
                    sys.exit(1)
    print("turns:", TURNS, "bytes:", len(read("data")), flush=True)


main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4] == "first")
