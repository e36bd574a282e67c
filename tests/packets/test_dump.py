"""`nfsrpc dump` on captures made by hand: what each line says, what filters leave, what the summary counts."""

import json
import os
import pty
import struct
import subprocess
import sys
import zlib

import pytest
from by_hand import DIRECTORY, ROOT, fattr, opaque, word
from captures import (
    CLIENT,
    SERVER,
    call,
    down,
    ethernet,
    fragments,
    ipv4,
    many_getattrs,
    pcap,
    reply,
    tcp,
    ticking,
    udp,
    up,
)

NFS, MOUNT, PORTMAP = 100003, 100005, 100000
FILE, SUB = b"F" * 32, b"D" * 32
UNSET = 0xFFFFFFFF


def nfs(xid, procedure, arguments):
    return up(call(xid, NFS, 2, procedure, arguments))


def ok(xid, result=b""):
    return down(reply(xid, word(0) + result))


def wide(frame_of, message, **more):
    """A datagram over an odd port."""
    return frame_of(message, port=40123, **more)


SESSION = [
    wide(up, call(1, MOUNT, 1, 1, opaque(b"/export/home"))), wide(down, reply(1, word(0) + ROOT)),
    nfs(2, 4, ROOT + opaque(b"dir")), ok(2, SUB + DIRECTORY),
    nfs(3, 9, SUB + opaque(b"a\nfile") + word(0o100644, UNSET, UNSET, 0, UNSET, UNSET, UNSET, UNSET)),
    ok(3, FILE + fattr()),
    *(ethernet(piece) for piece in fragments(
        CLIENT, SERVER, udp(700, 2049, call(4, NFS, 2, 8, FILE + word(0, 16384, 0) + opaque(b"x" * 8192))), 5)),
    ok(4, fattr(size=24576)),
    nfs(5, 11, ROOT + opaque(b"dir") + ROOT + opaque(b"moved")), ok(5),
    nfs(6, 1, FILE), nfs(6, 1, FILE), nfs(6, 1, FILE), ok(6, fattr(size=24576)),
    nfs(6, 1, FILE), ok(6, fattr(size=24576)),
    nfs(7, 4, SUB + opaque(b"gone")), down(reply(7, word(2))),
    nfs(8, 16, ROOT + word(0, 512)),
    ok(8, word(1, 7) + opaque(b"a") + word(1, 1, 8) + opaque(b"b") + word(2, 0, 1)),
    up(call(9, PORTMAP, 2, 3, word(NFS, 2, 17, 0)), port=111), down(reply(9, word(2049)), port=111),
    nfs(10, 1, b"?" * 32),
    nfs(11, 1, b"short"), down(word(11, 1, 0, 0, 0, 4)),
    up(call(12, NFS, 3, 1)), down(word(12, 1, 0, 0, 0, 2, 2, 2)),
    up(call(13, 200099, 1, 5, b"what")), down(word(13, 1, 0, 0, 0, 1)),
    up(word(14, 0, 3, NFS, 2, 0) + bytes(16)), down(word(14, 1, 1, 0, 2, 2)),
    nfs(15, 0, b""), down(word(15, 1, 1, 1, 5)),
    nfs(16, 1, FILE), ok(16, b"too short"),
    up(b"\0\1\2\3 no RPC at all", port=53),
]  # fmt: skip
LINES = [
    "mount MNT /export/home = OK 1ms",
    "nfs LOOKUP /export/home/dir = OK 1ms: dir 0755 0:0 4096 B",
    r"nfs CREATE /export/home/dir/a\x0afile mode=100644 size=0 = OK 1ms: file 0644 0:0 0 B",
    r"nfs WRITE /export/home/dir/a\x0afile 8192 B at 16384 = OK 1ms: file 0644 0:0 24576 B",
    "nfs RENAME /export/home/dir -> /export/home/moved = OK 1ms",
    r"nfs GETATTR /export/home/moved/a\x0afile = OK 3ms: file 0644 0:0 24576 B (sent 3 times)",
    r"nfs GETATTR /export/home/moved/a\x0afile = OK 1ms: file 0644 0:0 24576 B (a repetition)",
    "nfs LOOKUP /export/home/moved/gone = NFSERR_NOENT 1ms",
    "nfs READDIR /export/home from 0, 512 B = OK 1ms: 2 names eof",
    "portmap GETPORT prog=100003 vers=2 udp = OK 1ms: port 2049",
    "nfs GETATTR = GARBAGE_ARGS 1ms: call undecodable: data: needs 32 bytes, but the message ends after 5 (at byte 40)",
    "nfs proc-1 = PROG_MISMATCH 2..2 1ms",
    "200099 proc-5 = PROG_UNAVAIL 1ms",
    "nfs NULL = RPC_MISMATCH 2..2 1ms: a call header that cannot be read",
    "nfs NULL = AUTH_TOOWEAK 1ms",
]


def run(*arguments, status=0):
    done = subprocess.run(
        [sys.executable, "-m", "nfsrpc", "dump", *map(str, arguments)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stdout if status == 0 else done.stderr


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    path = tmp_path_factory.mktemp("dump") / "session.pcap"
    path.write_bytes(b"".join(pcap(ticking(SESSION))))
    return path


def about(lines):
    """Each line from the program on."""
    return [line.split(" ", 6)[6] for line in lines.splitlines()]


def test_each_call_is_one_line(session):
    found = run(session)
    assert about(found)[: len(LINES)] == LINES
    assert about(found)[len(LINES)].startswith(
        r"nfs GETATTR /export/home/moved/a\x0afile = BAD_REPLY 1ms: reply undecodable"
    )
    assert about(found)[len(LINES) + 1 :] == [f"nfs GETATTR fh:{zlib.crc32(b'?' * 32):08x} = no reply"]
    assert found.startswith("22:13:20.000000 10.0.0.1:700 > 10.0.0.2:40123 udp 00000001 mount MNT")


def test_quotas_and_keys(tmp_path):
    quota = word(1, 4096, 1, 50, 40, 7, 0, 0, 3, 0, 0)
    frames = [
        up(call(17, 100011, 1, 1, opaque(b"/export") + word(1000))), down(reply(17, quota)),
        up(call(18, 100011, 2, 1, opaque(b"/export") + word(0, 7))), down(reply(18, word(2))),
        up(call(19, 100029, 2, 5, opaque(b"unix.7@here"))), down(reply(19, word(2))),
    ]  # fmt: skip
    path = tmp_path / "quota.pcap"
    path.write_bytes(b"".join(pcap(ticking(frames))))
    first, second, third = about(run(path))
    assert first.startswith("rquota GETQUOTA gqa_pathp='/export' gqa_uid=1000 = OK 1ms: status=Q_OK rq_bsize=4096 ")
    assert second == "rquota GETQUOTA gqa_pathp='/export' gqa_type=0 gqa_id=7 = Q_NOQUOTA 1ms: status=Q_NOQUOTA"
    assert third == "keyserv GETCRED 'unix.7@here' = KEY_UNKNOWN 1ms: status=KEY_UNKNOWN"


FILTERS = {
    "procedure": (["--procedure", "getattr"], 5),
    "two procedures": (["--procedure", "LOOKUP", "--procedure", "11"], 3),
    "program by name": (["--program", "nfs"], 14),
    "program by number": (["--program", "100005"], 1),
    "status": (["--status", "noent"], 1),
    "status with more to it": (["--status", "PROG_MISMATCH"], 1),
    "no reply": (["--status", "no_reply"], 1),
    "host": (["--host", "10.0.0.2"], 17),
    "another host": (["--host", "10.9.9.9"], 0),
    "path": (["--handle", "/export/home/moved"], 4),
    "digits": (["--handle", FILE.hex()[:10]], 5),
    "several kinds": (["--procedure", "GETATTR", "--status", "OK"], 2),
    "count": (["-c", "3"], 3),
}


@pytest.mark.parametrize(("options", "count"), FILTERS.values(), ids=FILTERS)
def test_filters(session, options, count):
    assert len(run(session, *options).splitlines()) == count


def test_json_has_every_value(session):
    calls = [json.loads(line) for line in run(session, "--json").splitlines()]
    assert [call["xid"] for call in calls] == [1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 10]
    write = calls[3]
    assert write["arguments"] == [
        {"file": {"data": FILE.hex()}, "beginoffset": 0, "offset": 16384, "totalcount": 0, "data": "78" * 8192}
    ]
    assert write["result"]["attributes"]["type"] == "NFREG"
    assert write["latency"] == 0.001
    assert calls[5]["sent"] == 3
    assert calls[8]["result"]["reply"] == {
        "entries": [
            {"fileid": 7, "name": b"a".hex(), "cookie": "00000001"},
            {"fileid": 8, "name": b"b".hex(), "cookie": "00000002"},
        ],
        "eof": True,
    }
    assert [call["status"] for call in calls[-2:]] == ["BAD_REPLY", "NO_REPLY"]


def test_verbose_shows_the_structures(session):
    text = run(session, "-v", "--procedure", "READDIR")
    assert "    reply: dirlist\n      entries: 2 x entry\n        [0]\n          fileid: 7\n          name: 'a'" in text
    assert "status: NFS_OK (0)" in text


CALLERS = {
    "AUTH_NONE": (0, b"", None, []),
    "AUTH_SYS": (
        1, word(7) + opaque(b"client") + word(1000, 100, 2, 4, 24),
        {"stamp": 7, "machinename": b"client".hex(), "uid": 1000, "gid": 100, "gids": [4, 24]},
        ["credential: authsys_parms", "machinename: 'client'", "uid: 1000", "gid: 100"],
    ),
    "AUTH_SHORT": (2, b"nick", b"nick".hex(), ["credential: 'nick'"]),
    "AUTH_DH": (3, word(1, 0xBEEF), "000000010000beef", ["credential: 000000010000beef"]),
    "RPCSEC_GSS": (
        6, word(1, 0, 9, 1) + opaque(b"ctx!"),
        {"rgc_version": 1, "rgc_cred_v1": {
            "gss_proc": "RPCSEC_GSS_DATA", "seq_num": 9, "service": "rpc_gss_svc_none", "handle": b"ctx!".hex()}},
        ["credential: rpc_gss_cred_t", "seq_num: 9"],
    ),
    "77": (77, b"who?", b"who?".hex(), ["credential: 'who?'"]),
    "AUTH_SYS, broken": (1, word(7, 400), word(7, 400).hex(), [f"credential: {word(7, 400).hex()}"]),
    "AUTH_SYS, and more": (
        1, word(7, 0, 1, 2, 0, 5), word(7, 0, 1, 2, 0, 5).hex(), [f"credential: {word(7, 0, 1, 2, 0, 5).hex()}"]),
}  # fmt: skip


@pytest.mark.parametrize("caller", CALLERS)
def test_who_calls(tmp_path, caller):
    flavor, body, value, shown = CALLERS[caller]
    message = word(1, 0, 2, NFS, 2, 0, flavor) + opaque(body) + bytes(8)
    path = tmp_path / "one.pcap"
    path.write_bytes(b"".join(pcap(ticking([up(message), down(reply(1))]))))
    document = json.loads(run(path, "--json"))
    assert (document["flavor"], document["credential"]) == (caller.partition(",")[0], value)
    _, head, *rest = run(path, "-v").splitlines()
    assert head == f"  call: {len(message)} bytes, version 2, {caller.partition(',')[0]}"
    found = [line.strip() for line in rest]
    assert [line for line in shown if line not in found] == []
    assert len(found) == 1 or shown


def test_summary_counts_everything(session):
    figures = json.loads(run(session, "-s", "--json"))
    assert figures["packets"] == len(SESSION)
    assert (figures["calls"], figures["replies"], figures["unanswered"]) == (19, 16, 1)
    assert (figures["repeated_calls"], figures["repeated_replies"]) == (3, 0)
    assert figures["statuses"]["OK"] == 9
    getattr_ = next(line for line in figures["procedures"] if line["procedure"] == "GETATTR")
    assert (getattr_["calls"], getattr_["errors"], getattr_["unanswered"], getattr_["repeats"]) == (5, 2, 1, 3)
    assert getattr_["latency"]["max"] == 0.003
    assert "nfs v2 GETATTR" in run(session, "-s")


def test_a_spec_of_ones_own(tmp_path):
    spec = tmp_path / "adder.x"
    spec.write_text(
        "struct pair { int a; int b; };\nenum outcome { FINE = 0, OVERFLOW = 3 };\n"
        "union sum_res switch (outcome status) { case FINE: int sum; default: void; };\n"
        "program ADDER { version ONE { sum_res ADDER_ADD(pair) = 1; } = 1; } = 0x20000099;\n"
    )
    frames = [
        up(call(1, 0x20000099, 1, 1, struct.pack(">ii", 2, -5)), port=999),
        down(reply(1, struct.pack(">ii", 0, -3)), port=999),
        up(call(2, 0x20000099, 1, 1, struct.pack(">ii", 1, 1)), port=999), down(reply(2, word(3)), port=999),
    ]  # fmt: skip
    path = tmp_path / "adder.pcap"
    path.write_bytes(b"".join(pcap(ticking(frames))))
    assert about(run(path, "--spec", spec)) == [
        "ADDER ADDER_ADD a=2 b=-5 = OK 1ms: status=FINE sum=-3",
        "ADDER ADDER_ADD a=1 b=1 = OVERFLOW 1ms: status=OVERFLOW",
    ]
    assert about(run(path))[0] == f"{0x20000099} proc-1 = OK 1ms"


def test_a_tcp_session_is_read_too(tmp_path):
    def segment(source, target, sport, dport, sequence, data):
        return ethernet(ipv4(source, target, 6, tcp(sport, dport, sequence, data)))

    asked, said = call(9, NFS, 2, 1, FILE), reply(9, word(0) + fattr())
    stream = struct.pack(">I", 0x80000000 | len(asked)) + asked
    frames = [
        segment(CLIENT, SERVER, 900, 5555, 10, stream[:9]), segment(CLIENT, SERVER, 900, 5555, 19, stream[9:]),
        segment(SERVER, CLIENT, 5555, 900, 50, struct.pack(">I", 0x80000000 | len(said)) + said),
    ]  # fmt: skip
    path = tmp_path / "tcp.pcap"
    path.write_bytes(b"".join(pcap(ticking(frames))))
    (line,) = run(path).splitlines()
    assert " 10.0.0.1:900 > 10.0.0.2:5555 tcp 00000009 nfs GETATTR fh:" in line
    assert line.endswith("= OK 1ms: file 0644 0:0 0 B")


MISTAKES = {
    "no file": (["/nowhere/at.all"], "/nowhere/at.all: No such file or directory"),
    "no interface": (["-i", "no-such-if"], "no-such-if: "),
    "no capture": ([__file__], "not a capture"),
    "no spec": ([__file__, "--spec", "/nowhere.x"], "cannot read /nowhere.x"),
}


@pytest.mark.parametrize(("arguments", "says"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes_are_one_line(arguments, says):
    error = run(*arguments, status=1)
    assert says in error
    assert len(error.splitlines()) == 1


def test_file_and_interface_are_alternatives():
    assert "either FILE or -i" in run(status=2)


def peak(path, *options):
    """Megabytes that a dump of the capture takes at most."""
    script = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    command = [sys.executable, "-c", script, sys.executable, "-m", "nfsrpc", "dump", str(path), *options]
    return float(subprocess.run(command, capture_output=True, text=True, timeout=900, check=True).stdout)


@pytest.mark.parametrize(
    "exchanges", [50_000, pytest.param(500_000, marks=[pytest.mark.full, pytest.mark.timeout(900)])]
)
def test_memory_does_not_grow_with_the_capture(tmp_path, exchanges):
    small, large = tmp_path / "small.pcap", tmp_path / "large.pcap"
    for path, count in ((small, 500), (large, exchanges)):
        with path.open("wb") as file:
            file.writelines(pcap(many_getattrs(count)))
    assert peak(large, "-s") < peak(small, "-s") + 30


def test_the_bar_is_for_terminals_only(session):
    command = [sys.executable, "-m", "nfsrpc", "dump", session, "-s"]
    assert subprocess.run(command, capture_output=True, timeout=60, check=True).stderr == b""
    tty, inside = pty.openpty()
    with open(tty, "rb", buffering=0) as screen:
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=inside, timeout=60, check=True)
        assert done.returncode == 0
        assert b"session.pcap" in screen.read(65536)
    os.close(inside)
