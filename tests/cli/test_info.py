"""nfsrpc info."""

import json
from collections.abc import Callable

import pytest
from by_hand import PORTMAP, ByHand, chain, word

from nfsrpc.testing.served import Served

Run = Callable[..., str]


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_our_server_lists_what_it_serves_and_all_of_it_answers(nfsrpc: Run, served: Served, proto: str) -> None:
    lines = nfsrpc("info", f"127.0.0.1:{served.port}", "--proto", proto).splitlines()
    port = str(served.port)
    assert lines[0].split() == ["PROGRAM", "VERSION", "PROTO", "PORT", "SERVICE", "ANSWERS"]
    assert ["100003", "2", "udp", port, "nfs", "yes"] in [line.split() for line in lines]
    assert ["100005", "1", "tcp", port, "mountd", "yes"] in [line.split() for line in lines]
    assert all(line.endswith(" yes") for line in lines[1:])


def test_json_and_what_does_not_answer(nfsrpc: Run) -> None:
    with ByHand({}) as gone:
        pass
    listed = chain(
        word(100003, 2, 17, gone.port), word(100003, 2, 6, gone.port), word(395183, 1, 99, 5), word(7, 1, 6, 0)
    )
    with ByHand({(PORTMAP, 4): listed}) as server:
        lines = json.loads(nfsrpc("info", f"127.0.0.1:{server.port}", "--json", "--timeout", "0.2"))
    assert lines == [
        {"program": 7, "version": 1, "protocol": "tcp", "port": 0, "service": None, "answers": None},
        {"program": 100003, "version": 2, "protocol": "tcp", "port": gone.port, "service": "nfs", "answers": False},
        {"program": 100003, "version": 2, "protocol": "udp", "port": gone.port, "service": "nfs", "answers": False},
        {"program": 395183, "version": 1, "protocol": "99", "port": 5, "service": "vxi11core", "answers": None},
    ]


def test_another_version_of_a_program_answers_too(nfsrpc: Run) -> None:
    with ByHand({}) as server:
        server.answers[(PORTMAP, 4)] = chain(word(100099, 7, 6, server.port))
        server.answers[(100099, 1)] = b""
        lines = nfsrpc("info", f"127.0.0.1:{server.port}").splitlines()
    assert lines[1].split() == ["100099", "7", "tcp", str(server.port), "yes"]


def test_nobody_there(failing: Run) -> None:
    with ByHand({}) as gone:
        pass
    assert "Connection refused" in failing("info", f"127.0.0.1:{gone.port}")


def test_a_hostile_list_is_one_line(failing: Run) -> None:
    with ByHand({(PORTMAP, 4): chain(word(1, 2, 6, 70000))}) as server:
        assert "70000" in failing("info", f"127.0.0.1:{server.port}")


def test_one_line_for_each_program(nfsrpc: Run, served: Served) -> None:
    lines = [line.split() for line in nfsrpc("info", "-s", f"127.0.0.1:{served.port}").splitlines()]
    assert lines[0] == ["PROGRAM", "VERSIONS", "NETIDS", "SERVICE", "OWNER"]
    assert ["100000", "2,3,4", "tcp,udp", "portmapper", "the", "server", "itself"] in lines
    assert ["100005", "1,2", "tcp,udp", "mountd", "the", "server", "itself"] in lines


@pytest.mark.parametrize("option", ["-u", "-t"])
@pytest.mark.parametrize("program", ["100005", "mountd"])
def test_procedure_0_of_every_version(nfsrpc: Run, served: Served, option: str, program: str) -> None:
    place = f"127.0.0.1:{served.port}"
    both = [f"program 100005 version {version} ready and waiting" for version in (1, 2)]
    assert nfsrpc("info", option, place, program).splitlines() == both
    assert nfsrpc("info", option, place, program, "2").splitlines() == both[1:]


def test_what_is_not_served_is_one_line(failing: Run, served: Served) -> None:
    assert "versions 1 to 2" in failing("info", "-u", f"127.0.0.1:{served.port}", "mountd", "7")
    assert "does not have this program" in failing("info", "-t", f"127.0.0.1:{served.port}", "300000", "1")
