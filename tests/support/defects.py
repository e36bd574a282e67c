"""Every defect of call headers and arguments, and the answer that RFC 5531 §9 demands: of a message, (call, answer)."""

import struct

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

TYPES = """
enum colour { RED = 0, GREEN = 4, BLUE = 5 };
union choice switch (colour c) { case RED: void; case BLUE: hyper number; };
typedef int numbers<3>;
typedef string name<4>;
typedef opaque five[5];
typedef string names<>;
typedef names many<>;
struct node { int value; node *next; };
typedef node *list;
program TYPES { version TYPES_1 {
    void FLAG(bool) = 1; void COLOUR(colour) = 2; void CHOICE(choice) = 3; void NUMBERS(numbers) = 4;
    void NAME(name) = 5; void FIVE(five) = 6; void LIST(list) = 7; void MANY(many) = 8;
} = 1; } = 9998;
"""


def typed(procedure: int, args: bytes) -> bytes:
    """A call of the program above."""
    return call(args, program=9998, version=1, procedure=procedure)


HEADERS = {
    "good NULL": (call(), SUCCESS),
    "good NULL with AUTH_SYS": (call(cred=auth_sys()), SUCCESS),
    "RPC version 1": (call(rpcvers=1), RPC_MISMATCH),
    "RPC version 3": (call(rpcvers=3), RPC_MISMATCH),
    "RPC version 2^32-1, nothing behind it": (w(XID, 0, 0xFFFFFFFF), RPC_MISMATCH),
    "unknown program": (call(program=9997), PROG_UNAVAIL),
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
TYPED = {
    "bool 1": (typed(1, w(1)), SUCCESS),
    "bool 2": (typed(1, w(2)), GARBAGE_ARGS),
    "bool 2^32-1": (typed(1, w(0xFFFFFFFF)), GARBAGE_ARGS),
    "declared enum": (typed(2, w(5)), SUCCESS),
    "undeclared enum": (typed(2, w(1)), GARBAGE_ARGS),
    "enum -1": (typed(2, w(0xFFFFFFFF)), GARBAGE_ARGS),
    "union with its arm": (typed(3, w(5, 0, 7)), SUCCESS),
    "union tag without arm": (typed(3, w(4)), GARBAGE_ARGS),
    "union tag that is no member": (typed(3, w(1, 0, 7)), GARBAGE_ARGS),
    "union cut in its arm": (typed(3, w(5, 0)), GARBAGE_ARGS),
    "union with the other arm's bytes": (typed(3, w(0, 0, 7)), GARBAGE_ARGS),
    "array at its bound": (typed(4, w(3, 1, 2, 3)), SUCCESS),
    "array over its bound, all elements there": (typed(4, w(4, 1, 2, 3, 4)), GARBAGE_ARGS),
    "array count 2^32-1": (typed(4, w(0xFFFFFFFF, 1)), GARBAGE_ARGS),
    "array count 2^30, whose bytes are 2^32": (typed(4, w(1 << 30, 1)), GARBAGE_ARGS),
    "array cut": (typed(4, w(3, 1, 2)), GARBAGE_ARGS),
    "string at its bound": (typed(5, opaque(b"abcd")), SUCCESS),
    "string over its bound, all bytes there": (typed(5, opaque(b"abcdefgh")), GARBAGE_ARGS),
    "string length 2^32-1": (typed(5, w(0xFFFFFFFF) + b"abcd"), GARBAGE_ARGS),
    "string length 2^32-3, which padding wraps round": (typed(5, w(0xFFFFFFFD) + b"abcd"), GARBAGE_ARGS),
    "string with padding that is not zero": (typed(5, w(1) + b"abcd"), GARBAGE_ARGS),
    "string whose padding is missing": (typed(5, w(1) + b"a"), GARBAGE_ARGS),
    "fixed opaque": (typed(6, b"abcde\0\0\0"), SUCCESS),
    "fixed opaque with padding that is not zero": (typed(6, b"abcde\0\0\1"), GARBAGE_ARGS),
    "fixed opaque cut": (typed(6, b"abcd"), GARBAGE_ARGS),
    "list of a thousand": (typed(7, w(1, 7) * 1000 + w(0)), SUCCESS),
    "list that does not end": (typed(7, w(1, 7) * 1000), GARBAGE_ARGS),
    "list whose next is 2": (typed(7, w(1, 7, 2, 7, 0)), GARBAGE_ARGS),
    "unbounded array, count 2^32-1": (typed(8, w(0xFFFFFFFF)), GARBAGE_ARGS),
    "unbounded array of strings, count 2^31 in eight bytes": (typed(8, w(1 << 31, 0)), GARBAGE_ARGS),
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
ANSWERED = HEADERS | BODIES | TYPED
