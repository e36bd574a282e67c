"""A new process of this very command, which takes over from this one."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping


class Successor:
    """A process that is about to take over. Readable when it has, or when it has failed to."""

    def __init__(self, process: subprocess.Popen[bytes], ready: int) -> None:
        self._process = process
        self._ready = ready

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def fileno(self) -> int:
        """What becomes readable."""
        return self._ready

    def has_taken_over(self) -> bool:
        """Whether it answers calls now; False: it has failed, and ended. Call once, when it is readable."""
        taken = os.read(self._ready, 1) != b""
        os.close(self._ready)
        if taken:
            # It outlives us: there is nothing to wait for, and nothing to warn of.
            self._process.returncode = 0
        else:
            self._process.kill()
            self._process.wait()
        return taken


def start(variable: str, kept: Mapping[str, int]) -> Successor:
    """Start it, with the descriptors `kept`, which it finds by their names in the environment's `variable`.

    OSError: it cannot start.
    """
    mine, theirs = os.pipe()
    try:
        descriptors = {**kept, "ready": theirs}
        left = json.dumps({"parent": os.getpid(), "descriptors": descriptors})
        process = subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env={**os.environ, variable: left},
            pass_fds=list(descriptors.values()),
        )
    except OSError:
        os.close(mine)
        raise
    finally:
        os.close(theirs)
    return Successor(process, mine)
