"""Whole trees: listing with what each name is, walking, matching, removing. The core, without I/O of its own."""

import errno
import fnmatch
import os
import re
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from . import nfs2
from .directory import WINDOW
from .mountd import parts
from .names import MAX_DEPTH
from .node import Node
from .tree import Tree
from .wire import Flight

_MAGIC = re.compile(rb"[*?[]")


class Child(NamedTuple):
    """A name in a directory, the file (or why it cannot be had), and for a link the status of what it leads to."""

    name: bytes
    found: Node | OSError
    target: os.stat_result | None

    @property
    def leads_to_directory(self) -> bool:
        """Whether it is a directory, or a link to one."""
        if isinstance(self.found, OSError):
            return False
        if self.target is not None:
            return (self.target.st_mode & 0o170000) == 0o040000
        return self.found.is_directory


async def scan(tree: Tree, path: bytes) -> list[Child]:
    """The names in the directory at `path` and what they are."""
    return [
        Child(name, found, await _target(tree, path, name, found)) for name, found in await tree.children(path)
    ]


async def _target(tree: Tree, path: bytes, name: bytes, found: Node | OSError) -> os.stat_result | None:
    if isinstance(found, OSError) or not found.is_link:
        return None
    try:
        return await tree.stat(path + b"/" + name)
    except OSError:
        return None


async def exists(tree: Tree, path: bytes, follow: bool) -> bool:
    """Whether there is something at `path`. Errors other than that there is not are raised."""
    try:
        await tree.find(path, follow=follow)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ELOOP:
            return False
        raise
    return True


async def makedirs(tree: Tree, path: bytes, mode: int, exist_ok: bool) -> None:
    """Make the directory at `path` and those above it that are not there."""
    names = parts(path)
    for length in range(1, len(names)):
        above = b"/".join(names[:length])
        if not await exists(tree, above, True):
            try:
                await tree.mkdir(above, 0o777)
            except FileExistsError:
                continue
    try:
        await tree.mkdir(path, mode)
    except OSError as error:
        if not exist_ok or error.errno not in (errno.EEXIST, errno.EISDIR):
            raise
        if not (await tree.find(path)).is_directory:
            raise


OnError = Callable[[OSError], None] | None


async def rmtree(tree: Tree, path: bytes, onerror: OnError) -> None:
    """Remove the directory at `path` with everything in it; links are removed, not followed.

    The files of a directory go together, as many as may be in flight. What cannot be removed is told to `onerror`,
    if that is given, and left.
    """
    top = await tree.find(path, follow=False)
    if not top.is_directory:
        raise tree.error(errno.ENOTDIR, tree.under_root(path))
    await _empty(tree, path, onerror, 0)
    await _attempt(tree.rmdir(path), onerror)


async def _empty(tree: Tree, path: bytes, onerror: OnError, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise tree.error(errno.ENAMETOOLONG, tree.under_root(path))
    try:
        children = await tree.children(path)
    except OSError as error:
        if onerror is None:
            raise
        onerror(error)
        return
    directories = [name for name, found in children if isinstance(found, Node) and found.is_directory]
    await _remove_files(tree, path, [name for name, found in children if name not in set(directories)], onerror)
    for name in directories:
        below = path + b"/" + name
        await _empty(tree, below, onerror, depth + 1)
        await _attempt(tree.rmdir(below), onerror)


async def _remove_files(tree: Tree, path: bytes, names: list[bytes], onerror: OnError) -> None:
    if tree.open_nodes:
        for name in names:
            await _attempt(tree.remove(path + b"/" + name), onerror)
        return
    directory = await tree.find(path)
    flights: deque[tuple[bytes, Flight[None]]] = deque()

    async def land() -> None:
        name, flight = flights.popleft()
        with tree.about(tree.under_root(path) + b"/" + name):
            await flight

    try:
        for name in names:
            if len(flights) >= WINDOW:
                await _attempt(land(), onerror)
            flights.append((name, tree.wire.submit(nfs2.remove(directory.handle, name))))
        while flights:
            await _attempt(land(), onerror)
    finally:
        tree.changed(directory, *names)


async def _attempt(work: Any, onerror: OnError) -> None:
    try:
        await work
    except FileNotFoundError:
        return  # somebody else was faster
    except OSError as error:
        if onerror is None:
            raise
        onerror(error)


async def glob(tree: Tree, pattern: bytes) -> list[bytes]:
    """The paths that match `pattern`, sorted: as `glob.glob` does with ``recursive=True``.

    ``*``, ``?`` and ``[...]`` match within one name, ``**`` any directories, none included; names that begin
    with a dot are matched by patterns that do.
    """
    found = [b""]
    components = parts(pattern)
    for at, component in enumerate(components):
        last = at == len(components) - 1
        following: list[bytes] = []
        for above in found:
            following += await _matches(tree, above, component, last)
        found = list(dict.fromkeys(following))
    return sorted(path for path in found if path)


async def _matches(tree: Tree, above: bytes, component: bytes, last: bool) -> list[bytes]:
    if component == b"**":
        return await _all_below(tree, above, directories=not last)
    if not _MAGIC.search(component):
        path = _joined(above, component)
        return [path] if await exists(tree, path, not last) else []
    matches = re.compile(fnmatch.translate(os.fsdecode(component))).match
    dotted = component.startswith(b".")
    return [
        _joined(above, child.name)
        for child in await _listed(tree, above)
        if child.name.startswith(b".") == dotted
        and matches(os.fsdecode(child.name))
        and (last or child.leads_to_directory)
    ]


async def _all_below(tree: Tree, above: bytes, *, directories: bool) -> list[bytes]:
    found, todo = [above], deque([(above, 0)])
    while todo:
        path, depth = todo.popleft()
        for child in await _listed(tree, path):
            if child.name.startswith(b"."):
                continue
            below = _joined(path, child.name)
            if child.leads_to_directory and not (isinstance(child.found, Node) and child.found.is_link):
                if depth < MAX_DEPTH:
                    todo.append((below, depth + 1))
                found.append(below)
            elif not directories:
                found.append(below)
    return found


async def _listed(tree: Tree, path: bytes) -> list[Child]:
    try:
        return await scan(tree, path)
    except OSError:
        return []


def _joined(above: bytes, name: bytes) -> bytes:
    return above + b"/" + name if above else name
