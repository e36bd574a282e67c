"""The pytest plugin: fixtures for a served volume, a mount, RPC programs, and a link that loses what it carries.

pytest loads this module wherever the package is installed. So it brings fixtures and nothing
else, and imports what a fixture needs only when a test asks for it.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from nfsrpc.client import Mount
    from nfsrpc.rpc.dispatch import Service

    from .chaos import Chaos
    from .faults import Faults
    from .programs import Programs
    from .served import Served


class HasAddress(Protocol):
    """Something that is served somewhere: `Served`, `Programs`, another link."""

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""


@pytest.fixture(scope="session")
def nfs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server on a fresh volume, shared by all tests of the run (see `nfsrpc.testing.served.Served`).

    `nfs_server.url()` is what to mount, `nfs_server.address` its host and port. A test that
    stops, kills or fills the server takes one of its own from `make_nfs_server`.
    """
    from .served import Served

    with Served(tmp_path_factory.mktemp("nfs-server")) as server:
        yield server


@pytest.fixture
def make_nfs_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """``make_nfs_server("--read-only", ...)``: a server for this test alone, with options of ``nfsrpc serve``."""
    from .served import Served

    with contextlib.ExitStack() as stack:

        def make(*options: str, export: str = "/export") -> Served:
            return stack.enter_context(Served(tmp_path_factory.mktemp("nfs-server"), *options, export=export))

        yield make


@pytest.fixture
def nfs_url(nfs_server: Served, request: pytest.FixtureRequest) -> str:
    """URL of an empty directory of this test's own on `nfs_server`, writable for everybody."""
    name = re.sub(r"[^\w.]+", "-", request.node.name, flags=re.ASCII).strip("-")[:100]
    return nfs_server.url("/" + _empty_directory(nfs_server.url(), name))


@pytest.fixture
def nfs_mount(nfs_url: str) -> Iterator[Mount]:
    """`nfs_url`, mounted: remote files with the habits of `os` and `open` (see `nfsrpc.client.Mount`)."""
    from nfsrpc.client import mount

    with mount(nfs_url) as mounted:
        yield mounted


def _empty_directory(url: str, name: str) -> str:
    """Make `name`, or the first of ``name-1``, ``name-2``... that is not there; what it is called."""
    from itertools import count

    from nfsrpc.client.nfs2 import attributes_to_set
    from nfsrpc.client.site import attach
    from nfsrpc.client.url import parse_url

    with attach(parse_url(url)) as mounted:
        for number in count():
            candidate = f"{name}-{number}" if number else name
            with contextlib.suppress(FileExistsError):
                handle, _ = mounted.nfs.mkdir(mounted.root, candidate.encode(), attributes_to_set(mode=0o777))
                mounted.nfs.setattr(handle, attributes_to_set(mode=0o777))
                return candidate
    raise AssertionError("count() has no end")


@pytest.fixture
def rpc_server() -> Iterator[Callable[..., Programs]]:
    """``rpc_server(MyService(), ...)``: RPC programs served from a thread of this process, over UDP and TCP.

    `.address` is where, `.connect("udp")` a client for generated stubs; see `nfsrpc.testing.programs.Programs`.
    """
    from .programs import Programs

    with contextlib.ExitStack() as stack:

        def serve(*services: Service) -> Programs:
            return stack.enter_context(Programs(services))

        yield serve


@pytest.fixture
def lossy_link() -> Iterator[Callable[..., Chaos]]:
    """``lossy_link(server, drop=0.1, duplicate=0.05)``: a bad network in front of `server`, for UDP and TCP.

    `server` is anything with an `address`, or (host, port). The keywords are those of
    `nfsrpc.testing.faults.Faults`, for both directions; `up` and `down` give each its own
    `Faults`. `.address` is where clients connect to, `.url(url)` the same URL by way of the link,
    `.strike(up=, down=)` changes faults while it runs, `.counts("up")` says what has happened. `seed` makes
    another run of fates; the same one makes the same.
    """
    from .chaos import Chaos
    from .faults import Faults

    with contextlib.ExitStack() as stack:

        def link(
            server: HasAddress | tuple[str, int],
            *,
            up: Faults | None = None,
            down: Faults | None = None,
            seed: int = 0,
            **faults: Any,
        ) -> Chaos:
            both = Faults(**faults)
            place = server if isinstance(server, tuple) else server.address
            return stack.enter_context(Chaos(place, up=up or both, down=down or both, seed=seed))

        yield link
