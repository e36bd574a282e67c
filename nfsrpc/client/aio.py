"""The asyncio mount: the twin of `nfsrpc.client.Mount`; the same methods, awaited, over the same core.

    from nfsrpc.client.aio import mount

    async with await mount("nfs://server/export") as m:
        texts = await asyncio.gather(*(m.read_text(name) for name in await m.listdir("notes")))
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from nfsrpc.transport.aio import AsyncClient

from . import walking
from .aio_stream import AsyncFile, AsyncRemoteFile
from .aio_wire import AsyncWire
from .blocking import entry_of
from .core import AnyPath, Core, moments, owner, raw
from .listing import RemoteEntry
from .locate import open_async_client
from .opened import parse_mode
from .site import Site, find_site
from .url import NfsUrl, parse_url

T = TypeVar("T")
OnError = Callable[[OSError], None] | None


class AsyncMount:
    """A mounted directory (or file) of a server, for the tasks of one event loop. Made by `mount`.

    An asynchronous context manager. See `nfsrpc.client.Mount`: names, arguments, results and errors are the same.
    """

    def __init__(self, site: Site, url: NfsUrl, client: AsyncClient) -> None:
        self.url = url
        self._site = site
        self._client = client
        self._wire = AsyncWire(client, site, url.options)
        self._core = Core(self._wire, site, url.options)
        self._tree, self._files = self._core.tree, self._core.files

    async def _do(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run `work`, once more after a walk from the root if it meets a stale handle."""
        return await self._wire.run(self._tree.steadily(work))

    async def close(self) -> None:
        """Close every file that is open, and unmount. Raises the first error that a file had."""
        try:
            await self._wire.run(self._files.close_all())
        finally:
            await self._client.close()
            await asyncio.get_running_loop().run_in_executor(None, self._site.leave)

    async def abandon(self) -> None:
        """End at once: calls that wait for a silent server fail, and what it has not got is lost."""
        await self._client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # --- contents

    async def open(
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
        """Open a file: an `AsyncFile` of text or bytes, or, with ``buffering=0``, an `AsyncRemoteFile`."""
        parsed = parse_mode(mode)
        binary = "b" in mode
        if binary and (encoding is not None or errors is not None or newline is not None):
            raise ValueError("binary mode doesn't take an encoding, errors or newline argument")
        if not buffering and not binary:
            raise ValueError("can't have unbuffered text I/O")
        opened = await self._do(lambda: self._files.open(raw(path), parsed, self._tree.permissions(permissions)))
        file = AsyncRemoteFile(self._wire.run, self._files, opened, os.fspath(path), mode)
        if parsed.append:
            await file.seek(0, os.SEEK_END)
        if not buffering:
            return file
        return AsyncFile(file, b"") if binary else AsyncFile(file, "", encoding or "utf-8", errors or "strict", newline)

    async def read_bytes(self, path: AnyPath) -> bytes:
        """All of a file."""
        async with await self.open(path, "rb", 0) as file:
            data: bytes = await file.read()
        return data

    async def write_bytes(self, path: AnyPath, data: bytes) -> int:
        """Make `data` all of a file."""
        async with await self.open(path, "wb", 0) as file:
            count: int = await file.write(data)
        return count

    async def read_text(self, path: AnyPath, encoding: str | None = None, errors: str | None = None) -> str:
        """All of a file, decoded."""
        async with await self.open(path, "r", encoding=encoding, errors=errors) as file:
            text: str = await file.read()
        return text

    async def write_text(self, path: AnyPath, text: str, encoding: str | None = None, errors: str | None = None) -> int:
        """Make `text` all of a file."""
        async with await self.open(path, "w", encoding=encoding, errors=errors) as file:
            count: int = await file.write(text)
        return count

    async def truncate(self, path: AnyPath, length: int) -> None:
        """Make a file `length` bytes long."""
        await self._wire.run(self._core.truncate(path, length))

    # --- looking

    async def stat(self, path: AnyPath, *, follow_symlinks: bool = True) -> os.stat_result:
        """Status of a file; from the cache where that may be believed."""
        key: Any = path if isinstance(path, str | bytes) else os.fspath(path)
        known = self._tree.remembered(key, follow_symlinks)
        if known is not None:
            return known.status
        return await self._do(lambda: self._tree.stat(raw(key), follow_symlinks, key))

    async def lstat(self, path: AnyPath) -> os.stat_result:
        """Status of a file or symbolic link."""
        return await self.stat(path, follow_symlinks=False)

    async def exists(self, path: AnyPath, *, follow_symlinks: bool = True) -> bool:
        """Whether there is something at `path`, or (with links not followed) a link."""
        return await self._do(lambda: walking.exists(self._tree, raw(path), follow_symlinks))

    async def isdir(self, path: AnyPath) -> bool:
        """Whether a directory is at `path`, or a link to one."""
        return await self._mode_is(path, 0o040000)

    async def isfile(self, path: AnyPath) -> bool:
        """Whether a regular file is at `path`, or a link to one."""
        return await self._mode_is(path, 0o100000)

    async def islink(self, path: AnyPath) -> bool:
        """Whether a symbolic link is at `path`."""
        return await self._mode_is(path, 0o120000, follow_symlinks=False)

    async def _mode_is(self, path: AnyPath, kind: int, *, follow_symlinks: bool = True) -> bool:
        try:
            return (await self.stat(path, follow_symlinks=follow_symlinks)).st_mode & 0o170000 == kind
        except OSError:
            return False

    async def readlink(self, path: AnyPath) -> str:
        """Target of a symbolic link, as it is."""
        return os.fsdecode(await self._do(lambda: self._tree.readlink(raw(path))))

    async def statvfs(self, path: AnyPath = "") -> os.statvfs_result:
        """Room on the server."""
        return await self._wire.run(self._core.statvfs(path))

    @overload
    async def listdir(self, path: bytes) -> list[bytes]: ...
    @overload
    async def listdir(self, path: str | os.PathLike[str] = "") -> list[str]: ...
    async def listdir(self, path: AnyPath = "") -> Any:
        """The names in a directory, without ``.`` and ``..``; bytes for a path in bytes."""
        text = not isinstance(path, bytes)
        known = self._tree.remembered_names(path, text) if isinstance(path, str | bytes) else None
        if known is not None:
            return known.copy()
        names = await self._do(lambda: self._tree.names(raw(path), os.fspath(path)))
        return [os.fsdecode(name) for name in names] if text else list(names)

    async def scandir(self, path: AnyPath = "") -> list[RemoteEntry[Any]]:
        """The entries of a directory and what they are, asked for many at a time."""
        children = await self._do(lambda: walking.scan(self._tree, raw(path)))
        return [entry_of(path, child) for child in children]

    async def walk(
        self, top: AnyPath = "", topdown: bool = True, onerror: OnError = None, followlinks: bool = False
    ) -> AsyncIterator[tuple[str, list[str], list[str]]]:
        """Directories below `top`: (path, names of directories, names of other files), as `os.walk` does."""
        path = os.fsdecode(top)
        try:
            listed = await self.scandir(path)
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
                async for found in self.walk(os.path.join(path, name), topdown, onerror, followlinks):
                    yield found
        if not topdown:
            yield path, directories, files

    async def glob(self, pattern: str) -> list[str]:
        """The paths that match, sorted; ``**`` matches any directories, none included."""
        return [os.fsdecode(path) for path in await self._do(lambda: walking.glob(self._tree, raw(pattern)))]

    # --- changing

    async def mkdir(self, path: AnyPath, mode: int = 0o777) -> None:
        """Make a directory."""
        await self._do(lambda: self._tree.mkdir(raw(path), mode))

    async def makedirs(self, path: AnyPath, mode: int = 0o777, exist_ok: bool = False) -> None:
        """Make a directory and those above it."""
        await self._do(lambda: walking.makedirs(self._tree, raw(path), mode, exist_ok))

    async def mknod(self, path: AnyPath, mode: int = 0o600, device: int = 0) -> None:
        """Make a file of the type in `mode`."""
        await self._do(lambda: self._tree.mknod(raw(path), mode, device))

    async def rmdir(self, path: AnyPath) -> None:
        """Remove an empty directory."""
        await self._do(lambda: self._tree.rmdir(raw(path)))

    async def rmtree(self, path: AnyPath, ignore_errors: bool = False, onerror: OnError = None) -> None:
        """Remove a directory and everything in it."""
        tell = (lambda error: None) if ignore_errors else onerror
        await self._do(lambda: walking.rmtree(self._tree, raw(path), tell))

    async def remove(self, path: AnyPath) -> None:
        """Remove a file or link. One that is open here can be used until it is closed."""
        await self._do(lambda: self._tree.remove(raw(path)))

    unlink = remove

    async def rename(self, src: AnyPath, dst: AnyPath) -> None:
        """Rename, replacing what has the new name."""
        await self._do(lambda: self._tree.rename(raw(src), raw(dst)))

    replace = rename

    async def symlink(self, src: AnyPath, dst: AnyPath) -> None:
        """Make a symbolic link `dst` that points to `src`."""
        await self._do(lambda: self._tree.symlink(raw(dst), raw(src)))

    async def link(self, src: AnyPath, dst: AnyPath, *, follow_symlinks: bool = True) -> None:
        """Give the file `src` one more name, `dst`."""
        await self._do(lambda: self._tree.link(raw(src), raw(dst), follow=follow_symlinks))

    async def chmod(self, path: AnyPath, mode: int, *, follow_symlinks: bool = True) -> None:
        """Change permissions."""
        await self._wire.run(self._core.setattr(path, follow_symlinks, mode=mode & 0o7777))

    async def chown(self, path: AnyPath, uid: int, gid: int, *, follow_symlinks: bool = True) -> None:
        """Change owner and group; -1 leaves one as it is."""
        await self._wire.run(self._core.setattr(path, follow_symlinks, uid=owner(uid), gid=owner(gid)))

    async def utime(
        self,
        path: AnyPath,
        times: tuple[float, float] | None = None,
        *,
        ns: tuple[int, int] | None = None,
        follow_symlinks: bool = True,
    ) -> None:
        """Set the times of last access and change."""
        await self._wire.run(self._core.setattr(path, follow_symlinks, **moments(times, ns)))


async def mount(url: str | NfsUrl, **options: Any) -> AsyncMount:
    """Mount what `url` names; arguments and errors as of `nfsrpc.client.mount`."""
    place = parse_url(url) if isinstance(url, str) else url
    if options:
        place = replace(place, options=replace(place.options, **options))
    site = await asyncio.get_running_loop().run_in_executor(None, find_site, place)
    client = await open_async_client(site.nfsd, site.credential, place.options.timeout)
    mounted = AsyncMount(site, place, client)
    try:
        await mounted._wire.run(mounted._core.start())
    except BaseException:
        await client.close()
        raise
    return mounted


__all__ = ["AsyncFile", "AsyncMount", "AsyncRemoteFile", "mount"]
