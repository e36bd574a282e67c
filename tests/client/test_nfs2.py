"""Procedures of NFSv2 as bytes: what goes out, what may come back, and what a server does not get away with."""

import errno
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from by_hand import DIRECTORY, NFS, ROOT, Answer, ByHand, chain, fattr, opaque, word

from nfsrpc.client.nfs2 import Nfs2, attributes_to_set
from nfsrpc.rpc.errors import BadReply
from nfsrpc.rpc.retry import MAYBE
from nfsrpc.transport.client_udp import connect_udp

FILE = b"F" * 32
OTHER = b"O" * 32
ONES = 0xFFFFFFFF
NOTHING_SET = word(*[ONES] * 8)
FILE_ATTRIBUTES = fattr(size=5)
FOUND = word(0) + FILE + FILE_ATTRIBUTES

Ask = Callable[[Nfs2], Any]


@pytest.fixture
def speaking() -> Iterator[Callable[[dict[int, Answer | bytes]], tuple[Nfs2, ByHand]]]:
    """Make a server that answers the given procedures of NFS, and a client of it."""
    open_ones: list[Any] = []

    def make(answers: dict[int, Answer | bytes]) -> tuple[Nfs2, ByHand]:
        server = ByHand({(NFS, number): answer for number, answer in answers.items()})
        server.__enter__()
        client = connect_udp("127.0.0.1", server.port, timeout=10, policy=MAYBE)
        open_ones.extend((client, server))
        return Nfs2(client), server

    yield make
    for one in open_ones:
        one.__exit__(None, None, None)


CALLS: list[tuple[str, int, Ask, bytes, bytes]] = [
    ("GETATTR", 1, lambda nfs: nfs.getattr(FILE).size == 5, FILE, word(0) + FILE_ATTRIBUTES),
    (
        "SETATTR",
        2,
        lambda nfs: nfs.setattr(FILE, attributes_to_set(mode=0o600, mtime=(7, 8))).fileid == 1,
        FILE + word(0o600, ONES, ONES, ONES, ONES, ONES, 7, 8),
        word(0) + FILE_ATTRIBUTES,
    ),
    ("LOOKUP", 4, lambda nfs: nfs.lookup(ROOT, b"caf\xe9")[0] == FILE, ROOT + opaque(b"caf\xe9"), FOUND),
    ("READLINK", 5, lambda nfs: nfs.readlink(FILE) == b"../x", FILE, word(0) + opaque(b"../x")),
    (
        "READ",
        6,
        lambda nfs: nfs.read(FILE, 4096, 5)[0] == b"hello",
        FILE + word(4096, 5, 0),
        word(0) + FILE_ATTRIBUTES + opaque(b"hello"),
    ),
    (
        "WRITE",
        8,
        lambda nfs: nfs.write(FILE, 3, b"hello").size == 5,
        FILE + word(0, 3, 0) + opaque(b"hello"),
        word(0) + FILE_ATTRIBUTES,
    ),
    (
        "CREATE",
        9,
        lambda nfs: nfs.create(ROOT, b"new", attributes_to_set(mode=0o100644, size=0))[0] == FILE,
        ROOT + opaque(b"new") + word(0o100644, ONES, ONES, 0, ONES, ONES, ONES, ONES),
        FOUND,
    ),
    ("REMOVE", 10, lambda nfs: nfs.remove(ROOT, b"old") is None, ROOT + opaque(b"old"), word(0)),
    (
        "RENAME",
        11,
        lambda nfs: nfs.rename(ROOT, b"old", OTHER, b"new") is None,
        ROOT + opaque(b"old") + OTHER + opaque(b"new"),
        word(0),
    ),
    ("LINK", 12, lambda nfs: nfs.link(FILE, ROOT, b"n") is None, FILE + ROOT + opaque(b"n"), word(0)),
    (
        "SYMLINK",
        13,
        lambda nfs: nfs.symlink(ROOT, b"s", b"/to", attributes_to_set()) is None,
        ROOT + opaque(b"s") + opaque(b"/to") + NOTHING_SET,
        word(0),
    ),
    (
        "MKDIR",
        14,
        lambda nfs: nfs.mkdir(ROOT, b"d", attributes_to_set(mode=0o755))[0] == FILE,
        ROOT + opaque(b"d") + word(0o755) + NOTHING_SET[4:],
        FOUND,
    ),
    ("RMDIR", 15, lambda nfs: nfs.rmdir(ROOT, b"d") is None, ROOT + opaque(b"d"), word(0)),
    (
        "READDIR",
        16,
        lambda nfs: [entry.name for entry in nfs.readdir(ROOT)] == [b".", b"x"],
        ROOT + word(0, 8192),
        word(0) + chain(word(1) + opaque(b".") + word(1), word(2) + opaque(b"x") + word(2)) + word(1),
    ),
    ("STATFS", 17, lambda nfs: nfs.statfs(ROOT) == (8192, 512, 100, 50, 40), ROOT, word(0, 8192, 512, 100, 50, 40)),
]
NAMES = [row[0] for row in CALLS]


@pytest.mark.parametrize(("number", "ask", "sent", "reply"), [row[1:] for row in CALLS], ids=NAMES)
def test_a_call_and_its_answer(speaking: Any, number: int, ask: Ask, sent: bytes, reply: bytes) -> None:
    nfs, server = speaking({number: reply})
    assert ask(nfs)
    assert server.calls[0][12:24] == word(NFS, 2, number)
    assert server.calls[0][40:] == sent


@pytest.mark.hostile
@pytest.mark.parametrize(("number", "ask"), [row[1:3] for row in CALLS], ids=NAMES)
@pytest.mark.parametrize(
    ("status", "expected"), [(2, errno.ENOENT), (70, errno.ESTALE), (22, errno.EINVAL), (999, errno.EIO)]
)
def test_a_status_is_an_errno_from_every_procedure(
    speaking: Any, number: int, ask: Ask, status: int, expected: int
) -> None:
    nfs, _ = speaking({number: word(status)})
    with pytest.raises(OSError) as raised:
        ask(nfs)
    assert raised.value.errno == expected


@pytest.mark.hostile
@pytest.mark.parametrize(("number", "ask", "sent", "reply"), [row[1:] for row in CALLS], ids=NAMES)
def test_every_truncation_of_an_answer_is_a_bad_reply(
    speaking: Any, number: int, ask: Ask, sent: bytes, reply: bytes
) -> None:
    lengths = iter(range(0, len(reply), 4))
    nfs, _ = speaking({number: lambda arguments: reply[: next(lengths)]})
    for _length in range(0, len(reply), 4):
        with pytest.raises(BadReply):
            ask(nfs)


@pytest.mark.hostile
@pytest.mark.parametrize("status", [0, 13])
def test_bytes_behind_an_answer_are_a_bad_reply(speaking: Any, status: int) -> None:
    nfs, _ = speaking({10: word(status) + b"more"})
    with pytest.raises(BadReply):
        nfs.remove(ROOT, b"x")


def test_a_name_goes_into_the_error(speaking: Any) -> None:
    nfs, _ = speaking({4: word(2), 11: word(17)})
    with pytest.raises(FileNotFoundError) as missing:
        nfs.lookup(ROOT, b"x\xff")
    assert missing.value.filename == "x\udcff"
    with pytest.raises(FileExistsError) as there:
        nfs.rename(ROOT, b"a", ROOT, b"b")
    assert (there.value.filename, there.value.filename2) == ("a", "b")


@pytest.mark.parametrize(
    ("name", "number"),
    [
        (b"", errno.EINVAL),
        (b"a/b", errno.EINVAL),
        (b"/", errno.EINVAL),
        (b"a\0b", errno.EINVAL),
        (b".", errno.EINVAL),
        (b"..", errno.EINVAL),
        (b"x" * 256, errno.ENAMETOOLONG),
    ],
)
def test_names_that_cannot_be_made_are_never_sent(speaking: Any, name: bytes, number: int) -> None:
    nfs, server = speaking({})
    for make in (
        lambda: nfs.create(ROOT, name, attributes_to_set()),
        lambda: nfs.mkdir(ROOT, name, attributes_to_set()),
        lambda: nfs.remove(ROOT, name),
        lambda: nfs.rmdir(ROOT, name),
        lambda: nfs.rename(ROOT, b"ok", ROOT, name),
        lambda: nfs.rename(ROOT, name, ROOT, b"ok"),
        lambda: nfs.link(FILE, ROOT, name),
        lambda: nfs.symlink(ROOT, name, b"t", attributes_to_set()),
    ):
        with pytest.raises(OSError) as raised:
            make()
        assert raised.value.errno == number
    assert server.calls == []


def test_offsets_beyond_version_2_are_never_sent(speaking: Any) -> None:
    nfs, server = speaking({})
    for go in (lambda: nfs.read(FILE, 1 << 32, 1), lambda: nfs.write(FILE, (1 << 32) - 1, b"xy")):
        with pytest.raises(OSError) as raised:
            go()
        assert raised.value.errno == errno.EFBIG
    assert server.calls == []


def entry(name: bytes, cookie: int, fileid: int = 1) -> bytes:
    return word(fileid) + opaque(name) + word(cookie)


def test_a_listing_goes_on_behind_the_last_cookie(speaking: Any) -> None:
    pages = iter([
        word(0) + chain(entry(b"a", 3), entry(b"b", 9)) + word(0),
        word(0) + chain(entry(b"c", 0x80000000)) + word(0),
        word(0) + chain() + word(1),
    ])
    nfs, server = speaking({16: lambda arguments: next(pages)})
    assert [found.name for found in nfs.readdir(ROOT, page=512)] == [b"a", b"b", b"c"]
    assert [call[-8:] for call in server.calls] == [word(0, 512), word(9, 512), word(0x80000000, 512)]


ENDLESS: list[tuple[str, Callable[[], Iterator[bytes]]]] = [
    ("the same page again and again", lambda: itertools.repeat(chain(entry(b"a", 1)))),
    ("empty pages", lambda: itertools.repeat(chain())),
    ("two pages in turn", lambda: itertools.cycle([chain(entry(b"a", 1)), chain(entry(b"b", 2))])),
    ("back to the start", lambda: itertools.repeat(chain(entry(b"a", 5), entry(b"b", 0)))),
]


@pytest.mark.parametrize("pages", [row[1] for row in ENDLESS], ids=[row[0] for row in ENDLESS])
def test_a_listing_that_leads_back_is_refused(speaking: Any, pages: Callable[[], Iterator[bytes]]) -> None:
    source = pages()
    nfs, server = speaking({16: lambda arguments: word(0) + next(source) + word(0)})
    with pytest.raises(OSError, match="does not come to an end"):
        list(nfs.readdir(ROOT))
    assert len(server.calls) <= 3


def test_a_listing_that_never_repeats_itself_is_refused_too(speaking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nfsrpc.client.nfs2.MAX_ENTRIES", 100)
    numbers = itertools.count(1)
    nfs, server = speaking({16: lambda arguments: word(0) + chain(entry(b"x", next(numbers))) + word(0)})
    with pytest.raises(OSError, match="does not come to an end"):
        list(nfs.readdir(ROOT))
    assert len(server.calls) == 101


@pytest.mark.parametrize("name", [b"", b"../../etc/passwd", b"/etc", b"a\0b"])
def test_a_listed_name_that_would_lead_elsewhere_is_refused(speaking: Any, name: bytes) -> None:
    nfs, _ = speaking({16: word(0) + chain(entry(b"ok", 1), entry(name, 2)) + word(1)})
    with pytest.raises(OSError, match="impossible name"):
        list(nfs.readdir(ROOT))


def test_more_than_was_asked_for_is_refused(speaking: Any) -> None:
    nfs, _ = speaking({6: word(0) + FILE_ATTRIBUTES + opaque(b"hello")})
    with pytest.raises(OSError, match="5 bytes where 4"):
        nfs.read(FILE, 0, 4)


def test_a_link_target_with_nul_is_refused(speaking: Any) -> None:
    nfs, _ = speaking({5: word(0) + opaque(b"a\0b")})
    with pytest.raises(OSError, match="NUL"):
        nfs.readlink(FILE)


def test_a_listing_of_thousands_of_entries_in_one_reply(speaking: Any) -> None:
    many = [entry(b"%d" % number, number + 1) for number in range(400)]
    nfs, _ = speaking({16: word(0) + chain(*many) + word(1)})
    assert len(list(nfs.readdir(ROOT))) == 400


def test_a_directory_s_attributes(speaking: Any) -> None:
    nfs, _ = speaking({1: word(0) + DIRECTORY})
    attributes = nfs.getattr(ROOT)
    assert (attributes.mode, attributes.mtime.seconds, attributes.ctime.seconds) == (0o040755, 200, 300)
