"""Captures of other people's software, read by tshark and by us: the same messages, field by field; no byte unknown."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from side_by_side import NUMBERS, TEXTS, Comparison
from sniffing import sniffed

GUEST_PYTHON = f"{sys.executable} -E -s -S"
BEHAVIOUR = Path(__file__).parent / "guest" / "behaviour.py"


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
    read = Comparison(capture)
    assert read.malformed == []
    assert read.differences() == []
    unknown = [d for d in read.exchanges if d.status == "OK" and d.arguments is None and d.procedure != "NULL"]
    assert unknown == []
    assert read.orphans == 0
    assert read.fields().keys() >= {name for name in (*NUMBERS, *TEXTS) if name.startswith("nfs.")} - {
        "nfs.read.totalcount", "nfs.write.beginoffset", "nfs.write.totalcount",
    }  # fmt: skip
    procedures = {d.exchange.procedure for d in read.exchanges if d.program == "nfs"}
    assert procedures >= {0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}
    assert {d.program for d in read.exchanges} >= {"nfs", "mount", "portmap", "rpcbind"}
    scapy_knows_every_byte(capture)


SCAPY = """
import sys
from scapy.all import PcapReader, Raw, TCPSession, sniff
from nfsrpc.packets import scapy as rpc
def frames(path):
    reader = PcapReader(path)
    while True:
        try:
            yield reader.read_packet(1 << 17)
        except EOFError:
            return
unknown, messages = set(), 0
def look(packet):
    global messages
    if rpc.Rpc in packet:
        messages += 1
        if Raw in packet:
            unknown.add(packet.summary())
sniff(offline=list(frames(sys.argv[1])), session=TCPSession, prn=look, store=False)
print(messages, *unknown, sep="\\n")
"""
"""Frames are read whole: scapy by itself ends them at 65 535 bytes, and on loopback a few are longer by a header."""


def scapy_knows_every_byte(capture):
    command = [sys.executable, "-W", "ignore", "-c", SCAPY, capture]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    messages, *unknown = done.stdout.splitlines()
    assert int(messages) > 2000
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
