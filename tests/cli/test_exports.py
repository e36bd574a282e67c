"""nfsrpc exports."""

import json
from collections.abc import Callable

import pytest
from by_hand import MOUNT, ByHand, chain, opaque, word

from nfsrpc.client.site import attach
from nfsrpc.client.url import parse_url
from nfsrpc.testing.served import Served

Run = Callable[..., str]
EXPORTS = chain(opaque(b"/home") + chain(opaque(b"sun"), opaque(b"@lab")), opaque(b"/p\x1bub") + chain())


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_what_our_server_exports(nfsrpc: Run, served: Served, proto: str) -> None:
    lines = nfsrpc("exports", f"127.0.0.1:{served.port}", "--proto", proto).splitlines()
    assert [line.split() for line in lines] == [["DIRECTORY", "FOR"], ["/export", "everyone"]]


def test_who_has_mounted_it(nfsrpc: Run, served: Served) -> None:
    with attach(parse_url(served.url())):
        lines = nfsrpc("exports", "-a", f"127.0.0.1:{served.port}").splitlines()
        assert [line.split() for line in lines] == [["HOST", "DIRECTORY"], ["127.0.0.1", "/export"]]
        assert json.loads(nfsrpc("exports", "-a", "--json", f"127.0.0.1:{served.port}")) == [
            {"host": "127.0.0.1", "path": "/export"}
        ]
    assert json.loads(nfsrpc("exports", "-a", "--json", f"127.0.0.1:{served.port}")) == []


def test_groups_and_names_that_a_terminal_should_not_get(nfsrpc: Run) -> None:
    with ByHand({(MOUNT, 5): EXPORTS}) as server:
        host = f"127.0.0.1:{server.port}"
        assert nfsrpc("exports", host).splitlines() == [
            "DIRECTORY  FOR",
            "/home      sun, @lab",
            "/p\\x1bub   everyone",
        ]
        assert json.loads(nfsrpc("exports", "--json", host)) == [
            {"path": "/home", "groups": ["sun", "@lab"]},
            {"path": "/p\\x1bub", "groups": []},
        ]


@pytest.mark.hostile
def test_a_hostile_list_is_one_line(failing: Run) -> None:
    with ByHand({(MOUNT, 5): word(1) + opaque(b"x" * 2000)}) as server:
        assert "cannot be decoded" in failing("exports", f"127.0.0.1:{server.port}")


@pytest.mark.parametrize(
    ("host", "words"),
    [("no-such-host.invalid:1", "check the host's name"), ("::1", "brackets"), ("a:b", "is not HOST or HOST:PORT")],
)
def test_mistakes(failing: Run, host: str, words: str) -> None:
    assert words in failing("exports", host)
