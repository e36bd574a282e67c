"""Reply headers taken apart (RFC 5531 §9): every form, every cut, every number that does not exist."""

import struct

import pytest

from nfsrpc.rpc import errors as e
from nfsrpc.rpc.message import (
    Refusal,
    Rejected,
    auth_refusal,
    decode_call,
    decode_reply,
    is_call,
    is_plain_success,
    reply_xid,
)


def w(*values):
    return struct.pack(f">{len(values)}I", *values)


def accepted(stat, verifier=w(0, 0)):
    return w(7, 1, 0) + verifier + w(stat)


VERIFIERS = {size: w(6, size) + b"v" * size + bytes(-size % 4) for size in (0, 1, 2, 3, 4, 5, 399, 400)}
REFUSED = {
    "PROG_UNAVAIL": (accepted(1), e.ProgramUnavailable),
    "PROG_MISMATCH": (accepted(2) + w(3, 5), e.ProgramMismatch),
    "PROC_UNAVAIL": (accepted(3), e.ProcedureUnavailable),
    "GARBAGE_ARGS": (accepted(4), e.GarbageArguments),
    "SYSTEM_ERR": (accepted(5), e.RemoteSystemError),
    "RPC_MISMATCH": (w(7, 1, 1, 0, 3, 5), e.RpcMismatch),
    "AUTH_ERROR": (w(7, 1, 1, 1, 5), e.AuthRefused),
    "accept_stat 6": (accepted(6), e.BadReply),
    "reject_stat 2": (w(7, 1, 1, 2, 0), e.BadReply),
    "reply_stat 2": (w(7, 1, 2, 0, 0, 0), e.BadReply),
    "a call": (w(7, 0, 0, 0, 0, 0), e.BadReply),
    "mtype 2": (w(7, 2, 0, 0, 0, 0), e.BadReply),
    "a verifier of 401 bytes": (accepted(0, w(6, 401) + b"v" * 404), e.BadReply),
    "a verifier longer than the reply": (w(7, 1, 0, 6, 400) + b"v" * 100, e.BadReply),
    "fill bytes of a verifier": (accepted(0, w(6, 1) + b"vXXX"), e.BadReply),
}


@pytest.mark.parametrize("size", VERIFIERS)
def test_success_with_a_verifier_of_any_length(size):
    reply = decode_reply(accepted(0, VERIFIERS[size]) + b"result")
    assert (reply.xid, reply.verifier) == (7, (6, b"v" * size))
    assert reply.body == 24 + size + -size % 4


@pytest.mark.parametrize(("data", "error"), REFUSED.values(), ids=REFUSED)
def test_every_refusal_is_its_own_error(data, error):
    with pytest.raises(e.RpcError) as failure:
        decode_reply(data + b"what a hostile server puts behind it")
    assert type(failure.value) is error


@pytest.mark.parametrize(("data", "error"), REFUSED.values(), ids=REFUSED)
def test_every_cut_is_a_bad_reply(data, error):
    for size in range(len(data)):
        with pytest.raises(e.RpcError) as failure:
            decode_reply(data[:size])
        assert type(failure.value) in (e.BadReply, error)
        assert type(failure.value) is e.BadReply or size >= 20


def test_numbers_in_refusals():
    with pytest.raises(e.ProgramMismatch) as mismatch:
        decode_reply(REFUSED["PROG_MISMATCH"][0])
    assert (mismatch.value.low, mismatch.value.high) == (3, 5)
    with pytest.raises(e.RpcMismatch) as versions:
        decode_reply(REFUSED["RPC_MISMATCH"][0])
    assert (versions.value.low, versions.value.high) == (3, 5)
    with pytest.raises(e.AuthRefused) as refused:
        decode_reply(REFUSED["AUTH_ERROR"][0])
    assert refused.value.stat == 5


def test_a_look_at_a_message():
    assert reply_xid(w(7, 1)) == 7
    assert reply_xid(w(7, 1)[:7]) is None
    assert reply_xid(w(7, 0)) is None
    assert is_call(w(7, 0))
    assert not is_call(w(7, 0)[:7])
    assert not is_call(w(7, 1))
    assert auth_refusal(w(7, 1, 1, 1, 13)) == 13
    assert auth_refusal(w(7, 1, 1, 1, 13)[:19]) is None
    assert auth_refusal(w(7, 1, 1, 0, 2, 2)) is None
    assert auth_refusal(accepted(0)) is None


def test_what_looks_like_a_call():
    assert [is_call(bytes(size)) for size in (7, 8, 9)] == [False, True, True]


def test_refusals_as_text():
    assert str(Refusal(b"reply")) == "refused"
    assert str(Rejected(5)) == "auth_stat 5"
    assert not hasattr(decode_reply(accepted(0)), "__dict__")


@pytest.mark.parametrize(("size", "fill", "taken"), [
    (400, 0, True), (401, 3, False), (397, 3, True), (397, 2, False), (1, 3, True), (1, 2, False), (4, 0, True),
])  # fmt: skip
def test_a_credential_ends_with_its_fill_bytes(size, fill, taken):
    """RFC 5531 §8.2: at most 400 bytes. Nothing follows, so that the verifier is missing; or all is there."""
    head = w(7, 0, 2, 9, 9, 9, 1, size) + b"c" * size + bytes(fill)
    whole = head + w(0, 0)
    if taken:
        assert decode_call(whole).credential == (1, b"c" * size)
        return
    with pytest.raises(Refusal) as refused:
        decode_call(whole if size > 400 else head)
    assert refused.value.reply is not None or size <= 400


@pytest.mark.parametrize("data", [w(7, 1, 0, 0, 0, 0), w(8, 1, 0, 0, 0, 0) + b"result"])
def test_plain_success(data):
    assert is_plain_success(data)


@pytest.mark.parametrize("at", range(1, 6))
def test_no_plain_success(at):
    words = [7, 1, 0, 0, 0, 0]
    words[at] ^= 1
    assert not is_plain_success(w(*words))
    assert not is_plain_success(w(7, 1, 0, 0, 0, 0)[: at * 4])
