"""The commands that work on remote files in place: what each of them does, seen through a mount."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator

import pytest
from click.testing import Result

from nfsrpc.client import Mount, mount

Run = Callable[..., str]


@pytest.fixture
def m(nfs_url: str) -> Iterator[Mount]:
    """The test's directory, with a small tree; nothing of it is believed for longer than a call."""
    with mount(nfs_url, file_min=0, file_max=0, directory_min=0, directory_max=0, names=False) as mounted:
        mounted.makedirs("d/sub")
        mounted.write_text("f", "12345")
        mounted.write_text("d/g.c", "x" * 3000)
        mounted.write_text("d/sub/h.C", "")
        mounted.write_text("d/.hidden", "")
        mounted.symlink("f", "s")
        yield mounted


def mode(m: Mount, path: str) -> int:
    return stat.S_IMODE(m.lstat(path).st_mode)


def test_ls_of_trees_sizes_and_directories(nfsrpc: Run, nfs_url: str, m: Mount) -> None:
    assert nfsrpc("ls", nfs_url).split() == ["d", "f", "s"]
    assert nfsrpc("ls", "-d", f"{nfs_url}/d").split() == ["d"]
    assert nfsrpc("ls", "-lh", f"{nfs_url}/d/g.c").split()[4] == "2.9K"
    assert nfsrpc("ls", "-R", f"{nfs_url}/d").splitlines() == [
        f"{nfs_url}/d:", "g.c", "sub", "", f"{nfs_url}/d/sub:", "h.C"
    ]  # fmt: skip
    assert nfsrpc("ls", f"{nfs_url}/d/*.c", f"{nfs_url}/f").split() == ["g.c", "f"]
    assert [line["name"] for line in json.loads(nfsrpc("ls", "-R", "--json", nfs_url))] == [
        "d", "f", "s", "g.c", "sub", "h.C"
    ]  # fmt: skip


def test_stat(nfsrpc: Run, nfs_url: str, m: Mount) -> None:
    (found,) = json.loads(nfsrpc("stat", "--json", f"{nfs_url}/s"))
    assert (found["kind"], found["target"]) == ("symbolic link", "f")
    lines = nfsrpc("stat", "-L", f"{nfs_url}/s").splitlines()
    assert "   size: 5" in lines
    assert f" fileid: {m.stat('f').st_ino}" in lines


def test_cat(nfsrpc: Run, nfs_url: str, m: Mount) -> None:
    assert nfsrpc("cat", f"{nfs_url}/f", f"{nfs_url}/s") == "1234512345"


def test_mv(nfsrpc: Run, failing: Run, nfs_url: str, m: Mount) -> None:
    nfsrpc("mv", f"{nfs_url}/f", f"{nfs_url}/new")
    assert m.read_text("new") == "12345"
    nfsrpc("mv", f"{nfs_url}/new", f"{nfs_url}/s", f"{nfs_url}/d")
    assert sorted(m.listdir("d")) == [".hidden", "g.c", "new", "s", "sub"]
    assert "something of that name" in failing("mv", "-n", f"{nfs_url}/d/new", f"{nfs_url}/d/g.c")
    assert "No such file" in failing("mv", f"{nfs_url}/none", f"{nfs_url}/x")


def test_rm_and_rmdir(nfsrpc: Run, failing: Run, nfs_url: str, m: Mount) -> None:
    m.symlink("d", "to-d")
    nfsrpc("rm", f"{nfs_url}/s", f"{nfs_url}/to-d")
    assert "Is a directory; -r removes it" in failing("rm", f"{nfs_url}/d")
    assert "Directory not empty" in failing("rmdir", f"{nfs_url}/d")
    nfsrpc("rm", "-r", f"{nfs_url}/d")
    assert m.listdir("") == ["f"]
    assert "No such file" in failing("rm", f"{nfs_url}/d")
    nfsrpc("rm", "-f", f"{nfs_url}/d")
    nfsrpc("mkdir", f"{nfs_url}/e")
    nfsrpc("rmdir", f"{nfs_url}/e")
    assert m.listdir("") == ["f"]


def test_the_others_are_removed_where_one_cannot_be(run: Callable[..., Result], nfs_url: str, m: Mount) -> None:
    result = run("rm", f"{nfs_url}/none", f"{nfs_url}/f")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert not m.exists("f")


def test_a_whole_export_is_not_removed(failing: Run, make_nfs_server: Callable[..., object]) -> None:
    server = make_nfs_server()
    assert "that is the whole export" in failing("rm", "-r", server.url())  # type: ignore[attr-defined]


def test_mkdir(nfsrpc: Run, failing: Run, nfs_url: str, m: Mount) -> None:
    nfsrpc("mkdir", "-m", "750", f"{nfs_url}/one")
    assert mode(m, "one") == 0o750
    nfsrpc("mkdir", "-p", f"{nfs_url}/a/b/c", f"{nfs_url}/d")
    assert m.isdir("a/b/c")
    assert "File exists" in failing("mkdir", f"{nfs_url}/d")
    assert "No such file" in failing("mkdir", f"{nfs_url}/no/where")


def test_ln(nfsrpc: Run, failing: Run, nfs_url: str, m: Mount) -> None:
    nfsrpc("ln", f"{nfs_url}/f", f"{nfs_url}/hard")
    assert m.stat("hard").st_ino == m.stat("f").st_ino
    nfsrpc("ln", "-s", "../elsewhere", f"{nfs_url}/soft")
    assert m.readlink("soft") == "../elsewhere"
    assert "File exists" in failing("ln", "-s", "x", f"{nfs_url}/soft")
    nfsrpc("ln", "-sf", "x", f"{nfs_url}/soft")
    assert m.readlink("soft") == "x"
    nfsrpc("ln", f"{nfs_url}/f", f"{nfs_url}/d")
    assert m.stat("d/f").st_nlink == 3


def test_chmod(nfsrpc: Run, nfs_url: str, m: Mount) -> None:
    m.chmod("f", 0o644)
    nfsrpc("chmod", "u+x,go=", f"{nfs_url}/f")
    assert mode(m, "f") == 0o700
    nfsrpc("chmod", "-R", "u=rwX,go=rX", f"{nfs_url}/d")
    assert [mode(m, path) for path in ("d", "d/sub", "d/g.c")] == [0o755, 0o755, 0o644]


def test_chown(nfsrpc: Run, run: Callable[..., Result], nfs_url: str, m: Mount) -> None:
    nfsrpc("chown", "-R", "12:34", f"{nfs_url}/d?uid=0")
    assert {(m.lstat(path).st_uid, m.lstat(path).st_gid) for path in ("d", "d/sub", "d/sub/h.C")} == {(12, 34)}
    nfsrpc("chown", ":5", f"{nfs_url}/d?uid=0")
    assert (m.stat("d").st_uid, m.stat("d").st_gid) == (12, 5)
    assert run("chown", "nobody-of-that-name", f"{nfs_url}/d").exit_code == 2


def test_touch(nfsrpc: Run, nfs_url: str, m: Mount) -> None:
    m.utime("f", ns=(0, 0))
    nfsrpc("touch", f"{nfs_url}/f", f"{nfs_url}/fresh")
    nfsrpc("touch", "-c", f"{nfs_url}/none")
    assert m.stat("f").st_mtime > 1e9
    assert m.stat("f").st_size == 5
    assert m.stat("fresh").st_size == 0
    assert not m.exists("none")


def test_df(nfsrpc: Run, nfs_url: str, m: Mount) -> None:
    (found,) = json.loads(nfsrpc("df", "--json", nfs_url))
    space = m.statvfs()
    assert found["size"] == space.f_blocks * space.f_frsize > found["available"] > 0
    head, line = nfsrpc("df", "-h", nfs_url).splitlines()
    assert head.split() == ["SIZE", "USED", "AVAILABLE", "USE", "URL"]
    assert line.split()[-1] == nfs_url


def test_du(nfsrpc: Run, nfs_url: str, m: Mount) -> None:
    m.link("d/g.c", "d/sub/again")
    lines = [line.split("\t") for line in nfsrpc("du", "-ab", nfs_url).splitlines()]
    sizes = {path.removeprefix(nfs_url): int(size) for size, path in lines}
    directories = sum(m.stat(path).st_size for path in ("", "d", "d/sub"))
    assert sizes["/d/g.c"] == 3000
    assert sizes["/d/sub/again"] == 0
    assert sizes[""] == directories + 3000 + 5 + m.lstat("s").st_size
    assert [path for _, path in lines][-1] == nfs_url
    assert nfsrpc("du", "-sb", f"{nfs_url}/f") == f"5\t{nfs_url}/f\n"


@pytest.mark.parametrize(
    ("tests", "found"),
    [
        ([], [".", "d", "d/.hidden", "d/g.c", "d/sub", "d/sub/h.C", "f", "s"]),
        (["--name", "*.c"], ["d/g.c"]),
        (["--iname", "*.c"], ["d/g.c", "d/sub/h.C"]),
        (["--type", "d"], [".", "d", "d/sub"]),
        (["--type", "l"], ["s"]),
        (["--type", "f", "--size", "+1k"], ["d/g.c"]),
        (["--type", "f", "--size", "5"], ["f"]),
        (["--type", "f", "--mtime", "+7d"], []),
        (["--max-depth", "1"], [".", "d", "f", "s"]),
        (["--name", "*", "--type", "f", "--mtime", "-1h", "--max-depth", "1"], ["f"]),
    ],
)
def test_find(nfsrpc: Run, nfs_url: str, m: Mount, tests: list[str], found: list[str]) -> None:
    assert nfsrpc("find", nfs_url, *tests).splitlines() == found


def test_find_for_xargs(run: Callable[..., Result], nfs_url: str, m: Mount) -> None:
    m.write_text(os.fsdecode(b"a\n\xff"), "")
    assert run("find", "-0", "--name", "a*", nfs_url).stdout_bytes == b"a\n\xff\0"


@pytest.mark.parametrize(
    "words",
    [
        ["find", "nfs://x/y", "--type", "z"],
        ["find", "nfs://x/y", "--size", "big"],
        ["find", "nfs://x/y", "--mtime", "7"],
        ["chmod", "u~x", "nfs://x/y"],
        ["mkdir", "-m", "9", "nfs://x/y"],
        ["ln", "/local", "nfs://x/y"],
        ["chown", ":", "nfs://x/y"],
        ["get", "/local", "."],
        ["put", "nfs://x/y", "nfs://x/z"],
    ],
    ids=" ".join,
)
def test_wrong_command_lines(run: Callable[..., Result], words: list[str]) -> None:
    result = run(*words)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"nfsrpc: {words[0]}: ")
    assert line.endswith(f"(see `nfsrpc {words[0]} --help`)")


def test_a_mistyped_command(run: Callable[..., Result]) -> None:
    result = run("lss", "nfs://x/y")
    assert (result.exit_code, result.stderr) == (
        2, "nfsrpc: No such command 'lss'. Did you mean ls? (see `nfsrpc --help`)\n"
    )  # fmt: skip


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(nfsrpc: Run, shell: str) -> None:
    assert "_NFSRPC_COMPLETE" in nfsrpc("completion", shell)
