"""How a command fails: one line that says where, why and what to do, and exit status 1; 2 if it was typed wrong."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import IO, Any

import click

_UNPRINTABLE = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\\]"
"""`re` compiles it when there is something to look for: that takes longer than most that is printed."""


class Failure(click.ClickException):
    """A command cannot go on. Printed as ``nfsrpc: message`` on standard error, exit status 1."""

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line; whatever a server has put into it cannot reach the terminal as a control character."""
        click.echo(f"nfsrpc: {printable(self.format_message())}", file=sys.stderr if file is None else file)


class Misuse(Failure):
    """The command line was wrong. Exit status 2."""

    exit_code = 2

    def __init__(self, wrong: click.UsageError) -> None:
        path = "nfsrpc" if wrong.ctx is None else wrong.ctx.command_path
        where = path.removeprefix("nfsrpc").strip()
        said = wrong.format_message().rstrip(".")
        super().__init__(f"{where}{': ' if where else ''}{said} (see `{path} --help`)")


@contextlib.contextmanager
def in_one_line() -> Iterator[None]:
    """Turn what click says in four lines into a `Misuse`. A command without arguments still shows its help."""
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except click.UsageError as wrong:
        raise Misuse(wrong) from wrong


def printable(text: str) -> str:
    """`text` with control characters, bidirectional overrides and undecodable bytes written as escapes.

    For messages, where a backslash is left alone; names in listings go through `printable_name`.
    """
    if text.isprintable():
        return text
    return re.sub(_UNPRINTABLE, lambda found: found[0] if found[0] == "\\" else _escape(found[0]), text)


def printable_name(name: bytes) -> str:
    """A name from a server as text that is safe to print and unambiguous: ``\\\\`` for a backslash, else ``\\xNN``."""
    text = os.fsdecode(name)
    if text.isprintable() and "\\" not in text:
        return text
    return re.sub(_UNPRINTABLE, lambda found: _escape(found[0]), text)


def _escape(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return "\\\\"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
