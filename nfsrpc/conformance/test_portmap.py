"""RFC 1833 §3: the portmapper, version 2."""

from typing import Any

import pytest

from .peer import GARBAGE_ARGS, MOUNT, NFS, PORTMAP, PROC_UNAVAIL, Peer, call
from .plugin import Target
from .wire import w

TCP, UDP = 6, 17
NUMBERS = {"udp": UDP, "tcp": TCP}
pytestmark = pytest.mark.rule("RFC 1833 §3.2")


def port_of(peer: Peer, program: int, version: int, protocol: int) -> int:
    """GETPORT."""
    reader = peer.call(PORTMAP, 2, 3, w(program, version, protocol, 0))
    port = reader.word()
    reader.end()
    return port


def test_null(portmap_peer: Peer) -> None:
    """PMAPPROC_NULL takes nothing and gives nothing."""
    portmap_peer.call(PORTMAP, 2, 0).end()


@pytest.mark.parametrize("program", [NFS, MOUNT])
def test_getport(portmap_peer: Peer, target: Target, program: int) -> None:
    """GETPORT tells where a program answers, over each transport that it is served by."""
    for proto in target.protocols:
        port = port_of(portmap_peer, program, 2 if program == NFS else 1, NUMBERS[proto])
        expected = target.port if program == NFS else target.mount_port
        assert port == expected, f"{port} over {proto}, which answers on {expected}"


def test_getport_of_an_unknown_program(portmap_peer: Peer) -> None:
    """0 says that there is no such program."""
    assert port_of(portmap_peer, 0x2FFFFFF0, 1, UDP) == 0


def test_getport_of_an_unknown_protocol(portmap_peer: Peer, quirk: Any) -> None:
    """A program is not there over a protocol that nobody has registered it with."""
    if port_of(portmap_peer, NFS, 2, 99):
        quirk("does not look at the protocol")


def test_dump(portmap_peer: Peer, target: Target) -> None:
    """DUMP lists every mapping, NFS among them, with protocols that exist and ports in range."""
    reader = portmap_peer.call(PORTMAP, 2, 4)
    found = []
    while reader.flag():
        found.append(tuple(reader.word() for _ in range(4)))
    reader.end()
    assert all(protocol in (TCP, UDP) and port < 65536 for _, _, protocol, port in found), found
    for proto in target.protocols:
        assert (NFS, 2, NUMBERS[proto], target.port) in found


BROKEN = {
    "GETPORT cut": (3, w(NFS, 2, UDP)),
    "GETPORT with a word too many": (3, w(NFS, 2, UDP, 0, 0)),
}


@pytest.mark.parametrize(("procedure", "arguments"), BROKEN.values(), ids=BROKEN)
def test_broken_arguments(portmap_peer: Peer, procedure: int, arguments: bytes, quirk: Any) -> None:
    """Arguments that cannot be decoded get GARBAGE_ARGS."""
    reply = portmap_peer.ask(call(portmap_peer.xid(), PORTMAP, 2, procedure, arguments))
    assert reply is not None
    if len(arguments) > 16 and reply[20:24] == w(0):
        quirk("does not look behind the arguments")
    assert reply[4:] == w(1, 0, 0, 0, GARBAGE_ARGS)


def test_unknown_procedure(portmap_peer: Peer) -> None:
    """Procedures end with CALLIT, 5."""
    reply = portmap_peer.ask(call(portmap_peer.xid(), PORTMAP, 2, 6))
    assert reply is not None
    assert reply[4:] == w(1, 0, 0, 0, PROC_UNAVAIL)
