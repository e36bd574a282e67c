"""What we answer to hostile calls is well-formed: tshark finds nothing malformed in any reply."""

import itertools
import random
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from captures import down, pcap, ticking, up
from defects import ANSWERED, call, opaque, w
from sniffing import tshark

from nfsrpc.auth import NoneAuthenticator, SysAuthenticator
from nfsrpc.protocols import file_read_write, mount, nfs_prot, portmap, rpcb_prot
from nfsrpc.rpc.dispatch import Binding, Dispatcher, Peer
from nfsrpc.testing.served import Served

pytestmark = pytest.mark.hostile

SERVICES = (
    nfs_prot.NFS_PROGRAM_2_service,
    mount.MOUNTPROG_1_service,
    mount.MOUNTPROG_2_service,
    portmap.PMAP_PROG_2_service,
    rpcb_prot.RPCBPROG_3_service,
    rpcb_prot.RPCBPROG_4_service,
)
MALFORMED = "udp.srcport == 2049 && (_ws.malformed || _ws.expert.severity == error)"
"""Frames of the server's that tshark objects to."""
Exchange = tuple[bytes, bytes]


class Files(file_read_write.FILEREADWRITE_2_service):
    def WRITE(self, arg, call):
        return None

    def READ(self, arg, call):
        return b""


def check(exchanges: list[Exchange], path: Path) -> None:
    """Each reply is taken for the reply of its call, and none is malformed."""
    frames = itertools.chain.from_iterable((up(asked), down(reply)) for asked, reply in exchanges)
    path.write_bytes(b"".join(pcap(ticking(frames))))
    assert tshark(path, MALFORMED, "frame.number", "_ws.col.Info") == []
    replies = tshark(path, "rpc.msgtyp == 1 && udp.srcport == 2049", "rpc.xid")
    assert [int(xid, 16) for xid in replies] == [int.from_bytes(asked[:4]) for asked, _ in exchanges]


def test_answers_of_the_defect_table(need_commands: Callable[..., None], tmp_path: Path) -> None:
    need_commands("tshark")
    dispatcher = Dispatcher([Binding(Files())], [NoneAuthenticator(), SysAuthenticator()])
    exchanges = []
    for xid, (message, _) in enumerate(ANSWERED.values(), 1):
        (reply,) = dispatcher.turn([(w(xid) + message[4:], Peer("10.0.0.1", 700, "udp"))])
        # Of a call that tshark takes for none (another RPC version, program 0) it would not know the reply.
        shown = message if message[8:12] == w(2) and message[12:16] > w(0) else call()
        exchanges.append((w(xid) + shown[4:], b"".join(reply)))
    assert len(exchanges) == len(ANSWERED)
    check(exchanges, tmp_path / "answers.pcap")


def test_tshark_would_tell(need_commands: Callable[..., None], tmp_path: Path) -> None:
    """A GETATTR reply that ends in the middle is what the filter is for."""
    need_commands("tshark")
    getattr_ = struct.pack(">10I", 1, 0, 2, nfs_prot.NFS_PROGRAM, 2, 1, 0, 0, 0, 0) + bytes(32)
    path = tmp_path / "cut.pcap"
    path.write_bytes(b"".join(pcap(ticking((up(getattr_), down(w(1, 1, 0, 0, 0, 0, 0, 1)))))))
    assert tshark(path, MALFORMED, "frame.number") == ["2"]


def tails(chance: random.Random) -> Iterator[bytes]:
    """What might follow, as arguments of anything: names, attributes, lengths that lie, and noise."""
    yield b""
    yield opaque(b"name")
    yield opaque(b"name") + w(*[0xFFFFFFFF] * 8)
    yield opaque(b"n" * 300)
    yield w(0, 0, 0) + opaque(bytes(100))
    yield w(0, 4096, 4096)
    yield w(0xFFFFFFFF)
    for _ in range(4):
        yield chance.randbytes(4 * chance.randrange(1, 20))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with Served(Path(tmp_path_factory.mktemp("served"))) as served:
        yield served


def test_answers_to_arguments_that_lie(server: Served, need_commands: Callable[..., None], tmp_path: Path) -> None:
    """Every procedure of every program that `nfsrpc serve` has, over a real volume."""
    need_commands("tshark")
    chance = random.Random(1)
    xids = itertools.count(1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", server.port))
        sock.settimeout(30)
        asked: dict[bytes, bytes] = {}
        answers: dict[bytes, bytes] = {}

        def ask(program: int, version: int, procedure: int, arguments: bytes, credential: bytes = bytes(8)) -> bytes:
            """The xid of a call; what only asks is answered when this returns, other calls by a later `ask`."""
            xid, beacon = w(next(xids)), struct.pack(">10I", next(xids), 0, 2, nfs_prot.NFS_PROGRAM, 2, 0, 0, 0, 0, 0)
            call = xid + struct.pack(">5I", 0, 2, program, version, procedure) + credential + bytes(8) + arguments
            asked[xid] = call
            sock.send(call)
            sock.send(beacon)
            while (reply := sock.recv(65536))[:4] != beacon[:4]:
                answers[reply[:4]] = reply
            return xid

        user = w(1) + opaque(w(7) + opaque(b"host") + w(0, 0, 0))
        mounted = answers[ask(mount.MOUNTPROG, 1, mount.MOUNTPROC_MNT, opaque(server.export.encode()), user)]
        assert len(mounted) == 24 + 4 + 32
        for service in SERVICES:
            for number in (*service.procedures, 99):
                for head, tail in itertools.product((b"", bytes(32), mounted[-32:]), tails(chance)):
                    ask(service.program, service.version, number, head + tail, user)
            ask(service.program, service.version + 7, 0, b"")
        # What changes something is answered behind what only asks; but not for long, however much is asked.
        end = time.monotonic() + 1
        while time.monotonic() < end:
            ask(nfs_prot.NFS_PROGRAM, 2, 0, b"")
    exchanges = [(asked[xid], answer) for xid, answer in answers.items()]
    assert {struct.unpack(">I", call[20:24])[0] for call, _ in exchanges if call[12:16] == w(nfs_prot.NFS_PROGRAM)} == {
        *nfs_prot.NFS_PROGRAM_2_service.procedures,
        99,
    }
    assert len(exchanges) > 1500
    check(exchanges, tmp_path / "lies.pcap")
