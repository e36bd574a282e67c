"""Every defect of framing and call headers has its required answer (RFC 5531 §9), whatever carries the message."""

import socket
import struct

import pytest

PROGRAM, VERSION = 9999, 2
XID = 0x01020304


def w(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def call(body=b"", *, rpcvers=2, program=PROGRAM, version=VERSION, procedure=0, cred=w(0, 0), verf=w(0, 0), mtype=0):
    return w(XID, mtype, rpcvers, program, version, procedure) + cred + verf + body


def opaque(data: bytes) -> bytes:
    return w(len(data)) + data + b"\0" * (-len(data) % 4)


def auth_sys(machine=b"host", gids=(1, 2)) -> bytes:
    return w(1) + opaque(w(7) + opaque(machine) + w(1000, 100, len(gids), *gids))


ACCEPTED = w(XID, 1, 0, 0, 0)
DENIED = w(XID, 1, 1)
SUCCESS = ACCEPTED + w(0)
PROG_UNAVAIL = ACCEPTED + w(1)
PROG_MISMATCH = ACCEPTED + w(2, 2, 2)
PROC_UNAVAIL = ACCEPTED + w(3)
GARBAGE_ARGS = ACCEPTED + w(4)
RPC_MISMATCH = DENIED + w(0, 2, 2)
BADCRED, REJECTEDCRED, BADVERF = (DENIED + w(1, stat) for stat in (1, 2, 3))

READ = w(1, 0, 100)
WRITE = w(1, 0) + opaque(b"data")

HEADERS = {
    "good NULL": (call(), SUCCESS),
    "good NULL with AUTH_SYS": (call(cred=auth_sys()), SUCCESS),
    "RPC version 1": (call(rpcvers=1), RPC_MISMATCH),
    "RPC version 3": (call(rpcvers=3), RPC_MISMATCH),
    "RPC version 2^32-1, nothing behind it": (w(XID, 0, 0xFFFFFFFF), RPC_MISMATCH),
    "unknown program": (call(program=9998), PROG_UNAVAIL),
    "program 0": (call(program=0), PROG_UNAVAIL),
    "version too low": (call(version=1), PROG_MISMATCH),
    "version too high": (call(version=3), PROG_MISMATCH),
    "unknown procedure": (call(procedure=3), PROC_UNAVAIL),
    "procedure 2^32-1": (call(procedure=0xFFFFFFFF), PROC_UNAVAIL),
    "unknown flavour": (call(cred=w(77, 0)), REJECTEDCRED),
    "flavour 2^32-1": (call(cred=w(0xFFFFFFFF, 0)), REJECTEDCRED),
    "AUTH_NONE with a body": (call(cred=w(0) + opaque(b"x")), BADCRED),
    "AUTH_SYS empty": (call(cred=w(1, 0)), BADCRED),
    "AUTH_SYS truncated": (call(cred=w(1) + opaque(auth_sys()[8:-4])), BADCRED),
    "AUTH_SYS with trailing bytes": (call(cred=w(1) + opaque(auth_sys()[8:] + w(0))), BADCRED),
    "AUTH_SYS with 17 groups": (call(cred=auth_sys(gids=range(17))), BADCRED),
    "AUTH_SYS with 16 groups": (call(cred=auth_sys(gids=range(16))), SUCCESS),
    "AUTH_SYS with a machine name of 256": (call(cred=auth_sys(machine=b"m" * 256)), BADCRED),
    "AUTH_SYS with a machine name of 255": (call(cred=auth_sys(machine=b"m" * 255)), SUCCESS),
    "AUTH_SYS group count 2^32-1": (call(cred=w(1) + opaque(w(7, 0, 1, 1, 0xFFFFFFFF))), BADCRED),
    "credential of 404 bytes": (call(cred=w(1) + opaque(b"x" * 404)), BADCRED),
    "credential length 2^32-1": (call(cred=w(1, 0xFFFFFFFF)), BADCRED),
    "credential past the message": (w(XID, 0, 2, PROGRAM, VERSION, 0, 1, 400), BADCRED),
    "credential with fill bytes that are not zero": (call(cred=w(1, 1) + b"xyyy"), BADCRED),
    "no credential at all": (w(XID, 0, 2, PROGRAM, VERSION, 0), BADCRED),
    "half a credential": (w(XID, 0, 2, PROGRAM, VERSION, 0, 0), BADCRED),
    "no verifier": (w(XID, 0, 2, PROGRAM, VERSION, 0, 0, 0), BADVERF),
    "half a verifier": (w(XID, 0, 2, PROGRAM, VERSION, 0, 0, 0, 0), BADVERF),
    "verifier of 404 bytes": (call(verf=w(0) + opaque(b"x" * 404)), BADVERF),
    "verifier past the message": (w(XID, 0, 2, PROGRAM, VERSION, 0, 0, 0, 0, 8), BADVERF),
}
BODIES = {
    "good READ": (call(READ, procedure=2), SUCCESS + w(0)),
    "good WRITE": (call(WRITE, procedure=1), SUCCESS),
    **{f"READ cut at {n}": (call(READ[:n], procedure=2), GARBAGE_ARGS) for n in range(0, 12)},
    **{f"WRITE cut at {n}": (call(WRITE[:n], procedure=1), GARBAGE_ARGS) for n in range(0, len(WRITE), 4)},
    "trailing word": (call(READ + w(0), procedure=2), GARBAGE_ARGS),
    "trailing byte": (call(READ + b"\0", procedure=2), GARBAGE_ARGS),
    "NULL with arguments": (call(w(0)), GARBAGE_ARGS),
    "opaque over its bound, all bytes there": (call(w(1, 0) + opaque(b"x" * 1004), procedure=1), GARBAGE_ARGS),
    "opaque length 2^32-1": (call(w(1, 0, 0xFFFFFFFF) + b"data", procedure=1), GARBAGE_ARGS),
    "opaque length 2^31": (call(w(1, 0, 0x80000000) + b"data", procedure=1), GARBAGE_ARGS),
    "padding that is not zero": (call(w(1, 0, 3) + b"abcX", procedure=1), GARBAGE_ARGS),
}
UNANSWERED = {
    "empty": b"",
    "one byte": b"x",
    "xid only": w(XID),
    "xid and CALL": w(XID, 0),
    "a reply": w(XID, 1, 0, 0, 0, 0),
    "a short reply": w(XID, 1),
    "mtype 2": call(mtype=2),
    "up to the program": w(XID, 0, 2, PROGRAM),
    "up to the version": w(XID, 0, 2, PROGRAM, VERSION),
}
ANSWERED = HEADERS | BODIES


@pytest.mark.parametrize(("message", "answer"), ANSWERED.values(), ids=ANSWERED)
def test_defect_gets_its_answer_and_the_server_goes_on(carrier, message: bytes, answer: bytes) -> None:
    assert carrier.ask(message) == answer
    assert carrier.ask(call()) == SUCCESS


@pytest.mark.parametrize("message", UNANSWERED.values(), ids=UNANSWERED)
def test_what_cannot_be_answered_gets_silence_and_the_server_goes_on(carrier, message: bytes) -> None:
    assert carrier.ask(message) is None
    assert carrier.ask(call()) == SUCCESS


def mark(size: int, last: bool = True) -> bytes:
    return w(size | (0x80000000 if last else 0))


WHOLE = call()
FRAMED = {
    "one fragment": mark(len(WHOLE)) + WHOLE,
    "one byte per fragment": b"".join(
        mark(1, at == len(WHOLE) - 1) + WHOLE[at : at + 1] for at in range(len(WHOLE))
    ),
    "empty fragments around": mark(0, False) + mark(len(WHOLE), False) + WHOLE + mark(0),
}
BROKEN = {
    "a record over the cap": mark(0x7FFFFFFF),
    "a fragment over the cap": mark(0x7FFFFFFF, False),
    "fragments over the cap in sum": (mark(1 << 20, False) + b"x" * (1 << 20)) + mark(1 << 20),
    "thousands of empty fragments": mark(0, False) * 5000,
    "thousands of one-byte fragments": (mark(1, False) + b"x") * 5000,
}


@pytest.mark.parametrize("stream", FRAMED.values(), ids=FRAMED)
@pytest.mark.parametrize("cut", [1, 3, 4, 7, 10_000])
def test_records_are_taken_however_they_are_cut(served: int, stream: bytes, cut: int) -> None:
    with socket.create_connection(("127.0.0.1", served)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(10)
        for at in range(0, len(stream), cut):
            sock.sendall(stream[at : at + cut])
        assert sock.recv(100) == mark(len(SUCCESS)) + SUCCESS


def test_two_calls_in_one_segment_get_two_replies(served: int) -> None:
    with socket.create_connection(("127.0.0.1", served)) as sock:
        sock.settimeout(10)
        sock.sendall(FRAMED["one fragment"] * 2)
        wanted = (mark(len(SUCCESS)) + SUCCESS) * 2
        got = b""
        while len(got) < len(wanted):
            got += sock.recv(100)
        assert got == wanted


@pytest.mark.parametrize("stream", BROKEN.values(), ids=BROKEN)
def test_broken_framing_closes_the_connection_and_no_other(served: int, stream: bytes) -> None:
    with (
        socket.create_connection(("127.0.0.1", served)) as broken,
        socket.create_connection(("127.0.0.1", served)) as good,
    ):
        broken.settimeout(10)
        good.settimeout(10)
        try:
            broken.sendall(stream)
            answer = broken.recv(100)
        except (ConnectionResetError, BrokenPipeError):
            answer = b""  # the close arrived while bytes of ours were still unread
        assert answer == b""
        good.sendall(FRAMED["one fragment"])
        assert good.recv(100) == mark(len(SUCCESS)) + SUCCESS


def test_calls_in_front_of_broken_framing_are_answered(served: int) -> None:
    with socket.create_connection(("127.0.0.1", served)) as sock:
        sock.settimeout(10)
        sock.sendall(FRAMED["one fragment"] + mark(0x7FFFFFFF))
        assert sock.recv(100) == mark(len(SUCCESS)) + SUCCESS
        assert sock.recv(100) == b""
