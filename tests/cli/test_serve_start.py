"""What `nfsrpc serve` loads before it answers: who starts a server waits for each module of it."""

import re
from pathlib import Path

import pytest

from nfsrpc.testing.served import Served
from nfsrpc.transport import connect_udp
from nfsrpc.transport.ping import ping

IDLE = {
    # Python's own, and what is installed with us
    "argparse", "asyncio", "concurrent.futures", "construct", "dataclasses", "decimal", "difflib", "email", "http",
    "importlib.metadata", "json", "multiprocessing", "pickle", "queue", "random", "readline", "rich", "secrets", "ssl",
    "stringprep", "subprocess", "tempfile", "unittest", "xml",
    # ours: rooms of other commands, and what only some servers need
    "nfsrpc.auth.des", "nfsrpc.auth.dh", "nfsrpc.auth.gss_library", "nfsrpc.auth.gss_server", "nfsrpc.auth.short",
    "nfsrpc.cli.output", "nfsrpc.client", "nfsrpc.conformance", "nfsrpc.keyserv", "nfsrpc.nfs.exports_file",
    "nfsrpc.packets", "nfsrpc.portmap.client", "nfsrpc.portmap.forward", "nfsrpc.protocols.key_prot",
    "nfsrpc.protocols.rpcsec_gss", "nfsrpc.rpc.calls", "nfsrpc.rpc.retry", "nfsrpc.rpcgen", "nfsrpc.store.passthrough",
    "nfsrpc.store.volume.make", "nfsrpc.store.volume.writebehind", "nfsrpc.testing", "nfsrpc.transport.client",
    "nfsrpc.transport.successor", "nfsrpc.transport.supervisor", "nfsrpc.transport.tls",
}  # fmt: skip


def test_a_server_of_a_volume_loads_nothing_that_it_does_not_need(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with Served(tmp_path) as server, connect_udp(*server.address) as client:
        ping(client, 100003, 2)
    loaded = set(re.findall(r"^import time: .*\| +(\S+)$", server.log.read_text(), re.MULTILINE))
    assert {"nfsrpc.nfs.nfs2", "nfsrpc.store.volume.volume"} <= loaded  # or we have not seen what is loaded
    assert loaded & IDLE == set()
