"""What passes over the loopback interface of a namespace, and what tshark reads in it."""

from __future__ import annotations

import contextlib
import functools
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

_PROTOCOL = re.compile(rb'\s*<proto name="([\w.-]*)"')
_FIELD = re.compile(rb'\s*<field name="([\w.]+)".* value="((?:[0-9a-f]{2})+)"')
_WAY = re.compile(rb'\s*<field name="((?:ip|ipv6)\.(?:src|dst)|(?:tcp|udp)\.(?:src|dst)port)".* show="([^"]*)"')
_PROTOCOLS = (b"rpc", b"nfs", b"mount", b"portmap")
# A client's port may be that of another protocol: what goes to a server's port is RPC all the same.
AS_RPC = [
    argument for port in (111, 2049) for proto in ("tcp", "udp") for argument in ("-d", f"{proto}.port=={port},rpc")
]
ALL_PROGRAMS = [
    argument
    for option in ("rpc.dissect_unknown_programs", "udp.try_heuristic_first", "tcp.try_heuristic_first")
    for argument in ("-o", f"{option}:TRUE")
]
"""Whatever the program and the port: servers of tests have one that may be that of another protocol."""
# Two processors put the segments of one stream into the capture, not always in their order.
WANTED = [*AS_RPC, *ALL_PROGRAMS, "-o", "tcp.reassemble_out_of_order:TRUE"]
GUESSED = {"rpc", "tls"}
"""What tshark may take bytes for that no port tells. Of many thousand xids some begin a message of another protocol."""
SNIFF = Path(__file__).parents[1] / "interop" / "guest" / "sniff.py"


@contextlib.contextmanager
def sniffed(namespace: Any, path: Path) -> Iterator[None]:
    """Writes the traffic of the block to a pcap file."""
    process = namespace.popen(
        [sys.executable, "-I", str(SNIFF), str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    if process.stdout.readline() != "ready\n":
        pytest.skip(f"packets cannot be captured here: {process.communicate()[1].strip()}")
    try:
        yield
    finally:
        process.communicate(timeout=30)


@functools.cache
def _no_other_guess() -> list[str]:
    """The arguments of tshark that leave it `GUESSED` to guess."""
    command = ["tshark", "-G", "heuristic-decodes"]
    listed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    guesses = [line.split("\t") for line in listed.splitlines()]
    others = {protocol for transport, protocol, _ in guesses if transport in {"udp", "tcp"}} - GUESSED
    return [argument for protocol in sorted(others) for argument in ("--disable-protocol", protocol)]


def _reading(path: Path, display_filter: str, form: str) -> list[str]:
    """The command that shows in `form` what the filter lets through."""
    return ["tshark", "-n", "-r", str(path), *WANTED, *_no_other_guess(), "-Y", display_filter, "-T", form]


def tshark(path: Path, display_filter: str, *fields: str) -> list[str]:
    """One line for each packet that the filter lets through, the fields separated by tabs."""
    columns = [argument for name in fields for argument in ("-e", name)]
    done = subprocess.run(
        [*_reading(path, display_filter, "fields"), *columns], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@dataclass
class Told:
    """One RPC message as tshark tells it: the raw bytes of each field by name, in the order of the wire."""

    xid: int
    source: str
    target: str
    transport: str
    fields: dict[str, list[bytes]] = field(default_factory=dict)


Way = tuple[str, str]
"""One direction of a connection: source and target."""


def tshark_messages(path: Path) -> tuple[list[Told], set[Way]]:
    """Every RPC message that tshark finds, and the streams in which it says that it has lost its place.

    It does so where a record mark lies in two segments, and finds no record of that stream ever after.
    Its XML is read by lines: names that are no text break XML.
    """
    found: list[Told] = []
    lost: set[Way] = set()
    inside = False
    way: dict[str, str] = {}
    command = _reading(path, "rpc && !icmp && !icmpv6", "pdml")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        for line in _whole_tags(process.stdout):
            if start := _PROTOCOL.match(line):
                inside = start[1] in _PROTOCOLS
            elif inside and (told := _FIELD.match(line)):
                if told[1] == b"rpc.continuation_data":
                    lost.add(_ends(way))
                else:
                    _note(found, told[1].decode(), told[2].decode(), way)
            elif passed := _WAY.match(line):
                layer, end = passed[1].decode().split(".")
                way[end] = f"[{passed[2].decode()}]" if layer == "ipv6" else passed[2].decode()
                way["transport"] = layer
    assert process.returncode == 0
    return found, lost


def _whole_tags(lines: Iterable[bytes]) -> Iterator[bytes]:
    """One tag a line: tshark leaves the ends of lines in names as they are."""
    begun = b""
    for line in lines:
        begun += line
        if begun.endswith(b">\n"):
            yield begun.replace(b"\n", b" ")
            begun = b""


def _ends(way: dict[str, str]) -> Way:
    return f"{way['src']}:{way['srcport']}", f"{way['dst']}:{way['dstport']}"


def _note(found: list[Told], name: str, value: str, way: dict[str, str]) -> None:
    if name == "rpc.xid":
        found.append(Told(int(value, 16), *_ends(way), way["transport"]))
    if found:
        found[-1].fields.setdefault(name, []).append(bytes.fromhex(value))
