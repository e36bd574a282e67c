"""Record marking: every row runs whole, byte by byte, and with another record behind it."""

import contextlib
import tracemalloc
from struct import pack

import pytest

from nfsrpc.rpc.errors import RecordError
from nfsrpc.rpc.record import RecordReader, frame
from nfsrpc.xdr import DEFAULT_LIMITS

LAST = 0x8000_0000


def fragment(data: bytes, last: bool = True) -> bytes:
    return pack(">I", len(data) | (LAST if last else 0)) + data


GOOD = {
    "one fragment": (fragment(b"abcd"), [b"abcd"]),
    "length not a multiple of four": (fragment(b"abcde"), [b"abcde"]),
    "empty record": (fragment(b""), [b""]),
    "two fragments": (fragment(b"ab", last=False) + fragment(b"cd"), [b"abcd"]),
    "empty last fragment": (fragment(b"abcd", last=False) + fragment(b""), [b"abcd"]),
    "empty fragment in the middle": (fragment(b"ab", False) + fragment(b"", False) + fragment(b"c"), [b"abc"]),
    "one byte per fragment": (b"".join(fragment(b"x", False) for _ in range(99)) + fragment(b"y"), [b"x" * 99 + b"y"]),
    "two records": (fragment(b"ab") + fragment(b"cd"), [b"ab", b"cd"]),
}


@pytest.mark.parametrize(("stream", "records"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("step", [1, 3, 4, 5, 10_000])
def test_stream_is_cut_into_records_however_it_arrives(stream: bytes, records: list[bytes], step: int) -> None:
    stream += fragment(b"next")
    reader = RecordReader()
    got = []
    for at in range(0, len(stream), step):
        got += reader.feed(stream[at : at + step])
    assert got == [*records, b"next"]
    assert reader.pending == 0


@pytest.mark.parametrize(("stream", "records"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("step", [1, 3, 4, 5, 10_000])
def test_memory_that_was_fed_is_free_for_the_next_bytes(stream: bytes, records: list[bytes], step: int) -> None:
    reader, memory, got = RecordReader(), bytearray(), []
    for at in range(0, len(stream), step):
        memory[:] = stream[at : at + step]
        with memoryview(memory) as view:
            got += reader.feed(view)
        memory[:] = b"\xee" * len(memory)
    assert got == records


def test_memory_is_what_was_declared_at_most():
    """A record of the largest size in as many fragments as there may be, which never ends; and one that only claims."""
    limits = DEFAULT_LIMITS._replace(message=1 << 20, fragments=1024)
    for stream, most in ((fragment(b"x" * 1000, False) * 1024, 3 << 20), (pack(">I", LAST - 1), 4096)):
        reader = RecordReader(limits)
        tracemalloc.start()
        try:
            with contextlib.suppress(RecordError):
                for at in range(0, len(stream), 1460):
                    assert reader.feed(stream[at : at + 1460]) == []
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < most


LIMITS = DEFAULT_LIMITS._replace(message=100, fragments=10)
BAD = {
    "one fragment over the cap": pack(">I", LAST | 101),
    "fragments over the cap in sum": fragment(b"x" * 60, False) + pack(">I", LAST | 41),
    "a mark of 2 GiB": pack(">I", 0x7FFF_FFFF),
    "a last mark of 2 GiB": pack(">I", 0xFFFF_FFFF),
    "too many one-byte fragments": b"".join(fragment(b"x", False) for _ in range(10)) + pack(">I", 1),
    "too many empty fragments": b"".join(fragment(b"", False) for _ in range(10)) + pack(">I", 0),
}


@pytest.mark.parametrize("stream", BAD.values(), ids=BAD)
@pytest.mark.parametrize("step", [1, 10_000])
def test_over_a_cap_breaks_the_stream_before_the_bytes_come(stream: bytes, step: int) -> None:
    reader = RecordReader(LIMITS)
    with pytest.raises(RecordError):
        for at in range(0, len(stream), step):
            assert reader.feed(stream[at : at + step]) == []
    with pytest.raises(RecordError):
        reader.feed(fragment(b"good"))


@pytest.mark.parametrize("stream", BAD.values(), ids=BAD)
def test_records_before_a_broken_one_are_not_lost(stream: bytes) -> None:
    reader = RecordReader(LIMITS)
    assert reader.feed(fragment(b"good") + stream) == [b"good"]
    with pytest.raises(RecordError):
        reader.feed(b"")


@pytest.mark.parametrize("stream", BAD.values(), ids=BAD)
@pytest.mark.parametrize("step", [1, 10_000])
def test_a_broken_stream_holds_nothing(stream: bytes, step: int) -> None:
    reader = RecordReader(LIMITS)
    assert not reader.broken
    with pytest.raises(RecordError):
        for at in range(0, len(stream), step):
            reader.feed(stream[at : at + step])
    assert (reader.broken, reader.pending) == (True, 0)


def test_what_is_broken_is_said_with_its_cap() -> None:
    with pytest.raises(RecordError, match=r"^a record of at least 101 bytes, over the cap of 100$"):
        RecordReader(LIMITS).feed(fragment(b"x" * 60, False) + pack(">I", LAST | 41))
    with pytest.raises(RecordError, match=r"^a record of more than 10 fragments$"):
        RecordReader(LIMITS).feed(BAD["too many empty fragments"])


def test_what_looks_like_a_record_inside_a_record_is_none() -> None:
    inner = fragment(b"inside")
    for begin, record in (
        (pack(">I", LAST | len(inner)), inner),
        (fragment(b"", False), b"inside"),
        (fragment(b"begin", False), b"begininside"),
    ):
        reader = RecordReader()
        assert reader.feed(begin) == []
        assert reader.feed(inner) == [record]


def test_largest_record_passes() -> None:
    reader = RecordReader(LIMITS)
    assert reader.feed(fragment(b"x" * 100)) == [b"x" * 100]
    assert reader.feed(b"".join(fragment(b"x" * 10, i == 9) for i in range(10))) == [b"x" * 100]


def test_memory_held_is_bounded_by_the_cap() -> None:
    reader = RecordReader(LIMITS)
    reader.feed(pack(">I", LAST | 100) + b"x" * 99)
    assert reader.pending <= 104


def test_a_reply_is_framed_as_one_fragment_without_copies() -> None:
    head, body = b"head", b"body!"
    framed = frame([head, body])
    assert b"".join(framed) == pack(">I", LAST | 9) + b"headbody!"
    assert framed[1] is head
    assert framed[2] is body


def test_what_is_held_of_a_record_is_counted():
    reader = RecordReader()
    assert reader.pending == 0
    assert reader.feed(pack(">I", 3) + b"abc" + b"\x80\0") == []
    assert reader.pending == 2 + 3 + 1
    assert reader.feed(b"\0\1" + b"d") == [b"abcd"]
    assert reader.pending == 0
