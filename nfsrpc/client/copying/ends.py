"""The two ends of a copy as its user names them, and where under the target a copy goes, as cp(1) decides."""

import errno
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Protocol

from nfsrpc.client.blocking import Mount
from nfsrpc.client.core import own_umask

from .crew import FILES, run
from .item import Item, Kind, Sink, Source
from .job import Copy, Options
from .local import LocalSink, LocalSource
from .remote import RemoteSink, RemoteSource
from .report import Report


class End(Protocol):
    """A file or directory, here or on a server."""

    def __str__(self) -> str:
        """As the user knows it."""

    @property
    def name(self) -> bytes:
        """Its last name; empty for a root."""

    def parent(self) -> "End":
        """The directory that it is or would be in."""

    def is_directory(self) -> bool:
        """Whether a directory is there, or a link to one."""

    def source(self) -> Source:
        """For copies from here."""

    def item(self, *, follow: bool) -> Item:
        """What is there. Raises `OSError`."""

    def sink(self, options: Options) -> Sink:
        """For copies into this directory."""

    @property
    def host(self) -> str:
        """Whose file it is; empty for this machine."""

    def lineage(self) -> set[tuple[int, int]]:
        """The identities (see `Item`) of this directory and of all that it is in, as far as they can be reached."""


class LocalEnd:
    """A path of this machine."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> bytes:
        """See `End`."""
        return os.fsencode(os.path.basename(os.path.abspath(self.path)))

    def parent(self) -> "LocalEnd":
        """See `End`."""
        return LocalEnd(Path(os.path.abspath(self.path)).parent)

    def is_directory(self) -> bool:
        """See `End`."""
        return self.path.is_dir()

    def source(self) -> LocalSource:
        """See `End`."""
        return LocalSource()

    def item(self, *, follow: bool) -> Item:
        """See `End`."""
        return LocalSource().item(os.fsencode(self.path), follow=follow)

    def sink(self, options: Options) -> LocalSink:
        """See `End`."""
        return LocalSink(self.path, options, own_umask())

    @property
    def host(self) -> str:
        """See `End`."""
        return ""

    def lineage(self) -> set[tuple[int, int]]:
        """See `End`."""
        path = self.path.resolve()
        return {LocalSource().item(os.fsencode(place), follow=True).identity for place in (path, *path.parents)}


class RemoteEnd:
    """A path of a mount, and the URL that its user knows it by."""

    def __init__(self, mount: Mount, path: str, url: str) -> None:
        self.mount = mount
        self.path = path
        self.url = url

    def __str__(self) -> str:
        return self.url

    @property
    def name(self) -> bytes:
        """See `End`. An export's own last name for its root."""
        tree = self.mount.tree
        return os.fsencode(tree.whole(tree.under_root(os.fsencode(self.path)))).rpartition(b"/")[2]

    def parent(self) -> "RemoteEnd":
        """See `End`."""
        return RemoteEnd(self.mount, self.path.rstrip("/").rpartition("/")[0], self.url)

    def is_directory(self) -> bool:
        """See `End`."""
        return self.mount.isdir(self.path)

    def source(self) -> RemoteSource:
        """See `End`."""
        return RemoteSource(self.mount)

    def item(self, *, follow: bool) -> Item:
        """See `End`."""
        return self.mount.wire.run(RemoteSource(self.mount).item(os.fsencode(self.path), follow=follow))

    def sink(self, options: Options) -> RemoteSink:
        """See `End`."""
        mount = self.mount
        path = os.fsencode(self.path)
        directory = mount.wire.run(mount.tree.find(path))
        return RemoteSink(mount, directory, mount.tree.under_root(path), options, own_umask())

    @property
    def host(self) -> str:
        """See `End`."""
        return self.mount.url.host

    def lineage(self) -> set[tuple[int, int]]:
        """See `End`."""
        found = {self.item(follow=True).identity}
        return found | self.parent().lineage() if self.path.strip("/") else found


def copy(
    sources: Sequence[End],
    target: End,
    report: Report,
    options: Options,
    *,
    recursive: bool,
    into_directory: bool = False,
    files: int = FILES,
) -> None:
    """Copy `sources` to `target`: into it, if it is a directory, else, if there is one source, under its name.

    Raises `OSError` for what is wrong with the sources or the target as such (EISDIR for a directory that is
    not to be copied); what is wrong with a file is told to `report`. `into_directory`: the target has to be
    a directory.
    """
    inside = target.is_directory()
    if not inside and (into_directory or len(sources) > 1):
        raise NotADirectoryError(errno.ENOTDIR, "there is no such directory to copy into")
    directory = target if inside else target.parent()
    with closing(directory.sink(options)) as sink:
        for source in sources:
            item = source.item(follow=not recursive)
            if item.kind is Kind.DIRECTORY and not recursive:
                raise IsADirectoryError(errno.EISDIR, "Is a directory; -r copies it with what is in it")
            if item.kind is Kind.DIRECTORY and source.host == directory.host and item.identity in directory.lineage():
                raise OSError(errno.EINVAL, "the target is in the directory that is to be copied; choose another")
            job = Copy(source.source(), sink, report, options)
            name = source.name if inside else target.name
            if name:
                job.add(item, name)
            else:
                job.add_contents(item)
            run(job, files)
