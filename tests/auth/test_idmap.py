"""Network names to UNIX identities."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from nfsrpc.auth.idmap import BadMapping, IdMap, Unix, read_static

SERVER = "nfs/host@HERE"
USER = next(entry for entry in pwd.getpwall() if entry.pw_uid not in (0, os.getuid()) and entry.pw_name.isalpha())


def unix(entry: pwd.struct_passwd) -> Unix:
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return Unix(entry.pw_uid, entry.pw_gid, tuple(gid for gid in groups if gid != entry.pw_gid))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (f"{USER.pw_name}@HERE", True),
        (f"{USER.pw_name}@THERE", False),
        (f"{USER.pw_name}/admin@HERE", False),
        (USER.pw_name, False),
        ("no such user@HERE", False),
        ("root@HERE", False),
        ("nfs/host@HERE", False),
        ("@HERE", False),
        ("", False),
        ("nul\0@HERE", False),
    ],
)
def test_principals(name: str, known: bool) -> None:
    assert IdMap().principal(name, SERVER) == (unix(USER) if known else None)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (f"unix.{USER.pw_uid}@any.where", True),
        ("unix.0@any.where", False),
        ("unix.host@any.where", False),
        ("unix.3999999999@any.where", False),
        ("unix.99999999999@any.where", False),
        (f"unix.{USER.pw_uid}@", False),
        (f"unix.{USER.pw_uid}", False),
        ("", False),
    ],
)
def test_netnames(name: str, known: bool) -> None:
    assert IdMap().netname(name) == (unix(USER) if known else None)


def test_realms_are_those_that_are_named() -> None:
    idmap = IdMap(realms=["THERE", "dom.ain"])
    assert idmap.principal(f"{USER.pw_name}@THERE", SERVER) == unix(USER)
    assert idmap.principal(f"{USER.pw_name}@HERE", SERVER) is None
    assert idmap.netname(f"unix.{USER.pw_uid}@dom.ain") == unix(USER)
    assert idmap.netname(f"unix.{USER.pw_uid}@other") is None


def test_the_static_map_comes_first_and_may_name_root(tmp_path: Path) -> None:
    path = tmp_path / "map"
    path.write_text(
        f"# services\nnfs/client@HERE  0 0   # a diskless machine\n\nunix.vm@d 0 0,1,2\nsomeone@AFAR {USER.pw_name}\n"
    )
    idmap = IdMap(read_static(path))
    assert idmap.principal("nfs/client@HERE", SERVER) == Unix(0, 0, ())
    assert idmap.netname("unix.vm@d") == Unix(0, 0, (1, 2))
    assert idmap.principal("someone@AFAR", SERVER) == unix(USER)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("name", "expected NAME USER"),
        ("name 1 2 3", "expected NAME USER"),
        ("name nobody-here-has-this-name", "no user"),
        ("name x 1", "invalid literal"),
    ],
)
def test_broken_map_files_are_told_by_line(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "map"
    path.write_text(f"good 1 1\n{line}\n")
    with pytest.raises(BadMapping, match=f"line 2: .*{words}"):
        read_static(path)


def test_answers_are_kept_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    idmap = IdMap(clock=lambda: now[0])
    assert idmap.netname(f"unix.{USER.pw_uid}@d") is not None

    def gone(uid: int):
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", gone)
    now[0] = 59.0
    assert idmap.netname(f"unix.{USER.pw_uid}@d") is not None
    now[0] = 61.0
    assert idmap.netname(f"unix.{USER.pw_uid}@d") is None
