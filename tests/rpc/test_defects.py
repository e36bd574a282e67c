"""Every defect of framing and call headers has its required answer (RFC 5531 §9), whatever carries the message."""

import socket

import pytest
from defects import ANSWERED, SUCCESS, UNANSWERED, call, w

pytestmark = pytest.mark.hostile


@pytest.mark.parametrize(("message", "answer"), ANSWERED.values(), ids=ANSWERED)
def test_defect_gets_its_answer_and_the_server_goes_on(carrier, message: bytes, answer: bytes) -> None:
    assert carrier.ask(message) == answer
    assert carrier.ask(call()) == SUCCESS


@pytest.mark.parametrize("message", UNANSWERED.values(), ids=UNANSWERED)
def test_what_cannot_be_answered_gets_silence_and_the_server_goes_on(carrier, message: bytes) -> None:
    assert carrier.passes_over(message)
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
