"""The blocking mount: remote files with the habits of `os`, `io`, `glob` and `shutil`."""

import os
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload

from . import walking
from .blocking_wire import BlockingWire
from .core import AnyPath, Core, moments, owner, raw
from .listing import RemoteEntry
from .locate import open_client
from .opened import parse_mode
from .paths import RemotePath
from .site import Site, find_site
from .stream import RemoteFile, layered
from .tree import Tree
from .url import NfsUrl, parse_url

T = TypeVar("T")
OnError = Callable[[OSError], None] | None


class Mount:
    """A mounted directory (or file) of a server. Made by `mount`.

    A context manager; `close` writes back what is not written, and unmounts. Methods have the names, arguments,
    results and errors of their namesakes in `os`, `glob` and `shutil`; paths count from what the URL names, with or
    without a slash in front, and the path in an error is the whole one on the server.
    """

    def __init__(self, site: Site, url: NfsUrl) -> None:
        self.url = url
        self._site = site
        client = open_client(site.nfsd, site.credential, url.options.timeout)
        self._wire = BlockingWire(client, site, url.options)
        self._client = client
        self._core = Core(self._wire, site, url.options)
        self._tree, self._files = self._core.tree, self._core.files
        try:
            self._wire.run(self._core.start())
        except BaseException:
            client.close()
            raise

    @property
    def wire(self) -> BlockingWire:
        """What drives the core, for those who build on it: `copying`."""
        return self._wire

    @property
    def tree(self) -> Tree:
        """The names of this mount, for those who build on the core."""
        return self._tree

    @property
    def page(self) -> int:
        """Bytes of one READ or WRITE."""
        return self._files.page

    def _do(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work`, once more after a walk from the root if it meets a stale handle."""
        return self._wire.run(self._tree.steadily(work))

    def close(self) -> None:
        """Close every file that is open, and unmount. Raises the first error that a file had."""
        try:
            self._wire.run(self._files.close_all())
        finally:
            self._client.close()
            self._site.leave()

    def abandon(self) -> None:
        """End at once: calls that wait for a silent server fail, and what it has not got is lost. For any thread."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __truediv__(self, name: AnyPath) -> "RemotePath":
        return RemotePath(self, name)

    def path(self, *names: AnyPath) -> "RemotePath":
        """A path object with the habits of `pathlib.Path`; ``m / "a" / "b"`` is the same as ``m.path("a", "b")``."""
        return RemotePath(self, *names)

    # --- contents

    def open(
        self,
        path: AnyPath,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        *,
        permissions: int = 0o666,
    ) -> Any:
        """Open a file, as the built-in `open` does: the same modes, the same classes of `io`.

        The server is asked for the file's state, so what another client has closed is seen. ``buffering=0`` gives the
        `RemoteFile`, which has `pread` and `pwrite`. ``x`` is exclusive among all clients of servers with hard links.
        `permissions`, without the umask's bits, are those of a new file.
        """
        parsed = parse_mode(mode)
        opened = self._do(lambda: self._files.open(raw(path), parsed, self._tree.permissions(permissions)))
        name = os.fspath(path)
        file = RemoteFile(self._wire.run, self._files, opened, name, mode)
        if parsed.append:
            file.seek(0, os.SEEK_END)
        try:
            return layered(file, mode, buffering, encoding, errors, newline)
        except BaseException:
            file.close()
            raise

    def fsync(self, file: Any) -> None:
        """Wait until what was written to `file`, which `open` returned, is on the server's stable storage."""
        file.flush()
        while not isinstance(file, RemoteFile):
            file = file.buffer if hasattr(file, "buffer") else file.raw
        file.fsync()

    def read_bytes(self, path: AnyPath) -> bytes:
        """All of a file."""
        with self.open(path, "rb", 0) as file:
            data: bytes = file.readall()
        return data

    def write_bytes(self, path: AnyPath, data: bytes | bytearray | memoryview) -> int:
        """Make `data` all of a file."""
        with self.open(path, "wb", 0) as file:
            count: int = file.write(data)
        return count

    def read_text(self, path: AnyPath, encoding: str | None = None, errors: str | None = None) -> str:
        """All of a file, decoded."""
        with self.open(path, "r", encoding=encoding, errors=errors) as file:
            text: str = file.read()
        return text

    def write_text(self, path: AnyPath, text: str, encoding: str | None = None, errors: str | None = None) -> int:
        """Make `text` all of a file."""
        with self.open(path, "w", encoding=encoding, errors=errors) as file:
            count: int = file.write(text)
        return count

    def truncate(self, path: AnyPath, length: int) -> None:
        """Make a file `length` bytes long."""
        self._wire.run(self._core.truncate(path, length))

    # --- looking

    def stat(self, path: AnyPath, *, follow_symlinks: bool = True) -> os.stat_result:
        """Status of a file; from the cache where that may be believed."""
        key: Any = path if isinstance(path, str | bytes) else os.fspath(path)
        known = self._tree.remembered(key, follow_symlinks)
        if known is not None:
            return known.status
        return self._do(lambda: self._tree.stat(raw(key), follow_symlinks, key))

    def lstat(self, path: AnyPath) -> os.stat_result:
        """Status of a file or symbolic link."""
        return self.stat(path, follow_symlinks=False)

    def exists(self, path: AnyPath, *, follow_symlinks: bool = True) -> bool:
        """Whether there is something at `path`, or (with links not followed) a link. As `os.path.lexists` then."""
        return self._do(lambda: walking.exists(self._tree, raw(path), follow_symlinks))

    def isdir(self, path: AnyPath) -> bool:
        """Whether a directory is at `path`, or a link to one."""
        return self._mode_is(path, 0o040000)

    def isfile(self, path: AnyPath) -> bool:
        """Whether a regular file is at `path`, or a link to one."""
        return self._mode_is(path, 0o100000)

    def islink(self, path: AnyPath) -> bool:
        """Whether a symbolic link is at `path`."""
        return self._mode_is(path, 0o120000, follow_symlinks=False)

    def _mode_is(self, path: AnyPath, kind: int, *, follow_symlinks: bool = True) -> bool:
        try:
            return self.stat(path, follow_symlinks=follow_symlinks).st_mode & 0o170000 == kind
        except OSError:
            return False

    def readlink(self, path: AnyPath) -> str:
        """Target of a symbolic link, as it is."""
        return os.fsdecode(self._do(lambda: self._tree.readlink(raw(path))))

    def statvfs(self, path: AnyPath = "") -> os.statvfs_result:
        """Room on the server."""
        return self._wire.run(self._core.statvfs(path))

    @overload
    def listdir(self, path: bytes) -> list[bytes]: ...
    @overload
    def listdir(self, path: str | os.PathLike[str] = "") -> list[str]: ...
    def listdir(self, path: AnyPath = "") -> Any:
        """The names in a directory, without ``.`` and ``..``; bytes for a path in bytes."""
        text = not isinstance(path, bytes)
        known = self._tree.remembered_names(path, text) if isinstance(path, str | bytes) else None
        if known is not None:
            return known.copy()
        names = self._do(lambda: self._tree.names(raw(path), os.fspath(path)))
        return [os.fsdecode(name) for name in names] if text else list(names)

    @overload
    def scandir(self, path: bytes) -> "Scan[RemoteEntry[bytes]]": ...
    @overload
    def scandir(self, path: str | os.PathLike[str] = "") -> "Scan[RemoteEntry[str]]": ...
    def scandir(self, path: AnyPath = "") -> Any:
        """The entries of a directory and what they are, asked for many at a time: an iterator and context manager."""
        children = self._do(lambda: walking.scan(self._tree, raw(path)))
        return Scan([entry_of(path, child) for child in children])

    def walk(
        self, top: AnyPath = "", topdown: bool = True, onerror: OnError = None, followlinks: bool = False
    ) -> Iterator[tuple[str, list[str], list[str]]]:
        """Directories below `top`: (path, names of directories, names of other files), as `os.walk` does."""
        path = os.fsdecode(top)
        try:
            with self.scandir(path) as entries:
                listed = list(entries)
        except OSError as error:
            if onerror is not None:
                onerror(error)
            return
        directories = [entry.name for entry in listed if entry.is_dir()]
        links = {entry.name for entry in listed if entry.is_symlink()}
        files = [entry.name for entry in listed if not entry.is_dir()]
        if topdown:
            yield path, directories, files
        for name in directories:
            if followlinks or name not in links:
                yield from self.walk(os.path.join(path, name), topdown, onerror, followlinks)
        if not topdown:
            yield path, directories, files

    def glob(self, pattern: str) -> list[str]:
        """The paths that match, sorted; ``**`` matches any directories, none included."""
        return [os.fsdecode(path) for path in self._do(lambda: walking.glob(self._tree, raw(pattern)))]

    # --- changing

    def mkdir(self, path: AnyPath, mode: int = 0o777) -> None:
        """Make a directory."""
        self._do(lambda: self._tree.mkdir(raw(path), mode))

    def makedirs(self, path: AnyPath, mode: int = 0o777, exist_ok: bool = False) -> None:
        """Make a directory and those above it."""
        self._do(lambda: walking.makedirs(self._tree, raw(path), mode, exist_ok))

    def mknod(self, path: AnyPath, mode: int = 0o600, device: int = 0) -> None:
        """Make a file of the type in `mode`: a regular one, a pipe, a device (numbers as of `os.makedev`), a socket."""
        self._do(lambda: self._tree.mknod(raw(path), mode, device))

    def rmdir(self, path: AnyPath) -> None:
        """Remove an empty directory."""
        self._do(lambda: self._tree.rmdir(raw(path)))

    def rmtree(self, path: AnyPath, ignore_errors: bool = False, onerror: OnError = None) -> None:
        """Remove a directory and everything in it. `onerror` is called with each error; else the first is raised."""
        tell = (lambda error: None) if ignore_errors else onerror
        self._do(lambda: walking.rmtree(self._tree, raw(path), tell))

    def remove(self, path: AnyPath) -> None:
        """Remove a file or link. One that is open here can be used until it is closed."""
        self._do(lambda: self._tree.remove(raw(path)))

    unlink = remove

    def rename(self, src: AnyPath, dst: AnyPath) -> None:
        """Rename, replacing what has the new name, as `os.rename` on UNIX; `replace` is the same."""
        self._do(lambda: self._tree.rename(raw(src), raw(dst)))

    replace = rename

    def symlink(self, src: AnyPath, dst: AnyPath) -> None:
        """Make a symbolic link `dst` that points to `src`."""
        self._do(lambda: self._tree.symlink(raw(dst), raw(src)))

    def link(self, src: AnyPath, dst: AnyPath, *, follow_symlinks: bool = True) -> None:
        """Give the file `src` one more name, `dst`."""
        self._do(lambda: self._tree.link(raw(src), raw(dst), follow=follow_symlinks))

    def chmod(self, path: AnyPath, mode: int, *, follow_symlinks: bool = True) -> None:
        """Change permissions."""
        self._wire.run(self._core.setattr(path, follow_symlinks, mode=mode & 0o7777))

    def chown(self, path: AnyPath, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        """Change owner and group; -1 leaves one as it is."""
        self._wire.run(self._core.setattr(path, follow_symlinks, uid=owner(uid), gid=owner(gid)))

    def utime(
        self,
        path: AnyPath,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Set the times of last access and change: seconds, or nanoseconds (kept to microseconds), or now."""
        self._wire.run(self._core.setattr(path, follow_symlinks, **moments(times, ns)))


class Scan(Iterator[T]):
    """What `scandir` returns."""

    def __init__(self, entries: Iterable[T]) -> None:
        self._entries = iter(entries)

    def __next__(self) -> T:
        return next(self._entries)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> Literal[False]:
        return False


def entry_of(path: AnyPath, child: walking.Child) -> RemoteEntry[Any]:
    """An entry of the directory at `path`, named as that is: in text or in bytes."""
    above = os.fspath(path)
    if isinstance(above, bytes):
        return RemoteEntry(child.name, os.path.join(above, child.name), child.found, child.target)
    name = os.fsdecode(child.name)
    return RemoteEntry(name, os.path.join(above, name), child.found, child.target)


def mount(url: str | NfsUrl, **options: Any) -> Mount:
    """Mount what `url` names: a directory or a file of an export of a server.

    `options` are those of `nfsrpc.client.Options` and stand above the URL's. Raises `BadUrl`, `OSError` for what the
    server refuses, and the errors of `nfsrpc.rpc.errors` if it cannot be reached.
    """
    place = parse_url(url) if isinstance(url, str) else url
    if options:
        place = replace(place, options=replace(place.options, **options))
    return Mount(find_site(place), place)


__all__ = ["Mount", "Scan", "mount"]
