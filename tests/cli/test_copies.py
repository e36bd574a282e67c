"""get -r, put -r and cp: what a copy keeps, how it goes on after an end, and what no server can make it do."""

from __future__ import annotations

import io
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from by_hand import DIRECTORY, MOUNT, NFS, ROOT, ByHand, chain, fattr, opaque, word
from click.testing import Result
from held_calls import HeldCalls
from rich.console import Console
from rich.progress import Progress

from nfsrpc.cli.transfer import Told
from nfsrpc.client import Mount, mount
from nfsrpc.client.copying import LocalEnd, Options, RemoteEnd, Silent, copy
from nfsrpc.testing.chaos import Chaos
from nfsrpc.testing.faults import Faults
from nfsrpc.testing.served import Served

Run = Callable[..., str]
LARGE = os.urandom(5 << 20)


@pytest.fixture
def m(nfs_url: str) -> Iterator[Mount]:
    with mount(nfs_url) as mounted:
        yield mounted


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A tree with one of each kind, odd modes, old times and names that are no text."""
    top = tmp_path / "tree"
    (top / "a" / "deep" / "er").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "a" / "file").write_bytes(b"contents")
    (top / "a" / "none").touch()
    (top / "a" / "run").write_bytes(b"#!/bin/sh\n")
    (top / "large").write_bytes(LARGE[: 1 << 20] + b"x")
    os.link(top / "a" / "file", top / "a" / "deep" / "same")
    os.link(top / "a" / "file", top / "same")
    (top / "link").symlink_to("a/file")
    (top / "dangling").symlink_to("/no/where")
    os.mkfifo(top / "pipe")
    Path(os.fsdecode(os.fsencode(top) + b"/\xff\n b")).write_text("odd")
    for path, mode in (("a/run", 0o751), ("a/none", 0o400), ("empty", 0o1777), ("a/deep", 0o500)):
        (top / path).chmod(mode)
    for number, path in enumerate([*sorted(top.rglob("*")), top]):
        os.utime(path, ns=(10**18 + number * 1000,) * 2, follow_symlinks=False)
    return top


def described(top: Path) -> dict[bytes, tuple[object, ...]]:
    """Everything that a copy shall keep, by path; names of one file are told by the first of them."""
    first: dict[int, bytes] = {}
    found: dict[bytes, tuple[object, ...]] = {}
    for path in sorted([top, *top.rglob("*")], key=os.fsencode):
        name, status = os.fsencode(path)[len(os.fsencode(top)) :], path.lstat()
        same = first.setdefault(status.st_ino, name)
        kind = stat.S_IFMT(status.st_mode)
        what = os.readlink(path) if kind == stat.S_IFLNK else path.read_bytes() if kind == stat.S_IFREG else None
        mode = 0 if kind == stat.S_IFLNK else stat.S_IMODE(status.st_mode)
        found[name] = (kind, mode, status.st_mtime_ns, status.st_nlink if what is not None else 0, same, what)
    return found


def test_a_tree_goes_there_and_comes_back_as_it_was(nfsrpc: Run, nfs_url: str, tree: Path, tmp_path: Path) -> None:
    assert nfsrpc("put", "-r", tree, nfs_url) == ""
    assert nfsrpc("cp", "-r", f"{nfs_url}/tree", f"{nfs_url}/second") == ""
    assert nfsrpc("get", "-r", f"{nfs_url}/tree", tmp_path / "back") == ""
    (tmp_path / "into").mkdir()
    assert nfsrpc("get", "-r", f"{nfs_url}/second", tmp_path / "into") == ""
    assert described(tmp_path / "back") == described(tree)
    assert described(tmp_path / "into" / "second") == described(tree)


def test_between_two_servers(
    nfsrpc: Run, nfs_url: str, make_nfs_server: Callable[..., Served], tree: Path, tmp_path: Path
) -> None:
    other = make_nfs_server()
    nfsrpc("put", "-r", tree, nfs_url)
    nfsrpc("cp", "-r", f"{nfs_url}/tree", other.url())
    nfsrpc("get", "-r", other.url("/tree"), tmp_path / "back")
    assert described(tmp_path / "back") == described(tree)


def test_what_is_there_is_not_copied_again(m: Mount, tree: Path) -> None:
    target = RemoteEnd(m, "", str(m.url))
    copy([LocalEnd(tree)], target, Silent(), Options(), recursive=True)
    before = m.stat("tree/a/run").st_ctime_ns
    sent: list[int] = []
    submit_all = m.wire.submit_all
    m.wire.submit_all = lambda requests: (sent.extend(r.number for r in requests), submit_all(requests))[1]  # type: ignore[method-assign]
    report = Silent()
    copy([LocalEnd(tree)], target, report, Options(), recursive=True)
    assert 8 not in sent
    assert (m.stat("tree/a/run").st_ctime_ns, report.errors) == (before, [])
    copy([LocalEnd(tree)], target, Silent(), Options(everything=True), recursive=True)
    assert 8 in sent


def test_a_changed_file_is_copied_again(nfsrpc: Run, nfs_url: str, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "back").mkdir()
    for words in (b"contents", b"CONTENTS", b"longer contents"):
        (tree / "a" / "file").write_bytes(words)
        nfsrpc("put", "-r", tree, nfs_url)
        nfsrpc("get", "-r", f"{nfs_url}/tree", tmp_path / "back")
        assert (tmp_path / "back" / "tree" / "a" / "file").read_bytes() == words


@pytest.mark.parametrize("way", ["get", "put"])
def test_an_interrupted_copy_goes_on_where_it_stopped(
    nfsrpc: Run, nfs_url: str, m: Mount, tmp_path: Path, nfs_server: Served, way: str
) -> None:
    """The command is killed when about half has come; the second one must not move that half again."""
    local = tmp_path / "local"
    local.write_bytes(LARGE)
    seen = 0
    process: subprocess.Popen[bytes] | None = None

    def watch(direction: str, data: bytes) -> None:
        nonlocal seen
        seen += len(data)
        if process is not None and seen > len(LARGE) * 3 // 5:
            process.send_signal(signal.SIGKILL)

    with Chaos(nfs_server.address, up=Faults(), down=Faults(), observe=watch) as link:
        url = link.url(nfs_url)
        if way == "get":
            m.write_bytes("large", LARGE)
            words = ["get", f"{url}/large", str(tmp_path / "copy")]
        else:
            words = ["put", str(local), f"{url}/large"]
        process = subprocess.Popen([sys.executable, "-m", "nfsrpc", *words])
        assert process.wait(60) == -signal.SIGKILL
        process, seen = None, 0
        assert not (tmp_path / "copy").exists()
        assert nfsrpc(*words) == ""
    assert seen < len(LARGE) * 3 // 4
    if way == "get":
        assert (tmp_path / "copy").read_bytes() == LARGE
        assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "local"]
    else:
        assert m.read_bytes("large") == LARGE
        assert m.listdir("") == ["large"]


def test_half_of_another_state_is_not_continued(nfsrpc: Run, m: Mount, nfs_url: str, tmp_path: Path) -> None:
    m.write_bytes("large", LARGE)
    part = next(iter(_parts_after_a_cut(m, tmp_path)))
    m.write_bytes("large", bytes(len(LARGE)))
    nfsrpc("get", f"{nfs_url}/large", tmp_path / "large")
    assert (tmp_path / "large").read_bytes() == bytes(len(LARGE))
    assert part.exists()


def _parts_after_a_cut(m: Mount, directory: Path) -> list[Path]:
    class Enough(Exception):
        pass

    class Cut(Silent):
        def moved(self, size: int) -> None:
            super().moved(size)
            if self.bytes > len(LARGE) // 2:
                raise Enough

    with pytest.raises(Enough):
        copy([RemoteEnd(m, "large", "x")], LocalEnd(directory), Cut(), Options(), recursive=False)
    return [path for path in directory.iterdir() if path.name.startswith(".large.")]


def test_one_file_that_cannot_be_copied_does_not_stop_the_others(
    run: Callable[..., Result], nfs_url: str, m: Mount, tmp_path: Path
) -> None:
    m.makedirs("d/sub")
    for name in ("d/one", "d/sub/two", "d/three"):
        m.write_text(name, name)
    (tmp_path / "d" / "one").mkdir(parents=True)
    result = run("get", "-r", f"{nfs_url}/d", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == f"nfsrpc: {tmp_path}/d/one: Is a directory\n"
    assert (tmp_path / "d" / "sub" / "two").read_text() == "d/sub/two"
    assert (tmp_path / "d" / "three").read_text() == "d/three"


def test_patterns_and_several_sources(
    nfsrpc: Run, failing: Run, nfs_url: str, m: Mount, tmp_path: Path
) -> None:
    for name in ("a.c", "b.c", "b.h", "[x].c", ".c.c"):
        m.write_text(name, name)
    nfsrpc("get", f"{nfs_url}/*.c", f"{nfs_url}/b.h", tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["[x].c", "a.c", "b.c", "b.h"]
    assert nfsrpc("cat", f"{nfs_url}/[ab].c") == "a.cb.c"
    assert nfsrpc("cat", f"{nfs_url}/%5bx%5d*") == "[x].c"
    assert "nothing matches" in failing("get", f"{nfs_url}/*.zip", tmp_path)
    assert "cannot hold 2 files" in failing("get", f"{nfs_url}/a.c", f"{nfs_url}/b.c", tmp_path / "none")


def test_single_files_get_the_umask_and_keep_what_is_there(nfsrpc: Run, nfs_url: str, m: Mount, tmp_path: Path) -> None:
    m.write_text("f", "x")
    m.chmod("f", 0o666)
    m.utime("f", ns=(10**18, 10**18))
    before = os.umask(0o027)
    try:
        nfsrpc("get", f"{nfs_url}/f", tmp_path / "plain")
        (tmp_path / "kept").touch(0o600)
        nfsrpc("get", f"{nfs_url}/f", tmp_path / "kept")
        nfsrpc("get", "-p", f"{nfs_url}/f", tmp_path / "preserved")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"plain": 0o640, "kept": 0o600, "preserved": 0o666}
    assert (tmp_path / "preserved").stat().st_mtime_ns == 10**18 != (tmp_path / "plain").stat().st_mtime_ns


def test_set_user_id_and_devices_are_taken_only_with_owners(
    run: Callable[..., Result], nfs_url: str, m: Mount, tmp_path: Path
) -> None:
    m.mkdir("d")
    m.write_text("d/su", "x")
    m.chmod("d/su", 0o6755)
    if os.geteuid() != 0:
        pytest.skip("devices need root")
    m.mknod("d/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    result = run("get", "-r", f"{nfs_url}/d", tmp_path / "plain")
    assert result.exit_code == 1
    assert "only as root with --owner" in result.stderr
    assert stat.S_IMODE((tmp_path / "plain" / "su").stat().st_mode) == 0o755
    m.chown("d/su", 12, 34)
    m.chmod("d/su", 0o6755)
    assert run("get", "-r", "--owner", f"{nfs_url}/d", tmp_path / "owners").exit_code == 0
    status = (tmp_path / "owners" / "su").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o6755)
    assert (tmp_path / "owners" / "null").stat().st_rdev == os.makedev(1, 3)


def test_the_bar_is_told_ten_times_a_second() -> None:
    now = 5.0
    with Progress(console=Console(file=io.StringIO())) as bar:
        told = Told(bar, lambda: now)
        states = []
        for number in range(1000):
            now += 0.001
            told.found(7)
            told.moved(7)
            told.finished(b"d/f%d" % number)
            states.append((bar.tasks[0].completed, bar.tasks[0].total, bar.tasks[0].description))
    assert 9 <= len(set(states)) <= 11
    assert 6300 <= states[-1][0] <= states[-1][1] <= 7000


# --- how many files at once


SMALL = fattr(size=4, fileid=2)
ANSWERS = {
    (MOUNT, 1): word(0) + ROOT,
    (MOUNT, 3): b"",
    (MOUNT, 5): word(1) + opaque(b"/x") + word(0) + word(0),
    (NFS, 1): word(0) + DIRECTORY,
    (NFS, 2): word(0) + SMALL,
    (NFS, 17): word(0, 8192, 4096, 100, 50, 50),
    (NFS, 4): lambda arguments: word(0) + arguments[36:40].ljust(32) + SMALL,
    (NFS, 6): word(0) + SMALL + opaque(b"data"),
    (NFS, 8): word(0) + SMALL,
    (NFS, 9): lambda arguments: word(0) + arguments[36:40].ljust(32) + SMALL,
    (NFS, 14): word(0) + b"D" * 32 + DIRECTORY,
}
"""What serves a directory of small files whose names are four bytes, and takes another one."""


@pytest.mark.parametrize("jobs", [1, 2, 5, 40])
@pytest.mark.parametrize(("way", "procedure"), [("get", 6), ("put", 9), ("put", 8)])
def test_as_many_files_are_under_way_as_are_asked_for(
    nfsrpc: Run, tmp_path: Path, way: str, procedure: int, jobs: int
) -> None:
    """READs, CREATEs and WRITEs are answered when they have come for so many files, and never for more."""
    names = [b"%04d" % number for number in range(3 * jobs)]
    listing = chain(*(word(9) + opaque(name) + word(at) for at, name in enumerate(names, 1)))
    answers = {**ANSWERS, (NFS, 16): word(0) + listing + word(1)}
    about = (lambda arguments: arguments[36:40]) if procedure == 9 else (lambda arguments: arguments[:32])
    source = tmp_path / "d"
    source.mkdir()
    if way == "put":
        for name in names:
            (source / os.fsdecode(name)).write_bytes(b"data")
    with HeldCalls(answers, procedure, jobs, about) as server:
        url = f"nfs://127.0.0.1:{server.port}/x?proto=tcp"
        words = ["get", "-r", url, source] if way == "get" else ["put", "-r", f"{source}/.", url]
        nfsrpc(words[0], "-j", jobs, *words[1:])
    assert server.together[:3] == [jobs] * 3


# --- servers that lie


def hostile(names: list[bytes], looked_up: Callable[[bytes], bytes]) -> ByHand:
    """A server whose root lists `names`; LOOKUP of a name gives what `looked_up` says."""
    listing = word(0) + chain(*(word(9) + opaque(name) + word(at) for at, name in enumerate(names, 1))) + word(1)
    return ByHand({
        (MOUNT, 1): word(0) + ROOT,
        (MOUNT, 3): b"",
        (MOUNT, 5): word(1) + opaque(b"/x") + word(0) + word(0),
        (NFS, 1): word(0) + DIRECTORY,
        (NFS, 17): word(0, 8192, 4096, 100, 50, 50),
        (NFS, 16): listing,
        (NFS, 4): lambda arguments: looked_up(arguments[36 : 36 + int.from_bytes(arguments[32:36])]),
        (NFS, 5): word(0) + opaque(b"/etc"),
        (NFS, 6): word(0) + fattr(size=4) + opaque(b"evil"),
    })


FILE = word(0) + b"F" * 32 + fattr(size=4, fileid=2)
BELOW = word(0) + b"D" * 32 + fattr(2, 0o040755, 4096, fileid=3)
LINK = word(0) + b"L" * 32 + fattr(5, 0o120777, 4, fileid=4)


@pytest.mark.parametrize("at_once", [1, 1000, 4999, 8192])
def test_servers_that_send_less_than_is_asked_for(nfsrpc: Run, tmp_path: Path, at_once: int) -> None:
    contents = os.urandom(300 if at_once == 1 else 50_000)

    def read(arguments: bytes) -> bytes:
        offset, count = int.from_bytes(arguments[32:36]), int.from_bytes(arguments[36:40])
        return word(0) + fattr(size=len(contents)) + opaque(contents[offset : offset + min(count, at_once)])

    with hostile([b"f"], lambda asked: word(0) + b"F" * 32 + fattr(size=len(contents), fileid=2)) as server:
        server.answers[(NFS, 6)] = read
        nfsrpc("get", "-r", f"nfs://127.0.0.1:{server.port}/x", tmp_path)
    assert (tmp_path / "x" / "f").read_bytes() == contents


@pytest.mark.parametrize(
    "name",
    [b"../evil", b"/tmp/evil", b"..", b".", b"", b"a/../../evil", b"evil\0", b"sub/evil"],
    ids=repr,
)
def test_names_that_lead_elsewhere_make_nothing_there(run: Callable[..., Result], tmp_path: Path, name: bytes) -> None:
    target = tmp_path / "in" / "target"
    target.mkdir(parents=True)
    with hostile([b"good", name], lambda asked: FILE) as server:
        run("get", "-r", f"nfs://127.0.0.1:{server.port}/x", target)
    outside = {path for path in tmp_path.rglob("*") if target not in path.parents} - {target, target.parent}
    assert outside == set()
    assert {path.name for path in target.rglob("*")} <= {"x", "good"}


@pytest.mark.parametrize(("kind", "mode"), [(0, 0o644), (1, 0o170644)])
def test_a_file_of_no_kind_is_told_and_the_others_are_copied(
    run: Callable[..., Result], tmp_path: Path, kind: int, mode: int
) -> None:
    nothing = word(0) + b"N" * 32 + fattr(kind, mode, 4, fileid=5)
    with hostile([b"nothing", b"f"], lambda asked: FILE if asked == b"f" else nothing) as server:
        result = run("get", "-r", f"nfs://127.0.0.1:{server.port}/x", tmp_path)
    assert result.exit_code == 1
    assert f"nothing: mode {mode:o} is that of no kind of file" in result.stderr
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["f"]


def test_a_link_in_the_target_is_not_followed(run: Callable[..., Result], tmp_path: Path) -> None:
    target, outside = tmp_path / "target", tmp_path / "outside"
    outside.mkdir()
    (target / "x").mkdir(parents=True)
    (target / "x" / "d").symlink_to(outside)
    (target / "x" / "f").symlink_to(outside / "evil")
    answers = {b"d": BELOW, b"f": FILE, b"deep": FILE}
    with hostile([b"d", b"f"], lambda asked: answers.get(asked, word(2))) as server:
        result = run("get", "-r", f"nfs://127.0.0.1:{server.port}/x", target)
    assert "no link is followed there" in result.stderr
    assert list(outside.iterdir()) == []
    assert not (target / "x" / "f").is_symlink()


@pytest.mark.parametrize("make", [os.link, os.symlink])
def test_what_gets_into_a_new_directory_meanwhile_is_replaced_not_written_into(
    m: Mount, tmp_path: Path, make: Callable[[Path, Path], None]
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    m.mkdir("d")
    m.write_text("d/f", "new")

    class Meddler(Silent):
        def found(self, size: int) -> None:
            make(outside, tmp_path / "d" / "f")

    report = Meddler()
    copy([RemoteEnd(m, "d", "x")], LocalEnd(tmp_path / "d"), report, Options(), recursive=True)
    assert report.errors == []
    assert ((tmp_path / "d" / "f").read_text(), outside.read_text()) == ("new", "kept")
    assert [path.name for path in (tmp_path / "d").iterdir()] == ["f"]


def test_a_name_that_is_a_link_first_and_a_directory_later(run: Callable[..., Result], tmp_path: Path) -> None:
    answers = iter([LINK, BELOW, BELOW, FILE])
    with hostile([b"a", b"a"], lambda asked: next(answers, FILE)) as server:
        url = f"nfs://127.0.0.1:{server.port}/x"
        run("get", "-r", url, url, tmp_path)
    assert not Path("/etc/a").exists()
    assert all(tmp_path in path.resolve().parents or path.is_symlink() for path in tmp_path.rglob("*"))


def test_a_tree_without_a_bottom_comes_to_an_end(run: Callable[..., Result], tmp_path: Path) -> None:
    with hostile([b"d"], lambda asked: BELOW) as server:
        result = run("get", "-r", f"nfs://127.0.0.1:{server.port}/x", tmp_path)
    assert result.exit_code == 1
    assert "more than 500 directories below each other are not believed" in result.stderr


@pytest.mark.parametrize("target", ["a", "a/b", "a/new", "link", "link/b"])
def test_a_directory_is_not_copied_into_itself(failing: Run, nfs_url: str, m: Mount, target: str) -> None:
    m.makedirs("a/b")
    m.symlink("a", "link")
    line = failing("cp", "-r", f"{nfs_url}/a", f"{nfs_url}/{target}")
    assert "the target is in the directory that is to be copied" in line
    assert m.listdir("a") == ["b"]


def test_a_directory_is_copied_beside_itself(nfsrpc: Run, nfs_url: str, m: Mount) -> None:
    m.makedirs("a/b")
    nfsrpc("cp", "-r", f"{nfs_url}/a", f"{nfs_url}/ab")
    assert m.listdir("ab") == ["b"]


@pytest.mark.parametrize("options", [[], ["-p", "--all"], ["-r", "--all"]])
@pytest.mark.parametrize("target", ["f", "", "second"])
@pytest.mark.parametrize("size", [10, 10 << 20])
def test_a_file_is_not_copied_onto_itself(
    failing: Run, nfs_url: str, m: Mount, size: int, target: str, options: list[str]
) -> None:
    m.write_bytes("f", bytes(size))
    m.link("f", "second")
    line = failing("cp", *options, f"{nfs_url}/f", f"{nfs_url}/{target}")
    assert "it is the very file that is to be copied" in line
    assert m.stat("f").st_size == size
    assert sorted(m.listdir()) == ["f", "second"]
