"""Pauses between transmissions: growth, ceiling, jitter, deadline."""

from dataclasses import FrozenInstanceError
from itertools import pairwise
from math import inf

import pytest

from nfsrpc.rpc.retry import AT_LEAST_ONCE, MAYBE, Backoff, CongestionWindow, RetryPolicy, RoundTrips, Schedule

MIDDLE = 0.5
"""The random number that leaves a pause as long as the policy says."""


def sendings(policy: RetryPolicy, deadline: float, random: float = MIDDLE) -> list[float]:
    """When a call that begins at 100 is sent, if each transmission happens exactly when it is due."""
    schedule = Schedule(policy, 100.0, 100.0 + deadline, lambda: random)
    times = []
    while schedule.due != inf:
        times.append(round(schedule.due - 100.0, 6))
        schedule.sent(schedule.due)
    return times


@pytest.mark.parametrize(
    ("policy", "deadline", "expected"),
    [
        (RetryPolicy(first=1, jitter=0), 10, [0, 1, 3, 7]),
        (RetryPolicy(first=1, jitter=0, ceiling=2), 10, [0, 1, 3, 5, 7, 9]),
        (RetryPolicy(first=1, factor=1, ceiling=1, jitter=0), 3.5, [0, 1, 2, 3]),
        (RetryPolicy(first=1, jitter=0, transmissions=3), 100, [0, 1, 3]),
        (RetryPolicy(first=5, jitter=0), 5, [0]),
        (MAYBE, 1000, [0]),
    ],
)
def test_a_call_is_sent_after_growing_pauses_until_its_deadline(
    policy: RetryPolicy, deadline: float, expected: list[float]
) -> None:
    assert sendings(policy, deadline) == expected


def test_the_default_waits_no_longer_than_its_ceiling_between_transmissions() -> None:
    times = sendings(AT_LEAST_ONCE, 120)
    pauses = [round(later - earlier, 6) for earlier, later in pairwise(times)]
    assert pauses[0] == pytest.approx(0.7)
    assert max(pauses) == pytest.approx(15)
    assert pauses == sorted(pauses)


@pytest.mark.parametrize(("random", "pause"), [(0.0, 0.9), (0.5, 1.0), (1.0, 1.1)])
def test_jitter_lengthens_or_shortens_a_pause_by_its_fraction(random: float, pause: float) -> None:
    assert Backoff(RetryPolicy(first=1, jitter=0.1), lambda: random).next() == pytest.approx(pause)


def test_jitter_of_one_pause_does_not_carry_over_to_the_next() -> None:
    backoff = Backoff(RetryPolicy(first=1, factor=2, jitter=0.5), lambda: 1.0)
    assert [backoff.next() for _ in range(3)] == pytest.approx([1.5, 3, 6])


def test_a_late_transmission_counts_its_pause_from_when_it_happened() -> None:
    schedule = Schedule(RetryPolicy(first=1, jitter=0), 0.0, 60.0, lambda: MIDDLE)
    schedule.sent(0.4)
    assert schedule.due == pytest.approx(1.4)


def test_the_deadline_itself_is_too_late() -> None:
    schedule = Schedule(AT_LEAST_ONCE, 0.0, 5.0)
    assert not schedule.expired(4.999)
    assert schedule.expired(5.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"first": 0},
        {"first": -1},
        {"factor": 0.5},
        {"ceiling": 0.1},
        {"jitter": 1},
        {"jitter": -0.1},
        {"transmissions": 0},
        {"least": 0},
        {"least": 0.8},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"pauses?|at least once"):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


def test_no_transmission_at_the_end_of_the_window_or_of_the_deadline():
    """The window is counted from the first transmission, however often the call was sent since."""
    schedule = Schedule(RetryPolicy(first=2, factor=1, jitter=0, window=10), 100.0, 106.0)
    assert schedule.may_send(1e9)
    for now, due in ((100.0, 102.0), (102.0, 104.0), (104.0, inf)):
        schedule.sent(now)
        assert schedule.due == due
        assert (schedule.may_send(109.9), schedule.may_send(110.0)) == (True, False)
    assert (schedule.expired(105.9), schedule.expired(106.0)) == (False, True)
    schedule = Schedule(RetryPolicy(first=5, factor=1, jitter=0, window=10), 100.0, 1000.0)
    for now, due in ((100.0, 105.0), (105.0, inf)):
        schedule.sent(now)
        assert schedule.due == due


def test_a_policy_does_not_change_and_has_no_other_fields():
    with pytest.raises(FrozenInstanceError):
        MAYBE.first = 1
    assert not hasattr(MAYBE, "__dict__")


def test_policies_at_their_limits():
    RetryPolicy(first=1, factor=1, ceiling=1, jitter=0, transmissions=1, least=1)


@pytest.mark.parametrize(
    ("replies", "pauses"),
    [
        # The first reply: its time, and four times half of that (RFC 6298 §2.2).
        ([0.1], [0.3]),
        # Then an eighth and a quarter of the new go in (§2.3): 0.1 + 4 * 0.0375, which is 0.25, is near enough to 0.3;
        # 0.1 + 4 * 0.028125 is not.
        ([0.1, 0.1, 0.1], [0.3, 0.3, 0.2125]),
        # 0.1 and 0.05, then 0.15 and 0.1375.
        ([0.1, 0.5], [0.3, 0.7]),
        # Not below the least, not above the first.
        ([0.001], [0.02]),
        ([5.0], [0.7]),
    ],
)
def test_the_first_pause_follows_the_replies(replies, pauses):
    trips = RoundTrips(RetryPolicy(least=0.02, transmissions=9))
    seen = []
    for seconds in replies:
        trips.took(seconds)
        seen.append(trips.policy.first)
        assert (trips.policy.transmissions, trips.policy.ceiling) == (9, 15.0)
    assert seen == pytest.approx(pauses)


@pytest.mark.parametrize(("seconds", "pause"), [(0.7 * 0.81 / 3, 0.7), (0.7 * 0.79 / 3, 0.7 * 0.79)])
def test_small_changes_are_left_alone(seconds, pause):
    trips = RoundTrips(RetryPolicy(least=0.02))
    trips.took(seconds)
    assert trips.policy.first == pytest.approx(pause)


def test_the_pause_grows_again_only_by_a_quarter():
    trips = RoundTrips(RetryPolicy(first=100, ceiling=100, least=0.001))
    trips.took(1.0)
    assert trips.policy.first == pytest.approx(3)
    trips.took(2.2)  # mean 1.15, deviation 0.675: 3.85, more than 1.25 times 3
    assert trips.policy.first == pytest.approx(3.85)
    trips.took(2.2)  # 1.28125 + 4 * 0.76875
    assert trips.policy.first == pytest.approx(3.85)


def test_a_congestion_window_grows_by_replies_and_halves_once_for_what_was_lost_together() -> None:
    window = CongestionWindow(16, 100)
    for _ in range(84):
        window.replied()
    assert window.size == 100
    window.replied()
    assert window.size == 100
    for _ in range(40):
        window.lost(1.0, 2.0)  # sent at 1, missed at 2
    assert window.size == 50
    window.lost(1.5, 2.5)  # in flight with the others
    assert window.size == 50
    window.lost(2.0, 3.0)
    assert window.size == 25


def test_a_congestion_window_grows_slowly_after_a_loss_and_never_closes() -> None:
    window = CongestionWindow(16, 100)
    window.lost(1.0, 2.0)
    assert window.size == 8
    for _ in range(8 * 16):
        window.replied()
    assert window.size == 8
    for _ in range(16):
        window.replied()
    assert window.size == 9
    for second in range(3, 20):
        window.lost(second, second + 0.5)
    assert window.size == 4
    assert CongestionWindow(16, 2).size == 2
