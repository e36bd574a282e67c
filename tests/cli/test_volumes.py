"""`nfsrpc mkfs` and `nfsrpc fsck`."""

import json
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
