"""The state directory: what the server has to know of an exported directory and cannot keep inside it.

File ids, cookies and the key of the handles are there, by the identity of the
directory (file system and kernel handle), so that they hold on when it is
renamed, and never hold for another one that has come to be at its path.
"""

import errno
import fcntl
import os
import secrets
import time
from collections.abc import Callable
from hashlib import blake2s
from pathlib import Path
from types import TracebackType

from ..errors import CannotServe, DirectoryInUse
from ..volume import schema as volume
from ..volume import uptime
from ..volume.database import FILE, Database
from . import kernel, schema

LOCK_FILE = "lock"


def default_state() -> Path:
    """Where state is kept unless another place is asked for: the XDG base directory specification's."""
    base = os.environ.get("XDG_STATE_HOME") or ""
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state") / "nfsrpc"


class DirectoryLock:
    """An existing directory that is to be served, and its state, held by one server at a time.

    Made by the supervisor before it forks workers; they inherit it. Each opens
    its own `Passthrough` over it. `state` is the directory of everything that the server keeps about this one.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        state: str | os.PathLike[str] | None = None,
        *,
        inherited: int | None = None,
        monotonic: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Take it; `inherited`: a descriptor of the lock that a predecessor holds. CannotServe, with the reason.

        `monotonic`: ns of a clock that all processes of this machine share.
        """
        self.path = Path(path)
        self.monotonic = monotonic
        absent = kernel.missing()
        if absent:
            raise CannotServe(self.path, f"serving a plain directory needs Linux: there is no {', '.join(absent)} here")
        self._descriptor = -1 if inherited is None else inherited
        self.top = _opened(self.path)
        """The directory itself, open for reading."""
        try:
            handle, name = identify(self.path, self.top)
            base = default_state() if state is None else Path(state)
            self.state = base / name
            self._keep_apart(base)
            if inherited is None:
                self._make_room()
                self._take()
                self._begin(handle)
        except BaseException:
            self.release()
            raise

    def _keep_apart(self, base: Path) -> None:
        """The key of the handles must not be a file that clients can read."""
        top = os.path.realpath(self.path)
        place = os.path.realpath(base)
        inside = os.path.commonpath([top, place]) == top
        if inside and os.stat(_existing(place)).st_dev == os.stat(top).st_dev:
            raise CannotServe(
                self.path, f"the server's state would be inside it, in {place}; choose another place with --state"
            )

    def _make_room(self) -> None:
        try:
            self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CannotServe(
                self.path,
                f"cannot make {self.state} for the server's state: {error.strerror}; choose another with --state",
                error.errno or errno.EIO,
            ) from None

    def _take(self) -> None:
        self._descriptor = os.open(self.state / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryInUse(self.path) from None

    def _begin(self, handle: bytes) -> None:
        """Nobody else has it: make the side table if there is none, and set the clock of remembered results."""
        database = Database(self.state, create=not (self.state / FILE).exists())
        path = os.fsencode(self.path.absolute())
        try:
            database.run(volume.BEGIN_CHANGING)
            if database.one(schema.TABLE_COUNT) == (0,):
                for statement in schema.TABLES:
                    database.run(statement)
                database.run(schema.IDENTITY_NEW, (secrets.randbelow(0xFFFFFFFF) + 1, secrets.token_bytes(32), path))
                database.run(schema.FILE_ADD_ROOT, (schema.ROOT, handle))
            database.run(schema.IDENTITY_PATH, (path,))
            database.run(volume.COMMIT)
            uptime.set_going(self._descriptor, database, self.monotonic)
        finally:
            database.close()

    def fileno(self) -> int:
        """The descriptor that holds it."""
        return self._descriptor

    def release(self) -> None:
        """Give up this process's part of the lock. May be called twice."""
        for descriptor in (self._descriptor, self.top):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self.top = -1

    def __enter__(self) -> "DirectoryLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _existing(path: str) -> str:
    """`path`, or the nearest directory above it that is there."""
    while not os.path.exists(path):
        path = os.path.dirname(path)
    return path


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise CannotServe(path, (error.strerror or str(error)).lower(), error.errno or errno.EIO) from None


def identify(path: Path, descriptor: int) -> tuple[bytes, str]:
    """(kernel handle, name of its state) of the directory open as `descriptor`. CannotServe."""
    try:
        handle = kernel.Handles().of(descriptor).data
    except OSError as error:
        raise CannotServe(path, _no_handles(error), error.errno or errno.EIO) from None
    digest = blake2s(os.fstatvfs(descriptor).f_fsid.to_bytes(8), digest_size=12)
    digest.update(handle)
    return handle, digest.hexdigest()


def _no_handles(error: OSError) -> str:
    if error.errno == errno.EOPNOTSUPP:
        return (
            "its file system (overlayfs, for one) has no file handles, so files in it cannot be told apart for good; "
            "serve a directory of another file system, or a volume (`nfsrpc mkfs`)"
        )
    return f"its files cannot be named by handle: {(error.strerror or str(error)).lower()}"
