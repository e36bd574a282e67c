"""Addresses of remote files: ``nfs://host[:port]/path?version=2&proto=udp&uid=0``."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, quote_from_bytes, unquote_to_bytes

from .options import DEFAULTS, PAGE, Options

PORTMAPPER_PORT = 111
SHAPE = "nfs://host[:port]/path"
SERVICE = "nfs+srv"
"""Scheme of a URL whose host is a domain: its servers are found through DNS SRV (RFC 2782)."""

_AUTHORITY = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.%\w]+)\]|(?P<name>[^\[\]:@]+))(?::(?P<port>\d{1,5}))?")


class BadUrl(ValueError):
    """What was given is no URL of a remote file; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class NfsUrl:
    """A parsed URL. `path` is bytes, absolute, without ``.`` or empty parts: names are bytes (RFC 1094 §2.3.4).

    `port`, when given, answers for MOUNT and NFS alike; `mount_port` and `nfs_port` stand above it for their program;
    where neither is given the portmapper on port 111 is asked. With `service` the host is a domain, whose servers DNS
    names. `proto` is "tcp", "udp", or None for whichever the server has. `uid` and `gid` are None where this process'
    own shall be used.
    """

    host: str
    path: bytes
    port: int | None = None
    proto: str | None = None
    version: int = 2
    sec: str = "sys"
    uid: int | None = None
    gid: int | None = None
    mount_port: int | None = None
    nfs_port: int | None = None
    netname: str | None = None
    service: bool = False
    options: Options = DEFAULTS

    def __str__(self) -> str:
        return f"nfs{'+srv' * self.service}://{authority(self.host, self.port)}{quote_from_bytes(self.path)}"


def authority(host: str, port: int | None) -> str:
    """``host``, ``host:port`` or ``[host]:port``, as a URL has it."""
    bracketed = f"[{host}]" if ":" in host else host
    return bracketed if port is None else f"{bracketed}:{port}"


def parse_authority(text: str) -> tuple[str, int | None]:
    """Take ``host``, ``host:port``, ``[v6]`` or ``[v6]:port`` apart. Raises `BadUrl`."""
    found = _AUTHORITY.fullmatch(text)
    if found is None:
        hint = "; an IPv6 address goes into brackets: [::1]:2049" if text.count(":") > 1 else ""
        raise BadUrl(f"{text!r} is not HOST or HOST:PORT{hint}")
    host = found["six"] or found["name"]
    return host, None if found["port"] is None else _port(found["port"])


def parse_url(text: str) -> NfsUrl:
    """Take `text` apart. Raises `BadUrl` with the reason; an argument that is not known is one.

    ``nfs+srv://domain/path`` finds host and port through DNS. Arguments: ``version`` (2), ``proto`` (tcp, udp),
    ``sec`` (sys, none, krb5, krb5i, krb5p, dh), ``netname`` (the server's, for dh; else that of the host), ``uid``,
    ``gid``, ``mountport``, ``nfsport``, and those of `Options`: ``timeo`` (tenths of a second), ``retrans``,
    ``rsize``, ``wsize``, ``readdir-buffer``, ``readahead`` (bytes), ``dircache`` (0, 1) and ``autoreconnect`` (-1:
    hard, N: soft with N more attempts) are libnfs' names; ``hard``, ``soft``, ``noac``, ``actimeo``, ``acregmin``,
    ``acregmax``, ``acdirmin`` and ``acdirmax`` those of nfs(5). A path may hold any byte as ``%XX``; ``?`` must be
    written so.
    """
    scheme, mark, rest = text.partition("://")
    if not mark or scheme.lower() not in ("nfs", SERVICE):
        raise BadUrl(f"{text!r} is no NFS URL: it must look like {SHAPE}")
    place, _, query = rest.partition("?")
    where, slash, path = place.partition("/")
    if not where:
        raise BadUrl(f"{text!r} names no host: it must look like {SHAPE}")
    if "@" in where:
        raise BadUrl(f"{text!r}: NFS has no user names in URLs; use ?uid=N&gid=N")
    try:
        host, port = parse_authority(where)
        service = scheme.lower() == SERVICE
        if service and port is not None:
            raise BadUrl("the port of a service is in DNS")
        return NfsUrl(host=host, port=port, service=service, path=_path(slash + path), **_arguments(query))
    except BadUrl as wrong:
        raise BadUrl(f"{text!r}: {wrong}") from None


def _path(quoted: str) -> bytes:
    names = [name for name in unquote_to_bytes(os.fsencode(quoted)).split(b"/") if name not in (b"", b".")]
    if b".." in names:
        raise BadUrl("a remote path cannot hold '..'")
    if any(b"\0" in name for name in names):
        raise BadUrl("a remote path cannot hold NUL")
    return b"/" + b"/".join(names)


def _number(text: str, most: int) -> int:
    if not text.isdecimal() or not text.isascii() or int(text) > most:
        raise BadUrl(f"{text!r} is not a number from 0 to {most}")
    return int(text)


def _port(text: str) -> int:
    port = _number(text, 65535)
    if port == 0:
        raise BadUrl("port 0 cannot be called")
    return port


def _identity(text: str) -> int:
    return _number(text, 0xFFFF_FFFF)


def _one_of(*allowed: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        if text not in allowed:
            raise BadUrl(f"{text!r} is not {' or '.join(allowed)}")
        return text

    return check


def _version(text: str) -> int:
    return int(_one_of("2")(text))


def _size(least: int, most: int) -> Callable[[str], int]:
    def check(text: str) -> int:
        size = _number(text, most)
        if size < least:
            raise BadUrl(f"{text!r} is not a number from {least} to {most}")
        return size

    return check


def _transfer(text: str) -> int:
    size = _number(text, 1 << 30)
    if size < 512:
        raise BadUrl(f"{text!r} is less than 512")
    return min(1 << (size.bit_length() - 1), PAGE)


def _seconds(text: str) -> dict[str, float]:
    return {"file_min": (lifetime := float(_number(text, 86400))), "file_max": lifetime,
            "directory_min": lifetime, "directory_max": lifetime}  # fmt: skip


def _switched(field: str, value: bool) -> Callable[[str], dict[str, Any]]:
    """An argument that needs no value: ``soft`` and ``soft=1`` are the same, ``soft=0`` is the opposite."""

    def check(text: str) -> dict[str, Any]:
        return {field: value if _one_of("", "0", "1")(text) != "0" else not value}

    return check


def _reconnect(text: str) -> dict[str, Any]:
    return {"hard": True} if text == "-1" else {"hard": False, "retrans": _number(text, 1_000_000)}


def _one(field: str, convert: Callable[[str], Any]) -> Callable[[str], dict[str, Any]]:
    return lambda text: {field: convert(text)}


_ARGUMENTS: Mapping[str, Callable[[str], dict[str, Any]]] = MappingProxyType({
    "version": _one("version", _version),
    "proto": _one("proto", _one_of("tcp", "udp")),
    "sec": _one("sec", _one_of("sys", "none", "krb5", "krb5i", "krb5p", "dh")),
    "netname": _one("netname", str),
    "uid": _one("uid", _identity),
    "gid": _one("gid", _identity),
    "mountport": _one("mount_port", _port),
    "nfsport": _one("nfs_port", _port),
    "hard": _switched("hard", True),
    "soft": _switched("hard", False),
    "autoreconnect": _reconnect,
    "timeo": _one("timeout", lambda text: _size(1, 864000)(text) / 10),
    "retrans": _one("retrans", lambda text: _number(text, 1_000_000)),
    "rsize": _one("read_size", _transfer),
    "wsize": _one("write_size", _transfer),
    "readdir-buffer": _one("readdir_size", lambda text: min(_size(512, 1 << 30)(text), PAGE)),
    "readahead": _one("read_ahead", lambda text: _number(text, 1 << 30)),
    "dircache": _switched("names", True),
    "noac": lambda text: _seconds("0") if _one_of("", "0", "1")(text) != "0" else {},
    "actimeo": _seconds,
    "acregmin": _one("file_min", lambda text: float(_number(text, 86400))),
    "acregmax": _one("file_max", lambda text: float(_number(text, 86400))),
    "acdirmin": _one("directory_min", lambda text: float(_number(text, 86400))),
    "acdirmax": _one("directory_max", lambda text: float(_number(text, 86400))),
})
_OPTIONS = frozenset(field.name for field in fields(Options))


def _arguments(query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in _ARGUMENTS:
            raise BadUrl(f"unknown argument {name!r}; there are {', '.join(_ARGUMENTS)}")
        try:
            found.update(_ARGUMENTS[name](value))
        except BadUrl as wrong:
            raise BadUrl(f"argument {name}: {wrong}") from None
    chosen = {name: found.pop(name) for name in _OPTIONS & found.keys()}
    try:
        return {**found, "options": Options(**chosen)}
    except ValueError as wrong:
        raise BadUrl(str(wrong)) from None
