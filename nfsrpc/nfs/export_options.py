"""The options of exports(5): what each word asks for, and what it is by default."""

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from .identity import NOBODY, Squash
from .security import NAMES

_ID_MAX = 2**32 - 2
_FSID_MAX = 2**32 - 1


class BadOption(ValueError):
    """An option that cannot be taken; the text says why, and what to write instead."""


class Access(NamedTuple):
    """What may differ between callers that are known in different ways (``sec=``)."""

    read_only: bool = True
    secure: bool = True
    root_squash: bool = True
    all_squash: bool = False


DEFAULTS = Access()


class ExportOptions(NamedTuple):
    """Everything that an option list says; as it is made, exports(5)'s defaults.

    access
        What holds for ways of being known that no ``sec=`` has named (yet).
    by_security
        What holds for those that one has named; none at all means ``sec=sys``.
    active
        The ways that the latest ``sec=`` named: options that follow are about them.
    sync
        Answer changes when they are on stable storage.
    fsid
        The file system id that clients see, and under which handles know the export; None: the store's own.
    transports
        How callers may come: ``none`` (in clear), ``tls``, ``mtls`` (TLS, and the client has shown a certificate);
        None: any of these.
    """

    access: Access = DEFAULTS
    by_security: Mapping[str, Access] = MappingProxyType({})
    active: frozenset[str] = frozenset()
    anonuid: int = NOBODY
    anongid: int = NOBODY
    sync: bool = True
    fsid: int | None = None
    transports: frozenset[str] | None = None

    @property
    def demands_tls(self) -> bool:
        """Whether nobody may come in clear."""
        return self.transports is not None and "none" not in self.transports

    def terms(self) -> dict[str, Access]:
        """The access that callers have, by how they are known."""
        return dict(self.by_security) or {"sys": self.access}

    def squash(self, access: Access) -> Squash:
        """The user id mapping under `access`."""
        return Squash(access.root_squash, access.all_squash, self.anonuid, self.anongid)

    def as_one(self, uid: int, gid: int) -> "ExportOptions":
        """These options, but everybody acts as this user and group."""
        return self._replace(
            access=self.access._replace(all_squash=True),
            by_security={name: access._replace(all_squash=True) for name, access in self.by_security.items()},
            anonuid=uid,
            anongid=gid,
        )

    def with_access(self, **changes: bool) -> "ExportOptions":
        """These options, with fields of `Access` changed for those whom the next option is about."""
        changed = {
            name: access._replace(**changes) if name in self.active else access
            for name, access in self.by_security.items()
        }
        return self._replace(access=self.access._replace(**changes), by_security=changed)

    def with_security(self, names: str) -> "ExportOptions":
        """These options after ``sec=names``; raises `BadOption`."""
        found = [_ALIASES.get(name, name) for name in names.split(":")]
        for name in found:
            if name not in NAMES:
                raise BadOption(f"unknown security {name!r}; there are {', '.join(NAMES)}, joined by ':'")
        added = {name: self.access for name in found if name not in self.by_security}
        return self._replace(by_security={**self.by_security, **added}, active=frozenset(found))


_ALIASES: Mapping[str, str] = MappingProxyType({"unix": "sys", "null": "none"})

_ACCESS: Mapping[str, tuple[str, bool]] = MappingProxyType(
    {
        "ro": ("read_only", True),
        "rw": ("read_only", False),
        "secure": ("secure", True),
        "insecure": ("secure", False),
        "root_squash": ("root_squash", True),
        "no_root_squash": ("root_squash", False),
        "all_squash": ("all_squash", True),
        "no_all_squash": ("all_squash", False),
    }
)

_SEALED = "no handle leads out of an export, with or without it"
_GATHERED = "changes that arrive together are made durable together, always"
_NO_ACL = "the ACL protocol is not served"
_NO_LOCKS = "the lock protocol is not served"
_ONE_STORE = "an export is one store, and nothing is mounted inside it"
_NO_V4 = "it is about NFS version 4"
IDLE: Mapping[str, str] = MappingProxyType(
    {
        "subtree_check": _SEALED,
        "no_subtree_check": _SEALED,
        "wdelay": _GATHERED,
        "no_wdelay": _GATHERED,
        "acl": _NO_ACL,
        "no_acl": _NO_ACL,
        "auth_nlm": _NO_LOCKS,
        "no_auth_nlm": _NO_LOCKS,
        "secure_locks": _NO_LOCKS,
        "insecure_locks": _NO_LOCKS,
        "hide": _ONE_STORE,
        "nohide": _ONE_STORE,
        "crossmnt": _ONE_STORE,
        "nocrossmnt": _ONE_STORE,
        "mountpoint": _ONE_STORE,
        "mp": _ONE_STORE,
        "nordirplus": "READDIRPLUS is not served",
        "pnfs": _NO_V4,
        "no_pnfs": _NO_V4,
        "refer": _NO_V4,
        "replicas": _NO_V4,
        "security_label": _NO_V4,
        "reexport": "nothing is exported again that came over NFS",
        "squash_uids": "single users are not squashed, by any server; all_squash squashes everybody",
        "squash_gids": "single groups are not squashed, by any server; all_squash squashes everybody",
    }
)
"""Words of nfs-utils that are taken and mean nothing here, and why."""


def _number(text: str, name: str) -> int:
    """A user or group id; -2 is what old systems call nobody."""
    if not re.fullmatch(r"-?[0-9]{1,10}", text):
        raise BadOption(f"{name}={text}: not a number")
    number = int(text) if text != "-2" else _ID_MAX
    if not 0 <= number <= _ID_MAX:
        raise BadOption(f"{name}={text}: not between 0 and {_ID_MAX}")
    return number


def _fsid(text: str) -> int:
    """A number, ``root``, or a UUID, which is folded to the 32 bits that clients see."""
    if text == "root":
        return 0
    if re.fullmatch(r"0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10}", text):
        number = int(text, 0) if text[:2] in ("0x", "0X") else int(text)
        if number > _FSID_MAX:
            raise BadOption(f"fsid={text}: not between 0 and {_FSID_MAX}")
        return number
    digits = "".join(re.findall(r"[0-9a-fA-F]", text))
    if len(digits) != 32:
        raise BadOption(f"fsid={text}: neither a number nor 'root' nor a UUID")
    whole = int(digits, 16)
    return whole >> 96 ^ whole >> 64 & _FSID_MAX ^ whole >> 32 & _FSID_MAX ^ whole & _FSID_MAX


def _transports(text: str) -> frozenset[str] | None:
    """The ways that are allowed, None for all; who may come by TLS may show a certificate as well."""
    names = set(text.split(":"))
    for name in sorted(names - _TRANSPORTS):
        raise BadOption(f"unknown transport security {name!r}; there are none, tls, mtls, joined by ':'")
    if "tls" in names:
        names.add("mtls")
    return None if names == _TRANSPORTS else frozenset(names)


_TRANSPORTS = frozenset({"none", "tls", "mtls"})
_VALUED: Mapping[str, Callable[[ExportOptions, str], ExportOptions]] = MappingProxyType(
    {
        "anonuid": lambda options, text: options._replace(anonuid=_number(text, "anonuid")),
        "anongid": lambda options, text: options._replace(anongid=_number(text, "anongid")),
        "fsid": lambda options, text: options._replace(fsid=_fsid(text)),
        "sec": ExportOptions.with_security,
        "xprtsec": lambda options, text: options._replace(transports=_transports(text)),
    }
)
ASYNC_RISK = "a power cut can take the latest changes that clients were told are safe"
_SYNC: Mapping[str, bool] = MappingProxyType({"sync": True, "async": False})


def split_options(text: str) -> Iterator[tuple[int, str]]:
    """(index in `text`, option) of each option of a list; the numbers of ``squash_uids=1,2`` are its own."""
    for found in re.finditer(r"squash_[ug]ids=[0-9-]+(?:,[0-9-]+)*|[^,]+", text):
        yield found.start(), found[0]


def with_option(options: ExportOptions, word: str) -> tuple[ExportOptions, str | None]:
    """`options` after one more `word`, and a remark if that word means nothing here. Raises `BadOption`."""
    name, equals, value = word.partition("=")
    if not equals and name in _ACCESS:
        key, setting = _ACCESS[name]
        return options.with_access(**{key: setting}), None
    if not equals and name in _SYNC:
        return options._replace(sync=_SYNC[name]), None if _SYNC[name] else f"async: {ASYNC_RISK}"
    if equals and name in _VALUED:
        return _VALUED[name](options, value), None
    if name in IDLE:
        return options, f"{name} changes nothing here: {IDLE[name]}"
    if name in _VALUED:
        raise BadOption(f"{name} needs a value: {name}=...")
    if name in _ACCESS or name in _SYNC:
        raise BadOption(f"{name} takes no value")
    known = sorted([*_ACCESS, *_SYNC, *(f"{name}=" for name in _VALUED), *IDLE])
    close = _closest(word, known)
    raise BadOption(f"unknown option {word!r}" + (f"; did you mean {close!r}?" if close else ""))


def _closest(word: str, known: list[str]) -> str | None:
    from difflib import get_close_matches

    found = get_close_matches(word, known, 1, 0.7)
    return found[0] if found else None
