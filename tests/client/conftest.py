"""Servers to be clients of."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from nfsrpc.testing.served import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of our own, shared by a module's tests: each test uses names of its own."""
    with Served(Path(tmp_path_factory.mktemp("served"))) as server:
        yield server
