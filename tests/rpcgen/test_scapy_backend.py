"""Generated scapy packets: they show what our codec wrote, and build the same bytes again."""

from __future__ import annotations

import itertools
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xdr_values import Values, compiled, module_of

from nfsrpc.rpcgen.compiler import compile_file
from nfsrpc.xdr import encode

scapy_packet = pytest.importorskip("scapy.packet")

from scapy.layers.inet import IP, TCP, UDP  # noqa: E402

from nfsrpc.rpcgen.scapy.layers import Rpc, RpcCall, RpcRecord, RpcReply, dissect_port  # noqa: E402
from nfsrpc.rpcgen.scapy.module import backend  # noqa: E402

SPECS = Path(__file__).parents[2] / "xdr_specs"
OWN = """
enum kind { ROUND = 0, SQUARE = -1 };
typedef opaque key[5];
struct point { int x; unsigned hyper y; };
struct link { string name<9>; link *next; };
struct tree { int value; tree *left; tree *right; };
union shape switch (kind k) { case ROUND: point p; case SQUARE: void; };
struct all { key k; point ps<>; float f; double d; bool b; int three[3]; shape s; link *first; point *maybe; tree t; };
program P { version V { shape DRAW(all, string) = 1; } = 3; } = 70000;
"""
_COUNT = itertools.count()


def load(compiled_file: Any) -> ModuleType:
    module = ModuleType(f"scapy_generated_{next(_COUNT)}")
    sys.modules[module.__name__] = module
    (text,) = backend(compiled_file).values()
    exec(compile(text, "<scapy>", "exec"), module.__dict__)
    return module


def call(xid: int, program: int, version: int, procedure: int, body: bytes) -> bytes:
    return struct.pack(">10I", xid, 0, 2, program, version, procedure, 0, 0, 0, 0) + body


def reply(xid: int, body: bytes) -> bytes:
    return struct.pack(">6I", xid, 1, 0, 0, 0, 0) + body


def rebuilt(packet: Any) -> bytes:
    """Build the packet from its fields, not from what scapy remembers of the bytes."""
    packet = packet.copy()
    packet.clear_cache()
    return bytes(packet)


@pytest.fixture(scope="module")
def nfs() -> Iterator[tuple[ModuleType, ModuleType]]:
    """The codec and the packets of NFSv2; what they bind in scapy is undone, for others bind theirs."""
    layers = (RpcCall, RpcReply, UDP, TCP)
    before = [list(layer.payload_guess) for layer in layers]
    made = compile_file(SPECS / "nfs_prot.x")
    yield module_of(made.spec), load(made)
    for layer, guesses in zip(layers, before, strict=True):
        layer.payload_guess = guesses


def test_a_call_and_its_reply_are_dissected_by_procedure(nfs: tuple[ModuleType, ModuleType]) -> None:
    n, packets = nfs
    asked = n.readdirargs(n.nfs_fh(b"h" * 32), b"0000", 100)
    told = n.readdirres(n.NFS_OK, n.dirlist(n.entry(1, b"a", b"0001", n.entry(2, b"bb", b"0002", None)), True))
    request = Rpc(call(7, 100003, 2, 16, encode(n.encode_readdirargs, asked)))
    answer = Rpc(reply(7, encode(n.encode_readdirres, told)))
    arguments = request[packets.NFS_PROGRAM_2_NFSPROC_READDIR_call].arg
    assert (arguments.dir.data, arguments.count) == (b"h" * 32, 100)
    listing = answer[packets.NFS_PROGRAM_2_NFSPROC_READDIR_reply].result
    assert [(e.fileid, e.name_) for e in listing.reply.entries] == [(1, b"a"), (2, b"bb")]
    assert listing.sprintf("%status%") == "NFS_OK"
    assert rebuilt(request) == call(7, 100003, 2, 16, encode(n.encode_readdirargs, asked))
    assert rebuilt(answer) == reply(7, encode(n.encode_readdirres, told))


def test_a_reply_without_its_call_stays_raw(nfs: tuple[ModuleType, ModuleType]) -> None:
    answer = Rpc(reply(0xDEAD, b"\0\0\0\1"))
    assert answer.lastlayer().load == b"\0\0\0\1"


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ((1, 0, 2, 2), "versions", [2, 2]),
        ((1, 1, 5), "auth_stat", 5),
        ((0, 0, 0, 1), "accept_stat", 1),
        ((0, 0, 0, 2, 2, 4), "versions", [2, 4]),
    ],
)
def test_refusals(words: tuple[int, ...], field: str, value: Any) -> None:
    data = struct.pack(f">II{len(words)}I", 1, 1, *words)
    answer = Rpc(data)
    assert getattr(answer.payload, field) == value
    assert rebuilt(answer) == data


def test_captures_by_port_over_udp_and_tcp_records(nfs: tuple[ModuleType, ModuleType]) -> None:
    n, packets = nfs
    dissect_port(20490)
    message = call(9, 100003, 2, 1, encode(n.encode_nfs_fh, n.nfs_fh(b"x" * 32)))
    datagram = IP(bytes(IP(src="127.0.0.1", dst="127.0.0.1") / UDP(sport=1, dport=20490) / message))
    assert datagram[packets.NFS_PROGRAM_2_NFSPROC_GETATTR_call].arg.data == b"x" * 32
    record = RpcRecord(struct.pack(">I", 0x80000000 | len(message)) + message)
    assert packets.NFS_PROGRAM_2_NFSPROC_GETATTR_call in record
    assert bytes(RpcRecord() / Rpc(message))[:4] == struct.pack(">I", 0x80000000 | len(message))


MADE = compiled(OWN)
M, PACKETS = module_of(MADE.spec), load(MADE)
VALUES = Values(MADE.spec, M)


@settings(max_examples=60)
@given(VALUES.named("all"), st.binary(max_size=9), VALUES.named("shape"))
def test_every_construct_comes_back(value: Any, text: bytes, result: Any) -> None:
    procedure = M.P_3_service.procedures[1]
    asked = call(3, 70000, 3, 1, encode(procedure.encode_args, (value, text)))
    packet = Rpc(asked)
    seen = packet[PACKETS.P_3_DRAW_call]
    assert seen.arg2 == text
    assert (seen.arg1.k, seen.arg1.three) == (value.k, value.three)
    assert [(p.x, p.y) for p in seen.arg1.ps] == [(p.x, p.y) for p in value.ps]
    assert rebuilt(packet) == asked
    told = reply(3, encode(procedure.encode_result, result))
    assert rebuilt(Rpc(told)) == told


def test_bytes_that_do_not_fit_are_shown_raw(nfs: tuple[ModuleType, ModuleType]) -> None:
    packet = Rpc(call(1, 100003, 2, 4, b"\0" * 32 + b"\xff\xff\xff\xff"))
    assert packet.lastlayer().name == "Raw"
