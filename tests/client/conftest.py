"""Servers to be clients of."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from served import Served

from nfsrpc.client.files import Files
from nfsrpc.client.site import attach
from nfsrpc.client.url import parse_url


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of our own, shared by a module's tests: each test uses names of its own."""
    with Served(Path(tmp_path_factory.mktemp("served"))) as server:
        yield server


@pytest.fixture(params=["tcp", "udp"])
def files(request: pytest.FixtureRequest, served: Served) -> Iterator[Files]:
    """The files of `served`, over each transport."""
    with attach(parse_url(served.url(proto=request.param, uid=0, gid=0))) as mounted:
        yield Files(mounted)
