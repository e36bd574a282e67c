"""The call table, byte by byte and with a clock of its own."""

import struct
from random import Random
from typing import Any

import pytest

from nfsrpc.rpc.calls import CallTable, PendingCall
from nfsrpc.rpc.errors import (
    AuthRefused,
    BadReply,
    Disconnected,
    GarbageArguments,
    ProcedureUnavailable,
    ProgramMismatch,
    ProgramUnavailable,
    RemoteSystemError,
    RpcMismatch,
    RpcTimeout,
)
from nfsrpc.rpc.message import OpaqueAuth
from nfsrpc.rpc.retry import MAYBE, CongestionWindow, RetryPolicy
from nfsrpc.rpc.security import PlainAuth
from nfsrpc.xdr import Limits, Procedure, XdrDecodeError, XdrEncodeError

NONE = PlainAuth((0, b""))


class Proving(PlainAuth):
    """Signs the header with how long it is."""

    def __init__(self) -> None:
        super().__init__((1, b"\1\2\3"))

    def verifier(self, head: bytes) -> tuple[int, bytes]:
        return (6, bytes([len(head)]))


EVERY_SECOND = RetryPolicy(first=1, factor=1, ceiling=1, jitter=0)


def encode_word(args: tuple[int], out: list[bytes]) -> None:
    if not 0 <= args[0] < 1 << 32:
        raise XdrEncodeError("not a word", path="word")
    out.append(struct.pack(">I", args[0]))


def decode_word(data: bytes, pos: int, limits: Limits) -> tuple[int, int]:
    if len(data) < pos + 4:
        raise XdrDecodeError("ends inside a word", offset=pos)
    return struct.unpack_from(">I", data, pos)[0], pos + 4


def encode_result(value: int, out: list[bytes]) -> None:
    encode_word((value,), out)


ECHO = Procedure(9999, 2, 7, "ECHO", encode_word, decode_word, encode_result, decode_word)


def table(policy: RetryPolicy = EVERY_SECOND, **more: Any) -> CallTable:
    return CallTable(policy, first_xid=0x1000, random=lambda: 0.5, **more)


def opened(calls: CallTable, now: float = 0.0, deadline: float = 10.0, word: int = 5) -> PendingCall:
    return calls.open(ECHO, (word,), lambda: NONE, now=now, deadline=deadline)


def reply(xid: int, *words: int) -> bytes:
    return struct.pack(f">{1 + len(words)}I", xid, *words)


def success(xid: int, word: int) -> bytes:
    return reply(xid, 1, 0, 0, 0, 0, word)


def test_a_call_is_header_credential_verifier_and_arguments() -> None:
    calls = table()
    call = calls.open(ECHO, (0xABCD,), Proving, now=0, deadline=1)
    assert call.message == bytes.fromhex(
        "00001000 00000000 00000002 0000270f 00000002 00000007"
        "00000001 00000003 01020300 00000006 00000001 24000000 0000abcd"
    )


def test_first_xids_are_random_and_later_ones_count_up() -> None:
    firsts = {opened(CallTable()).xid for _ in range(8)}
    assert len(firsts) == 8
    calls = CallTable(first_xid=0xFFFF_FFFF)
    assert [opened(calls).xid for _ in range(3)] == [0xFFFF_FFFF, 0, 1]


def test_an_xid_in_use_is_not_given_again() -> None:
    calls = CallTable(first_xid=0)
    first = opened(calls)
    calls._next_xid = 0
    assert opened(calls).xid == 1
    calls.receive(success(first.xid, 1))


def test_replies_find_their_calls_in_any_order() -> None:
    calls = table()
    pending = [opened(calls, word=word) for word in range(4)]
    for call in reversed(pending):
        assert calls.receive(success(call.xid, call.xid * 2)) is call
    assert [call.result() for call in pending] == [call.xid * 2 for call in pending]
    assert len(calls) == 0
    assert calls.next_time() is None


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0\0\x10",
        b"\0\0\x10\0",
        b"\0\0\x10\0\0\0\0",
        success(0x1001, 5),
        success(0xDEAD, 5),
        reply(0x1000, 0, 2, 9999, 2, 7, 0, 0, 0, 0),
        reply(0x1000, 2, 0, 0, 0, 0, 5),
    ],
    ids=["empty", "3 bytes", "xid only", "7 bytes", "the next xid", "foreign xid", "a call", "neither call nor reply"],
)
def test_what_answers_nothing_is_ignored_and_the_call_still_completes(message: bytes) -> None:
    calls = table()
    call = opened(calls)
    assert calls.receive(message) is None
    assert not call.done
    assert calls.receive(success(call.xid, 5)) is call
    assert call.result() == 5


def test_a_second_reply_changes_nothing() -> None:
    calls = table()
    call = opened(calls)
    calls.receive(success(call.xid, 5))
    assert calls.receive(success(call.xid, 6)) is None
    assert call.result() == 5


def test_a_reply_after_the_deadline_is_ignored_and_does_not_disturb_the_next_call() -> None:
    calls = table()
    late = opened(calls, deadline=1.0)
    calls.due(0.0)
    calls.due(1.0)
    assert late.done
    current = opened(calls, now=1.0)
    assert calls.receive(success(late.xid, 1)) is None
    assert calls.receive(success(current.xid, 2)) is current
    with pytest.raises(RpcTimeout):
        late.result()


def test_a_call_is_sent_again_with_the_same_bytes_until_its_deadline() -> None:
    calls = table()
    call = opened(calls, deadline=3.5)
    sent, now = [], 0.0
    while (when := calls.next_time()) is not None:
        now = when
        sent += [(now, other.message) for other in calls.due(now)]
    assert sent == [(at, call.message) for at in (0.0, 1.0, 2.0, 3.0)]
    assert now == 3.5
    with pytest.raises(RpcTimeout, match=r"no reply to ECHO before its deadline.*sent 4 times"):
        call.result()
    assert calls.timeouts == 1


def test_calls_made_together_are_sent_together_and_what_is_missing_of_them_again() -> None:
    calls = table()
    together = calls.open_all(ECHO, [(word,) for word in range(3)], lambda: NONE, now=0.0, deadline=2.5)
    assert calls.due(0.0) == together
    calls.receive(success(together[1].xid, 9))
    assert calls.due(1.0) == [together[0], together[2]]
    assert calls.due(2.5) == []
    assert together[1].result() == 9
    for call in (together[0], together[2]):
        with pytest.raises(RpcTimeout, match="sent 2 times"):
            call.result()
    assert calls.timeouts == 2
    assert calls.open_all(ECHO, [], lambda: NONE, now=3.0, deadline=4.0) == []
    assert calls.next_time() is None


def test_replies_and_losses_move_the_window() -> None:
    calls = table(RetryPolicy(first=1, factor=1, ceiling=1, jitter=0, least=1))
    calls.window = CongestionWindow(8, 32)
    together = calls.open_all(ECHO, [(word,) for word in range(6)], lambda: NONE, now=0.0, deadline=9.0)
    calls.due(0.0)
    for call in together[:4]:
        calls.receive(success(call.xid, 1), 0.1)
    assert calls.window.size == 12
    assert calls.due(1.0) == together[4:]
    assert calls.window.size == 6
    calls.receive(success(together[4].xid, 1), 1.1)  # sent twice: says nothing of the way
    assert calls.window.size == 6


def test_nothing_is_due_before_its_time() -> None:
    calls = table()
    call = opened(calls)
    assert calls.due(0.0) == [call]
    assert calls.due(0.999) == []
    assert calls.due(1.0) == [call]


def test_maybe_sends_once_and_waits_until_the_deadline() -> None:
    calls = table(MAYBE)
    call = opened(calls, deadline=60)
    assert calls.due(0.0) == [call]
    assert calls.next_time() == 60
    assert calls.due(59.9) == []
    calls.due(60)
    with pytest.raises(RpcTimeout, match="sent once"):
        call.result()


def test_after_a_lost_connection_every_pending_call_is_due_with_its_old_bytes() -> None:
    calls = table(MAYBE)
    first, second, answered = (opened(calls, word=word) for word in range(3))
    calls.due(0.0)
    calls.receive(success(answered.xid, 0))
    calls.resend(0.5)
    assert calls.next_time() == 0.5
    assert calls.due(0.5) == [first, second]
    assert calls.next_time() == 10.0
    assert calls.due(9.9) == []


def test_a_deadline_stands_whatever_is_resent() -> None:
    calls = table(MAYBE)
    call = opened(calls, deadline=2.0)
    calls.due(0.0)
    calls.resend(5.0)
    assert calls.due(5.0) == []
    with pytest.raises(RpcTimeout):
        call.result()


def test_every_pending_call_fails_with_the_connection() -> None:
    calls = table()
    answered, *pending = (opened(calls) for _ in range(3))
    calls.receive(success(answered.xid, 9))
    calls.fail_all(Disconnected("gone"))
    assert len(calls) == 0
    assert answered.result() == 9
    for call in pending:
        with pytest.raises(Disconnected, match="gone"):
            call.result()


def test_a_timeout_says_what_stood_in_the_way() -> None:
    calls = table(MAYBE)
    call = opened(calls, deadline=1.0)
    calls.due(0.0)
    calls.note("[::1]:2049: Connection refused")
    calls.due(1.0)
    with pytest.raises(RpcTimeout, match=r"\[::1\]:2049: Connection refused"):
        call.result()


AUTH = (0, 0)
ANSWERS = [
    ("RPC_MISMATCH", (1, 1, 0, 3, 4), RpcMismatch, {"low": 3, "high": 4}),
    ("AUTH_ERROR", (1, 1, 1, 5), AuthRefused, {"stat": 5}),
    ("PROG_UNAVAIL", (1, 0, *AUTH, 1), ProgramUnavailable, {}),
    ("PROG_MISMATCH", (1, 0, *AUTH, 2, 2, 3), ProgramMismatch, {"low": 2, "high": 3}),
    ("PROC_UNAVAIL", (1, 0, *AUTH, 3), ProcedureUnavailable, {}),
    ("GARBAGE_ARGS", (1, 0, *AUTH, 4), GarbageArguments, {}),
    ("SYSTEM_ERR", (1, 0, *AUTH, 5), RemoteSystemError, {}),
    ("accept_stat 6", (1, 0, *AUTH, 6), BadReply, {}),
    ("reply_stat 2", (1, 2, *AUTH, 0), BadReply, {}),
    ("reject_stat 2", (1, 1, 2), BadReply, {}),
    ("result missing", (1, 0, *AUTH, 0), BadReply, {}),
    ("result too long", (1, 0, *AUTH, 0, 5, 5), BadReply, {}),
    ("status missing", (1, 0, *AUTH), BadReply, {}),
    ("verifier cut", (1, 0, 0, 400), BadReply, {}),
    ("verifier over 400 bytes", (1, 0, 0, 404, *[0] * 101, 0, 5), BadReply, {}),
    ("mismatch without versions", (1, 0, *AUTH, 2), BadReply, {}),
    ("header only", (1,), BadReply, {}),
]


@pytest.mark.parametrize(("words", "error", "fields"), [row[1:] for row in ANSWERS], ids=[row[0] for row in ANSWERS])
def test_each_answer_has_its_error(words: tuple[int, ...], error: type[Exception], fields: dict[str, int]) -> None:
    calls = table()
    call = opened(calls)
    assert calls.receive(reply(call.xid, *words)) is call
    with pytest.raises(error) as raised:
        call.result()
    assert {name: getattr(raised.value, name) for name in fields} == fields


def test_a_denied_reply_with_a_body_is_denied_and_its_body_never_decoded() -> None:
    def explode(data: bytes, pos: int, limits: Limits) -> tuple[int, int]:
        raise AssertionError("decoded")

    calls = table()
    never = Procedure(9999, 2, 7, "ECHO", encode_word, decode_word, lambda value, out: None, explode)
    call = calls.open(never, (1,), lambda: NONE, now=0, deadline=1)
    calls.receive(reply(call.xid, 1, 1, 1, 1, 0, 0, 0, 0, 5))
    with pytest.raises(AuthRefused):
        call.result()


def test_every_truncation_of_a_good_reply_is_ignored_or_a_bad_reply() -> None:
    whole = success(0x1000, 5)
    for length in range(len(whole)):
        calls = table()
        call = opened(calls)
        if calls.receive(whole[:length]) is None:
            assert length < 8
            assert not call.done
            continue
        with pytest.raises(BadReply):
            call.result()


def test_trailing_bytes_pass_where_the_limits_say_so() -> None:
    calls = table(limits=Limits(accept_trailing_bytes=True))
    call = opened(calls)
    calls.receive(success(call.xid, 5) + b"junk")
    assert call.result() == 5


def test_arguments_that_do_not_fit_open_no_call() -> None:
    calls = table()
    with pytest.raises(XdrEncodeError):
        opened(calls, word=-1)
    assert len(calls) == 0
    assert opened(calls).xid == 0x1000


def test_a_result_cannot_be_had_before_its_reply() -> None:
    call = opened(table())
    with pytest.raises(RuntimeError, match="ECHO has no reply yet"):
        call.result()


def test_a_fast_caller_does_not_pile_up_timers() -> None:
    calls = table(MAYBE)
    for _ in range(10_000):
        call = opened(calls, deadline=1000.0)
        calls.due(0.0)
        calls.receive(success(call.xid, 1))
    assert len(calls._timers) < 200


class Signing(PlainAuth):
    """Proves each transmission anew by its number, and seals what travels."""

    sealed = renewed = True
    made = 0

    def __init__(self) -> None:
        super().__init__((6, b""))
        Signing.made += 1
        self.number = Signing.made

    def verifier(self, head: bytes) -> tuple[int, bytes]:
        return (6, bytes([self.number]))

    def wrap(self, args: bytes) -> bytes:
        return b"<" + bytes([self.number]) + b">" + args

    def check(self, verifier: OpaqueAuth) -> None:
        if verifier.body != bytes([self.number]):
            raise AuthRefused(6)

    def unwrap(self, message: bytes, body: int) -> tuple[bytes, int]:
        return b"sealed" + bytes([0, 0, 0, self.number]), 6


@pytest.mark.parametrize("answered", [1, 2, 3])
def test_each_transmission_has_a_proof_of_its_own_and_the_reply_says_which_it_answers(answered: int) -> None:
    Signing.made = 0
    calls = table()
    call = calls.open(ECHO, (5,), Signing, now=0.0, deadline=10.0)
    sent = [calls.due(float(now))[0].message for now in range(3)]
    assert [message[-7:] for message in sent] == [b"<%c>" % n + struct.pack(">I", 5) for n in (1, 2, 3)]
    proof = struct.pack(">4I", 0, 6, 1, answered << 24)
    assert calls.receive(struct.pack(">2I", call.xid, 1) + proof + bytes(4)) is call
    assert call.answer() == ((6, bytes([answered])), answered)


def test_a_reply_that_proves_nothing_answers_nothing() -> None:
    Signing.made = 0
    calls = table()
    call = calls.open(ECHO, (5,), Signing, now=0.0, deadline=10.0)
    calls.due(0.0)
    calls.receive(struct.pack(">6I", call.xid, 1, 0, 6, 1, 9 << 24) + bytes(4))
    with pytest.raises(AuthRefused) as refused:
        call.result()
    assert (refused.value.stat, refused.value.flavor) == (6, None)


def test_a_refusal_says_which_flavour_was_refused() -> None:
    calls = table()
    call = opened(calls)
    calls.receive(reply(call.xid, 1, 1, 1, 5))
    assert call.refused == 5
    with pytest.raises(AuthRefused, match="AUTH_NONE") as refused:
        call.result()
    assert (refused.value.stat, refused.value.flavor) == (5, 0)


def test_bytes_behind_a_result_are_counted() -> None:
    calls = table()
    call = opened(calls)
    calls.receive(success(call.xid, 7) + bytes(8))
    with pytest.raises(BadReply, match="the reply to ECHO has 8 bytes too many"):
        call.result()


def test_an_answer_has_the_verifier_beside_the_result() -> None:
    calls = table()
    plain, proved = opened(calls), opened(calls)
    calls.receive(success(plain.xid, 7))
    calls.receive(reply(proved.xid, 1, 0, 2, 4, 0x61626364, 0, 8))
    assert (plain.answer(), proved.answer()) == (((0, b""), 7), ((2, b"abcd"), 8))


ADAPTIVE = RetryPolicy(first=1, factor=1, ceiling=1, jitter=0, least=0.1)
TIMED = {
    "a reply after 0.1 s": (ADAPTIVE, 1, 0.1, 0.3),
    "a reply at an unknown time": (ADAPTIVE, 1, None, 1.0),
    "a reply to a call that was sent twice": (ADAPTIVE, 2, 1.1, 1.0),
    "a policy that does not adapt": (EVERY_SECOND, 1, 0.1, 1.0),
}


@pytest.mark.parametrize(("policy", "transmissions", "came", "pause"), TIMED.values(), ids=TIMED)
def test_the_pause_before_the_next_call_is_repeated(policy, transmissions, came, pause) -> None:
    """It follows the time that a reply takes, unless nobody knows which transmission it answers (RFC 6298 §3)."""
    calls = table(policy)
    first = opened(calls, now=50.0, deadline=60.0)
    for now in range(transmissions):
        assert calls.due(50.0 + now) == [first]
    calls.receive(success(first.xid, 1), came and 50.0 + came)
    second = opened(calls, now=55.0, deadline=99.0)
    assert calls.due(55.0) == [second]
    assert calls.next_time() == pytest.approx(55.0 + pause)


def test_each_call_takes_the_pause_of_when_it_begins() -> None:
    calls = table(ADAPTIVE)
    first, second = opened(calls), opened(calls)
    calls.due(0.0)
    calls.receive(success(first.xid, 1), 0.1)
    assert calls.next_time() == 1.0
    assert calls.due(1.0) == [second]


def refused() -> tuple[CallTable, PendingCall]:
    """A call whose proof the server did not take, and its table."""
    Signing.made = 0
    calls = table()
    call = calls.open(ECHO, (5,), Signing, now=0.0, deadline=10.0)
    calls.due(0.0)
    calls.receive(reply(call.xid, 1, 1, 1, 13))
    return calls, call


def test_a_call_whose_proof_was_refused_begins_again() -> None:
    calls, call = refused()
    assert (call.done, call.refused, len(calls)) == (True, 13, 0)
    calls.renew(call, 3.0)
    assert (call.done, call.refused, len(calls), calls.next_time()) == (False, None, 1, 3.0)
    (again,) = calls.due(3.0)
    assert again is call
    assert again.xid == 0x1000
    calls.receive(reply(call.xid, 1, 0, 6, 1, call.auth.number << 24, 0))  # type: ignore[attr-defined]
    assert call.result() == call.auth.number  # type: ignore[attr-defined]


def test_proofs_from_before_it_began_again_are_forgotten() -> None:
    calls, call = refused()
    calls.renew(call, 0.5)
    calls.due(0.5)
    calls.receive(reply(call.xid, 1, 0, 6, 1, 1 << 24, 0))
    with pytest.raises(AuthRefused):
        call.result()


def test_what_began_again_ends_at_its_old_deadline() -> None:
    calls = table()
    call = opened(calls, deadline=2.0)
    calls.due(0.0)
    calls.receive(reply(call.xid, 1, 1, 1, 13))
    calls.renew(call, 1.5)
    assert calls.due(1.5) == [call]
    assert calls.due(2.0) == []
    with pytest.raises(RpcTimeout, match="no reply to ECHO before its deadline"):
        call.result()


def test_a_failed_call_can_have_another_try_with_the_same_xid_and_bytes() -> None:
    calls = table(MAYBE)
    call, other = opened(calls, deadline=1.0), opened(calls, deadline=99.0)
    message = call.message
    with pytest.raises(RuntimeError, match="ECHO has not failed yet"):
        calls.again(call, now=0.0, deadline=9.0)
    calls.due(0.0)
    calls.due(1.0)
    assert (call.done, len(calls)) == (True, 1)
    calls.again(call, now=20.0, deadline=25.0)
    assert (call.done, len(calls), calls.next_time()) == (False, 2, 20.0)
    assert [(sent.xid, sent.message) for sent in calls.due(20.0)] == [(0x1000, message)]
    assert calls.next_time() == 25.0
    calls.due(25.0)
    assert (call.done, other.done, calls.timeouts) == (True, False, 2)
    with pytest.raises(RpcTimeout, match="sent once"):
        call.result()


def test_another_try_has_a_proof_of_its_own_where_each_transmission_has() -> None:
    Signing.made = 0
    calls = table(MAYBE)
    call = calls.open(ECHO, (5,), Signing, now=0.0, deadline=1.0)
    first = calls.due(0.0)[0].message
    calls.due(1.0)
    calls.again(call, now=2.0, deadline=3.0)
    (second,) = [sent.message for sent in calls.due(2.0)]
    assert first[-7:-4] == b"<\1>"
    assert second[-7:-4] != first[-7:-4]
    assert second[:24] == first[:24]


@pytest.mark.parametrize(
    ("trouble", "text"),
    [
        (None, "^the connection was lost; it is too late to send ECHO again$"),
        ("no route to host", "^no route to host; it is too late to send ECHO again$"),
    ],
)
def test_what_a_server_may_have_forgotten_is_not_sent_over_a_new_connection(trouble, text) -> None:
    calls = table(RetryPolicy(transmissions=1, window=5))
    call = opened(calls, deadline=60.0)
    fresh = opened(calls, now=4.0, deadline=60.0)
    assert calls.due(0.0) == [call]
    assert calls.due(4.0) == [fresh]
    calls.resend(4.9)
    assert set(map(id, calls.due(4.9))) == {id(call), id(fresh)}
    if trouble:
        calls.note(trouble)
    calls.resend(5.0)
    assert (call.done, fresh.done, len(calls)) == (True, False, 1)
    with pytest.raises(Disconnected, match=text):
        call.result()
    assert calls.due(5.0) == [fresh]


def test_a_call_that_is_done_stays_as_it_is() -> None:
    calls = table()
    call = opened(calls)
    calls.receive(success(call.xid, 5))
    calls.fail(call, Disconnected("gone"))
    assert call.result() == 5


@pytest.mark.parametrize(
    ("sent", "text"),
    [
        ([], r"^no reply to ECHO before its deadline \(it was never sent\)$"),
        ([0.0], r"^no reply to ECHO before its deadline \(sent once\)$"),
        ([0.0, 1.0], r"^no reply to ECHO before its deadline \(sent 2 times\)$"),
    ],
)
def test_a_timeout_says_how_often_the_call_was_sent(sent: list[float], text: str) -> None:
    calls = table()
    call = opened(calls, deadline=2.0)
    for now in sent:
        calls.due(now)
    calls.due(2.0)
    with pytest.raises(RpcTimeout, match=text):
        call.result()


def test_the_words_of_a_timeout_with_its_last_trouble() -> None:
    calls = table()
    call = opened(calls, deadline=2.0)
    calls.note("first")
    calls.note("last")
    calls.due(2.0)
    with pytest.raises(RpcTimeout, match=r"deadline \(it was never sent; last trouble: last\)$"):
        call.result()


def test_arguments_of_several_parts_follow_one_another() -> None:
    def encode_pair(args: tuple[int], out: list[bytes]) -> None:
        out += [b"head", b"tail"]

    pair = Procedure(9999, 2, 7, "PAIR", encode_pair, decode_word, encode_result, decode_word)
    assert table().open(pair, (1,), lambda: NONE, now=0, deadline=1).message.endswith(bytes(8) + b"headtail")


def test_deadlines_are_kept_in_order_while_many_calls_come_and_go() -> None:
    calls = table(MAYBE)
    waiting = [opened(calls, deadline=1000.0 - number) for number in range(10)]
    calls.due(0.0)
    for _ in range(500):
        quick = opened(calls, deadline=2000.0)
        calls.due(0.0)
        calls.receive(success(quick.xid, 1))
    for call in reversed(waiting):
        deadline = calls.next_time()
        assert deadline == 1000.0 - waiting.index(call)
        calls.due(deadline)
        assert [other.done for other in waiting].count(True) == 10 - waiting.index(call)


@pytest.mark.parametrize("seed", [2, 15, 29, 35])
def test_deadlines_of_any_kind_are_kept_in_order_and_those_of_answered_calls_forgotten(seed: int) -> None:
    draw = Random(seed)
    calls = table(MAYBE)
    first = opened(calls, deadline=1.0)
    waiting = []
    for number in range(650):
        waiting.append(opened(calls, deadline=draw.uniform(2.0, 1000.0)))
        calls.due(0.0)
        for _ in range(draw.choice([0, 1, 2])):
            if number > 50 and len(waiting) > 50:
                calls.receive(success(waiting.pop(draw.randrange(len(waiting))).xid, 1))
        assert len(calls._timers) <= 64 + 4 * (len(calls) + 3)
    ends = []
    while (when := calls.next_time()) is not None:
        ends.append(when)
        calls.due(when)
    assert ends == sorted(ends)
    assert len(ends) == len([first, *waiting])
