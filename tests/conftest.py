"""Options that every test knows."""

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

import pytest
import recording
from hypothesis import HealthCheck, settings

from nfsrpc.rpc import dispatch

settings.register_profile("busy machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])

RECORDER = pytest.StashKey[recording.Recorder]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="run the long forms of the tests as well (marked `full`)")
    parser.addoption("--record", metavar="DIR", type=Path, help="keep what tests that are not hostile send (root only)")
    parser.addoption("--recorded", metavar="DIR", type=Path, help="what --record has kept, for tests that read it")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--hypothesis-profile") is None:
        settings.load_profile("busy machine")
    directory = config.getoption("--record")
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if directory is None or (worker is None and config.getoption("numprocesses", None)):
        return
    if os.geteuid():
        raise pytest.UsageError("--record needs root: for a network of its own and a packet socket")
    recording.enter_own_network()
    most = recording.MOST_FRAMES * (20 if config.getoption("--full") else 1)
    config.stash[RECORDER] = recording.Recorder(directory / f"{worker or 'all'}.pcap", most)


def pytest_unconfigure(config: pytest.Config) -> None:
    if recorder := config.stash.get(RECORDER, None):
        recorder.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    passed_over = {}
    if not config.getoption("--full"):
        passed_over["full"] = pytest.mark.skip(reason="long form: tools/test --full")
    if not dispatch.__file__.endswith(".py"):
        passed_over["interpreted"] = pytest.mark.skip(reason="exchanges a part that is compiled here")
    for item in items:
        for name, skip in passed_over.items():
            if item.get_closest_marker(name):  # the keywords have names of directories as well
                item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    recorder = item.config.stash.get(RECORDER, None)
    if recorder is None or "hostile" in item.keywords:
        return (yield)
    with recorder.test(item.nodeid):
        return (yield)


@pytest.fixture
def recorded_namespace(request: pytest.FixtureRequest):
    """A context manager that records what passes in the network of a process, where tests are recorded."""
    recorder = request.config.stash.get(RECORDER, None)
    if recorder is None or "hostile" in request.node.keywords:
        return lambda pid: contextlib.nullcontext()
    return recorder.namespace
