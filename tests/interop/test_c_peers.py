"""Programs made by the system's rpcgen from our .x file, linked with libtirpc, talk to our server and our client."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from nfsrpc.protocols.file_read_write import (
    MAX,
    FILEREADWRITE_2_client,
    FILEREADWRITE_2_service,
    readargs,
    writeargs,
)
from nfsrpc.rpc.dispatch import Binding
from nfsrpc.rpc.errors import ProcedureUnavailable, ProgramMismatch, ProgramUnavailable
from nfsrpc.transport import Server
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp

C = Path(__file__).parent / "c"
CONNECT = {"udp": connect_udp, "tcp": connect_tcp}


class Files(FILEREADWRITE_2_service):
    """Each (file, position) holds the block last written there."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[int, int], bytes] = {}

    def WRITE(self, arg: writeargs, call: Any) -> None:
        self._blocks[arg.f, arg.position] = arg.data

    def READ(self, arg: readargs, call: Any) -> bytes:
        return self._blocks[arg.f, arg.position][: arg.length]


@pytest.fixture(scope="module")
def c_client(c_builder) -> Path:
    return c_builder.build("file_read_write", C / "file_client.c", "xdr", "clnt")


@pytest.fixture
def our_port():
    bindings = [Binding(Files())]
    server = Server(lambda: bindings, [("127.0.0.1", 0)])
    loop = server.loop()
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield server.ports[0]
    loop.stop()
    thread.join()
    server.close()


@pytest.fixture
def c_server(c_builder):
    """The ports of the C server by transport."""
    program = c_builder.build("file_read_write", C / "file_server.c", "xdr", "svc")
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    udp, tcp = process.stdout.readline().split()
    yield {"udp": int(udp), "tcp": int(tcp)}
    process.communicate(timeout=10)
    assert process.returncode == 0


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_a_c_client_talks_to_our_server(c_client, our_port, proto):
    done = subprocess.run([c_client, proto, str(our_port)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        "202 files written and read",
        "procedure 0: RPC: Success",
        "procedure 99: RPC: Procedure unavailable",
        "WRITE without arguments: RPC: Server can't decode arguments",
        "version 7: RPC: Program/version mismatch 2..2",
    ]


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_our_client_talks_to_a_c_server(c_server, proto):
    with CONNECT[proto]("127.0.0.1", c_server[proto]) as client:
        files = FILEREADWRITE_2_client(client)
        for f in range(60):
            block = bytes((f + i) % 256 for i in range(f * 17 % (MAX + 1)))
            files.WRITE(writeargs(f=f, position=0, data=block))
            assert files.READ(readargs(f=f, position=0, length=MAX)) == block
        files.WRITE(writeargs(f=60, position=0, data=bytes(MAX)))
        files.WRITE(writeargs(f=60, position=10, data=b"in the middle"))
        assert files.READ(readargs(f=60, position=8, length=17)) == b"\0\0in the middle\0\0"
        assert files.READ(readargs(f=-1, position=0, length=1)) == b""


@pytest.mark.parametrize("proto", ["udp", "tcp"])
@pytest.mark.parametrize(
    ("program", "version", "number", "error"),
    [
        (9999, 3, 0, ProgramMismatch),
        (9999, 2, 3, ProcedureUnavailable),
        (9998, 2, 0, ProgramUnavailable),
    ],
)
def test_refusals_of_a_c_server_are_typed(c_server, proto, program, version, number, error):
    null = FILEREADWRITE_2_service.procedures[0]
    procedure = null._replace(program=program, version=version, number=number)
    with CONNECT[proto]("127.0.0.1", c_server[proto]) as client, pytest.raises(error) as caught:
        client.call(procedure, ())
    if error is ProgramMismatch:
        assert (caught.value.low, caught.value.high) == (2, 2)
