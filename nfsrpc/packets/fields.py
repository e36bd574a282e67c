"""The fields that matter, in a few words: what a call asks for and what its reply brings."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from nfsrpc.protocols import mount, nfs_prot, portmap
from nfsrpc.xdr import Record

from .decoded import Decoded
from .paths import Paths, shown

_UNSET = 0xFFFF_FFFF
_MOST_WORDS = 160
_KINDS = {0: "none", 1: "file", 2: "dir", 3: "block", 4: "char", 5: "link", 6: "socket", 7: "bad", 8: "fifo"}
_PROTOCOLS = {6: "tcp", 17: "udp"}
Name = Callable[[bytes], str]


class Fields:
    """Describes calls and replies; handles are shown as the paths that `paths` knows."""

    def __init__(self, paths: Paths) -> None:
        self._paths = paths

    def call(self, decoded: Decoded) -> str:
        """What the call asks for."""
        if not decoded.arguments:
            return ""
        exchange = decoded.exchange

        def name(handle: bytes) -> str:
            return self._paths.text(exchange.server.host, handle)

        describe = _CALLS.get((exchange.program, exchange.procedure)) if _described(decoded) else None
        return describe(decoded.arguments[0], name) if describe else _words(decoded.arguments)

    def reply(self, decoded: Decoded) -> str:
        """What the reply brings, beside its status; "" for nothing."""
        if decoded.result is None:
            return ""
        exchange = decoded.exchange
        describe = _REPLIES.get((exchange.program, exchange.procedure)) if _described(decoded) else None
        if describe is not None:
            return describe(decoded.result) if decoded.ok else ""
        return _words((decoded.result,))


def _described(decoded: Decoded) -> bool:
    return (decoded.exchange.program, decoded.exchange.version) in _VERSIONS


def handles(decoded: Decoded) -> list[bytes]:
    """The NFS and MOUNT handles that a call names or its reply hands out, for filters."""
    found: list[bytes] = []
    pending: list[Any] = [decoded.result, *(decoded.arguments or ())]
    while pending:
        item = pending.pop()
        if isinstance(item, nfs_prot.nfs_fh):
            found.append(item.data)
        elif isinstance(item, mount.fhstatus):
            found += [] if item.directory is None else [item.directory]
        elif isinstance(item, Record) and not isinstance(item, nfs_prot.dirlist):
            pending += [getattr(item, name) for name in item.__slots__]
    return found


def _words(values: tuple[Any, ...]) -> str:
    """Any value as ``name=value name=value``, cut to a line."""
    words: list[str] = []
    pending: list[tuple[str, Any]] = [("", value) for value in reversed(values)]
    while pending and sum(map(len, words)) < _MOST_WORDS:
        label, item = pending.pop()
        if isinstance(item, Record):
            pending += [(name.rstrip("_"), getattr(item, name)) for name in reversed(item.__slots__)]
            continue
        if item is None:
            continue
        text = f"{len(item)} items" if isinstance(item, list) else _scalar(item)
        words.append(f"{label}={text}" if label else text)
    line = " ".join(words)
    return line if len(line) <= _MOST_WORDS else line[: _MOST_WORDS - 1] + "…"


def _scalar(value: Any) -> str:
    if isinstance(value, bytes):
        return f"'{shown(value)}'" if len(value) <= 64 and value.isascii() else f"{len(value)} bytes"
    return getattr(value, "name", None) or str(value)


def _where(where: nfs_prot.diropargs, name: Name) -> str:
    directory = name(where.dir.data)
    return f"{directory.rstrip('/')}/{shown(where.name)}"


def _sattr(wanted: nfs_prot.sattr) -> str:
    parts = [f"mode={wanted.mode & 0o177777:o}"] if wanted.mode != _UNSET else []
    for label in ("uid", "gid", "size"):
        value = getattr(wanted, label)
        if value != _UNSET:
            parts.append(f"{label}={value}")
    for label in ("atime", "mtime"):
        seconds = getattr(wanted, label).seconds
        if seconds != _UNSET:
            parts.append(f"{label}={seconds}")
    return " ".join(parts)


def _attributes(found: nfs_prot.fattr) -> str:
    return f"{_KINDS.get(found.type, found.type)} {found.mode & 0o7777:04o} {found.uid}:{found.gid} {found.size} B"


def _attrstat(result: nfs_prot.attrstat) -> str:
    return _attributes(result.attributes) if result.attributes else ""


def _diropres(result: nfs_prot.diropres) -> str:
    return _attributes(result.diropres.attributes) if result.diropres else ""


def _read(result: nfs_prot.readres) -> str:
    reply = result.reply
    return f"{len(reply.data)} B of {reply.attributes.size}" if reply else ""


def _listed(result: nfs_prot.readdirres) -> str:
    if result.reply is None:
        return ""
    count, entry = 0, result.reply.entries
    while entry is not None:
        count, entry = count + 1, entry.nextentry
    return f"{count} names{' eof' if result.reply.eof else ''}"


def _statfs(result: nfs_prot.statfsres) -> str:
    found = result.reply
    return f"{found.bavail} of {found.blocks} blocks of {found.bsize} B free" if found else ""


def _mapping(wanted: portmap.mapping, name: Name) -> str:
    text = f"prog={wanted.prog} vers={wanted.vers} {_PROTOCOLS.get(wanted.prot, wanted.prot)}"
    return f"{text} port={wanted.port}" if wanted.port else text


def _counted(label: str, following: str) -> Callable[[Any], str]:
    def describe(first: Any) -> str:
        count = 0
        while first is not None:
            count, first = count + 1, getattr(first, following)
        return f"{count} {label}"

    return describe


_NFS, _MOUNT, _PORTMAP = nfs_prot.NFS_PROGRAM, mount.MOUNTPROG, portmap.PMAP_PROG
_VERSIONS = frozenset({(_NFS, 2), (_MOUNT, 1), (_MOUNT, 2), (_PORTMAP, 2)})
_CALLS: Mapping[tuple[int, int], Callable[[Any, Name], str]] = MappingProxyType({
    (_NFS, 1): lambda a, name: name(a.data),
    (_NFS, 2): lambda a, name: f"{name(a.file.data)} {_sattr(a.attributes)}".rstrip(),
    (_NFS, 4): _where,
    (_NFS, 5): lambda a, name: name(a.data),
    (_NFS, 6): lambda a, name: f"{name(a.file.data)} {a.count} B at {a.offset}",
    (_NFS, 8): lambda a, name: f"{name(a.file.data)} {len(a.data)} B at {a.offset}",
    (_NFS, 9): lambda a, name: f"{_where(a.where, name)} {_sattr(a.attributes)}".rstrip(),
    (_NFS, 10): _where,
    (_NFS, 11): lambda a, name: f"{_where(a.from_, name)} -> {_where(a.to, name)}",
    (_NFS, 12): lambda a, name: f"{name(a.from_.data)} -> {_where(a.to, name)}",
    (_NFS, 13): lambda a, name: f"{_where(a.from_, name)} says '{shown(a.to)}'",
    (_NFS, 14): lambda a, name: f"{_where(a.where, name)} {_sattr(a.attributes)}".rstrip(),
    (_NFS, 15): _where,
    (_NFS, 16): lambda a, name: f"{name(a.dir.data)} from {int.from_bytes(a.cookie, 'big')}, {a.count} B",
    (_NFS, 17): lambda a, name: name(a.data),
    (_MOUNT, 1): lambda a, name: shown(a),
    (_MOUNT, 3): lambda a, name: shown(a),
    (_MOUNT, 7): lambda a, name: shown(a),
    (_PORTMAP, 1): _mapping,
    (_PORTMAP, 2): _mapping,
    (_PORTMAP, 3): _mapping,
})
_REPLIES: Mapping[tuple[int, int], Callable[[Any], str]] = MappingProxyType({
    (_NFS, 1): _attrstat,
    (_NFS, 2): _attrstat,
    (_NFS, 4): _diropres,
    (_NFS, 5): lambda result: f"'{shown(result.data)}'",
    (_NFS, 6): _read,
    (_NFS, 8): _attrstat,
    (_NFS, 9): _diropres,
    (_NFS, 14): _diropres,
    (_NFS, 10): lambda result: "",
    (_NFS, 11): lambda result: "",
    (_NFS, 12): lambda result: "",
    (_NFS, 13): lambda result: "",
    (_NFS, 15): lambda result: "",
    (_NFS, 16): _listed,
    (_NFS, 17): _statfs,
    (_MOUNT, 1): lambda result: "",
    (_MOUNT, 2): _counted("mounts", "ml_next"),
    (_MOUNT, 5): _counted("exports", "ex_next"),
    (_MOUNT, 6): _counted("exports", "ex_next"),
    (_PORTMAP, 3): lambda port: f"port {port}",
    (_PORTMAP, 4): _counted("mappings", "next"),
})
