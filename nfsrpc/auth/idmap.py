"""Network names to UNIX identities: one map for netnames (AUTH_DH) and Kerberos principals."""

import grp
import os
import pwd
import re
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

_KEPT_SECONDS = 60.0
"""How long an answer of the passwd database is believed: it may be on a network."""
_CACHED = 4096
_USER_NETNAME = re.compile(r"unix\.(\d{1,10})@(.+)")


class Unix(NamedTuple):
    """A UNIX identity."""

    uid: int
    gid: int
    gids: tuple[int, ...]


class IdMap:
    """Finds the identity behind a name; one that is not found acts as nobody.

    static
        Names (whole, as they travel) that are mapped before anything else is asked; see `read_static`.
    realms
        Kerberos realms and NIS domains whose users are this machine's users. None: the realm of
        the server's own principal, and every domain (whose public keys the administrator has chosen).
        ``user@REALM`` is the user of that name, ``unix.UID@DOMAIN`` the user with that number.
        Principals of services and hosts (``nfs/host@REALM``, ``unix.host@DOMAIN``) and root
        are nobody unless `static` has them: another machine's root is not ours.
    """

    def __init__(
        self,
        static: Mapping[str, Unix] | None = None,
        realms: Collection[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._static = dict(static or {})
        self._realms = None if realms is None else frozenset(realms)
        self._clock = clock
        self._known: dict[str, tuple[float, Unix | None]] = {}

    def netname(self, name: str) -> Unix | None:
        """Whom a netname acts as, None for nobody."""
        return self._find(name, self._netname_user)

    def principal(self, name: str, server: str) -> Unix | None:
        """Whom a Kerberos principal acts as, None for nobody; `server` is the server's own principal."""
        return self._find(name, lambda principal: self._principal_user(principal, server.rpartition("@")[2]))

    def _find(self, name: str, look_up: Callable[[str], Unix | None]) -> Unix | None:
        static = self._static.get(name)
        if static is not None:
            return static
        now = self._clock()
        known = self._known.get(name)
        if known is not None and known[0] > now:
            return known[1]
        found = look_up(name)
        if found is not None and found.uid == 0:
            found = None
        if len(self._known) >= _CACHED:
            self._known.clear()
        self._known[name] = now + _KEPT_SECONDS, found
        return found

    def _netname_user(self, name: str) -> Unix | None:
        match = _USER_NETNAME.fullmatch(name)
        if match is None or not (self._realms is None or match[2] in self._realms) or int(match[1]) >= 1 << 32:
            return None
        uid = int(match[1])
        try:
            entry = pwd.getpwuid(uid)
        except (KeyError, OverflowError):
            return None
        return _with_groups(entry)

    def _principal_user(self, name: str, own_realm: str) -> Unix | None:
        user, at, realm = name.rpartition("@")
        if not at or "/" in user or realm not in ((own_realm,) if self._realms is None else self._realms):
            return None
        try:
            entry = pwd.getpwnam(user)
        except (KeyError, ValueError):
            return None
        return _with_groups(entry)


def _with_groups(entry: pwd.struct_passwd) -> Unix:
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Unix(entry.pw_uid, entry.pw_gid, tuple(gid for gid in groups if gid != entry.pw_gid))


class BadMapping(ValueError):
    """A line of a map file that is none; the text has file, line and reason."""


def read_static(path: str | os.PathLike[str]) -> dict[str, Unix]:
    """A map file: lines of ``NAME USER`` (a user of this machine) or ``NAME UID GID[,GID...]``; ``#`` comments.

    Raises OSError, and `BadMapping` for the first line that is none.
    """
    found = {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            fields = line.partition("#")[0].split()
            if not fields:
                continue
            try:
                found[fields[0]] = _mapped(fields[1:])
            except (ValueError, KeyError) as wrong:
                raise BadMapping(f"{os.fspath(path)}, line {number}: {wrong}") from None
    return found


def _mapped(fields: list[str]) -> Unix:
    if len(fields) == 1 and not fields[0].isdecimal():
        try:
            return _with_groups(pwd.getpwnam(fields[0]))
        except KeyError:
            raise ValueError(f"this machine has no user {fields[0]}") from None
    if len(fields) != 2:
        raise ValueError("expected NAME USER or NAME UID GID[,GID...]")
    gids = [int(gid) if gid.isdecimal() else grp.getgrnam(gid).gr_gid for gid in fields[1].split(",")]
    return Unix(int(fields[0]), gids[0], tuple(gids[1:]))
