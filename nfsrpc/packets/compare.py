"""What of a result must be the same on any server: status, contents, names, modes; not handles, times or numbers."""

from typing import Any

from nfsrpc.protocols import mount, nfs_prot

from .rewrite import FIRST
from .structure import plain

_OWN = frozenset({
    "atime", "mtime", "ctime", "fileid", "fsid", "blocks", "blocksize", "rdev", "file", "directory", "cookie",
})  # fmt: skip
"""Fields in which servers differ by right."""
_DIRECTORY = nfs_prot.ftype.NFDIR.name


def difference(arguments: tuple[Any, ...], recorded: Any, now: Any) -> str:
    """The first difference that matters between two results of one call, as ``where: recorded, now``; "" for none."""
    return _unlike("", _essence(arguments, recorded), _essence(arguments, now))


def _essence(arguments: tuple[Any, ...], result: Any) -> Any:
    if isinstance(result, nfs_prot.statfsres):
        return {"status": result.status.name}
    if isinstance(result, nfs_prot.readdirres):
        return _listing(arguments[0], result)
    if isinstance(result, (mount.mountbody, mount.exportnode)):
        return None
    return _without_own(plain(result))


def _listing(wanted: nfs_prot.readdirargs, result: nfs_prot.readdirres) -> Any:
    """The names, where one page holds them all: servers may cut pages elsewhere, and sort otherwise."""
    essence: dict[str, Any] = {"status": result.status.name}
    if result.reply is not None and result.reply.eof and wanted.cookie == FIRST:
        names, entry = set(), result.reply.entries
        while entry is not None:
            names.add(entry.name)
            entry = entry.nextentry
        essence["names"] = sorted(name.decode("utf-8", "backslashreplace") for name in names - {b".", b".."})
    return essence


def _without_own(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_own(item) for item in value]
    if not isinstance(value, dict):
        return value
    # What a directory's size and links are is the file system's own affair, too.
    own = _OWN | {"size", "nlink"} if value.get("type") == _DIRECTORY else _OWN
    return {name: _without_own(item) for name, item in value.items() if name not in own}


def _unlike(where: str, a: Any, b: Any) -> str:
    if isinstance(a, dict) and isinstance(b, dict):
        for name in a.keys() | b.keys():
            if found := _unlike(f"{where}.{name}" if where else name, a.get(name), b.get(name)):
                return found
        return ""
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        unlike = (_unlike(f"{where}[{n}]", x, y) for n, (x, y) in enumerate(zip(a, b, strict=True)))
        return next(filter(None, unlike), "")
    if a == b:
        return ""
    return f"{where or 'result'}: recorded {_short(a)}, now {_short(b)}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}… ({len(text)} characters)"
