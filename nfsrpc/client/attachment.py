"""A FUSE file system from its mount to its end: threads, signals, and a server that does not answer any more."""

import errno
import os
import signal
import stat
import threading
from collections.abc import Callable
from pathlib import Path

from .blocking import Mount, mount
from .fuse import Operations, Session, options
from .identity import credential_of
from .url import NfsUrl

GRACE = 10.0
"""Seconds that calls under way have to end once the file system shall; a server that is silent is not waited for."""
_ENDING = {signal.SIGTERM, signal.SIGINT}
_NUDGE = 0.1


class NotMounted(OSError):
    """FUSE could not mount; libfuse has said why on standard error."""


def show(
    url: NfsUrl, directory: Path, ready: Callable[[], None], *, read_only: bool = False, allow_other: bool = False
) -> None:
    """Show what `url` names in `directory` until it is unmounted, or until SIGTERM, SIGINT or SIGHUP.

    Call it on the main thread of a process that does nothing else. `ready` is called, on
    another thread, once it is mounted. Raises `NotMounted`, `OSError`, and the errors of `mount`.
    """
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    with mount(url, umask=0) as mounted:
        if not stat.S_ISDIR(mounted.stat("").st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fsdecode(url.path))
        _run(mounted, url, directory, ready, {"ro": read_only, "allow_other": allow_other})


def _run(mounted: Mount, url: NfsUrl, directory: Path, ready: Callable[[], None], wishes: dict[str, bool]) -> None:
    """Everything between the mount of the export and its end."""
    there = threading.Event()

    def is_there() -> None:
        there.set()
        ready()

    operations = Operations(mounted, credential_of(url), is_there)
    settings = options() | {"fsname": str(url), "subtype": "nfsrpc"} | wishes
    outcome: list[BaseException] = []

    def serve() -> None:
        # libfuse ends its loop for a SIGHUP that this thread gets.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
        try:
            Session(operations, str(directory), foreground=True, **settings)
        except BaseException as error:
            outcome.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    thread = threading.Thread(target=serve, name="fuse")
    thread.start()
    signal.sigwait(_ENDING)
    for _ in range(int(GRACE / _NUDGE)):
        if not thread.is_alive():
            break
        assert thread.ident is not None
        signal.pthread_kill(thread.ident, signal.SIGHUP)
        thread.join(_NUDGE)
    if thread.is_alive():
        mounted.abandon()
        thread.join()
    # libfuse calls its own end by a signal an error as well.
    if outcome and not there.is_set():
        raise NotMounted("FUSE could not mount it (see above)") from outcome[0]
