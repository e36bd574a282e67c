"""``nfsrpc mount``: a remote directory as a file system of this machine."""

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import click

from nfsrpc.client.url import parse_url

from .errors import Failure
from .remote import failing_at


@click.command()
@click.argument("url")
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path, readable=False))
@click.option("-f", "--foreground", is_flag=True, help="Stay until it is unmounted, instead of going on in the back.")
@click.option("-r", "--read-only", is_flag=True, help="Refuse every change.")
@click.option("--allow-other", is_flag=True, help="Let other users of this machine in; they act as you "
              "(root, or user_allow_other in /etc/fuse.conf).")  # fmt: skip
def mount(url: str, directory: Path, foreground: bool, read_only: bool, allow_other: bool) -> None:
    """Show a remote directory as DIR, for any program: nfsrpc mount nfs://HOST[:PORT]/PATH DIR

    Needs FUSE, no root. When the command returns the files are there; `umount DIR`, `fusermount3 -u DIR`
    or a SIGTERM to the process end it. A server that is restarted is waited for.

    \b
    nfsrpc mount nfs://sun/home ~/sun
    nfsrpc mount 'nfs://sun/home?uid=1000&gid=100' ~/sun     as another user
    nfsrpc mount 'nfs://sun/home?soft' ~/sun                 errors instead of waiting
    """
    with failing_at(url):
        place = parse_url(url)
    _check(directory)
    ready = _stay if foreground else _go_on_in_the_back()
    if ready is None:
        return
    from nfsrpc.client.attachment import NotMounted, show

    try:
        with failing_at(url):
            show(place, directory.absolute(), ready, read_only=read_only, allow_other=allow_other)
    except NotMounted as error:
        raise Failure(f"{directory}: {error}") from None


def _check(directory: Path) -> None:
    """What is missing is said before anything is tried."""
    try:
        import mfusepy  # noqa: F401
    except ImportError:
        raise Failure("mounting needs the FUSE binding; type: pip install 'nfsrpc[fuse]'") from None
    except OSError:
        raise Failure("mounting needs libfuse; type: sudo apt install fuse3   (or the like)") from None
    if not os.path.exists("/dev/fuse"):
        raise Failure("this machine has no /dev/fuse; type: sudo modprobe fuse   (containers must be given the device)")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        raise Failure("you may not use /dev/fuse; type: sudo chmod 666 /dev/fuse   (or be in the group that it has)")
    if os.geteuid() and not shutil.which("fusermount3"):
        raise Failure("mounting without root needs fusermount3; type: sudo apt install fuse3   (or the like)")
    if os.path.lexists(directory) and not os.path.isdir(directory):
        raise Failure(f"{directory} is no directory; name one to mount on")
    if not os.path.isdir(directory):
        raise Failure(f"{directory} is no directory to mount on; make it first: mkdir {directory}")


def _stay() -> None:
    """Mounted, and this process goes on as it is."""


def _go_on_in_the_back() -> Callable[[], None] | None:
    """Fork. In the child: what to call when it is mounted. In the parent: None, when that has happened."""
    told, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        with os.fdopen(told, "rb") as pipe:
            mounted = pipe.read(1)
        if not mounted:
            _, status = os.waitpid(child, 0)
            sys.exit(os.waitstatus_to_exitcode(status) or 1)
        return None
    os.close(told)
    os.setsid()

    def ready() -> None:
        with suppress(OSError):
            os.write(tell, b"1")
        os.close(tell)
        os.chdir("/")
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        os.close(nowhere)

    return ready
