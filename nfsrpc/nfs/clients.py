"""The clients that an export names: hosts, networks, wildcards, netgroups, everybody; most specific first.

exports(5) ranks by kind, in the order of the classes below; among several of
one kind, the first on the line counts.
"""

import re
import socket
from collections.abc import Callable, Iterable
from fnmatch import translate
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple, Protocol, TypeVar

Address = IPv4Address | IPv6Address
_LABELS = r"[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?"
_DIGITS_AND_WILDCARDS = r"[0-9.*?\[\]-]+"


class BadClient(ValueError):
    """A client that cannot be understood; the text says why, and what to write instead."""


class Names(Protocol):
    """What can be found out about an address by asking others; both may raise `nfsrpc.nfs.hostnames.NotYet`."""

    def names(self, host: str) -> frozenset[str]:
        """The names of the host at an address, in lower case, that lead back to it."""

    def netgroups(self, host: str) -> frozenset[str]:
        """Those netgroups, of all that exports name, which the host belongs to."""


class Caller(NamedTuple):
    """A host that calls: its address as text and, unless it calls over a UNIX socket, as a number."""

    host: str
    address: Address | None
    names: Names


def caller(host: str, names: Names) -> Caller:
    """The caller at `host`, a numeric address; one of IPv4 may come as ``::ffff:a.b.c.d``."""
    try:
        address: Address | None = ip_address(host.partition("%")[0])
    except ValueError:
        return Caller(host, None, names)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return Caller(host if mapped is None else str(mapped), mapped or address, names)


class Host(NamedTuple):
    """One host, by address or by name. A name stands for the addresses that it had when the file was read."""

    text: str
    addresses: frozenset[Address]

    def matches(self, who: Caller) -> bool:
        """Whether `who` has one of the addresses."""
        return who.address in self.addresses


class Network(NamedTuple):
    """All addresses of a network."""

    text: str
    network: IPv4Network | IPv6Network

    def matches(self, who: Caller) -> bool:
        """Whether the address of `who` lies in it."""
        return who.address is not None and who.address in self.network


class Wildcard(NamedTuple):
    """Hosts whose names match; ``*`` matches dots as well."""

    text: str
    pattern: re.Pattern[str]

    def matches(self, who: Caller) -> bool:
        """Whether one of the names of `who` matches as a whole."""
        return who.address is not None and any(self.pattern.match(name) for name in who.names.names(who.host))


class Netgroup(NamedTuple):
    """The hosts of a netgroup."""

    text: str
    name: str

    def matches(self, who: Caller) -> bool:
        """Whether `who` belongs to it."""
        return who.address is not None and self.name in who.names.netgroups(who.host)


class Everybody(NamedTuple):
    """Every host there is."""

    text: str = "*"

    def matches(self, _who: Caller) -> bool:
        """True."""
        return True


ClientSpec = Host | Network | Wildcard | Netgroup | Everybody
Resolve = Callable[[str], Iterable[str]]
EVERYBODY = Everybody()
_BY_SPECIFICITY = (Host, Network, Wildcard, Netgroup, Everybody)


def addresses_of(name: str) -> list[str]:
    """Every address of a host name, as the system knows it. OSError if it knows none."""
    return [str(found[4][0]) for found in socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)]


def parse_client(text: str, resolve: Resolve = addresses_of) -> tuple[ClientSpec, str | None]:
    """The client that `text` names, and a remark if it will not do what it seems to. Raises `BadClient`."""
    if text == "*":
        return EVERYBODY, None
    if text.startswith("gss/"):
        raise BadClient(f"{text} is no client; write *(sec={text[4:]},...)")
    if text.startswith("@"):
        if len(text) == 1:
            raise BadClient("a netgroup without a name; write @NAME")
        return Netgroup(text, text[1:]), None
    if "/" in text:
        return _network(text)
    if any(character in text for character in "*?["):
        return _wildcard(text)
    return _host(text, resolve)


def _network(text: str) -> tuple[ClientSpec, str | None]:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise BadClient(f"{text!r} is no network; write ADDRESS/BITS or ADDRESS/NETMASK") from None
    written = ip_address(text.partition("/")[0])
    remark = None if written == network.network_address else f"{text} is the whole network {network}"
    return Network(text, network), remark


def _wildcard(text: str) -> tuple[ClientSpec, str | None]:
    pattern = re.compile(translate(text.lower()))
    if re.fullmatch(_DIGITS_AND_WILDCARDS, text):
        return Wildcard(text, pattern), f"{text} matches names, never addresses; write a network, as in 192.168.1.0/24"
    return Wildcard(text, pattern), None


def _host(text: str, resolve: Resolve) -> tuple[ClientSpec, str | None]:
    try:
        return Host(text, frozenset((ip_address(text),))), None
    except ValueError:
        if not re.fullmatch(_LABELS, text) or re.fullmatch(r"[0-9.]+", text):
            raise BadClient(f"{text!r} is neither a host name nor an address, network, wildcard or @netgroup") from None
    try:
        found = frozenset(ip_address(address.partition("%")[0]) for address in resolve(text))
    except OSError as error:
        return Host(text, frozenset()), f"no address of {text} is known ({error.strerror or error}); nobody matches"
    return Host(text, found), None


class _HasClient(Protocol):
    @property
    def client(self) -> ClientSpec: ...


Ruled = TypeVar("Ruled", bound=_HasClient)


def by_specificity(rules: Iterable[Ruled]) -> list[Ruled]:
    """`rules` in the order in which they are to be tried: the first that matches counts."""
    return sorted(rules, key=lambda rule: _BY_SPECIFICITY.index(type(rule.client)))
