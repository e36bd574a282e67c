"""Headers of calls and replies, and record marks, against declarations made by hand from RFC 5531."""

from __future__ import annotations

import by_construct as hand
import pytest
from by_construct import leaves
from hypothesis import given
from hypothesis import strategies as st

from nfsrpc.rpc.message import NULL_AUTH, OpaqueAuth, accepted, auth_error, decode_call, encode_call, rpc_mismatch
from nfsrpc.rpc.message import success as success_header
from nfsrpc.rpc.record import frame

words = st.integers(0, 2**32 - 1)
bodies = st.binary(max_size=400)
auths = st.tuples(st.integers(0, 2**31 - 1), bodies).map(lambda pair: OpaqueAuth(*pair))


@given(xid=words, program=words, version=words, procedure=words, cred=auths, verf=auths)
def test_call_headers(xid, program, version, procedure, cred, verf):
    message = encode_call(xid, program, version, procedure, cred, verf)
    parsed = hand.rpc_msg.parse(message)
    assert list(leaves(parsed)) == [xid, 0, 2, program, version, procedure, *cred, *verf]
    assert hand.rpc_msg.build(parsed) == message
    header = decode_call(message)
    assert header[:6] == (xid, program, version, procedure, cred, verf)
    assert (header.verifier_at, header.body) == (32 + len(cred.body) + -len(cred.body) % 4, len(message))


REPLIES = {
    "success": (success_header(7), [7, 1, 0, 0, b"", 0]),
    "success with a verifier": (success_header(7, OpaqueAuth(6, b"proof")), [7, 1, 0, 6, b"proof", 0]),
    **{f"accept_stat {n}": (accepted(7, n, NULL_AUTH), [7, 1, 0, 0, b"", n]) for n in (1, 3, 4, 5)},
    "RPC mismatch": (rpc_mismatch(7), [7, 1, 1, 0, 2, 2]),
    **{f"auth_stat {n}": (auth_error(7, n), [7, 1, 1, 1, n]) for n in range(1, 15)},
}


@pytest.mark.parametrize(("message", "values"), REPLIES.values(), ids=REPLIES)
def test_reply_headers(message, values):
    parsed = hand.rpc_msg.parse(message)
    assert list(leaves(parsed)) == values
    assert hand.rpc_msg.build(parsed) == message


@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=4))
def test_record_marks(parts):
    (fragment,) = hand.record.parse(b"".join(frame(parts)))
    assert fragment.data == b"".join(parts)
