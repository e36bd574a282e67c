"""Paths, links and streams, against our server and against servers that send what they like."""

import errno
import itertools
import os
import stat
from collections.abc import Iterator
from typing import Any

import pytest
from by_hand import DIRECTORY, MOUNT, NFS, ROOT, Answer, ByHand, chain, fattr, opaque, word
from served import Served

from nfsrpc.client.files import Files
from nfsrpc.client.nfs2 import attributes_to_set
from nfsrpc.client.site import attach
from nfsrpc.client.url import parse_url

_numbers = itertools.count()


@pytest.fixture
def home(files: Files) -> bytes:
    """A directory of the test's own."""
    name = b"%d-%d" % (os.getpid(), next(_numbers))
    files.nfs.mkdir(files.find(b"").handle, name, attributes_to_set(mode=0o755))
    return name


def symlink(files: Files, directory: bytes, name: bytes, target: bytes) -> None:
    files.nfs.symlink(files.find(directory).handle, name, target, attributes_to_set(mode=0o777))


def mkdir(files: Files, directory: bytes, name: bytes) -> None:
    files.nfs.mkdir(files.find(directory).handle, name, attributes_to_set(mode=0o755))


def put(files: Files, path: bytes, *blocks: bytes) -> None:
    files.write(files.create(path, 0o644), blocks)


def text(files: Files, path: bytes) -> bytes:
    return b"".join(files.read(files.find(path)))


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 1_000_003])
@pytest.mark.parametrize("window", [1, 16])
def test_contents_come_back(files: Files, home: bytes, size: int, window: int) -> None:
    data = os.urandom(size)
    blocks = [data[at : at + 10_000] for at in range(0, size, 10_000)]
    done: list[int] = []
    node = files.create(home + b"/f", 0o640)
    assert files.write(node, blocks, window=window, progress=done.append) == size
    assert sum(done) == size
    node = files.find(home + b"/f")
    assert node.attributes.size == size
    assert stat.S_IMODE(node.attributes.mode) == 0o640
    assert b"".join(files.read(node, window=window)) == data


def test_a_file_that_is_there_is_emptied_and_keeps_its_mode_and_links(files: Files, home: bytes) -> None:
    put(files, home + b"/f", b"long contents")
    node = files.find(home + b"/f")
    files.nfs.setattr(node.handle, attributes_to_set(mode=0o600))
    files.nfs.link(node.handle, files.find(home).handle, b"g")
    put(files, home + b"/f", b"short")
    assert text(files, home + b"/g") == b"short"
    assert stat.S_IMODE(files.find(home + b"/f").attributes.mode) == 0o600


def test_a_file_cut_short_while_it_is_read_ends_where_it_ends(files: Files, home: bytes) -> None:
    put(files, home + b"/f", bytes(200_000))
    node = files.find(home + b"/f")
    reading = files.read(node, window=2)
    got = len(next(reading))
    files.nfs.setattr(node.handle, attributes_to_set(size=50_000))
    got += sum(map(len, reading))
    assert 50_000 <= got < 200_000


def test_what_is_appended_while_a_file_is_read_comes_too(files: Files, home: bytes) -> None:
    put(files, home + b"/f", bytes(50_000))
    node = files.find(home + b"/f")
    reading = files.read(node, window=2)
    got = next(reading)
    files.nfs.write(node.handle, 50_000, b"more")
    assert (got + b"".join(reading))[-5:] == b"\0more"


def test_links_on_the_way_and_at_the_end_are_followed(files: Files, home: bytes) -> None:
    mkdir(files, home, b"d")
    put(files, home + b"/d/f", b"here")
    export = files._mount.export
    for name, target in [
        (b"relative", b"d/f"),
        (b"dotted", b"./d/.././d//f"),
        (b"rooted", b"/" + home + b"/d/f"),
        (b"server's", export + b"/" + home + b"/d/f"),
        (b"over the top", b"../../../../" + home + b"/d/f"),
        (b"twice", b"relative"),
        (b"dir", b"d"),
    ]:
        symlink(files, home, name, target)
    for name in (b"relative", b"dotted", b"rooted", b"server's", b"over the top", b"twice", b"dir/f", b"dir/../d/f"):
        assert text(files, home + b"/" + name) == b"here", name


def test_the_last_link_is_left_alone_where_that_is_wanted(files: Files, home: bytes) -> None:
    symlink(files, home, b"link", b"nowhere")
    node = files.find(home + b"/link", follow=False)
    assert stat.S_ISLNK(node.attributes.mode)
    assert files.readlink(node) == b"nowhere"
    with pytest.raises(FileNotFoundError):
        files.find(home + b"/link")


def test_parents_of_a_directory_behind_a_link_are_its_own(files: Files, home: bytes) -> None:
    mkdir(files, home, b"a")
    mkdir(files, home + b"/a", b"b")
    put(files, home + b"/a/f", b"beside b")
    symlink(files, home, b"to-b", b"a/b")
    assert text(files, home + b"/to-b/../f") == b"beside b"


def test_links_in_a_circle_end(files: Files, home: bytes) -> None:
    symlink(files, home, b"a", b"b")
    symlink(files, home, b"b", b"a")
    symlink(files, home, b"self", b"self/self/self")
    for name in (b"a", b"b", b"self"):
        with pytest.raises(OSError) as raised:
            files.find(home + b"/" + name)
        assert raised.value.errno == errno.ELOOP


def test_errors_carry_the_whole_path(files: Files, home: bytes) -> None:
    put(files, home + b"/f", b"")
    mkdir(files, home, b"d")
    place = "/export/" + home.decode()
    with pytest.raises(FileNotFoundError) as missing:
        files.find(home + b"/d/none")
    assert missing.value.filename == place + "/d/none"
    with pytest.raises(NotADirectoryError) as no_directory:
        files.find(home + b"/f/x")
    assert no_directory.value.filename == place + "/f/x"
    with pytest.raises(NotADirectoryError):
        files.find(home + b"/f/../f")
    for wrong in (lambda: list(files.read(files.find(home))), lambda: files.create(home, 0o644)):
        with pytest.raises(IsADirectoryError) as directory:
            wrong()
        assert directory.value.filename == place


def test_a_listing_of_many_names(files: Files, home: bytes) -> None:
    directory = files.find(home)
    for number in range(300):
        files.nfs.create(directory.handle, b"%03d-\xff%s" % (number, b"x" * 50), attributes_to_set(mode=0o644))
    names = [entry.name for entry in files.entries(directory)]
    assert len(names) == len(set(names)) == 302
    assert {b".", b"..", b"000-\xff" + b"x" * 50} <= set(names)


def test_what_is_in_flight_when_reading_stops_is_given_up(files: Files, home: bytes) -> None:
    put(files, home + b"/f", bytes(500_000))
    reading = files.read(files.find(home + b"/f"))
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert len(files.nfs.client._table) == 0
    assert len(text(files, home + b"/f")) == 500_000


def test_no_space_left_or_no_right_ends_a_stream_with_its_errno(served: Served) -> None:
    with attach(parse_url(served.url(uid=4711, gid=4711))) as mounted:
        with pytest.raises(PermissionError) as denied:
            Files(mounted).create(b"not-mine", 0o644)
        assert denied.value.filename == "/export/not-mine"


# --- servers that send what they like

Answers = dict[tuple[int, int], Answer | bytes]


@pytest.fixture
def hostile() -> Iterator[Any]:
    """Files of a server by hand: its root is a directory, ``nfs`` says what the other procedures do."""
    open_ones: list[Any] = []

    def make(nfs: dict[int, Answer | bytes]) -> Files:
        answers: Answers = {
            (MOUNT, 5): chain(opaque(b"/x") + chain()),
            (MOUNT, 1): word(0) + ROOT,
            (MOUNT, 3): b"",
            (NFS, 1): word(0) + DIRECTORY,
        }
        answers.update({(NFS, number): answer for number, answer in nfs.items()})
        server = ByHand(answers).__enter__()
        mounted = attach(parse_url(f"nfs://127.0.0.1:{server.port}/x"))
        open_ones.extend((mounted, server))
        return Files(mounted)

    yield make
    for one in open_ones:
        one.__exit__(None, None, None)


LINK = word(0) + b"L" * 32 + fattr(5, 0o120777, 4)


def test_a_server_whose_every_name_is_a_link_is_left_in_the_end(hostile: Any) -> None:
    files = hostile({4: LINK, 5: word(0) + opaque(b"/".join([b"a"] * 512))})
    with pytest.raises(OSError) as raised:
        files.find(b"a")
    assert raised.value.errno == errno.ELOOP


def test_a_server_whose_directories_have_no_bottom_is_left_in_the_end(hostile: Any) -> None:
    files = hostile({4: word(0) + b"D" * 32 + DIRECTORY})
    with pytest.raises(OSError) as raised:
        files.find(b"d/" * 5000)
    assert raised.value.errno == errno.ENAMETOOLONG


def test_an_empty_link_target_leads_nowhere(hostile: Any) -> None:
    with pytest.raises(FileNotFoundError):
        hostile({4: LINK, 5: word(0) + opaque(b"")}).find(b"a")


def test_short_reads_are_asked_on(hostile: Any) -> None:
    contents = bytes(range(256)) * 79

    def read(arguments: bytes) -> bytes:
        offset, count = (int.from_bytes(arguments[at : at + 4]) for at in (32, 36))
        return word(0) + fattr(size=len(contents)) + opaque(contents[offset : offset + min(count, 1000)])

    files = hostile({4: word(0) + b"F" * 32 + fattr(size=len(contents)), 6: read})
    assert b"".join(files.read(files.find(b"f"), window=4)) == contents


def test_a_file_that_ends_before_its_size_is_an_error_not_a_loop(hostile: Any) -> None:
    files = hostile({4: word(0) + b"F" * 32 + fattr(size=100), 6: word(0) + fattr(size=100) + opaque(b"")})
    with pytest.raises(OSError, match="nothing at 0 of 100"):
        list(files.read(files.find(b"f")))


def test_a_write_that_fails_ends_the_stream(hostile: Any) -> None:
    replies = itertools.chain([word(0) + fattr()] * 5, itertools.repeat(word(28)))
    files = hostile({4: word(0) + b"F" * 32 + fattr(), 8: lambda arguments: next(replies)})
    with pytest.raises(OSError) as raised:
        files.write(files.find(b"f"), [bytes(1 << 20)])
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, "/x/f")
