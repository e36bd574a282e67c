"""``nfsrpc info``: the programs that a portmapper lists, and whether they answer (as rpcinfo)."""

import contextlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType

import click

from nfsrpc.client.url import PORTMAPPER_PORT, parse_authority
from nfsrpc.portmap.client import LIMITS, TIMEOUT, Portmapper, answers
from nfsrpc.portmap.entry import Registered, Transport
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp

from .output import print_json, print_table
from .remote import failing_at

_AT_ONCE = 16
_NAMES: Mapping[int, str] = MappingProxyType({
    100000: "portmapper",
    100001: "rstatd",
    100002: "rusersd",
    100003: "nfs",
    100004: "ypserv",
    100005: "mountd",
    100007: "ypbind",
    100008: "walld",
    100011: "rquotad",
    100012: "sprayd",
    100021: "nlockmgr",
    100024: "status",
    100026: "bootparam",
    100029: "keyserv",
    100227: "nfs_acl",
    395183: "vxi11core",
})
"""Programs that one meets, by the names of rpc(5)."""


@click.command()
@click.argument("host", metavar="HOST[:PORT]")
@click.option("--proto", type=click.Choice(["tcp", "udp"]), default="tcp", show_default=True,
              help="How the portmapper itself is asked.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=2.0, show_default=True,
              help="Seconds that each program has to answer.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def info(host: str, proto: str, timeout: float, as_json: bool) -> None:
    """The programs that the portmapper of HOST lists, as rpcinfo -p, and whether each one answers procedure 0."""
    with failing_at(host):
        name, port = parse_authority(host)
        connect = connect_udp if proto == "udp" else connect_tcp
        with connect(name, port or PORTMAPPER_PORT, timeout=TIMEOUT, limits=LIMITS) as client:
            lines = Portmapper(client).dump()
    lines = sorted(set(lines))
    # Side by side: a program that is gone takes its whole time, and nobody wants to wait for each in turn.
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        states = list(zip(lines, pool.map(partial(_state, name, timeout), lines), strict=True))
    if as_json:
        print_json([
            {
                "program": line.program,
                "version": line.version,
                "protocol": _protocol(line),
                "port": line.port,
                "service": _NAMES.get(line.program),
                "answers": state,
            }
            for line, state in states
        ])
        return
    rows = [
        (
            str(line.program),
            str(line.version),
            _protocol(line),
            str(line.port),
            _NAMES.get(line.program, ""),
            {True: "yes", False: "no", None: "not asked"}[state],
        )
        for line, state in states
    ]
    print_table(("PROGRAM", "VERSION", "PROTO", "PORT", "SERVICE", "ANSWERS"), rows, right=frozenset({0, 1, 3}))


def _protocol(line: Registered) -> str:
    with contextlib.suppress(ValueError):
        return Transport(line.protocol).name.lower()
    return str(line.protocol)


def _state(host: str, timeout: float, line: Registered) -> bool | None:
    """Whether `line` answers; None for a transport that is neither TCP nor UDP, or no port."""
    if line.protocol not in (Transport.TCP, Transport.UDP) or not line.port:
        return None
    return answers(host, line, timeout=timeout)
