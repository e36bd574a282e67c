"""How commands fail, and that nothing a server sends reaches a terminal as it is."""

import errno

import click
import pytest
from click.testing import CliRunner

from nfsrpc.cli.errors import Failure, printable, printable_name
from nfsrpc.cli.remote import failing_at
from nfsrpc.client.url import BadUrl
from nfsrpc.rpc.errors import (
    AuthRefused,
    Disconnected,
    ProgramMismatch,
    ProgramUnavailable,
    RemoteSystemError,
    RpcTimeout,
)
from nfsrpc.transport.address import HostUnknown

NAMES = [
    (b"plain.txt", "plain.txt"),
    ("caf\u00e9 \u65e5\u672c".encode(), "caf\u00e9 \u65e5\u672c"),
    (b"with space", "with space"),
    (b"back\\slash", "back\\\\slash"),
    (b"\\x41", "\\\\x41"),
    (b"new\nline\ttab\r", "new\\x0aline\\x09tab\\x0d"),
    (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
    (b"del\x7f", "del\\x7f"),
    ("c1\x9b31m".encode(), "c1\\x9b31m"),
    (b"\xff\xfe", "\\xff\\xfe"),
    ("\u202eevil\u2066".encode(), "\\u202eevil\\u2066"),
    ("line\u2028".encode(), "line\\u2028"),
]


@pytest.mark.parametrize(("name", "shown"), NAMES, ids=[ascii(row[0]) for row in NAMES])
def test_a_name_is_shown_safely_and_without_doubt(name: bytes, shown: str) -> None:
    assert printable_name(name) == shown
    shown.encode()


def test_different_names_are_never_shown_alike() -> None:
    names = [bytes([first, second]) for first in range(256) for second in range(256)]
    assert len({printable_name(name) for name in names}) == len(names)


def test_messages_keep_their_backslashes() -> None:
    assert printable("C:\\x \x1b[31m") == "C:\\x \\x1b[31m"


def test_whatever_moves_a_terminal_is_shown_as_an_escape() -> None:
    moving = [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
    for code in [*moving, *range(0xD800, 0xE000)]:
        assert printable(f"a{chr(code)}").startswith("a\\"), hex(code)
    assert printable("caf\u00e9\u00a0\U0001f600 ") == "caf\u00e9\u00a0\U0001f600 "


def test_a_failure_is_one_line_on_standard_error_and_status_1() -> None:
    @click.command()
    def failing() -> None:
        raise Failure("nfs://sun/\x1b[31m: gone\nwrong")

    result = CliRunner().invoke(failing)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "nfsrpc: nfs://sun/\\x1b[31m: gone\\x0awrong\n")


ERRORS = [
    (FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/y"), "here: /x/y: No such file or directory"),
    (FileExistsError(errno.EEXIST, "File exists", "/a", None, "/b"), "here: /a: /b: File exists"),
    (PermissionError(errno.EACCES, "Permission denied", "/x"), "here: /x: Permission denied (the server goes by"),
    (OSError(errno.EIO, "odd"), "here: odd"),
    (RpcTimeout("no reply"), "here: no reply (is the server running there"),
    (Disconnected("refused"), "here: refused (is the server running?"),
    (HostUnknown("sun: Name or service not known"), "here: sun: Name or service not known (check the host's name)"),
    (ProgramUnavailable(), "another program listens there"),
    (ProgramMismatch(3, 4), "here: the server has versions 3 to 4 of this program (this command speaks NFS version 2"),
    (AuthRefused(5), "try ?sec=krb5p"),
    (RemoteSystemError(), "here: the server failed while it handled the call"),
    (BadUrl("'x' is no NFS URL"), "'x' is no NFS URL"),
]


@pytest.mark.parametrize(("error", "words"), ERRORS, ids=[type(row[0]).__name__ for row in ERRORS])
def test_each_error_is_said_with_place_cause_and_remedy(error: Exception, words: str) -> None:
    with pytest.raises(Failure) as failure, failing_at("here"):
        raise error
    assert words in failure.value.format_message()


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(KeyError), failing_at("here"):
        raise KeyError("x")


@pytest.mark.parametrize(
    ("place", "error", "said"),
    [
        ("nfs://h/x/y", FileNotFoundError(errno.ENOENT, "gone", "/x/y"), "nfs://h/x/y: gone ("),
        ("nfs://h/", FileNotFoundError(errno.ENOENT, "gone", "/"), "nfs://h/: gone ("),
        ("nfs://h/a%20b/", FileNotFoundError(errno.ENOENT, "gone", "/a b"), "nfs://h/a%20b/: /a b: gone ("),
        ("nfs://h/x/y", FileNotFoundError(errno.ENOENT, "gone", "/x"), "nfs://h/x/y: /x: gone ("),
        ("nfs://h/a", OSError(errno.EXDEV, "far", "/a", None, "/b"), "nfs://h/a: /b: far"),
        ("h:1", Disconnected("h:1: refused"), "h:1: refused ("),
    ],
)
def test_nothing_is_said_twice(place: str, error: Exception, said: str) -> None:
    with pytest.raises(Failure) as failure, failing_at(place):
        raise error
    assert failure.value.format_message().startswith(said)
