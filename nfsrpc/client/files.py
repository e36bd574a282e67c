"""Paths and contents of a mounted export: walking, links, and streams with several calls in flight."""

import contextlib
import errno
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from nfsrpc.protocols.nfs_prot import fattr

from .mountd import parts
from .nfs2 import MAX_DATA, Entry, Nfs2, Sent, attributes_to_set
from .nfs2 import read as read_request
from .nfs2 import write as write_request
from .site import Attached

MAX_LINKS = 40
"""Symbolic links followed on the way to one file; more is a circle (as the kernel has it)."""
MAX_DEPTH = 1024
"""Directories below each other on the way to one file; more is a server that makes them up."""
WINDOW = 16
"""READs or WRITEs in flight."""
Progress = Callable[[int], None]


class Node(NamedTuple):
    """A file that has been found: its path under the export, handle and attributes as of then."""

    path: bytes
    handle: bytes
    attributes: fattr


class Files:
    """The files under one mounted export. Errors are `OSError` with the whole path, or those of `nfsrpc.rpc.errors`."""

    def __init__(self, mount: Attached) -> None:
        self._mount = mount
        self.nfs: Nfs2 = mount.nfs

    def find(self, path: bytes, *, follow: bool = True) -> Node:
        """The file at `path` under the export.

        Links on the way are followed here, and the last one too unless `follow` is
        False. A link's absolute target counts from the export's root, or, where it
        begins with the export's own path on the server, from there; ``..`` never
        leads out. ELOOP after `MAX_LINKS`.
        """
        root = Node(b"", self._mount.root, self._getattr(self._mount.root, b""))
        trail, todo, links = [root], deque(parts(path)), 0
        while todo:
            name = todo.popleft()
            if name == b"..":
                if not stat.S_ISDIR(trail[-1].attributes.mode):
                    raise self._error(errno.ENOTDIR, path)
                trail = trail[:-1] or [root]
                continue
            here = self._step(trail[-1], name, path)
            if stat.S_ISLNK(here.attributes.mode) and (todo or follow):
                links += 1
                if links > MAX_LINKS:
                    raise self._error(errno.ELOOP, path)
                target = self._readlink(here)
                if target.startswith(b"/"):
                    trail = [root]
                todo.extendleft(reversed(self._names_of_target(target)))
                continue
            if len(trail) > MAX_DEPTH:
                raise self._error(errno.ENAMETOOLONG, path)
            trail.append(here)
        return trail[-1]

    def _names_of_target(self, target: bytes) -> list[bytes]:
        names, export = parts(target), parts(self._mount.export)
        if target.startswith(b"/") and export and names[: len(export)] == export:
            return names[len(export) :]
        return names

    def _step(self, directory: Node, name: bytes, path: bytes) -> Node:
        if not stat.S_ISDIR(directory.attributes.mode):
            raise self._error(errno.ENOTDIR, path)
        where = directory.path + b"/" + name if directory.path else name
        with self._named(where):
            handle, attributes = self.nfs.lookup(directory.handle, name)
        return Node(where, handle, attributes)

    def _getattr(self, handle: bytes, path: bytes) -> fattr:
        with self._named(path):
            return self.nfs.getattr(handle)

    def _readlink(self, link: Node) -> bytes:
        with self._named(link.path):
            target = self.nfs.readlink(link.handle)
        if not target:
            raise self._error(errno.ENOENT, link.path)
        return target

    def readlink(self, node: Node) -> bytes:
        """Target of the link `node`, as it is."""
        return self._readlink(node)

    def entries(self, directory: Node) -> Iterator[Entry]:
        """Entries of `directory`, ``.`` and ``..`` among them if the server lists them."""
        with self._named(directory.path):
            yield from self.nfs.readdir(directory.handle)

    def child(self, directory: Node, name: bytes) -> Node:
        """What `name` in `directory` is; a link is not followed."""
        return self._step(directory, name, directory.path + b"/" + name)

    def read(self, node: Node, *, window: int = WINDOW) -> Iterator[bytes]:
        """Contents of a regular file from the start, in order, with up to `window` READs in flight.

        Follows the size while it reads: what is appended meanwhile comes too,
        and a file that is cut short ends where it ends. EISDIR, EINVAL for other types.
        """
        if stat.S_ISDIR(node.attributes.mode):
            raise self._error(errno.EISDIR, node.path)
        if not stat.S_ISREG(node.attributes.mode):
            raise self._error(errno.EINVAL, node.path)
        with self._named(node.path):
            yield from _Reading(self.nfs, node, window).chunks()

    def write(
        self, node: Node, data: Iterable[bytes], *, window: int = WINDOW, progress: Progress | None = None
    ) -> int:
        """Write `data` into the file `node` from its start, with up to `window` WRITEs in flight; the bytes written.

        They are on the server's stable storage when this returns. `progress` is
        called with the bytes that have become so.
        """
        flying: deque[tuple[int, Sent[fattr]]] = deque()
        offset = 0

        def land() -> None:
            size, call = flying.popleft()
            self.nfs.wait(call)
            if progress is not None:
                progress(size)

        with self._named(node.path):
            try:
                for chunk in _resized(data, MAX_DATA):
                    if len(flying) >= window:
                        land()
                    flying.append((len(chunk), self.nfs.submit(write_request(node.handle, offset, chunk))))
                    offset += len(chunk)
                while flying:
                    land()
            finally:
                for _, call in flying:
                    self.nfs.client.cancel(call.call)
        return offset

    def create(self, path: bytes, mode: int) -> Node:
        """Make the file at `path`, or empty the regular file that is there (its mode stays). EISDIR for a directory."""
        *above, name = parts(path) or [b""]
        if not name:
            raise self._error(errno.EISDIR, path)
        try:
            there = self.find(path)
        except FileNotFoundError:
            directory = self.find(b"/".join(above))
            with self._named(path):
                handle, attributes = self.nfs.create(
                    directory.handle, name, attributes_to_set(mode=stat.S_IFREG | mode, size=0)
                )
            return Node(path, handle, attributes)
        if stat.S_ISDIR(there.attributes.mode):
            raise self._error(errno.EISDIR, path)
        if not stat.S_ISREG(there.attributes.mode):
            raise self._error(errno.EINVAL, path)
        with self._named(there.path):
            return Node(there.path, there.handle, self.nfs.setattr(there.handle, attributes_to_set(size=0)))

    def _whole(self, path: bytes) -> str:
        """`path` as the server's users know it: with the export's own path in front."""
        return "/" + os.fsdecode(b"/".join([*parts(self._mount.export), *parts(path)]))

    def _error(self, number: int, path: bytes) -> OSError:
        return OSError(number, os.strerror(number), self._whole(path))

    @contextlib.contextmanager
    def _named(self, path: bytes) -> Iterator[None]:
        """Puts the whole path into the `OSError`s that leave its block; a remote call's own errors have no errno."""
        try:
            yield
        except OSError as error:
            if error.errno is not None:
                error.filename = self._whole(path)
            raise


class _Reading:
    """One pass over a file with several READs in flight, taken in order."""

    def __init__(self, nfs: Nfs2, node: Node, window: int) -> None:
        self._nfs = nfs
        self._handle = node.handle
        self._size = node.attributes.size
        self._window = window
        self._chunk = MAX_DATA
        self._next = 0
        self._flying: deque[tuple[int, int, Sent[tuple[bytes, fattr]]]] = deque()

    def chunks(self) -> Iterator[bytes]:
        try:
            while self._launch():
                yield from self._land()
        finally:
            for _, _, call in self._flying:
                self._nfs.client.cancel(call.call)

    def _launch(self) -> bool:
        while len(self._flying) < self._window and self._next < self._size:
            count = min(self._chunk, self._size - self._next)
            self._flying.append((self._next, count, self._nfs.submit(read_request(self._handle, self._next, count))))
            self._next += count
        return bool(self._flying)

    def _land(self) -> Iterator[bytes]:
        """The bytes of the oldest READ. Servers may return less than asked: the rest is asked for again."""
        offset, count, call = self._flying.popleft()
        while True:
            data, attributes = self._nfs.wait(call)
            self._size = attributes.size
            if data:
                yield data
            offset, count = offset + len(data), count - len(data)
            if not count:
                return
            if offset >= attributes.size:
                return
            if not data:
                raise OSError(errno.EIO, f"the server sent nothing at {offset} of {attributes.size} bytes")
            self._chunk = min(self._chunk, len(data))
            call = self._nfs.submit(read_request(self._handle, offset, count))


def _resized(data: Iterable[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in pieces of `size`, the last one shorter."""
    rest = b""
    for block in data:
        rest = rest + block if rest else block
        whole = len(rest) - len(rest) % size
        for at in range(0, whole, size):
            yield rest[at : at + size]
        rest = rest[whole:]
    if rest:
        yield rest
