"""Counters of procedures: each worker counts for itself, whoever reads adds up, a successor goes on."""

import os
import struct
import time

import pytest

from nfsrpc.rpc import counters
from nfsrpc.rpc.counters import BUCKETS, ROWS, Count, Counters
from nfsrpc.xdr import Procedure, decode_void, encode_void


def procedure(number, name="P", program=9, version=2):
    return Procedure(program, version, number, name, encode_void, decode_void, encode_void, decode_void)


@pytest.fixture
def clock(monkeypatch):
    """The time that calls end at, in seconds; they begin at 100."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


@pytest.mark.parametrize(
    ("microseconds", "bucket"),
    [(0, 0), (0.9, 0), (1, 1), (1.9, 1), (2, 2), (3, 2), (4, 3), (1023, 10), (1024, 11), (2**24, 25), (2**40, 25)],
)
def test_a_call_is_counted_by_its_time(clock, microseconds, bucket):
    made = Counters()
    recorder = made.recorder(0)
    began = clock.now - (microseconds + 0.01) / 1e6
    recorder.turn([recorder.row(procedure(1))], began)
    found = next(count for count in made.read() if count.program == 9)
    assert [n for n, calls in enumerate(found.buckets) if calls] == [bucket]
    assert (found.calls, len(found.buckets)) == (1, BUCKETS)


def test_each_row_of_a_turn_counts(clock):
    made = Counters()
    recorder = made.recorder(0)
    one, two = recorder.row(procedure(1, "ONE")), recorder.row(procedure(2, "TWO"))
    recorder.turn([one, two, one, recorder.refused], 100.0)
    recorder.failed(one)
    recorder.replayed(two)
    recorder.replayed(two)
    assert [(c.program, c.version, c.procedure, c.name, c.calls, c.failures, c.replays) for c in made.read()] == [
        (0, 0, 0, "(refused)", 1, 0, 0), (9, 2, 1, "ONE", 2, 1, 0), (9, 2, 2, "TWO", 1, 0, 2),
    ]  # fmt: skip


def test_workers_are_added_up_in_the_order_of_the_numbers(clock):
    made = Counters(3)
    for worker, numbers in enumerate([(5, 3), (3,), (4, 3)]):
        recorder = made.recorder(worker)
        for number in numbers:
            row = recorder.row(procedure(number))
            recorder.turn([row], 100.0)
            recorder.failed(row)
            recorder.replayed(row)
    assert [(c.procedure, c.calls, c.failures, c.replays) for c in made.read() if c.program] == [
        (3, 3, 3, 3), (4, 1, 1, 1), (5, 1, 1, 1),
    ]  # fmt: skip
    assert made.read()[0].calls == 0


def test_a_row_is_found_again_by_the_same_worker_and_by_its_successor(clock):
    made = Counters(2)
    recorder = made.recorder(1)
    row = recorder.row(procedure(1))
    assert recorder.row(procedure(1)) == row
    assert len({recorder.row(procedure(1, program=8)), recorder.row(procedure(1, version=3)), row}) == 3
    recorder.turn([row], 100.0)
    assert made.recorder(1).row(procedure(1)) == row
    heir = Counters(2, os.dup(made.fileno()))
    heir.recorder(1).turn([heir.recorder(1).row(procedure(1))], 100.0)
    assert [c.calls for c in made.read() if (c.program, c.version) == (9, 2)] == [2]


def test_procedures_that_are_too_many_share_the_first_row(clock):
    made = Counters()
    recorder = made.recorder(0)
    rows = [recorder.row(procedure(number)) for number in range(ROWS + 5)]
    assert len(set(rows[: ROWS - 1])) == ROWS - 1
    assert recorder.refused not in rows[: ROWS - 1]
    assert set(rows[ROWS - 1 :]) == {recorder.refused}
    assert len(made.read()) == ROWS
    first = made.read()[0]
    assert (first.program, first.version, first.procedure, first.name) == (0, 0, 0, "(refused)")


@pytest.mark.parametrize("name", ["N" * 48, "MAX", "0"])
def test_names_of_any_length(name):
    made = Counters()
    made.recorder(0).row(procedure(1, name + "more" * (len(name) == 48)))
    assert made.read()[1].name == name


@pytest.mark.parametrize(
    ("buckets", "part", "seconds"),
    [
        ({}, 0.5, 0.0), ({3: 10}, 0.0, 8e-6), ({3: 10}, 1.0, 8e-6), ({0: 1}, 0.5, 1e-6),
        ({1: 50, 10: 50}, 0.5, 2e-6), ({1: 50, 10: 50}, 0.51, 1.024e-3), ({1: 99, 20: 1}, 0.99, 2e-6),
        ({1: 99, 20: 1}, 1.0, 1.048576),
    ],
)  # fmt: skip
def test_quantiles(buckets, part, seconds):
    count = Count(1, 2, 3, "P")
    for bucket, calls in buckets.items():
        count.buckets[bucket] = calls
    assert count.quantile(part) == pytest.approx(seconds)
    assert (count.failures, count.replays) == (0, 0)
    assert not hasattr(count, "__dict__")


def test_the_sizes_that_a_successor_relies_on():
    assert (ROWS, BUCKETS, counters._ROW) == (256, 26, 64 + 8 * 32)
    one, three = Counters(), Counters(3)
    assert os.fstat(one.fileno()).st_size == 256 * 320
    assert os.fstat(three.fileno()).st_size == 3 * 256 * 320


def test_the_layout_that_a_successor_relies_on(clock):
    made = Counters(2)
    recorder = made.recorder(1)
    row = recorder.row(procedure(7, "NAME"))
    recorder.turn([row, row, row], 99.999_998_5)  # 1.5 us
    recorder.failed(row)
    recorder.failed(row)
    recorder.replayed(row)
    second = os.pread(made.fileno(), 320, 256 * 320 + 320)
    buckets = [0, 3, *[0] * 28]
    assert second == struct.pack("=4I48s32Q", 9, 2, 7, 1, b"NAME", 2, 1, *buckets)
