"""Fates of messages: what each fault does, and that a seed repeats them."""

import random

import pytest

from nfsrpc.testing.faults import Faults, Mischief

MESSAGES = [bytes([number]) * 20 for number in range(200)]


def arrivals(faults: Faults, seed: str = "s") -> list[tuple[float, bytes]]:
    mischief = Mischief(faults, seed)
    return [arrival for message in MESSAGES for arrival in mischief.datagram(message)]


def test_without_faults_everything_arrives_at_once_in_order() -> None:
    assert arrivals(Faults()) == [(0.0, message) for message in MESSAGES]


def test_the_same_seed_gives_the_same_fates_and_another_one_others() -> None:
    faults = Faults(drop=0.2, duplicate=0.2, reorder=0.2, delay=0.2, truncate=0.1, corrupt=0.1)
    assert arrivals(faults, "1") == arrivals(faults, "1")
    assert arrivals(faults, "1") != arrivals(faults, "2")


def test_a_fault_that_is_switched_on_leaves_the_fates_of_others_alone() -> None:
    dropped = {data for _, data in arrivals(Faults(drop=0.3))}
    assert {data for _, data in arrivals(Faults(drop=0.3, delay=0.5, duplicate=0.5))} == dropped


@pytest.mark.parametrize("fault", ["drop", "duplicate", "reorder", "delay", "truncate", "corrupt"])
def test_never_and_always_are_never_and_always(fault: str) -> None:
    always = Mischief(Faults(**{fault: 1.0}), "s")
    for message in MESSAGES:
        always.datagram(message)
    assert always.counts[fault] == len(MESSAGES)
    assert sum(count for name, count in always.counts.items() if name not in (fault, "passed")) == 0


def test_dropped_messages_do_not_arrive() -> None:
    assert arrivals(Faults(drop=1)) == []
    assert 100 < len(arrivals(Faults(drop=0.2))) < 190


def test_a_duplicate_comes_within_the_pause() -> None:
    found = arrivals(Faults(duplicate=1, pause=2))
    assert len(found) == 2 * len(MESSAGES)
    assert all(0 <= pause <= 2 for pause, _ in found)
    assert any(pause > 1 for pause, _ in found)


def test_a_reordered_message_comes_behind_the_next_or_is_released() -> None:
    mischief = Mischief(Faults(reorder=1), "s")
    assert mischief.datagram(b"1") == []
    assert mischief.holding
    assert mischief.datagram(b"2") == [(0.0, b"1")]
    assert mischief.release() == [b"2"]
    assert not mischief.holding


def test_a_truncated_message_is_its_own_beginning_and_a_corrupt_one_differs_in_a_bit() -> None:
    for (_, data), message in zip(arrivals(Faults(truncate=1)), MESSAGES, strict=True):
        assert len(data) < len(message)
        assert message.startswith(data)
    for (_, data), message in zip(arrivals(Faults(corrupt=1)), MESSAGES, strict=True):
        assert (int.from_bytes(data) ^ int.from_bytes(message)).bit_count() == 1


def test_a_split_stream_is_the_same_stream() -> None:
    data = random.Random(1).randbytes(5000)
    pieces, ends = Mischief(Faults(split=1), "s").chunk(data)
    assert not ends
    assert len(pieces) == 9
    assert b"".join(piece for _, piece in pieces) == data


def test_a_cut_stream_ends_before_and_a_truncated_one_inside_the_chunk() -> None:
    assert Mischief(Faults(cut=1), "s").chunk(b"data") == ([], True)
    pieces, ends = Mischief(Faults(truncate=1), "s").chunk(b"data" * 100)
    assert ends
    assert len(pieces[0][1]) < 400


def test_a_script() -> None:
    assert Faults.parse("drop=0.1, duplicate=1,pause=0.5") == Faults(drop=0.1, duplicate=1, pause=0.5)
    assert Faults.parse("") == Faults()


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("lose=0.1", "no such fault; there are drop"),
        ("drop", "not a number"),
        ("drop=often", "not a number"),
        ("drop=1.1", "out of range"),
        ("drop=-1", "out of range"),
        ("drop=nan", "out of range"),
        ("pause=61", "out of range"),
    ],
)
def test_a_script_that_is_wrong_says_where(script: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Faults.parse(script)
