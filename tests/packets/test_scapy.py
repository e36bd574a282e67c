"""Scapy with our layers: dissects by port and by content, reassembles, builds what the wire wants."""

import socket
import struct
from pathlib import Path

import pytest
from by_hand import ROOT, ByHand, chain, fattr, opaque, word
from captures import (
    CLIENT,
    SERVER,
    call,
    down,
    ethernet,
    fragments,
    ipv4,
    ipv6,
    pcap,
    record,
    reply,
    tcp,
    ticking,
    udp,
    up,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdr_values import Values, module_of

from nfsrpc.rpcgen.compiler import compile_file
from nfsrpc.rpcgen.model import Void

scapy = pytest.importorskip("scapy.all")
rpc = pytest.importorskip("nfsrpc.packets.scapy")
NFS, MOUNT, PORTMAP, RPCBIND = 100003, 100005, 100000, 100000
SATTR = word(0o644, *[0xFFFFFFFF] * 7)
CALLS = {
    "NFS NULL": (NFS, 2, 0, b"", b""),
    "NFS GETATTR": (NFS, 2, 1, ROOT, word(0) + fattr()),
    "NFS GETATTR, stale": (NFS, 2, 1, ROOT, word(70)),
    "NFS SETATTR": (NFS, 2, 2, ROOT + SATTR, word(0) + fattr()),
    "NFS LOOKUP": (NFS, 2, 4, ROOT + opaque(b"name"), word(0) + ROOT + fattr()),
    "NFS READLINK": (NFS, 2, 5, ROOT, word(0) + opaque(b"where it leads")),
    "NFS READ": (NFS, 2, 6, ROOT + word(0, 100, 0), word(0) + fattr() + opaque(b"content")),
    "NFS WRITE": (NFS, 2, 8, ROOT + word(0, 0, 0) + opaque(b"some"), word(0) + fattr()),
    "NFS CREATE": (NFS, 2, 9, ROOT + opaque(b"n") + SATTR, word(0) + ROOT + fattr()),
    "NFS REMOVE": (NFS, 2, 10, ROOT + opaque(b"n"), word(0)),
    "NFS RENAME": (NFS, 2, 11, (ROOT + opaque(b"n")) * 2, word(0)),
    "NFS LINK": (NFS, 2, 12, ROOT * 2 + opaque(b"n"), word(0)),
    "NFS SYMLINK": (NFS, 2, 13, ROOT + opaque(b"n") + opaque(b"to") + SATTR, word(0)),
    "NFS MKDIR": (NFS, 2, 14, ROOT + opaque(b"n") + SATTR, word(0) + ROOT + fattr(2)),
    "NFS RMDIR": (NFS, 2, 15, ROOT + opaque(b"n"), word(0)),
    "NFS READDIR": (
        NFS, 2, 16, ROOT + word(0, 512),
        word(0) + chain(word(1) + opaque(b"a") + word(1), word(2) + opaque(b"b") + word(2)) + word(1),
    ),
    "NFS STATFS": (NFS, 2, 17, ROOT, word(0, 8192, 4096, 100, 50, 40)),
    "MOUNT MNT": (MOUNT, 1, 1, opaque(b"/export"), word(0) + ROOT),
    "MOUNT MNT, refused": (MOUNT, 1, 1, opaque(b"/export"), word(13)),
    "MOUNT DUMP": (MOUNT, 1, 2, b"", chain(opaque(b"host") + opaque(b"/export"))),
    "MOUNT EXPORT": (MOUNT, 2, 5, b"", chain(opaque(b"/export") + chain(opaque(b"@all"), opaque(b"host")))),
    "PORTMAP GETPORT": (PORTMAP, 2, 3, word(NFS, 2, 17, 0), word(2049)),
    "PORTMAP DUMP": (PORTMAP, 2, 4, b"", chain(word(NFS, 2, 17, 2049), word(NFS, 2, 6, 2049))),
    "RPCBIND GETADDR": (
        RPCBIND, 4, 3, word(NFS, 2) + opaque(b"udp") + opaque(b"") + opaque(b"me"), opaque(b"127.0.0.1.8.1"),
    ),
}  # fmt: skip


def layers(packet):
    return [layer.__name__ for layer in packet.layers()]


def unknown(packet):
    """Bytes of RPC that no layer has made sense of."""
    raw = packet.getlayer(scapy.Raw)
    return b"" if raw is None else raw.load


@pytest.mark.parametrize(("program", "version", "procedure", "arguments", "result"), CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("port", [2049, 40321])
def test_no_byte_is_unknown_and_all_are_built_again(program, version, procedure, arguments, result, port):
    asked = call(0x77, program, version, procedure, arguments)
    said = reply(0x77, result)
    first = scapy.Ether(ethernet(ipv4(CLIENT, SERVER, 17, udp(700, port, asked))))
    second = scapy.Ether(ethernet(ipv4(SERVER, CLIENT, 17, udp(port, 700, said))))
    for packet, message in ((first, asked), (second, said)):
        assert "Rpc" in layers(packet)
        assert unknown(packet) == b""
        rebuilt = packet[rpc.Rpc].copy()
        rebuilt.clear_cache()
        assert bytes(rebuilt) == message


def procedures():
    for path in sorted((Path(__file__).parents[2] / "xdr_specs").glob("*.x")):
        spec = compile_file(path).spec
        values = Values(spec, module_of(spec))
        for program in spec.programs:
            for version in program.versions:
                service = getattr(values.module, f"{program.name}_{version.number}_service")
                for procedure in version.procedures:
                    ours = service.procedures[procedure.number]
                    yield pytest.param(values, procedure, ours, id=f"{program.name} {version.number} {procedure.name}")


@pytest.mark.parametrize(("values", "described", "procedure"), list(procedures()))
@settings(max_examples=4, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_every_procedure_of_every_specification(values, described, procedure, data):
    out = []
    procedure.encode_args(tuple(data.draw(values.of(f.type, 0)) for f in described.arguments), out)
    asked = call(0x99, procedure.program, procedure.version, procedure.number, b"".join(out))
    out = []
    result = None if isinstance(described.result, Void) else data.draw(values.of(described.result, 0))
    procedure.encode_result(result, out)
    said = reply(0x99, b"".join(out))
    for frame, message in ((up(asked, port=40321), asked), (down(said, port=40321), said)):
        packet = scapy.Ether(frame)
        assert ("Rpc" in layers(packet), unknown(packet)) == (True, b"")
        rebuilt = packet[rpc.Rpc].copy()
        rebuilt.clear_cache()
        assert bytes(rebuilt) == message


def test_fields_have_their_values():
    packet = scapy.Ether(up(call(5, NFS, 2, 11, ROOT + opaque(b"old") + ROOT + opaque(b"new"))))
    argument = packet.lastlayer().arg
    assert (argument.from_.name_, argument.to.name_) == (b"old", b"new")
    assert packet[rpc.RpcCall].prog == NFS


def test_building_a_call():
    message = rpc.Rpc(xid=0x1234) / rpc.RpcCall() / rpc.nfs_prot.NFS_PROGRAM_2_NFSPROC_LOOKUP_call(
        arg=rpc.nfs_prot.diropargs(dir=rpc.nfs_prot.nfs_fh(data=ROOT), name_=b"some file")
    )  # fmt: skip
    assert bytes(message) == call(0x1234, NFS, 2, 4, ROOT + opaque(b"some file"))
    assert bytes(rpc.RpcRecord() / message) == record(bytes(message))


def test_what_is_built_is_answered():
    with ByHand({(NFS, 4): lambda arguments: word(0) + ROOT + fattr(size=77)}) as server:
        message = rpc.Rpc(xid=0xABCD) / rpc.RpcCall() / rpc.nfs_prot.NFS_PROGRAM_2_NFSPROC_LOOKUP_call(
            arg=rpc.nfs_prot.diropargs(dir=rpc.nfs_prot.nfs_fh(data=ROOT), name_=b"file")
        )  # fmt: skip
        rpc.Rpc(bytes(message))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            sock.sendto(bytes(message), ("127.0.0.1", server.port))
            reply = rpc.Rpc(sock.recv(65536))
        assert server.calls[0].endswith(ROOT + opaque(b"file"))
    assert reply.lastlayer().result.diropres.attributes.size == 77


CREDENTIALS = {
    "AUTH_SYS": (
        1, word(7) + opaque(b"host") + word(1000, 100, 2, 4, 24), "authsys_parms", {"uid": 1000, "gids": [4, 24]},
    ),
    "AUTH_SHORT": (2, b"nickname", None, {}),
    "AUTH_DH, full name": (
        3, word(0) + opaque(b"unix.7@here") + b"KEY-KEY-" + b"wind", "AuthDhCredential", {"netname": b"unix.7@here"},
    ),
    "AUTH_DH, nickname": (3, word(1, 0xBEEF), "AuthDhCredential", {"nickname": 0xBEEF}),
    "RPCSEC_GSS": (6, word(1, 0, 9, 1) + opaque(b"context"), "rpc_gss_cred_t", {"rgc_version": 1}),
    "broken": (1, b"\0\0\0\1", None, {}),
}  # fmt: skip


@pytest.mark.parametrize(("flavor", "body", "kind", "values"), CREDENTIALS.values(), ids=CREDENTIALS)
def test_credentials_of_every_flavour(flavor, body, kind, values):
    message = word(9, 0, 2, NFS, 2, 1) + word(flavor) + opaque(body) + bytes(8) + ROOT
    packet = scapy.Ether(up(message))
    credential = packet[rpc.RpcCall].cred
    assert bytes(credential) == body
    assert type(credential).__name__ == (kind or "bytes")
    assert {name: getattr(credential, name) for name in values} == values
    rebuilt = packet[rpc.Rpc].copy()
    rebuilt.clear_cache()
    assert bytes(rebuilt) == message


def test_what_gss_has_wrapped_is_left_alone():
    credential = word(6) + opaque(word(1, 0, 9, 2) + opaque(b"context"))
    packet = scapy.Ether(up(word(9, 0, 2, NFS, 2, 1) + credential + bytes(8) + opaque(b"sealed") + opaque(b"sum")))
    assert isinstance(packet.lastlayer(), scapy.Raw)


def test_other_protocols_stay_what_they_are():
    packet = scapy.Ether(up(b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01", port=53))
    assert "DNS" in layers(packet)
    assert "Raw" in layers(scapy.Ether(up(b"just some text of no protocol at all", port=40321)))


def test_fragments_of_a_write(tmp_path):
    message = call(3, NFS, 2, 8, ROOT + word(0, 0, 0) + opaque(bytes(range(256)) * 32))
    frames = [ethernet(piece) for piece in fragments(CLIENT, SERVER, udp(700, 40321, message), 77)]
    path = tmp_path / "write.pcap"
    path.write_bytes(b"".join(pcap(ticking(frames))))
    (packet,) = scapy.sniff(offline=str(path), session=scapy.IPSession)
    assert packet.lastlayer().arg.data == bytes(range(256)) * 32


@pytest.mark.parametrize("port", [2049, 40321])
@pytest.mark.parametrize("size", [50, 1460, 100_000])
def test_records_of_a_stream(tmp_path, port, size):
    asked = [call(n, NFS, 2, 4, ROOT + opaque(b"n" * n)) for n in range(1, 40)]
    two_fragments = struct.pack(">I", 60) + asked[0][:60] + record(asked[0][60:])
    stream = two_fragments + b"".join(map(record, asked[1:]))
    pieces = [(10 + at, stream[at : at + size]) for at in range(0, len(stream), size)]
    frames = [ethernet(ipv4(CLIENT, SERVER, 6, tcp(900, port, sequence, data))) for sequence, data in pieces]
    path = tmp_path / "stream.pcap"
    path.write_bytes(b"".join(pcap(ticking(frames))))
    found = []
    for packet in scapy.sniff(offline=str(path), session=scapy.TCPSession):
        number = 1
        while (lookup := packet.getlayer(rpc.nfs_prot.NFS_PROGRAM_2_NFSPROC_LOOKUP_call, number)) is not None:
            found.append(lookup.arg.name_)
            number += 1
    assert found == [b"n" * n for n in range(1, 40)]


def test_ipv6():
    packet = scapy.Ether(ethernet(ipv6(bytes(16), bytes(15) + b"\1", 17, udp(1, 2049, call(1, NFS, 2, 1, ROOT)))))
    assert packet.lastlayer().arg.data == ROOT


def test_a_spec_of_ones_own(tmp_path):
    spec = tmp_path / "bell.x"
    spec.write_text("program BELL { version ONE { int RING(string) = 1; } = 1; } = 0x20000098;\n")
    module = rpc.load_spec(spec)
    message = rpc.Rpc(xid=1) / rpc.RpcCall() / module.BELL_1_RING_call(arg=b"ding")
    assert bytes(message) == call(1, 0x20000098, 1, 1, opaque(b"ding"))
