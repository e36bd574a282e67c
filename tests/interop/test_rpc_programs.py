"""Debian's rpcinfo, showmount, rpcbind and tshark find nothing to complain about.

The first three know no port but 111, so all this runs in a network namespace of its own.
"""

from __future__ import annotations

import json
import re
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sniffing import sniffed, tshark

NFS, MOUNT, PORTMAP, RQUOTA = 100003, 100005, 100000, 100011
PROGRAMS = (NFS, 2), (MOUNT, 1), (MOUNT, 2), (RQUOTA, 1), (RQUOTA, 2), (PORTMAP, 2), (PORTMAP, 3), (PORTMAP, 4)
EVERYWHERE = {(program, version, t) for program, version in PROGRAMS for t in ("udp", "tcp")}
MOUNT_ONCE = """
import socket, struct, sys
path = sys.argv[1].encode()
opaque = lambda b: struct.pack(">I", len(b)) + b + bytes(-len(b) % 4)
cred = struct.pack(">I", 0) + opaque(b"a-client") + bytes(12)
call = struct.pack(">6I", 4711, 0, 2, 100005, 1, 1) + struct.pack(">I", 1) + opaque(cred) + bytes(8) + opaque(path)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
s.sendto(call, ("127.0.0.1", 2049))
reply = s.recv(65536)
assert struct.unpack(">7I", reply[:28]) == (4711, 1, 0, 0, 0, 0, 0) and len(reply) == 60, reply
"""


def registered(listing: str) -> set[tuple[int, int, str]]:
    """(program, version, protocol) of each line of rpcinfo -p."""
    rows = [line.split() for line in listing.splitlines()[1:]]
    return {(int(row[0]), int(row[1]), row[2]) for row in rows}


@pytest.fixture
def sun_server(namespace, make_server, need_commands):
    """Our server where Sun's clients look for it: portmapper on 111, NFS on 2049."""
    need_commands("rpcinfo", "showmount")
    return make_server(namespace=namespace, port=2049)


def test_rpcinfo_lists_what_we_serve(namespace, sun_server):
    done = namespace.run("rpcinfo", "-p", "127.0.0.1")
    assert done.returncode == 0, done.stderr
    assert registered(done.stdout) == EVERYWHERE


@pytest.mark.parametrize(("option", "proto"), [("-u", "udp"), ("-t", "tcp")])
@pytest.mark.parametrize(("program", "versions"), [(NFS, [2]), (MOUNT, [1, 2]), (RQUOTA, [1, 2]), (PORTMAP, [2, 3, 4])])
def test_rpcinfo_calls_procedure_0(namespace, sun_server, option, proto, program, versions):
    """Without a version rpcinfo learns the range from PROG_MISMATCH and then calls each one."""
    done = namespace.run("rpcinfo", option, "127.0.0.1", str(program))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [f"program {program} version {v} ready and waiting" for v in versions]


@pytest.mark.parametrize("option", ["-u", "-t"])
def test_rpcinfo_is_told_what_is_not_there(namespace, sun_server, option):
    missing_version = namespace.run("rpcinfo", option, "127.0.0.1", str(NFS), "3")
    assert missing_version.returncode == 1
    assert "Program/version mismatch; low version = 2, high version = 2" in missing_version.stderr
    missing_program = namespace.run("rpcinfo", option, "127.0.0.1", "100999")
    assert missing_program.returncode == 1
    assert "Program not registered" in missing_program.stderr


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ((), "100003    2    udp       127.0.0.1.8.1          nfs        the server itself"),
        (("-s",), "100003  2         tcp,udp                          nfs         the server itself"),
        (("-l", "127.0.0.1", "100003", "2"), "127.0.0.1.8.1"),
        (("-a", "127.0.0.1.0.111", "-T", "udp", "100000", "4"), "program 100000 version 4 ready and waiting"),
        (("-T", "tcp", "127.0.0.1", "100003", "2"), "program 100003 version 2 ready and waiting"),
        (("-m",), "PORTMAP (version 2) statistics"),
    ],
)
def test_rpcinfo_speaks_versions_3_and_4_with_us(namespace, sun_server, options, wanted):
    host = () if {"-l", "-a", "-T"} & set(options) else ("127.0.0.1",)
    done = namespace.run("rpcinfo", *options, *host)
    assert done.returncode == 0, done.stderr
    assert wanted.split() in [line.split() for line in done.stdout.splitlines()] or wanted in done.stdout, done.stdout


@pytest.mark.root
def test_a_c_program_registers_with_us(namespace, make_server, need_commands, c_builder):
    """libtirpc's svc_register and rpcinfo -d, and what becomes of the entries of a program that ends without a word.

    libtirpc registers at ::1 where rpcbind's UNIX socket is not there.
    """
    need_commands("rpcinfo")
    make_server("--host", "::", namespace=namespace, port=2049)
    program = c_builder.build("file_read_write", Path(__file__).parent / "c" / "file_server.c", "xdr", "svc")
    entries = {(9999, 2, "udp"), (9999, 2, "tcp")}

    def listed() -> set[tuple[int, int, str]]:
        return registered(namespace.run("rpcinfo", "-p", "127.0.0.1").stdout)

    server = namespace.popen([str(program), "register"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with server:
        udp, tcp = (int(port) for port in server.stdout.readline().split())
        assert listed() == EVERYWHERE | entries
        called = namespace.run("rpcinfo", "-T", "tcp", "127.0.0.1", "9999", "2")
        assert called.stdout == "program 9999 version 2 ready and waiting\n", called.stderr
        with_addresses = namespace.run("rpcinfo", "127.0.0.1").stdout
        for proto, port in (("udp", udp), ("tcp", tcp)):
            assert re.search(rf"9999 +2 +{proto} +0\.0\.0\.0\.{port >> 8}\.{port & 255} .*superuser", with_addresses)
        assert namespace.run("rpcinfo", "-d", "9999", "2").returncode == 0
        assert listed() == EVERYWHERE
    with namespace.popen(
        [str(program), "register"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as killed:
        killed.stdout.readline()
        assert listed() == EVERYWHERE | entries
        killed.kill()
    for _ in range(200):
        if listed() == EVERYWHERE:
            break
        select.select([], [], [], 0.1)
    assert listed() == EVERYWHERE


def test_showmount_lists_exports_and_clients(namespace, sun_server):
    exports = namespace.run("showmount", "-e", "--no-headers", "127.0.0.1")
    assert exports.returncode == 0, exports.stderr
    assert exports.stdout.split() == [sun_server.export, "(everyone)"]
    before = namespace.run("showmount", "-a", "--no-headers", "127.0.0.1")
    assert (before.returncode, before.stdout) == (0, "")
    mounted = namespace.run(sys.executable, "-c", MOUNT_ONCE, sun_server.export)
    assert mounted.returncode == 0, mounted.stderr
    after = namespace.run("showmount", "-a", "--no-headers", "127.0.0.1")
    assert after.stdout.split() == [f"127.0.0.1:{sun_server.export}"]
    directories = namespace.run("showmount", "-d", "--no-headers", "127.0.0.1")
    assert directories.stdout.split() == [sun_server.export]


def test_showmount_lists_who_is_let_in(namespace, make_server, need_commands):
    need_commands("showmount")
    server = make_server("--client", "10.0.0.0/8", "--client", "@lab", namespace=namespace, port=2049)
    exports = namespace.run("showmount", "-e", "--no-headers", "127.0.0.1")
    assert exports.stdout.split() == [server.export, "10.0.0.0/8,@lab"], exports.stderr
    refused = namespace.run(sys.executable, "-c", MOUNT_ONCE, server.export)
    assert refused.returncode != 0
    assert namespace.run("showmount", "-a", "--no-headers", "127.0.0.1").stdout == ""


# --- rpcbind ---------------------------------------------------------------------


@pytest.fixture
def rpcbind(namespace, need_commands) -> Iterator[None]:
    """Debian's rpcbind. It takes on a user of its own, which a user namespace without root cannot give it."""
    need_commands("rpcbind", "rpcinfo")
    process = namespace.popen(["rpcbind", "-f", "-w"], stdin=subprocess.DEVNULL)
    while namespace.run("rpcinfo", "-p", "127.0.0.1").returncode != 0:  # it does not say when it is ready
        if process.poll() is not None:
            pytest.skip(f"rpcbind ended with status {process.returncode} (it needs root)")
    yield
    process.terminate()
    process.wait(10)


def test_registers_with_a_running_rpcbind_and_withdraws(namespace, rpcbind, make_server):
    alone = registered(namespace.run("rpcinfo", "-p", "127.0.0.1").stdout)
    server = make_server(namespace=namespace, port=2049)
    together = registered(namespace.run("rpcinfo", "-p", "127.0.0.1").stdout)
    ours = {entry for entry in EVERYWHERE if entry[0] != PORTMAP}
    assert together == alone | ours
    for program in (NFS, MOUNT):
        for option in ("-u", "-t"):
            assert namespace.run("rpcinfo", option, "127.0.0.1", str(program)).returncode == 0
    assert namespace.run("showmount", "-e", "127.0.0.1").returncode == 0
    server.stop()
    assert registered(namespace.run("rpcinfo", "-p", "127.0.0.1").stdout) == alone


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_our_client_reads_rpcbind(namespace, rpcbind, proto):
    theirs = registered(namespace.run("rpcinfo", "-p", "127.0.0.1").stdout)
    done = namespace.run(sys.executable, "-m", "nfsrpc", "info", "127.0.0.1", "--json", "--proto", proto)
    assert done.returncode == 0, done.stderr
    assert {(e["program"], e["version"], e["protocol"]) for e in json.loads(done.stdout)} == theirs


# --- tshark ----------------------------------------------------------------------


def test_tshark_reads_our_traffic(namespace, sun_server, kernel_client, need_commands, tmp_path):
    """Both directions of a kernel's session and of our own client's, over UDP and TCP, every procedure in use."""
    need_commands("tshark")
    capture = tmp_path / "traffic.pcap"
    work = (
        "echo a > f; ln f g; ln -s f s; mkdir d; mv f d/h; chmod 600 d/h; truncate -s 9000 d/h; mknod p p;"
        " echo 3 > /proc/sys/vm/drop_caches; readlink s; cat d/h; ls -la; df .; cat absent; rm -r d g s p; ls"
    )
    own = f"nfs://127.0.0.1:2049{sun_server.export}"
    (tmp_path / "local").write_bytes(bytes(20000))
    with sniffed(namespace, capture):
        for proto in ("udp", "tcp"):
            assert "absent" in kernel_client.run(sun_server, proto, work).errors
            for command in (["put", str(tmp_path / "local"), f"{own}/remote?proto={proto}"], ["ls", "-l", own]):
                done = namespace.run(sys.executable, "-m", "nfsrpc", *command)
                assert done.returncode == 0, done.stderr
        namespace.run("rpcinfo", "-p", "127.0.0.1")
        namespace.run("showmount", "-e", "127.0.0.1")
    assert tshark(capture, "_ws.malformed || _ws.expert.severity == error", "frame.number", "_ws.col.Info") == []
    answered = ",".join(tshark(capture, "nfs && rpc.msgtyp == 1", "nfs.procedure_v2"))
    procedures = {int(p) for p in answered.split(",") if p}
    assert procedures >= {0, 1, 2, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}
    assert tshark(capture, "mount && rpc.msgtyp == 1", "mount.procedure_v1")
    assert tshark(capture, "portmap && rpc.msgtyp == 1", "portmap.procedure_v2")
    calls = tshark(capture, "rpc.msgtyp == 0 && udp", "rpc.xid")
    replies = tshark(capture, "rpc.msgtyp == 1 && udp", "rpc.xid")
    assert sorted(set(calls)) == sorted(set(replies))


ASK_RPCBIND = """
from nfsrpc.portmap.entry import Service
from nfsrpc.portmap.rpcbind import RpcBind
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
for connect, netid in ((connect_udp, "udp"), (connect_tcp, "tcp")):
    for version in (3, 4):
        with connect("127.0.0.1", 111, source_ports=range(1023, 600, -1)) as client:
            bind = RpcBind(client, version)
            assert bind.getaddr(100000, 4) == ("127.0.0.1", 111), bind.getaddr(100000, 4)
            assert bind.getaddr(300, 1) is None
            assert bind.set(Service(300, 1, netid, "127.0.0.1.15.160"))
            assert bind.getaddr(300, 1) == ("127.0.0.1", 4000)
            assert (300, 1, netid, "127.0.0.1.15.160") in [entry[:4] for entry in bind.dump()]
            assert bind.unset(300, 1, netid)
            assert bind.gettime() > 1_600_000_000
            assert bind.taddr2uaddr(bind.uaddr2taddr("192.0.2.1.8.1")) == ("192.0.2.1", 2049)
    with connect("127.0.0.1", 111) as client:
        bind = RpcBind(client)
        assert bind.getversaddr(100000, 4) == ("127.0.0.1", 111)
        assert bind.getversaddr(100000, 9) is None
        assert bind.getstat()[2].info[9] >= 2
"""


def test_our_client_speaks_versions_3_and_4_with_rpcbind(namespace, rpcbind):
    done = namespace.run(sys.executable, "-c", ASK_RPCBIND)
    assert done.returncode == 0, done.stderr
