"""Rates: so many a second, as many at once, and lists to forged addresses."""

import pytest

from nfsrpc.rpc.allowance import Allowance
from nfsrpc.rpc.dispatch import Drop, Peer


def test_so_many_at_once_and_so_many_a_second():
    now = [0.0]
    allowance = Allowance(4, lambda: now[0])
    assert [allowance.spend() for _ in range(6)] == [True] * 4 + [False] * 2
    now[0] += 0.25
    assert [allowance.spend() for _ in range(2)] == [True, False]
    now[0] += 1000
    assert [allowance.spend() for _ in range(5)] == [True] * 4 + [False]


@pytest.mark.parametrize(
    ("peer", "limited"),
    [
        (Peer("192.0.2.1", 700, "udp"), True),
        (Peer("fd00::1", 700, "udp6"), True),
        (Peer("192.0.2.1", 700, "tcp"), False),
        (Peer("127.0.0.1", 700, "udp"), False),
        (Peer("local", 0, "local"), False),
    ],
)
def test_only_a_stranger_over_udp_is_kept_short(peer, limited):
    allowance = Allowance(2, lambda: 0.0)
    for _ in range(2):
        allowance.demand_for_list(peer)
    if limited:
        with pytest.raises(Drop):
            allowance.demand_for_list(peer)
    else:
        allowance.demand_for_list(peer)
        assert allowance.spend()
