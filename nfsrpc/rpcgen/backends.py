"""Back ends by name: ours, and those that other packages bring through the entry-point group ``nfsrpc.backends``."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from .compiler import Compiled

if TYPE_CHECKING:
    from importlib.metadata import EntryPoints

Backend = Callable[[Compiled], dict[str, str]]
"""Turns a compiled file into output files: name to text. The names are relative and deterministic."""

GROUP = "nfsrpc.backends"

_OWN = {
    "python": "nfsrpc.rpcgen.python.module:backend",
    "sample": "nfsrpc.rpcgen.sample:backend",
    "json": "nfsrpc.rpcgen.json:backend",
    "docs": "nfsrpc.rpcgen.docs:markdown_backend",
    "html": "nfsrpc.rpcgen.docs:html_backend",
    "scapy": "nfsrpc.rpcgen.scapy.module:backend",
}


def names() -> list[str]:
    """Return the names of all back ends that are there, ours first."""
    return [*_OWN, *sorted({point.name for point in entry_points()} - _OWN.keys())]


def entry_points() -> EntryPoints:
    """Return the entry points of other packages' back ends."""
    from importlib import metadata  # costs a fifth of a compilation, and our own back ends need no look-up

    return metadata.entry_points(group=GROUP)


def load(name: str) -> Backend:
    """Return the back end called `name`; raise LookupError where there is none."""
    if name in _OWN:
        module, _, item = _OWN[name].partition(":")
        own: Backend = getattr(import_module(module), item)
        return own
    for point in entry_points():
        if point.name == name:
            found: Backend = point.load()
            return found
    raise LookupError(name)
