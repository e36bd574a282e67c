"""Where the remote commands find what they are about: mounts that are shared, and URLs with patterns in them."""

import contextlib
import errno
import glob
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from urllib.parse import quote, unquote_to_bytes

import click

from nfsrpc.client.blocking import Mount
from nfsrpc.client.copying import End, LocalEnd, RemoteEnd
from nfsrpc.client.mountd import parts
from nfsrpc.client.site import find_site
from nfsrpc.client.url import NfsUrl, parse_url

from .errors import Failure
from .remote import failing_at

_MAGIC = re.compile(r"(\*+|\[[^\]]*\])")
_SCHEME = re.compile(r"nfs[\w+]*://", re.IGNORECASE)


class Mounts:
    """The mounts of one run of the command, one for each export, server and identity."""

    def __init__(self) -> None:
        self._mounts: dict[tuple[NfsUrl, bytes], Mount] = {}

    def at(self, url: str) -> RemoteEnd:
        """What `url` names. Raises `BadUrl`, `OSError` and the errors of a call."""
        place = parse_url(url)
        site = find_site(place)
        key = (replace(place, path=b"/"), site.export)
        if key not in self._mounts:
            self._mounts[key] = Mount(replace(site, path=b""), place)
        return RemoteEnd(self._mounts[key], os.fsdecode(site.path), url)

    def matching(self, url: str) -> list[RemoteEnd]:
        """What `url` names, and if it has ``*`` or ``[...]`` in its path, everything that matches, sorted."""
        scheme, _, rest = url.partition("://")
        rest, question, query = rest.partition("?")
        host, _, path = rest.partition("/")
        names = path.split("/")
        plain = next((at for at, name in enumerate(names) if _MAGIC.search(name)), None)
        if plain is None:
            return [self.at(url)]
        base = self.at(f"{scheme}://{host}/{'/'.join(names[:plain])}{question}{query}")
        wanted = "/".join([glob.escape(base.path), *map(_pattern, names[plain:])]).lstrip("/")
        found = base.mount.glob(wanted)
        if not found:
            raise FileNotFoundError(errno.ENOENT, "nothing matches")
        shown = os.fsdecode(b"/".join(parts(parse_url(base.url).path)))
        above = shown.removesuffix(base.path).strip("/")
        prefix = f"{scheme}://{host}/{quote(above + '/') if above else ''}"
        return [RemoteEnd(base.mount, match, prefix + quote(os.fsencode(match)) + question + query) for match in found]

    def close(self) -> None:
        """Unmount all, and say what went wrong with what was still to be written."""
        for mount in self._mounts.values():
            with failing_at(str(mount.url)):
                mount.close()
        self._mounts.clear()


def _pattern(name: str) -> str:
    """A name of a URL's path as a pattern: what is quoted in it stands for itself."""
    pieces = _MAGIC.split(name)
    return "".join(
        piece if at % 2 else glob.escape(os.fsdecode(unquote_to_bytes(os.fsencode(piece))))
        for at, piece in enumerate(pieces)
    )


def mounts() -> Mounts:
    """The mounts of this run."""
    context = click.get_current_context()
    shared = context.find_object(Mounts)
    if shared is None:
        shared = context.obj = Mounts()
        context.call_on_close(shared.close)
    return shared


@contextlib.contextmanager
def place(url: str) -> Iterator[RemoteEnd]:
    """What `url` names; errors in the block are said with it."""
    with failing_at(url):
        yield mounts().at(url)


def is_pattern(url: str) -> bool:
    """Whether the path of `url` may match several names."""
    return _MAGIC.search(url.partition("://")[2].partition("?")[0].partition("/")[2]) is not None


def each(urls: Iterable[str], act: Callable[[RemoteEnd], None]) -> None:
    """Do `act` to everything that `urls` name or match. One that fails is told, the others are done; exit status 1."""
    failed = False
    for url in urls:
        try:
            with failing_at(url):
                found = mounts().matching(url)
        except Failure as failure:
            failure.show()
            failed = True
            continue
        for end in found:
            try:
                with failing_at(end.url):
                    act(end)
            except Failure as failure:
                failure.show()
                failed = True
    if failed:
        sys.exit(1)


def is_url(text: str) -> bool:
    """Whether `text` is meant as the URL of something remote."""
    return _SCHEME.match(text) is not None


def ends(texts: Sequence[str]) -> list[End]:
    """Sources of a copy: URLs, with patterns, and local paths."""
    found: list[End] = []
    for text in texts:
        if is_url(text):
            with failing_at(text):
                found += mounts().matching(text)
        else:
            found.append(LocalEnd(text))
    return found


def end(text: str) -> End:
    """The target of a copy."""
    if is_url(text):
        with failing_at(text):
            return mounts().at(text)
    return LocalEnd(text)
