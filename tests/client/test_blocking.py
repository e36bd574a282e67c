"""The blocking mount against our server: the habits of os, io, glob and shutil."""

from __future__ import annotations

import contextlib
import errno
import io
import itertools
import os
import random
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from nfsrpc.client import Mount, mount
from nfsrpc.testing.served import Served

_numbers = itertools.count()


@pytest.fixture(params=["tcp", "udp"])
def m(request: pytest.FixtureRequest, served: Served) -> Iterator[Mount]:
    """A mount of a directory of the test's own."""
    name = f"{os.getpid()}-{next(_numbers)}"
    with mount(served.url(uid=0, gid=0)) as top:
        top.mkdir(name)
    with mount(served.url("/" + name, proto=request.param, uid=0, gid=0)) as mounted:
        yield mounted


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 1_000_003])
def test_contents_come_back(m: Mount, size: int) -> None:
    data = os.urandom(size)
    assert m.write_bytes("f", data) == size
    assert m.stat("f").st_size == size
    assert m.read_bytes("f") == data


MODES: list[tuple[str, bytes | None, Callable[[Any], Any], bytes]] = [
    ("rb", b"old", lambda f: f.read(), b"old"),
    ("r+b", b"old", lambda f: (f.seek(1), f.write(b"XYZ")), b"oXYZ"),
    ("wb", b"old", lambda f: f.write(b"n"), b"n"),
    ("wb", None, lambda f: f.write(b"new"), b"new"),
    ("w+b", b"old", lambda f: (f.write(b"new"), f.seek(0), f.read()), b"new"),
    ("ab", b"old", lambda f: (f.tell(), f.write(b"er"), f.seek(0), f.write(b"!")), b"older!"),
    ("ab", None, lambda f: f.write(b"a"), b"a"),
    ("a+b", b"old", lambda f: (f.seek(0), f.read(1), f.write(b"er")), b"older"),
    ("xb", None, lambda f: f.write(b"x"), b"x"),
]


@pytest.mark.parametrize(("mode", "before", "work", "after"), MODES, ids=[f"{row[0]}-{row[1]}" for row in MODES])
@pytest.mark.parametrize("buffering", [0, -1])
def test_modes(
    m: Mount, tmp_path: Any, buffering: int, mode: str, before: bytes | None, work: Callable[[Any], Any], after: bytes
) -> None:
    local = tmp_path / "f"
    if before is not None:
        m.write_bytes("f", before)
        local.write_bytes(before)
    with m.open("f", mode, buffering) as remote, open(local, mode, buffering) as here:
        assert work(remote) == work(here)
        assert remote.tell() == here.tell()
    assert m.read_bytes("f") == local.read_bytes() == after


@pytest.mark.parametrize(
    ("mode", "buffering", "kind"),
    [
        ("r", -1, io.TextIOWrapper),
        ("rb", -1, io.BufferedReader),
        ("wb", -1, io.BufferedWriter),
        ("r+b", -1, io.BufferedRandom),
        ("rb", 0, io.RawIOBase),
    ],
)
def test_the_classes_of_io(m: Mount, mode: str, buffering: int, kind: type[Any]) -> None:
    m.write_bytes("f", b"abc")
    with m.open("f", mode, buffering) as file:
        assert isinstance(file, kind)
        assert (file.readable(), file.writable(), file.seekable()) == ("r" in mode, "w" in mode or "+" in mode, True)
    assert file.closed


def test_text_lines_and_encodings(m: Mount) -> None:
    with m.open("f", "w", encoding="utf-16", newline="\r\n") as file:
        file.writelines(["caf\u00e9\n", "two\n"])
    with m.open("f", encoding="utf-16") as file:
        assert list(file) == ["caf\u00e9\n", "two\n"]


@pytest.mark.parametrize("mode", ["", "rw", "rr", "q", "rbt", "b", "r+w"])
def test_modes_that_are_none(m: Mount, mode: str) -> None:
    with pytest.raises(ValueError, match="invalid mode"):
        m.open("f", mode)


def test_what_was_not_opened_for_it_is_refused(m: Mount) -> None:
    m.write_bytes("f", b"x")
    with m.open("f", "rb", 0) as file, pytest.raises(io.UnsupportedOperation):
        file.write(b"y")
    with m.open("f", "wb", 0) as file, pytest.raises(io.UnsupportedOperation):
        file.read(1)
    with pytest.raises(ValueError, match="closed"):
        file.tell()


def test_holes_and_truncation(m: Mount) -> None:
    with m.open("f", "w+b") as file:
        file.seek(20_000)
        file.write(b"end")
        file.seek(0)
        assert file.read() == bytes(20_000) + b"end"
        file.truncate(10)
        file.seek(0, 2)
        assert file.tell() == 10
        file.truncate(30_000)
        file.seek(0)
        assert file.read() == bytes(30_000)
    m.truncate("f", 5)
    assert m.read_bytes("f") == bytes(5)


def test_a_place_in_a_file_without_its_position(m: Mount) -> None:
    with m.open("f", "w+b", 0) as file:
        file.write(b"0123456789")
        assert file.pwrite(b"ab", 4) == 2
        assert file.pread(4, 3) == b"3ab6"
        assert file.pread(100, 8) == b"89"
        assert file.pread(1, 10) == b""
        assert file.tell() == 10
        assert file.stat().st_size == 10


def test_exclusive_creation(m: Mount) -> None:
    with m.open("f", "x") as file:
        file.write("mine")
    with pytest.raises(FileExistsError) as raised:
        m.open("f", "x")
    assert raised.value.filename.endswith("/f")
    m.symlink("nowhere", "l")
    with pytest.raises(FileExistsError):
        m.open("l", "x")
    assert m.read_text("f") == "mine"
    assert sorted(m.listdir()) == ["f", "l"]


def test_listing_and_walking(m: Mount) -> None:
    m.makedirs("a/b/c")
    m.makedirs("a/b/c", exist_ok=True)
    m.write_text("a/one.txt", "1")
    m.write_text("a/b/two.txt", "22")
    m.write_text("a/.hidden", "")
    m.symlink("b", "a/link")
    m.symlink("nowhere", "a/dangling")
    with pytest.raises(FileExistsError):
        m.makedirs("a/b")
    assert sorted(m.listdir("a")) == [".hidden", "b", "dangling", "link", "one.txt"]
    assert sorted(m.listdir(b"a")) == [b".hidden", b"b", b"dangling", b"link", b"one.txt"]
    with m.scandir("a") as entries:
        seen = {entry.name: entry for entry in entries}
    assert {name for name, entry in seen.items() if entry.is_dir()} == {"b", "link"}
    assert {name for name, entry in seen.items() if entry.is_symlink()} == {"link", "dangling"}
    assert {name for name, entry in seen.items() if entry.is_file()} == {".hidden", "one.txt"}
    assert seen["one.txt"].stat().st_size == 1
    assert os.fspath(seen["b"]) == "a/b"
    assert seen["b"].inode() == m.stat("a/b").st_ino
    with pytest.raises(FileNotFoundError):
        seen["dangling"].stat()
    walked = {path: (sorted(directories), sorted(files)) for path, directories, files in m.walk("a")}
    assert walked == {
        "a": (["b", "link"], [".hidden", "dangling", "one.txt"]),
        "a/b": (["c"], ["two.txt"]),
        "a/b/c": ([], []),
    }
    assert [path for path, _, _ in m.walk("a", topdown=False)][-1] == "a"
    assert m.glob("a/*.txt") == ["a/one.txt"]
    assert m.glob("**/*.txt") == ["a/b/two.txt", "a/one.txt"]
    assert m.glob("a/.h*") == ["a/.hidden"]
    assert m.glob("a/[bo]*/c") == ["a/b/c"]
    assert m.glob("none/*") == []
    m.rmtree("a")
    assert m.listdir() == []


def test_links(m: Mount) -> None:
    m.write_text("f", "here")
    m.link("f", "g")
    m.symlink("f", "s")
    assert m.stat("g").st_nlink == 2
    assert m.readlink("s") == "f"
    assert stat.S_ISLNK(m.lstat("s").st_mode)
    assert stat.S_ISREG(m.stat("s").st_mode)
    assert (m.islink("s"), m.isfile("s"), m.isdir("s"), m.islink("f")) == (True, True, False, False)
    m.remove("f")
    assert (m.exists("s"), m.exists("s", follow_symlinks=False), m.exists("g")) == (False, True, True)
    assert m.stat("g").st_nlink == 1
    with pytest.raises(OSError) as raised:
        m.readlink("g")
    assert raised.value.errno == errno.EINVAL
    m.symlink("l2", "l1")
    m.symlink("l1", "l2")
    with pytest.raises(OSError) as circle:
        m.open("l1")
    assert circle.value.errno == errno.ELOOP
    m.symlink("new", "to-new")
    m.write_text("to-new", "through a link")
    assert m.read_text("new") == "through a link"


def test_links_on_the_way_and_at_the_end_are_followed(m: Mount) -> None:
    m.makedirs("d/b")
    m.write_text("d/f", "here")
    home = os.fsdecode(m.url.path)
    for name, target in [
        ("relative", "d/f"),
        ("dotted", "./d/.././d//f"),
        ("rooted", home.removeprefix("/export") + "/d/f"),
        ("server's", home + "/d/f"),
        ("over the top", "../../../.." + home.removeprefix("/export") + "/d/f"),
        ("twice", "relative"),
        ("dir", "d"),
        ("to-b", "d/b"),
    ]:
        m.symlink(target, name)
    ways = ("relative", "dotted", "rooted", "server's", "over the top", "twice", "dir/f", "dir/../d/f", "to-b/../f")
    for path in ways:
        assert m.read_text(path) == "here", path
        assert m.stat(path).st_size == 4, path


def test_renaming_replaces(m: Mount) -> None:
    m.write_text("a", "a")
    m.write_text("b", "b")
    assert m.stat("b").st_size == 1
    m.rename("a", "b")
    assert (m.listdir(), m.read_text("b")) == (["b"], "a")
    m.mkdir("d")
    m.replace("b", "d/c")
    assert (m.listdir(), m.listdir("d")) == (["d"], ["c"])
    with pytest.raises(FileNotFoundError) as raised:
        m.rename("b", "x")
    assert (raised.value.filename[-2:], raised.value.filename2[-2:]) == ("/b", "/x")


def test_attributes(m: Mount) -> None:
    m.write_text("f", "x")
    m.chmod("f", 0o4751)
    m.chown("f", 12, 34)
    m.chown("f", -1, 35)
    m.utime("f", ns=(1_000_000_001_999, 2_000_001_000))
    status = m.stat("f")
    assert stat.S_IMODE(status.st_mode) in (0o4751, 0o751)  # a change of owner takes the set-uid bit
    assert (status.st_uid, status.st_gid) == (12, 35)
    assert (status.st_atime_ns, status.st_mtime_ns) == (1_000_000_001_000, 2_000_001_000)
    m.utime("f", (5, 6.5))
    assert (m.stat("f").st_atime, m.stat("f").st_mtime) == (5, 6.5)
    m.utime("f")
    assert m.stat("f").st_mtime > 1_000_000_000
    m.symlink("f", "s")
    m.chmod("s", 0o600)
    assert stat.S_IMODE(m.stat("f").st_mode) == 0o600
    assert m.statvfs().f_namemax == 255
    assert 0 < m.statvfs("f").f_bavail <= m.statvfs().f_blocks


def test_the_umask_is_taken_from_what_is_new(served: Served, m: Mount) -> None:
    with mount(m.url, umask=0o027) as other:
        other.write_text("f", "")
        other.mkdir("d")
        assert stat.S_IMODE(other.stat("f").st_mode) == 0o640
        assert stat.S_IMODE(other.stat("d").st_mode) == 0o750


def test_special_files(m: Mount) -> None:
    m.mknod("pipe", stat.S_IFIFO | 0o600)
    m.mknod("null", stat.S_IFCHR | 0o666, os.makedev(1, 300))
    assert stat.S_ISFIFO(m.stat("pipe").st_mode)
    null = m.stat("null")
    assert stat.S_ISCHR(null.st_mode)
    assert (os.major(null.st_rdev), os.minor(null.st_rdev)) == (1, 300)
    with pytest.raises(OSError) as raised:
        m.open("pipe")
    assert raised.value.errno == errno.EINVAL


def test_a_file_that_is_removed_while_it_is_open_can_be_used(m: Mount) -> None:
    m.write_text("f", "still here")
    m.write_text("g", "the other")
    with m.open("f", "r+b") as file:
        m.remove("f")
        assert not m.exists("f")
        assert file.read() == b"still here"
        file.write(b"!")
        file.flush()
        file.seek(0)
        assert file.read() == b"still here!"
    with m.open("g", "rb", 0) as file:
        m.write_text("h", "new")
        m.replace("h", "g")
        assert file.read() == b"the other"
    assert m.read_text("g") == "new"
    assert m.listdir() == ["g"]


ERRORS: list[tuple[Callable[[Mount], Any], type[OSError], str]] = [
    (lambda m: m.open("none"), FileNotFoundError, "/none"),
    (lambda m: m.open("d"), IsADirectoryError, "/d"),
    (lambda m: m.open("d", "w"), IsADirectoryError, "/d"),
    (lambda m: m.open("f/x"), NotADirectoryError, "/f/x"),
    (lambda m: m.open("none/x", "w"), FileNotFoundError, "/none"),
    (lambda m: m.stat("d/none"), FileNotFoundError, "/d/none"),
    (lambda m: m.listdir("f"), NotADirectoryError, "/f"),
    (lambda m: m.listdir("none"), FileNotFoundError, "/none"),
    (lambda m: m.mkdir("d"), FileExistsError, "/d"),
    (lambda m: m.rmdir("f"), NotADirectoryError, "/f"),
    (lambda m: m.rmtree("f"), NotADirectoryError, "/f"),
    (lambda m: m.rmtree("none"), FileNotFoundError, "/none"),
    (lambda m: m.link("none", "x"), FileNotFoundError, "/none"),
    (lambda m: m.remove("none"), FileNotFoundError, "/none"),
    (lambda m: m.chmod("none", 0), FileNotFoundError, "/none"),
    (lambda m: m.truncate("d", 0), IsADirectoryError, "/d"),
    (lambda m: m.stat("x" * 256), OSError, "x"),
]


@pytest.mark.parametrize(("work", "kind", "end"), ERRORS)
def test_errors_are_the_right_ones_with_the_whole_path(
    m: Mount, work: Callable[[Mount], Any], kind: type[OSError], end: str
) -> None:
    m.write_text("f", "")
    m.mkdir("d")
    with pytest.raises(kind) as raised:
        work(m)
    assert raised.value.filename.startswith("/export/")
    assert raised.value.filename.endswith(end)


def test_a_directory_that_is_not_empty_stays(m: Mount) -> None:
    m.makedirs("d/e")
    with pytest.raises(OSError) as raised:
        m.rmdir("d")
    assert raised.value.errno == errno.ENOTEMPTY


def test_path_objects(m: Mount) -> None:
    top = m.path("a")
    (top / "b").mkdir(parents=True)
    file = top / "b" / "c.txt"
    assert file.write_text("text") == 4
    assert (file.read_text(), file.read_bytes(), file.stat().st_size) == ("text", b"text", 4)
    assert (file.name, file.stem, file.suffix, str(file.parent)) == ("c.txt", "c", ".txt", "a/b")
    assert (file.exists(), file.is_file(), file.is_dir(), top.is_dir()) == (True, True, False, True)
    assert [str(path) for path in top.rglob("*.txt")] == ["a/b/c.txt"]
    assert list((top / "b").iterdir()) == [file]
    link = top / "link"
    link.symlink_to("b/c.txt")
    assert (link.is_symlink(), str(link.readlink()), link.read_text()) == (True, "b/c.txt", "text")
    (top / "hard").hardlink_to(file)
    moved = file.rename(file.with_suffix(".old"))
    assert (moved.name, file.exists(), link.exists()) == ("c.old", False, False)
    (top / "t").touch()
    (top / "t").touch()
    with pytest.raises(FileExistsError):
        (top / "t").touch(exist_ok=False)
    moved.unlink()
    moved.unlink(missing_ok=True)
    assert m.path("a") / "x" == m / "a" / "x"
    assert m.read_text(m / "a" / "hard") == "text"


def test_a_url_may_name_a_file(m: Mount, served: Served) -> None:
    m.write_text("f", "the file itself")
    url = served.url(os.fsdecode(m.url.path).removeprefix("/export") + "/f", uid=0)
    with mount(url) as file:
        assert file.read_text("") == "the file itself"
        assert file.stat("").st_size == 15
        file.remove("")
    assert not m.exists("f")


def test_names_are_bytes(m: Mount) -> None:
    m.write_text(b"\xff", "x")
    assert (m.listdir(), m.listdir(b""), m.read_text("\udcff")) == (["\udcff"], [b"\xff"], "x")


def test_closing_the_mount_writes_what_is_open(m: Mount) -> None:
    other = mount(m.url)
    file = other.open("f", "wb", 0)
    file.write(b"not flushed")
    other.close()
    assert m.read_bytes("f") == b"not flushed"


def test_a_reply_that_is_taken_late_does_not_end_the_file_early(nfs_url: str) -> None:
    with mount(nfs_url) as m:
        m.write_bytes("f", bytes(100))
        with m.open("f", "r+b", 0) as file:
            late = file._files.read_into(file._opened, memoryview(bytearray(10)), 0)
            reply = m.wire.perform(late.send(None))
            file.pwrite(b"x" * 10, 30_000)
            file.fsync()
            with contextlib.suppress(StopIteration):
                late.send(reply)
            assert file.pread(10, 30_000) == b"x" * 10


def test_a_read_that_a_writer_of_the_same_page_gives_up_is_made_again(nfs_url: str) -> None:
    with mount(nfs_url) as m:
        m.write_bytes("f", bytes(100))
        with m.open("f", "r+b", 0) as file:
            found = bytearray(10)
            reader = file._files.read_into(file._opened, memoryview(found), 0)
            flight = reader.send(None)
            file.pwrite(b"x" * 10, 0)
            file.fsync()
            with pytest.raises(OSError) as given_up:
                m.wire.perform(flight)
            with contextlib.suppress(StopIteration):
                step = reader.throw(given_up.value)
                while True:
                    step = reader.send(m.wire.perform(step))
            assert found == b"x" * 10


def asked(m: Mount, work: Callable[[], Any]) -> list[int]:
    """The procedures that `work` calls."""
    numbers: list[int] = []
    submit = m._client.submit
    m._client.submit = lambda what, *rest, **how: (numbers.append(what.number), submit(what, *rest, **how))[1]  # type: ignore
    try:
        work()
    finally:
        m._client.submit = submit  # type: ignore[method-assign]
    return numbers


def test_names_and_attributes_come_from_memory_while_they_may(m: Mount) -> None:
    m.write_text("f", "x")
    m.exists("none")
    m.stat("f")
    m.exists("none")
    m.listdir()
    for work in (lambda: m.stat("f"), lambda: m.exists("none"), m.listdir, lambda: m.lstat("f")):
        assert asked(m, work) == []
    assert asked(m, lambda: m.open("f").close()) == [4]  # the server is always asked at an open
    with mount(m.url, file_min=0, file_max=0, directory_min=0, directory_max=0) as off:
        for work in (lambda: off.stat("f"), lambda: off.exists("none"), off.listdir):
            work()
            assert asked(off, work) != []


def test_whoever_passes_through_a_large_file_leaves_the_cache_to_others(served: Served) -> None:
    with mount(served.url(), cache_size=1 << 18) as m:
        contents = os.urandom(1 << 19)
        m.write_bytes("large", contents)
        m.write_bytes("small", contents[:8192])
        cache = m._files._cache
        with m.open("small", "rb", 0) as small, m.open("large", "rb", 0) as large:
            assert small.read(8192) == contents[:8192]
            kept = set(cache._pages)
            assert b"".join(iter(lambda: large.read(10_000), b"")) == contents
            assert kept <= set(cache._pages)
            assert cache.held < 1 << 16
        m.remove("large")
        m.remove("small")


def test_any_number_of_threads_may_use_a_mount_and_a_file(m: Mount) -> None:
    """Each thread has a directory and a part of a shared file of its own; all list, look and remove at once."""
    part, threads, rounds = 30_000, 12, 6
    m.write_bytes("shared", bytes(part * threads))
    begin = threading.Barrier(threads)

    def work(number: int) -> None:
        chance = random.Random(number)
        begin.wait(60)
        for turn in range(rounds):
            mine = f"d{number}/{turn}"
            m.makedirs(mine)
            data = chance.randbytes(chance.randrange(1, 40_000))
            m.write_bytes(f"{mine}/f", data)
            shared.pwrite(bytes([number * rounds + turn]) * part, number * part)
            assert shared.pread(part, number * part) == bytes([number * rounds + turn]) * part
            m.rename(f"{mine}/f", f"{mine}/g")
            assert (m.listdir(mine), m.read_bytes(f"{mine}/g"), m.exists(f"{mine}/f")) == (["g"], data, False)
            assert m.stat("shared").st_size == part * threads
            assert f"d{number}" in m.listdir()
            if turn % 2:
                m.rmtree(mine)

    with m.open("shared", "r+b", 0) as shared, ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))
    last = b"".join(bytes([number * rounds + rounds - 1]) * part for number in range(threads))
    assert m.read_bytes("shared") == last
    assert {path for path, directories, _ in m.walk("d3") if not directories} == {f"d3/{turn}" for turn in (0, 2, 4)}
