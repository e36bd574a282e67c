"""Captures of other people's software, read by tshark and by us: the same messages, field by field; no byte unknown."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sniffing import sniffed, tshark, tshark_messages

from nfsrpc.packets.capture import CaptureReader
from nfsrpc.packets.dissect import Dissection
from nfsrpc.packets.programs import Programs
from nfsrpc.xdr import Record

GUEST_PYTHON = f"{sys.executable} -I -S"
BEHAVIOUR = Path(__file__).parent / "guest" / "behaviour.py"
NUMBERS = {
    "nfs.ftype": "fattr.type",
    "nfs.mode": "*.mode",
    "nfs.fattr.nlink": "fattr.nlink",
    "nfs.fattr.uid": "*.uid",
    "nfs.fattr.gid": "*.gid",
    "nfs.fattr.size": "*.size",
    "nfs.fattr.blocksize": "fattr.blocksize",
    "nfs.fattr.rdev": "fattr.rdev",
    "nfs.fattr.blocks": "fattr.blocks",
    "nfs.fattr.fsid": "fattr.fsid",
    "nfs.fattr.fileid": "fattr.fileid",
    "nfs.atime.sec": "*.atime.seconds",
    "nfs.atime.usec": "*.atime.useconds",
    "nfs.mtime.sec": "*.mtime.seconds",
    "nfs.mtime.usec": "*.mtime.useconds",
    "nfs.ctime.sec": "*.ctime.seconds",
    "nfs.ctime.usec": "*.ctime.useconds",
    "nfs.write.beginoffset": "writeargs.beginoffset",
    "nfs.write.offset": "writeargs.offset",
    "nfs.write.totalcount": "writeargs.totalcount",
    "nfs.read.offset": "readargs.offset",
    "nfs.read.count": "readargs.count",
    "nfs.read.totalcount": "readargs.totalcount",
    "nfs.readdir.entry.fileid": "entry.fileid",
    "nfs.readdir.entry.cookie": "entry.cookie",
    "nfs.readdir.eof": "dirlist.eof",
    "nfs.statfs.tsize": "statfsokres.tsize",
    "nfs.statfs.bsize": "statfsokres.bsize",
    "nfs.statfs.blocks": "statfsokres.blocks",
    "nfs.statfs.bfree": "statfsokres.bfree",
    "nfs.statfs.bavail": "statfsokres.bavail",
}
"""tshark's field: ours, as type.field; sattr and fattr share some of tshark's names."""
TEXTS = {
    "nfs.name": "diropargs.name",
    "nfs.readdir.entry.name": "entry.name",
    "nfs.fhandle": "nfs_fh.data",
    "nfs.data": "*.data",
}


def ours(value, found, trail=""):
    """Every leaf of a decoded value under type.field, and nested types under both names."""
    if isinstance(value, Record):
        kind = type(value).__name__
        for name in value.__slots__:
            item = getattr(value, name)
            if isinstance(item, Record) and type(item).__name__ == "nfstime":
                for part in item.__slots__:
                    found.setdefault(f"{kind}.{name}.{part}", []).append(getattr(item, part))
            elif isinstance(item, (int, bytes)):
                found.setdefault(f"{kind}.{name}", []).append(item)
            else:
                ours(item, found)
    elif isinstance(value, tuple):
        for item in value:
            ours(item, found)
    return found


def pick(found, key):
    """The values under type.field; * is any of the types that share tshark's name."""
    kind, _, name = key.partition(".")
    kinds = {"size": ("fattr", "sattr"), "data": ("writeargs", "readokres")}.get(name, ("fattr", "sattr"))
    return [value for one in (kinds if kind == "*" else (kind,)) for value in found.get(f"{one}.{name}", ())]


@pytest.fixture
def capture(namespace, make_server, kernel_client, need_commands, tmp_path):
    """A kernel's work over UDP and TCP, rpcinfo and showmount in all their ways, and our own client."""
    need_commands("tshark", "rpcinfo", "showmount")
    server = make_server(namespace=namespace, port=2049)
    path = tmp_path / "traffic.pcap"
    (tmp_path / "local").write_bytes(bytes(range(256)) * 100)
    with sniffed(namespace, path):
        for proto in ("udp", "tcp"):
            work = f"mkdir $NFSDIR/{proto} && {GUEST_PYTHON} {BEHAVIOUR} $NFSDIR/{proto}"
            assert kernel_client.run(server, proto, work).status == 0
            own = f"nfs://127.0.0.1:2049{server.export}"
            put = ["put", str(tmp_path / "local"), f"{own}/own-{proto}?proto={proto}"]
            for command in (put, ["ls", "-l", f"{own}?proto={proto}"]):
                assert namespace.run(sys.executable, "-m", "nfsrpc", *command).returncode == 0
        for asked in (["rpcinfo", "-p"], ["rpcinfo"], ["showmount", "-e"], ["showmount", "-a"], ["showmount", "-d"]):
            namespace.run(*asked, "127.0.0.1")
        for option in ("-u", "-t"):
            for program in ("100003", "100005", "100000", "100999"):
                namespace.run("rpcinfo", option, "127.0.0.1", program)
    return path


def test_tshark_and_scapy_and_we_read_the_same(capture):
    assert tshark(capture, "_ws.malformed || _ws.expert.severity == error", "frame.number", "_ws.col.Info") == []
    dissection = Dissection(Programs())
    with capture.open("rb") as stream:
        exchanges = list(dissection.run(CaptureReader(stream)))
    assert [(d.program, d.procedure, d.trouble) for d in exchanges if d.trouble] == []
    assert [(d.program, d.procedure, d.extra) for d in exchanges if d.extra != (0, 0)] == []
    unknown = [d for d in exchanges if d.status == "OK" and d.arguments is None and d.procedure != "NULL"]
    assert unknown == []
    assert dissection.exchanges.counts.orphans == 0
    told = tshark_messages(capture)
    calls = {m.xid: m.fields for m in told if m.fields["rpc.msgtyp"] == [bytes(4)]}
    replies = {m.xid: m.fields for m in told if m.fields["rpc.msgtyp"] != [bytes(4)]}
    assert Counter(d.exchange.xid for d in exchanges).keys() == calls.keys()
    assert {d.exchange.xid for d in exchanges if d.exchange.reply} == replies.keys()
    compared: Counter[str] = Counter()
    for decoded in exchanges:
        exchange = decoded.exchange
        call = calls[exchange.xid]
        assert number(call["rpc.program"]) == exchange.program
        assert number(call["rpc.programversion"]) == exchange.version
        assert number(call["rpc.procedure"]) == exchange.procedure
        assert call["rpc.auth.flavor"][0] == exchange.credential.flavor.to_bytes(4, "big")
        if exchange.program == 100003:
            compare(call, ours(decoded.arguments, {}), compared)
            if exchange.reply:
                compare(replies[exchange.xid], ours(decoded.result, {}), compared)
        if exchange.reply and "nfs.status2" in replies[exchange.xid]:
            assert (number(replies[exchange.xid]["nfs.status2"]) == 0) == (decoded.status == "OK")
    assert compared.keys() >= {*NUMBERS, *TEXTS} - {"nfs.read.totalcount", "nfs.write.beginoffset"}
    procedures = {d.exchange.procedure for d in exchanges if d.program == "nfs"}
    assert procedures >= {0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}
    assert {d.program for d in exchanges} >= {"nfs", "mount", "portmap", "rpcbind"}
    scapy_knows_every_byte(capture)


def number(values):
    return int.from_bytes(values[0], "big")


def compare(told, found, compared):
    """Every field of the tables, in both directions: what tshark sees we have, what we have it sees."""
    for name, key in NUMBERS.items():
        wanted = [int.from_bytes(v, "big") if isinstance(v, bytes) else int(v) & 0xFFFFFFFF for v in pick(found, key)]
        # Of an attribute that shall not change tshark may show nothing.
        seen = [int.from_bytes(value, "big") for value in told.get(name, ())]
        if key.startswith("*"):
            wanted = [v for v in wanted if v != 0xFFFFFFFF]
            seen = [v for v in seen if v != 0xFFFFFFFF]
        assert seen == wanted, (name, told)
        compared[name] += len(seen)
    for name, key in TEXTS.items():
        assert [v for v in told.get(name, ()) if v] == [v for v in pick(found, key) if v], (name, told)
        compared[name] += len(told.get(name, ()))


SCAPY = """
import sys
from scapy.all import Raw, TCP, TCPSession, sniff
from nfsrpc.packets import scapy as rpc
unknown, messages, missed = set(), 0, 0
def look(packet):
    global messages, missed
    if rpc.Rpc in packet:
        messages += 1
        reply = packet.getlayer(rpc.RpcReply)
        if Raw in packet and TCP in packet and reply is not None and reply.prog == -1:
            missed += 1
        elif Raw in packet:
            unknown.add(packet.summary())
sniff(offline=sys.argv[1], session=TCPSession, prn=look, store=False)
print(messages, missed, *unknown, sep="\\n")
"""


def scapy_knows_every_byte(capture):
    command = [sys.executable, "-W", "ignore", "-c", SCAPY, capture]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    messages, missed, *unknown = done.stdout.splitlines()
    # On a busy machine scapy's own reassembly sometimes gives one direction of a stream up: then it has not
    # seen the calls to which the replies belong, and nobody could know their layout.
    assert int(messages) - int(missed) > 2000
    assert unknown == []


def test_an_interface_is_read_live(namespace, make_server, need_commands):
    need_commands("rpcinfo")
    make_server(namespace=namespace, port=2049)
    command = [sys.executable, "-m", "nfsrpc", "dump", "-i", "lo", "-c", "1", "--procedure", "NULL", "--program", "nfs"]
    listener = namespace.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while listener.poll() is None:
            assert namespace.run("rpcinfo", "-u", "127.0.0.1", "100003", "2").returncode == 0
        said, trouble = listener.communicate(timeout=30)
    finally:
        listener.kill()
        listener.wait()
    if "Operation not permitted" in trouble:
        pytest.skip("packets cannot be captured here")
    assert trouble == ""
    assert " > 127.0.0.1:2049 udp " in said
    assert "nfs NULL = OK" in said
