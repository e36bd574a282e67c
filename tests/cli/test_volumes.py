"""The commands that work on a volume."""

import json
import shutil
import sqlite3
import stat

import pytest
from click.testing import CliRunner

from nfsrpc.cli import main
from nfsrpc.store.volume import Volume, VolumeLock


@pytest.fixture
def run():
    def invoke(*arguments):
        return CliRunner().invoke(main, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def made(tmp_path, run):
    assert run("mkfs", tmp_path / "volume").exit_code == 0
    return tmp_path / "volume"


def test_mkfs_options(tmp_path, run):
    result = run("mkfs", tmp_path / "volume", "--uid", 5, "--gid", 6, "--mode", "1777")
    assert (result.exit_code, result.output) == (0, "")
    volume = Volume.open(tmp_path / "volume")
    root = volume.getattr(volume.root)
    volume.close()
    assert (root.uid, root.gid, stat.S_IMODE(root.mode)) == (5, 6, 0o1777)


@pytest.mark.parametrize("option", [("--mode", "9"), ("--mode", "77777"), ("--uid", "-1"), ("--gid", "root"), ("-x",)])
def test_mkfs_usage(tmp_path, run, option):
    assert run("mkfs", tmp_path / "volume", *option).exit_code == 2
    assert not (tmp_path / "volume").exists()


def test_mkfs_where_it_cannot(made, run, tmp_path):
    for path, why in [(made, "not empty"), (tmp_path / "no" / "parent", "make its parent first")]:
        result = run("mkfs", path)
        assert result.exit_code == 1
        assert result.output.count("\n") == 1
        assert why in result.output


def test_fsck_of_a_clean_volume(made, run):
    result = run("fsck", made)
    assert (result.exit_code, result.output) == (0, f"{made}: clean\n")
    result = run("fsck", made, "--json")
    assert (result.exit_code, result.output) == (0, "")


def test_fsck_finds_and_mends(made, run):
    connection = sqlite3.connect(made / "meta.sqlite")
    connection.execute("UPDATE inodes SET nlink = 9")
    connection.commit()
    connection.close()
    result = run("fsck", made)
    assert result.exit_code == 1
    assert "link count 9, but 2 counted" in result.output
    assert "1 faults, 0 leftovers" in result.output
    result = run("fsck", made, "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == {
        "check": "links",
        "inode": 2,
        "leftover": False,
        "text": "link count 9, but 2 counted",
    }
    assert run("fsck", made, "--repair").exit_code == 0
    assert run("fsck", made).exit_code == 0


def test_leftovers_are_no_faults(made, run):
    (made / "data" / "000000").mkdir()
    (made / "data" / "000000" / "00000003.00000001").write_bytes(b"x")
    result = run("fsck", made)
    assert result.exit_code == 0
    assert "content (leftover)" in result.output
    assert "0 faults, 1 leftovers" in result.output


def test_fsck_of_what_it_cannot_check(made, run, tmp_path):
    with VolumeLock(made):
        for option in ([], ["--repair"], ["--json"]):
            result = run("fsck", made, *option)
            assert (result.exit_code, result.output) == (
                1,
                f"nfsrpc: {made}: the volume is in use by a running server\n",
            )
    result = run("fsck", tmp_path)
    assert (result.exit_code, result.output) == (
        1,
        f"nfsrpc: {tmp_path}: not a volume; `nfsrpc mkfs` makes one\n",
    )
    assert run("fsck").exit_code == 2


def test_a_volume_of_a_size(tmp_path, run):
    path = tmp_path / "volume"
    assert run("mkfs", path, "--size", "1.5G", "--files", 10).exit_code == 0
    assert run("resize", path).output == f"{path}: 4 KiB of 1.5 GiB, 1 files of 10\n"
    assert run("resize", path, "2G").output == f"{path}: 4 KiB of 2 GiB, 1 files of 10\n"
    assert run("resize", path, "none", "--files", "none").output == f"{path}: as large as its disk\n"
    result = run("resize", path, "100")
    assert result.exit_code == 1
    assert result.output == f"nfsrpc: {path}: 4096 bytes are in use; remove some, or give it more\n"
    with VolumeLock(path):
        assert run("resize", path, "1M").exit_code == 0, "also while it is served"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("resize", "5x"), "'5x' is no size"),
        (("resize", "0"), "'0' is no size"),
        (("resize", "99999999P"), "is no size"),
        (("quota", "--size", "1M"), "whose quota?"),
        (("quota", "nobody-here", "--size", "1M"), "'nobody-here' is no uid, nor a user of this machine"),
        (("quota", "7", "--files", "-3"), "'-3' is no number of files"),
        (("rekey", "--accept-old", "a while"), "'a while' is no span of time"),
    ],
)
def test_usage(made, run, command, words):
    result = run(command[0], made, *command[1:])
    assert result.exit_code == 2
    assert words in result.output


def test_quotas(made, run):
    assert run("quota", made).output == f"{made}: no limits\n"
    result = run("quota", made, 77777, "--size", "1M", "--files", 3)
    assert result.exit_code == 0
    assert [line.split() for line in result.output.splitlines()][1:] == [
        ["(volume)", "4", "KiB", "-", "1", "-"],
        ["77777", "0", "B", "1", "MiB", "0", "3"],
    ]
    found = json.loads(run("quota", made, "--json").output)
    assert found[0] == {"uid": None, "bytes_limit": 0, "bytes_used": 4096, "inodes_limit": 0, "inodes_used": 1}
    assert found[-1] == {"uid": 77777, "bytes_limit": 1 << 20, "bytes_used": 0, "inodes_limit": 3, "inodes_used": 0}
    assert run("quota", made, 77777, "--size", "none", "--files", "none").output == f"{made}: no limits\n"


def test_keys(made, run):
    result = run("rekey", made, "--accept-old", "2h")
    assert result.exit_code == 0
    assert "new key; servers take it when they are started or reloaded" in result.output
    assert result.output.count("an older key is good until") == 1
    assert run("rekey", made, "--accept-old", "0").output.count("an older key is good until") == 1


def test_a_copy_is_adopted(made, run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    assert run("adopt", copy, "--moved").output.startswith(f"{copy}: stays the volume it was, fsid ")
    assert run("adopt", copy).output.startswith(f"{copy}: is a volume of its own, fsid ")
    with VolumeLock(copy):
        assert run("adopt", copy).exit_code == 1


def test_nothing_to_upgrade(made, run, tmp_path):
    assert run("upgrade", made).output == f"{made}: format 2 already\n"
    result = run("upgrade", tmp_path)
    assert (result.exit_code, result.output) == (1, f"nfsrpc: {tmp_path}: not a volume; `nfsrpc mkfs` makes one\n")
