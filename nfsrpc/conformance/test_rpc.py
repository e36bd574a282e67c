"""RFC 5531: call headers, credentials, arguments and record marking, broken in every way and answered as it says."""

import socket
from dataclasses import dataclass, field
from typing import Any

import pytest

from .peer import GARBAGE_ARGS, NFS, PROC_UNAVAIL, PROG_MISMATCH, PROG_UNAVAIL, Peer, call, read_record
from .wire import NONE, auth_sys, opaque, w

ACCEPTED = w(1, 0, 0, 0)
"""mtype REPLY, MSG_ACCEPTED, a verifier of AUTH_NONE: what follows the xid in a reply to an honest header."""
DENIED = w(1, 1)
SUCCESS = ACCEPTED + w(0)
RPC_MISMATCH = DENIED + w(0, 2, 2)
BADCRED, REJECTEDCRED, BADVERF, TOOWEAK = (DENIED + w(1, stat) for stat in (1, 2, 3, 5))
GARBAGE = ACCEPTED + w(GARBAGE_ARGS)
HANDLE = b"\xa5" * 32
SILENT = None
Quirks = dict[bytes | None, str]


@dataclass(frozen=True)
class Defect:
    """A message (without its xid) and what may follow the xid in the answer; quirks: answer -> what is known of it."""

    section: str
    message: bytes
    answers: tuple[bytes | None, ...]
    quirks: Quirks = field(default_factory=dict)


def header(body: bytes = b"", procedure: int = 0, **more: Any) -> bytes:
    """A call to NFS version 2 without its xid."""
    return call(0, more.pop("program", NFS), more.pop("version", 2), procedure, body, **more)[4:]


LIBTIRPC_CRED: Quirks = {BADCRED: "answers an unknown flavour with AUTH_BADCRED", TOOWEAK: "answers with AUTH_TOOWEAK"}
IGNORED = "does not look at credentials or verifiers that it does not use"
CLOSED: Quirks = {SILENT: "drops the call, though its xid has a fixed place"}
NOT_LOOKED_AT: Quirks = {SUCCESS: IGNORED, **CLOSED}
VERSIONS = tuple(ACCEPTED + w(PROG_MISMATCH, 2, highest) for highest in (2, 3, 4))
S9, S8, AUTH_SYS = "RFC 5531 §9", "RFC 5531 §8.2", "RFC 5531 appendix A"

DEFECTS = {
    "NULL with AUTH_NONE": Defect(S9, header(), (SUCCESS,)),
    "NULL with AUTH_SYS": Defect(AUTH_SYS, header(credential=auth_sys()), (SUCCESS,)),
    "AUTH_SYS with 16 groups": Defect(AUTH_SYS, header(credential=auth_sys(gids=tuple(range(16)))), (SUCCESS,)),
    "AUTH_SYS with a name of 255": Defect(AUTH_SYS, header(credential=auth_sys(machine=b"m" * 255)), (SUCCESS,)),
    "RPC version 1": Defect(S9, header(rpcvers=1), (RPC_MISMATCH,), CLOSED),
    "RPC version 3": Defect(S9, header(rpcvers=3), (RPC_MISMATCH,), CLOSED),
    "unknown program": Defect(S9, header(program=0x2FFFFFF0), (ACCEPTED + w(PROG_UNAVAIL),)),
    "version 1 of NFS": Defect(S9, header(version=1), VERSIONS),
    "version 99 of NFS": Defect(S9, header(version=99), VERSIONS),
    "procedure 18": Defect(S9, header(procedure=18), (ACCEPTED + w(PROC_UNAVAIL),)),
    "procedure 2^32-1": Defect(S9, header(procedure=0xFFFFFFFF), (ACCEPTED + w(PROC_UNAVAIL),)),
    "unknown flavour": Defect(S9, header(credential=w(77, 0)), (REJECTEDCRED,), {**LIBTIRPC_CRED, SUCCESS: IGNORED}),
    "AUTH_SYS empty": Defect(AUTH_SYS, header(credential=w(1, 0)), (BADCRED,), NOT_LOOKED_AT),
    "AUTH_SYS cut": Defect(
        AUTH_SYS, header(credential=w(1) + opaque(auth_sys()[8:-4])), (BADCRED,), NOT_LOOKED_AT
    ),
    "AUTH_SYS with 17 groups": Defect(
        AUTH_SYS, header(credential=auth_sys(gids=tuple(range(17)))), (BADCRED,), NOT_LOOKED_AT
    ),
    "AUTH_SYS with a name of 256": Defect(
        AUTH_SYS, header(credential=auth_sys(machine=b"m" * 256)), (BADCRED,), NOT_LOOKED_AT
    ),
    "AUTH_SYS of 2^32-1 groups": Defect(
        AUTH_SYS, header(credential=w(1) + opaque(w(7, 0, 1, 1, 0xFFFFFFFF))), (BADCRED,), NOT_LOOKED_AT
    ),
    "a credential of 404 bytes": Defect(S8, header(credential=w(1) + opaque(b"x" * 404)), (BADCRED,), NOT_LOOKED_AT),
    "a credential longer than the message": Defect(S8, header()[:20] + w(1, 400), (BADCRED,), CLOSED),
    "a credential of 2^32-1 bytes": Defect(S8, header(credential=w(1, 0xFFFFFFFF)), (BADCRED,), CLOSED),
    "a verifier of 404 bytes": Defect(
        S8, header(verifier=w(0) + opaque(b"x" * 404)), (BADVERF, BADCRED), NOT_LOOKED_AT
    ),
    "no verifier": Defect(S8, header()[:-8], (BADVERF, BADCRED), CLOSED),
}
TRAILING: Quirks = {
    ACCEPTED + w(0, 70): "does not look behind the arguments",
    SUCCESS: "does not look behind the arguments",
}
LENIENT: Quirks = {ACCEPTED + w(0, 70): "does not look at padding"}
CUT = {f"GETATTR cut at {n}": Defect(S9, header(HANDLE[:n], 1), (GARBAGE,)) for n in (0, 4, 28)}
ARGUMENTS = {
    **CUT,
    "LOOKUP without its name": Defect(S9, header(HANDLE, 4), (GARBAGE,)),
    "LOOKUP of a name longer than the call": Defect(S9, header(HANDLE + w(8) + b"name", 4), (GARBAGE,)),
    "LOOKUP of a name of 2^32-1": Defect("RFC 4506 §4.11", header(HANDLE + w(0xFFFFFFFF) + b"name", 4), (GARBAGE,)),
    "LOOKUP of a name of 2^31": Defect("RFC 4506 §4.11", header(HANDLE + w(1 << 31) + b"name", 4), (GARBAGE,)),
    "WRITE of 2^32-4 bytes": Defect("RFC 4506 §4.10", header(HANDLE + w(0, 0, 0, 0xFFFFFFFC), 8), (GARBAGE,)),
    "WRITE of 8193 bytes": Defect(
        "RFC 1094 §2.3.1", header(HANDLE + w(0, 0, 0) + opaque(b"x" * 8193), 8), (GARBAGE,),
        {ACCEPTED + w(0, status): "takes more than NFS_MAXDATA bytes" for status in (5, 70)},
    ),
    "a word behind the arguments": Defect(S9, header(HANDLE + w(0), 1), (GARBAGE,), TRAILING),
    "arguments for NULL": Defect(S9, header(w(0)), (GARBAGE,), TRAILING),
    "padding that is not zero": Defect("RFC 4506 §3", header(HANDLE + w(1) + b"nope", 4), (GARBAGE,), LENIENT),
}  # fmt: skip
UNANSWERED = {
    "an empty message": b"",
    "three bytes": b"abc",
    "a reply": w(4711, 1, 0, 0, 0, 0),
    "mtype 2": w(4711, 2, 2, NFS, 2, 0) + NONE + NONE,
    "a call up to its program": w(4711, 0, 2, NFS),
}
ALL = DEFECTS | ARGUMENTS


def _params(defects: dict[str, Defect]) -> list[Any]:
    return [pytest.param(d, id=name, marks=pytest.mark.rule(d.section)) for name, d in defects.items()]


@pytest.mark.parametrize("defect", _params(ALL))
def test_answer(peer: Peer, defect: Defect, quirk: Any) -> None:
    """A message, whole or broken, gets the answer of the RFC, and the server goes on serving."""
    xid = w(peer.xid())
    reply = peer.ask(xid + defect.message, peer.silence * 4 if defect.quirks else None)
    assert reply is None or reply[:4] == xid, "a reply with another xid"
    answer = None if reply is None else reply[4:]
    peer.call(NFS, 2, 0).end()
    if answer not in defect.answers:
        if answer in defect.quirks:
            quirk(defect.quirks[answer])
        assert answer in defect.answers, f"answered {answer.hex() if answer else answer}"


@pytest.mark.parametrize("message", [pytest.param(m, id=n) for n, m in UNANSWERED.items()])
@pytest.mark.rule(S9)
def test_no_answer(peer: Peer, message: bytes) -> None:
    """What is no call is not answered, and does no harm."""
    assert peer.ask(message, peer.silence) is None
    peer.call(NFS, 2, 0).end()


WHOLE = call(4712, NFS, 2, 0)
FRAMINGS = {
    "one fragment": w(0x80000000 | len(WHOLE)) + WHOLE,
    "two fragments": w(8) + WHOLE[:8] + w(0x80000000 | len(WHOLE) - 8) + WHOLE[8:],
    "a byte in each fragment": b"".join(
        w((0x80000000 if at == len(WHOLE) - 1 else 0) | 1) + WHOLE[at : at + 1] for at in range(len(WHOLE))
    ),
    "an empty fragment at the end": w(len(WHOLE)) + WHOLE + w(0x80000000),
}


@pytest.mark.rule("RFC 5531 §11")
@pytest.mark.parametrize("cut", [1, 7, 10_000])
@pytest.mark.parametrize("framing", [pytest.param(f, id=n) for n, f in FRAMINGS.items()])
def test_record_marking(stream: Peer, framing: bytes, cut: int) -> None:
    """A record may come in any fragments, and in any pieces of the stream."""
    with stream.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(0, len(framing), cut):
            sock.sendall(framing[at : at + cut])
        assert read_record(sock) == WHOLE[:4] + SUCCESS


@pytest.mark.rule("RFC 5531 §11")
def test_two_calls_in_one_segment(stream: Peer) -> None:
    """Records follow each other without regard to segments."""
    with stream.connect() as sock:
        second = w(4713) + WHOLE[4:]
        sock.sendall(FRAMINGS["one fragment"] + w(0x80000000 | len(second)) + second)
        assert {read_record(sock)[:4], read_record(sock)[:4]} == {WHOLE[:4], second[:4]}


@pytest.mark.rule("RFC 5531 §11")
def test_a_record_of_two_gigabytes(stream: Peer) -> None:
    """A mark that announces 2 GB ends the connection, or is waited for; nobody else notices."""
    with stream.connect() as sock:
        sock.sendall(w(0xFFFFFFFF) + b"x" * 1000)
        stream.call(NFS, 2, 0).end()
