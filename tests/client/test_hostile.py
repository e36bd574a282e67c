"""A mount of servers that send what they like."""

from __future__ import annotations

import errno
import itertools
from collections.abc import Callable, Iterator

import pytest
from by_hand import DIRECTORY, MOUNT, NFS, ROOT, Answer, ByHand, chain, fattr, opaque, word

from nfsrpc.client import Mount, mount

Answers = dict[int, Answer | bytes]
LINK = word(0) + b"L" * 32 + fattr(5, 0o120777, 4)


@pytest.fixture
def hostile() -> Iterator[Callable[[Answers], Mount]]:
    """A mount of a server by hand: its root is a directory, the argument says what other procedures of NFS do."""
    open_ones: list[ByHand | Mount] = []

    def make(nfs: Answers) -> Mount:
        answers: dict[tuple[int, int], Answer | bytes] = {
            (MOUNT, 5): chain(opaque(b"/x") + chain()),
            (MOUNT, 1): word(0) + ROOT,
            (MOUNT, 3): b"",
            (NFS, 1): word(0) + DIRECTORY,
        }
        answers.update({(NFS, number): answer for number, answer in nfs.items()})
        server = ByHand(answers).__enter__()
        mounted = mount(f"nfs://127.0.0.1:{server.port}/x")
        open_ones.extend((mounted, server))
        return mounted

    yield make
    for one in open_ones:
        one.__exit__(None, None, None)


def test_every_name_is_a_link(hostile: Callable[[Answers], Mount]) -> None:
    m = hostile({4: LINK, 5: word(0) + opaque(b"/".join([b"a"] * 512))})
    with pytest.raises(OSError) as raised:
        m.stat("a")
    assert raised.value.errno == errno.ELOOP


def test_directories_have_no_bottom(hostile: Callable[[Answers], Mount]) -> None:
    m = hostile({4: word(0) + b"D" * 32 + DIRECTORY})
    with pytest.raises(OSError) as raised:
        m.stat("d/" * 5000)
    assert raised.value.errno == errno.ENAMETOOLONG


def test_an_empty_link_target_leads_nowhere(hostile: Callable[[Answers], Mount]) -> None:
    with pytest.raises(FileNotFoundError):
        hostile({4: LINK, 5: word(0) + opaque(b"")}).stat("a")


def test_short_reads_are_asked_on(hostile: Callable[[Answers], Mount]) -> None:
    contents = bytes(range(256)) * 79

    def read(arguments: bytes) -> bytes:
        offset, count = (int.from_bytes(arguments[at : at + 4]) for at in (32, 36))
        return word(0) + fattr(size=len(contents)) + opaque(contents[offset : offset + min(count, 1000)])

    assert hostile({4: word(0) + b"F" * 32 + fattr(size=len(contents)), 6: read}).read_bytes("f") == contents


def test_a_file_that_ends_before_its_size_is_an_error_not_a_loop(hostile: Callable[[Answers], Mount]) -> None:
    m = hostile({4: word(0) + b"F" * 32 + fattr(size=100), 6: word(0) + fattr(size=100) + opaque(b"")})
    with pytest.raises(OSError, match="nothing at 0 of 100"):
        m.read_bytes("f")


def test_a_write_that_fails_is_told_with_its_path(hostile: Callable[[Answers], Mount]) -> None:
    replies = itertools.chain([word(0) + fattr()] * 5, itertools.repeat(word(28)))
    m = hostile({4: word(0) + b"F" * 32 + fattr(), 8: lambda arguments: next(replies)})
    with pytest.raises(OSError) as raised:
        m.write_bytes("f", bytes(1 << 20))
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, "/x/f")


@pytest.mark.parametrize("name", [b"", b"../x", b"a/b", b"a\0"], ids=repr)
def test_names_that_no_directory_can_hold(hostile: Callable[[Answers], Mount], name: bytes) -> None:
    listing = word(0) + chain(word(1) + opaque(name) + word(1)) + word(1)
    with pytest.raises(OSError, match="impossible name"):
        hostile({16: listing}).listdir()
