"""``nfsrpc info``: the programs that a portmapper lists, and whether they answer (as rpcinfo)."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import MappingProxyType

import click

from nfsrpc.client.url import PORTMAPPER_PORT, parse_authority
from nfsrpc.portmap.client import LIMITS, TIMEOUT, Portmapper, answers
from nfsrpc.portmap.discover import discover
from nfsrpc.portmap.entry import Registered, Transport
from nfsrpc.portmap.rpcbind import RpcBind
from nfsrpc.rpc.errors import ProgramMismatch
from nfsrpc.transport.client import Client
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.transport.ping import ping

from .errors import Failure
from .output import print_json, print_table
from .remote import failing_at

_AT_ONCE = 16
_NO_VERSION = 2**32 - 1
_MOST_VERSIONS = 100
"""Versions of a program that are called at most, whatever range a server claims."""
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
@click.argument("words", nargs=-1, required=True, metavar="HOST[:PORT] [PROGRAM [VERSION]]")
@click.option("-p", "mode", flag_value="ports", default=True, help="List ports, and what answers (the default).")
@click.option("-s", "mode", flag_value="short", help="One line for each program, from rpcbind version 4 or 3.")
@click.option("-u", "mode", flag_value="udp", help="Call procedure 0 of PROGRAM over UDP, in VERSION or all there are.")
@click.option("-t", "mode", flag_value="tcp", help="The same over TCP.")
@click.option("-b", "mode", flag_value="broadcast", help="Who answers for PROGRAM VERSION on the networks we are on; "
              "without HOST.")  # fmt: skip
@click.option("--proto", type=click.Choice(["tcp", "udp"]), default="tcp", show_default=True,
              help="How the portmapper itself is asked.")
@click.option("--timeout", type=click.FloatRange(min=0.1), default=2.0, show_default=True,
              help="Seconds that each program has to answer.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list (of -p).")
def info(words: tuple[str, ...], mode: str, proto: str, timeout: float, as_json: bool) -> None:
    """What the portmapper of HOST lists, as rpcinfo, and whether it answers procedure 0.

    \b
    nfsrpc info HOST                     programs, ports, and what answers
    nfsrpc info -s HOST                  one line for each program
    nfsrpc info -u HOST 100003 2         whether NFS version 2 answers over UDP
    nfsrpc info -b 100003 2              whose NFS answers to a broadcast

    With a PORT, -u and -t call that port without asking the portmapper.
    """
    numbers = 0 if mode in ("ports", "short") else 2
    if mode == "broadcast":
        program, version = _numbers(words, 2)
        _broadcast(program, version, timeout)
        return
    host, found = words[0], _numbers(words[1:], *range(1 if numbers else 0, numbers + 1))
    with failing_at(host):
        if mode == "ports":
            _ports(host, proto, timeout, as_json)
        elif mode == "short":
            _short(host, proto)
        else:
            _call(host, mode, found, timeout)


def _numbers(words: Sequence[str], *counts: int) -> tuple[int, ...]:
    if len(words) not in counts:
        raise click.UsageError("this option wants another number of arguments; see --help")
    by_name = {name: number for number, name in _NAMES.items()}
    try:
        return tuple(by_name.get(word) or int(word) for word in words)
    except ValueError:
        raise click.UsageError(f"{' '.join(words)}: a program is a number or a name of rpc(5)") from None


def _broadcast(program: int, version: int, timeout: float) -> None:
    with failing_at("broadcast"):
        found = list(discover(program, version, timeout=timeout))
    if not found:
        raise Failure(
            f"nobody answers for program {program} version {version} (most portmappers forward no calls any more)"
        )
    for answer in found:
        click.echo(f"{answer.host} port {answer.port}")


def _short(host: str, proto: str) -> None:
    """As rpcinfo -s."""
    name, port = parse_authority(host)
    connect = connect_udp if proto == "udp" else connect_tcp
    with connect(name, port or PORTMAPPER_PORT, timeout=TIMEOUT, limits=LIMITS) as client:
        try:
            entries = RpcBind(client, 4).dump()
        except ProgramMismatch:
            entries = RpcBind(client, 3).dump()
    rows = []
    for program in sorted({entry.program for entry in entries}):
        mine = [entry for entry in entries if entry.program == program]
        versions = ",".join(str(v) for v in sorted({entry.version for entry in mine}))
        netids = ",".join(sorted({entry.netid for entry in mine}))
        owners = ",".join(sorted({entry.owner for entry in mine}))
        rows.append((str(program), versions, netids, _NAMES.get(program, ""), owners))
    print_table(("PROGRAM", "VERSIONS", "NETIDS", "SERVICE", "OWNER"), rows, right=frozenset({0}))


def _call(host: str, proto: str, numbers: tuple[int, ...], timeout: float) -> None:
    """As rpcinfo -u and -t: without a version, all that the program says it has."""
    name, port = parse_authority(host)
    connect = connect_udp if proto == "udp" else connect_tcp
    program = numbers[0]
    if port is None:
        transport = Transport.UDP if proto == "udp" else Transport.TCP
        with connect(name, PORTMAPPER_PORT, timeout=TIMEOUT, limits=LIMITS) as client:
            port = Portmapper(client).getport(program, numbers[1] if numbers[1:] else 0, transport)
        if port is None:
            raise Failure(f"{host}: program {program} is not registered")
    with connect(name, port, timeout=timeout) as client:
        for version in numbers[1:] or _versions(client, program):
            ping(client, program, version)
            click.echo(f"program {program} version {version} ready and waiting")


def _versions(client: Client, program: int) -> Iterable[int]:
    """The range that the program itself names, asked for a version that it cannot have."""
    try:
        ping(client, program, _NO_VERSION)
    except ProgramMismatch as range_of:
        return range(range_of.low, min(range_of.high, range_of.low + _MOST_VERSIONS) + 1)
    return (_NO_VERSION,)


def _ports(host: str, proto: str, timeout: float, as_json: bool) -> None:
    """As rpcinfo -p, and whether each line answers."""
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
