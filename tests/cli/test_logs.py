"""The log as JSON: what is said of a call has its xid and its peer as fields."""

import json
import logging
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nfsrpc.auth import NoneAuthenticator
from nfsrpc.cli.logs import JsonFormatter
from nfsrpc.protocols import nfs_prot
from nfsrpc.protocols.file_read_write import FILEREADWRITE_2_service
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Peer
from nfsrpc.store.volume import make_volume


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Callable[[bytes], dict[str, object]]]:
    """Sends a datagram to a server that logs JSON; what the server says of it, and the sender's address."""
    make_volume(tmp_path / "vol")
    command = [sys.executable, "-m", "nfsrpc", "-vv", "--log-format", "json", "serve", tmp_path / "vol"]
    with subprocess.Popen(
        [*command, "--no-portmap", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        port = int(next(found[1] for line in server.stdout if (found := re.search(r"port (\d+), UDP", line))))

        def send(message: bytes) -> dict[str, object]:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.connect(("127.0.0.1", port))
                sock.send(message)
                said = json.loads(server.stderr.readline())
                assert said.pop("peer") == f"127.0.0.1:{sock.getsockname()[1]}/udp"
            assert said.pop("pid") == server.pid
            assert re.fullmatch(r"20\d\d-\d\d-\d\dT[\d:.]{12}\+00:00", said.pop("time"))
            return said

        yield send
        server.terminate()
        server.communicate(timeout=30)


def call(*words: int) -> bytes:
    return struct.pack(f">{len(words)}I", *words)


@pytest.mark.hostile
def test_refused_calls(logged):
    nfs = (nfs_prot.NFS_PROGRAM, nfs_prot.NFS_VERSION)
    for message, words in {
        call(0xABCD, 0, 2, *nfs, 1, 77, 0, 0, 0): "authentication refused",
        call(0xABCD, 0, 2, 1, 1, 1, 0, 0, 0, 0): "does not have this program",
        call(0xABCD, 0, 3, *nfs, 1): "RPC versions 2 to 2",
        call(0xABCD, 1, 0, 0, 0, 0): "no call",
    }.items():
        said = logged(message)
        assert (said["level"], said["logger"], said["xid"]) == ("debug", "nfsrpc.rpc.logs", "0x0000abcd")
        assert words in said["message"]


@pytest.mark.hostile
def test_arguments_that_cannot_be_decoded(logged):
    said = logged(call(0xABCD, 0, 2, nfs_prot.NFS_PROGRAM, nfs_prot.NFS_VERSION, 1, 0, 0, 0, 0, 1))
    assert (said["xid"], said["program"], said["version"], said["procedure"]) == (
        "0x0000abcd", nfs_prot.NFS_PROGRAM, nfs_prot.NFS_VERSION, "NFSPROC_GETATTR",
    )  # fmt: skip


def test_less_than_an_xid(logged):
    assert logged(b"xy")["message"].endswith(": a message of 2 bytes")


class Failing(FILEREADWRITE_2_service):
    def WRITE(self, arg, call):
        return None

    def READ(self, arg, call):
        raise ZeroDivisionError("nothing is left")


def test_a_handler_that_fails(caplog):
    """What a program that embeds the server finds in its log records, and the line that JSON makes of them."""
    turn = Dispatcher([Binding(Failing())], [NoneAuthenticator()]).turn
    with caplog.at_level(logging.ERROR):
        turn([(call(7, 0, 2, 9999, 2, 2, 0, 0, 0, 0, 1, 0, 4), Peer("2001:db8::1", 700, "tcp6"))])
    (record,) = caplog.records
    assert (record.xid, record.peer, record.procedure) == ("0x00000007", "[2001:db8::1]:700/tcp6", "READ")
    said = json.loads(JsonFormatter().format(record))
    assert said["message"] == "xid 0x00000007: READ of [2001:db8::1]:700/tcp6 failed"
    assert "ZeroDivisionError: nothing is left" in said["traceback"]
    assert (said["xid"], said["program"], said["version"]) == ("0x00000007", 9999, 2)
