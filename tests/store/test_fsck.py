"""Every invariant: broken by hand, found by fsck, mended by repair."""

import os
import sqlite3
import stat

import pytest

from nfsrpc.store.volume import Volume
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.store.volume.repair import repair_volume

REG, DIR, LNK = stat.S_IFREG | 0o644, stat.S_IFDIR | 0o755, stat.S_IFLNK | 0o777

ROOT, D, E, F, G, S, P = range(2, 9)
"""Inode numbers of the tree below: /, /d, /d/e, /f (also /d/f2), /d/g, /d/s, /p"""


@pytest.fixture
def tree(volume_path, once):
    """A volume with a file of each kind, closed."""
    volume = Volume.open(volume_path)
    root = volume.root
    d = once(volume, "create", root, b"d", DIR, 0, 0).ufid
    once(volume, "create", d, b"e", DIR, 0, 0)
    f = once(volume, "create", root, b"f", REG, 0, 0).ufid
    once(volume, "write", f, 0, b"contents of f")
    once(volume, "link", f, d, b"f2")
    g = once(volume, "create", d, b"g", REG, 0, 0).ufid
    once(volume, "write", g, 100, b"contents of g")
    once(volume, "create", d, b"s", LNK, 0, 0, 0, b"../f")
    once(volume, "create", root, b"p", stat.S_IFIFO | 0o600, 0, 0)
    removed = once(volume, "create", root, b"removed", REG, 0, 0)
    assert removed.inode == P + 1
    once(volume, "unlink", root, b"removed")
    volume.close()
    assert list(check_volume(volume_path)) == []
    return volume_path


def execute(path, *statements):
    connection = sqlite3.connect(path / "meta.sqlite")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def content_file(path, inode):
    (found,) = path.glob(f"data/*/{inode:08x}.*")
    return found


def listing(path):
    """Names below the root, with inode numbers."""
    volume = Volume.open(path)
    found = {}

    def walk(directory, above):
        for entry in volume.readdir(directory, 2, 1000)[0]:
            row = volume.lookup(directory, entry.name)
            found[above + entry.name] = row.inode
            if stat.S_ISDIR(row.mode):
                walk(row.ufid, above + entry.name + b"/")

    with volume.work(changing=False):
        walk(volume.root, b"")
    volume.close()
    return found


WHOLE = {b"d": D, b"d/e": E, b"f": F, b"d/f2": F, b"d/g": G, b"d/s": S, b"p": P}
L = b"lost+found"

# statements -> (check, inode) of the findings, and what the tree looks like after repair
DAMAGE = {
    "link count": (["UPDATE inodes SET nlink = 7 WHERE inode = 5"], {("links", F)}, WHOLE),
    "directory link count": (["UPDATE inodes SET nlink = 2 WHERE inode = 3"], {("links", D)}, WHOLE),
    "orphan file": (
        ["DELETE FROM names WHERE inode = 6"],
        {("orphan", G)},
        {**{name: inode for name, inode in WHOLE.items() if inode != G}, L: 9, L + b"/#6": G},
    ),
    "orphan directory": (
        ["DELETE FROM names WHERE inode = 3"],
        {("orphan", D), ("links", ROOT)},
        {b"f": F, b"p": P, L: 9, L + b"/#3": D, L + b"/#3/e": E, L + b"/#3/f2": F, L + b"/#3/g": G, L + b"/#3/s": S},
    ),
    "lost link": (
        ["DELETE FROM names WHERE name = x'6632'"],
        {("links", F)},
        {name: inode for name, inode in WHOLE.items() if name != b"d/f2"},
    ),
    "name without inode": (
        ["INSERT INTO names VALUES (2, x'78', 77, 1000)", "UPDATE inodes SET cookie = 1001 WHERE inode = 2"],
        {("name", 77)},
        WHOLE,
    ),
    "inode gone": (
        ["DELETE FROM inodes WHERE inode = 8", "UPDATE state SET inodes = inodes - 1"],
        {("name", P), ("free", None)},
        {name: inode for name, inode in WHOLE.items() if inode != P},
    ),
    "name in a file": (
        ["UPDATE names SET directory = 5 WHERE name = x'70'"],
        {("name", P), ("cookie", F)},
        {**{name: inode for name, inode in WHOLE.items() if inode != P}, L: 9, L + b"/#8": P},
    ),
    "bad name": (
        ["UPDATE names SET name = x'612f62' WHERE name = x'70'"],
        {("name", P)},
        {**{name: inode for name, inode in WHOLE.items() if inode != P}, L: 9, L + b"/#8": P},
    ),
    "text name": (
        ["UPDATE names SET name = 'p' WHERE name = x'70'"],
        {("name", P)},
        {**{name: inode for name, inode in WHOLE.items() if inode != P}, L: 9, L + b"/#8": P},
    ),
    "cookie beyond": (["UPDATE names SET cookie = 5000 WHERE name = x'66'"], {("cookie", ROOT)}, WHOLE),
    "cookie of dot": (["UPDATE names SET cookie = 1 WHERE name = x'66'"], {("cookie", ROOT)}, WHOLE),
    "cookie counter": (["UPDATE inodes SET cookie = 3 WHERE inode = 3"], {("cookie", D)}, WHOLE),
    "parent": (["UPDATE inodes SET parent = 2 WHERE inode = 4"], {("directory", E)}, WHOLE),
    "two names of a directory": (
        ["INSERT INTO names VALUES (2, x'78', 4, 6)"],
        {("directory", E), ("links", ROOT)},
        WHOLE,
    ),
    "ring": (
        ["UPDATE names SET directory = 4 WHERE inode = 3", "UPDATE inodes SET parent = 4 WHERE inode = 3",
         "UPDATE inodes SET nlink = 3 WHERE inode = 4", "UPDATE inodes SET nlink = 2 WHERE inode = 2"],
        {("directory", D), ("directory", E), ("cookie", E)},
        None,
    ),
    "symlink without target": (
        ["DELETE FROM symlinks"],
        {("symlink", S)},
        {name: inode for name, inode in WHOLE.items() if inode != S},
    ),
    "symlink size": (["UPDATE inodes SET size = 99 WHERE inode = 7"], {("symlink", S)}, WHOLE),
    "target without symlink": (["INSERT INTO symlinks VALUES (6, x'78')"], {("symlink", G)}, WHOLE),
    "no type": (["UPDATE inodes SET mode = 420 WHERE inode = 8"], {("attributes", P)}, WHOLE),
    "negative size": (["UPDATE inodes SET size = -1 WHERE inode = 8"], {("attributes", P)}, WHOLE),
    "content of a fifo": (
        ["UPDATE inodes SET content = 1 WHERE inode = 8"],
        {("attributes", P), ("content", P)},
        WHOLE,
    ),
    "inode count": (["UPDATE state SET inodes = 50"], {("state", None)}, WHOLE),
    "next inode": (["UPDATE state SET next_inode = 5"], {("state", None), ("free", None), ("free", P + 1)}, WHOLE),
    "no state": (["DELETE FROM state"], {("state", None)}, WHOLE),
    "free and in use": (["INSERT INTO free VALUES (5)"], {("free", F), ("free", None)}, WHOLE),
    "free beyond": (["INSERT INTO free VALUES (1000)"], {("free", 1000), ("free", None)}, WHOLE),
    "number lost": (["DELETE FROM free"], {("free", None)}, WHOLE),
    "generation beyond": (["UPDATE inodes SET generation = 4000000 WHERE inode = 8"], {("generation", P)}, WHOLE),
    "generation 0": (["UPDATE inodes SET generation = 0 WHERE inode = 8"], {("generation", P)}, WHOLE),
    "root generation": (["UPDATE inodes SET generation = generation + 1 WHERE inode = 2"], {("root", ROOT)}, WHOLE),
    "quota": (
        ["INSERT INTO quotas VALUES (-1, 0, 7, 9, 1), (5, 10, 3, 0, 2)"],
        {("quota", None)},
        WHOLE,
    ),
    "root named": (
        ["INSERT INTO names VALUES (4, x'78', 2, 3)", "UPDATE inodes SET cookie = 4 WHERE inode = 4"],
        {("root", ROOT), ("directory", ROOT), ("links", E)},
        WHOLE,
    ),
    "root gone": (
        ["DELETE FROM inodes WHERE inode = 2"],
        {("root", ROOT), ("name", D), ("name", F), ("name", P), ("state", None), ("free", None),
         ("directory", D), ("directory", E)},
        WHOLE,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_damage(tree, name):
    statements, expected, mended = DAMAGE[name]
    execute(tree, *statements)
    found = list(check_volume(tree))
    assert {(finding.check, finding.inode) for finding in found} == expected
    assert not any(finding.leftover for finding in found)
    assert list(check_volume(tree)) == found, "checking changes nothing"
    assert repair_volume(tree) == []
    after = listing(tree)
    assert mended is None or after == mended
    assert list(check_volume(tree)) == []


def test_no_file_is_lost_in_a_ring(tree):
    execute(tree, *DAMAGE["ring"][0])
    assert repair_volume(tree) == []
    assert set(listing(tree).values()) == {D, E, F, G, S, P, P + 1}


def test_host_files(tree):
    (tree / "data" / "stranger").write_bytes(b"")
    shard = tree / "data" / "000000"
    (shard / "notes.txt").write_bytes(b"")
    assert [finding.leftover for finding in check_volume(tree)] == [False, False]
    os.unlink(tree / "data" / "stranger")
    os.unlink(shard / "notes.txt")

    (shard / "00000009.00ffffff").write_bytes(b"left by a crash")
    with content_file(tree, F).open("ab") as file:
        file.write(b"left by a crash")
    assert [(finding.check, finding.leftover) for finding in check_volume(tree)] == [("content", True)] * 2
    assert repair_volume(tree) == []
    assert content_file(tree, F).read_bytes() == b"contents of f"

    content_file(tree, F).unlink()
    assert [(finding.check, finding.inode, finding.leftover) for finding in check_volume(tree)] == [
        ("content", F, False)
    ]
    volume = Volume.open(tree)
    with volume.work(changing=False), pytest.raises(OSError):
        volume.read(volume.lookup(volume.root, b"f").ufid, 0, 100)
    volume.close()
    assert repair_volume(tree) == []
    volume = Volume.open(tree)
    with volume.work(changing=False):
        assert volume.lookup(volume.root, b"f").size == 0
    volume.close()


def test_a_damaged_database(tree):
    with open(tree / "meta.sqlite", "r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * 8192)
    found = list(check_volume(tree))
    assert {(finding.check, finding.leftover) for finding in found} == {("database", False)}
    with pytest.raises(OSError, match="volume database"):
        repair_volume(tree)
