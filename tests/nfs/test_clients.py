"""Which client of an export a caller is: kinds, their ranks, and what the world says of an address."""

import re
from typing import NamedTuple

import pytest

from nfsrpc.nfs.clients import EVERYBODY, ClientSpec, by_specificity, caller, parse_client
from nfsrpc.nfs.hostnames import NotYet

NAMES = {"10.0.0.1": {"sun", "sun.lab.example"}, "10.0.0.9": {"evil"}, "fd00::1": {"sun6.lab.example"}}
GROUPS = {"10.0.0.1": {"lab", "suns"}}
HOSTS = {"sun": ["10.0.0.1", "fd00::1%eth0"], "localhost": ["127.0.0.1", "::1"]}


class World:
    """What name services say."""

    def names(self, host):
        return frozenset(NAMES.get(host, ()))

    def netgroups(self, host):
        return frozenset(GROUPS.get(host, ()))


class Silence:
    """Name services that must not be asked."""

    def names(self, host):
        raise NotYet

    netgroups = names


def client(text: str) -> ClientSpec:
    return parse_client(text, HOSTS.__getitem__)[0]


MATCHES = [
    ("*", "192.0.2.1", True),
    ("*", "local", True),
    ("sun", "10.0.0.1", True),
    ("sun", "fd00::1", True),
    ("sun", "10.0.0.2", False),
    ("sun", "local", False),
    ("10.0.0.1", "10.0.0.1", True),
    ("10.0.0.1", "::ffff:10.0.0.1", True),
    ("10.0.0.1", "10.0.0.10", False),
    ("fd00::1", "fd00:0::1", True),
    ("fe80::1", "fe80::1%eth0", True),
    ("10.0.0.0/8", "10.255.0.1", True),
    ("10.0.0.0/8", "::ffff:10.255.0.1", True),
    ("10.0.0.0/8", "11.0.0.1", False),
    ("10.0.0.0/8", "fd00::1", False),
    ("10.0.0.0/255.255.255.0", "10.0.0.77", True),
    ("10.0.0.0/255.255.255.0", "10.0.1.77", False),
    ("0.0.0.0/0", "203.0.113.9", True),
    ("fd00::/64", "fd00::beef", True),
    ("fd00::/64", "10.0.0.1", False),
    ("10.0.0.0/8", "local", False),
    ("*.lab.example", "10.0.0.1", True),
    ("*.lab.example", "fd00::1", True),
    ("*.example", "10.0.0.1", True),
    ("s?n", "10.0.0.1", True),
    ("S?N", "10.0.0.1", True),
    ("s[tuv]n.lab.example", "10.0.0.1", True),
    ("s[!u]n.lab.example", "10.0.0.1", False),
    ("*.lab", "10.0.0.1", False),
    ("lab.*", "10.0.0.1", False),
    ("*.lab.example", "10.0.0.77", False),
    ("*.lab.example", "local", False),
    ("10.0.0.*", "10.0.0.1", False),
    ("@lab", "10.0.0.1", True),
    ("@lab", "10.0.0.9", False),
    ("@lab", "local", False),
]


@pytest.mark.parametrize(("text", "host", "expected"), MATCHES)
def test_matches(text, host, expected):
    assert client(text).matches(caller(host, World())) is expected


class R(NamedTuple):
    client: ClientSpec
    place: int


@pytest.mark.parametrize(
    ("line", "host", "winner"),
    [
        ("* @lab *.example 10.0.0.0/8 sun", "10.0.0.1", "sun"),
        ("* @lab *.example 10.0.0.0/8", "10.0.0.1", "10.0.0.0/8"),
        ("* @lab *.example", "10.0.0.1", "*.example"),
        ("* @lab", "10.0.0.1", "@lab"),
        ("* @lab", "10.0.0.9", "*"),
        ("10.0.0.0/8 10.0.0.0/24", "10.0.0.1", "10.0.0.0/8"),
        ("10.0.0.0/24 10.0.0.0/8", "10.0.0.1", "10.0.0.0/24"),
        ("@suns @lab", "10.0.0.1", "@suns"),
        ("@lab @suns", "10.0.0.1", "@lab"),
        ("*.lab.example *.example", "10.0.0.1", "*.lab.example"),
        ("10.0.0.1 sun", "10.0.0.1", "10.0.0.1"),
        ("sun @lab", "10.0.0.9", None),
    ],
)
def test_the_most_specific_kind_wins_and_then_the_first(line, host, winner):
    rules = by_specificity(R(client(text), place) for place, text in enumerate(line.split()))
    found = next((rule.client.text for rule in rules if rule.client.matches(caller(host, World()))), None)
    assert found == winner


def test_nobody_is_asked_about_hosts_and_networks():
    who = caller("10.0.0.1", Silence())
    assert client("sun").matches(who)
    assert client("10.0.0.0/8").matches(who)
    assert EVERYBODY.matches(who)
    with pytest.raises(NotYet):
        client("*.lab").matches(who)


def test_a_wildcard_is_no_regular_expression():
    assert not client("s.n*").matches(caller("10.0.0.1", World()))
    assert re.escape("+") in client("a+*").pattern.pattern
