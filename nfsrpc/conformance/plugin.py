"""Options, the server under test as fixtures, and how outcomes are told."""

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from .nfs2 import Failed, Nfs, exports
from .peer import Peer, serves

_OUTCOMES = {"passed": "pass", "failed": "fail", "skipped": "not tried"}
_RESULTS = pytest.StashKey[list[dict[str, str]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the suite."""
    group = parser.getgroup("conformance", "conformance of an RPC, MOUNT and NFSv2 server")
    group.addoption("--server", metavar="HOST[:PORT]", help="the server under test; port 2049 if none is given")
    group.addoption("--mount-port", type=int, help="where MOUNT answers, if not on the same port")
    group.addoption("--portmap-port", type=int, help="where the portmapper answers, if elsewhere; 0: nowhere")
    group.addoption("--export", metavar="PATH", help="what to mount; the first of its exports if none is given")
    group.addoption("--uid", type=int, default=0, help="who calls; must be allowed to write in the export (0)")
    group.addoption("--reply-timeout", type=float, default=5.0, help="seconds that an answer may take (5)")
    group.addoption("--silence", type=float, default=0.5, help="seconds after which there is no answer (0.5)")
    group.addoption("--results", type=Path, metavar="FILE", help="write the outcome of each rule there, as JSON")


def pytest_configure(config: pytest.Config) -> None:
    """The marker, and a place for outcomes."""
    config.addinivalue_line("markers", "rule(section): the RFC section that a test is about")
    config.stash[_RESULTS] = []


@dataclass(frozen=True, slots=True)
class Target:
    """The server under test: where its programs answer, and over what."""

    host: str
    port: int
    mount_port: int
    portmap_port: int
    protocols: tuple[str, ...]


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config) -> Target:
    """The server of --server. Fails at once where nobody answers there."""
    given = pytestconfig.getoption("--server")
    if not given:
        pytest.exit("which server? --server HOST[:PORT]", pytest.ExitCode.USAGE_ERROR)
    host, _, port = given.rpartition(":") if given.count(":") == 1 or "]:" in given else (given, "", "2049")
    host, number = host.strip("[]"), int(port)
    timeout = pytestconfig.getoption("--reply-timeout")
    protocols = tuple(proto for proto in ("udp", "tcp") if serves((host, number), proto, timeout))
    if not protocols:
        pytest.exit(f"{given}: no answer to NFS version 2, over UDP or TCP", pytest.ExitCode.USAGE_ERROR)
    mount_port, portmap_port = (
        number if other is None else int(other)
        for other in map(pytestconfig.getoption, ("--mount-port", "--portmap-port"))
    )
    return Target(host, number, mount_port, portmap_port, protocols)


def _peer(target: Target, port: int, proto: str, config: pytest.Config) -> Iterator[Peer]:
    if proto not in target.protocols:
        pytest.skip(f"the server does not answer over {proto.upper()}")
    if not port:
        pytest.skip("the server has no portmapper")
    peer = Peer((target.host, port), proto, config.getoption("--reply-timeout"), config.getoption("--silence"))
    yield peer
    peer.close()


@pytest.fixture(params=["udp", "tcp"])
def proto(request: pytest.FixtureRequest) -> str:
    """Each transport in turn."""
    return str(request.param)


@pytest.fixture
def peer(target: Target, proto: str, pytestconfig: pytest.Config) -> Iterator[Peer]:
    """Where NFS answers."""
    yield from _peer(target, target.port, proto, pytestconfig)


@pytest.fixture
def mount_peer(target: Target, proto: str, pytestconfig: pytest.Config) -> Iterator[Peer]:
    """Where MOUNT answers."""
    yield from _peer(target, target.mount_port, proto, pytestconfig)


@pytest.fixture
def portmap_peer(target: Target, proto: str, pytestconfig: pytest.Config) -> Iterator[Peer]:
    """Where the portmapper answers."""
    yield from _peer(target, target.portmap_port, proto, pytestconfig)


@pytest.fixture
def stream(target: Target, pytestconfig: pytest.Config) -> Iterator[Peer]:
    """Where NFS answers over TCP."""
    yield from _peer(target, target.port, "tcp", pytestconfig)


@pytest.fixture(scope="session")
def export(target: Target, pytestconfig: pytest.Config) -> bytes:
    """The path to mount."""
    given = pytestconfig.getoption("--export")
    if given:
        return bytes(given.encode())
    address, timeout = (target.host, target.mount_port), pytestconfig.getoption("--reply-timeout")
    peer = Peer(address, target.protocols[-1], timeout, timeout)
    try:
        found = exports(peer)
    finally:
        peer.close()
    if not found:
        pytest.exit("the server exports nothing; --export PATH says what to mount", pytest.ExitCode.USAGE_ERROR)
    return found[0]


@pytest.fixture(scope="session")
def root(target: Target, export: bytes, pytestconfig: pytest.Config) -> bytes:
    """The handle of the export's top directory."""
    timeout = pytestconfig.getoption("--reply-timeout")
    peer = Peer((target.host, target.mount_port), target.protocols[-1], timeout, timeout)
    try:
        return Nfs(peer, pytestconfig.getoption("--uid")).mount(export)
    finally:
        peer.close()


@pytest.fixture
def nfs(target: Target, pytestconfig: pytest.Config) -> Iterator[Nfs]:
    """NFS over TCP where there is that: what a procedure does is the same over UDP."""
    for peer in _peer(target, target.port, target.protocols[-1], pytestconfig):
        yield Nfs(peer, pytestconfig.getoption("--uid"))


@pytest.fixture
def place(nfs: Nfs, root: bytes, request: pytest.FixtureRequest) -> Iterator[bytes]:
    """An empty directory of the test's own, emptied and removed afterwards as far as the server lets one."""
    name = b"conformance-%08x" % nfs.peer.xid()
    handle, _ = nfs.mkdir(root, name)
    yield handle
    try:
        _clear(nfs, handle)
        nfs.rmdir(root, name)
    except AssertionError as trouble:
        request.node.add_report_section("teardown", "left behind", f"{name!r}: {trouble}")


def _clear(nfs: Nfs, directory: bytes) -> None:
    for name in nfs.names(directory):
        try:
            nfs.remove(directory, name)
        except Failed:
            handle, _ = nfs.lookup(directory, name)
            _clear(nfs, handle)
            nfs.rmdir(directory, name)


def known_quirk(reason: str) -> NoReturn:
    """End the test: the server does what the text does not say, and what is known of servers in use."""
    pytest.xfail(reason)


@pytest.fixture(scope="session")
def quirk() -> Any:
    """`known_quirk`, for the tests."""
    return known_quirk


def pytest_report_teststatus(report: pytest.TestReport) -> tuple[str, str, str] | None:
    """Quirks are neither passed nor failed."""
    if report.skipped and hasattr(report, "wasxfail"):
        return "quirk", "q", "QUIRK"
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the outcome of each rule with its section."""
    report = yield
    marker = item.get_closest_marker("rule")
    wanted = report.when == "call" or (report.when == "setup" and report.outcome != "passed")
    if marker is not None and wanted:
        outcome = "known quirk" if hasattr(report, "wasxfail") and report.skipped else _OUTCOMES[report.outcome]
        reason = report.wasxfail if outcome == "known quirk" else _last_line(report)
        name = item.nodeid.rpartition("::")[2]
        outcome_of_rule = {"rule": name, "section": marker.args[0], "outcome": outcome, "why": reason}
        report.user_properties.append(("rule", outcome_of_rule))
    return report


def _last_line(report: Any) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    if crash is not None:
        return str(crash.message).partition("\n")[0]
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else ""


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """What failed and what is a quirk, with sections; the whole list as JSON for --results."""
    found = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == "rule"
    ]
    if not found:
        return
    for outcome in ("known quirk", "fail"):
        lines = sorted((r for r in found if r["outcome"] == outcome), key=lambda r: (r["section"], r["rule"]))
        if lines:
            terminalreporter.section(outcome)
        for line in lines:
            terminalreporter.write_line(f"{line['section']:28} {line['rule']}: {line['why']}")
    totals = {outcome: sum(r["outcome"] == outcome for r in found) for outcome in ("pass", "known quirk", "fail")}
    terminalreporter.section("conformance")
    terminalreporter.write_line(", ".join(f"{count} {outcome}" for outcome, count in totals.items()))
    results = config.getoption("--results")
    if results:
        results.write_text(json.dumps(sorted(found, key=lambda r: (r["section"], r["rule"])), indent=1) + "\n")
