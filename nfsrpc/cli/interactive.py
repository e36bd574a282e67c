"""The dialogue of ``nfsrpc shell``: words, patterns and names, and the commands that they go to."""

import contextlib
import glob
import os
import posixpath
import shlex
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from urllib.parse import quote

import click

from nfsrpc.client.copying import RemoteEnd

from .errors import Failure, in_one_line, printable, printable_name
from .places import Mounts, is_url
from .remote import failing_at

REMOTE = ("ls", "stat", "cat", "rm", "mkdir", "rmdir", "touch", "df", "du", "find", "cp", "mv")
"""Commands all of whose arguments are remote names; the others are `get`, `put`, `ln`, `chmod`, `chown`."""
FIRST_IS_WORD = ("chmod", "chown")
COMMANDS = (*REMOTE, "get", "put", "ln", *FIRST_IS_WORD)
_DEFAULT_HERE = ("ls", "df", "du", "find", "stat")
_TAKES_VALUE = frozenset(
    {"-m", "--mode", "--name", "--iname", "--type", "--size", "--mtime", "--max-depth", "-j", "--jobs"}
)
"""Options whose next word is no name."""
_LENGTH = 2000


class Interactive:
    """A shell in the directory that `end` is; `url` is what its user gave."""

    def __init__(self, url: str, end: RemoteEnd, shared: Mounts) -> None:
        base, question, query = url.partition("?")
        scheme, _, rest = base.partition("://")
        host = rest.partition("/")[0]
        whole = base.partition("://")[2].partition("/")[2].strip("/")
        below = quote(os.fsencode(end.path.strip("/")))
        self._prefix = f"{scheme}://{host}/{whole.removesuffix(below).strip('/')}".rstrip("/")
        self._query = question + query
        self._mount = end.mount
        self._shared = shared
        self.here = "/" + end.path.strip("/")
        self._own: dict[str, Callable[[list[str]], None]] = {
            "cd": self._cd,
            "pwd": lambda words: click.echo(printable_name(os.fsencode(self.here))),
            "lcd": self._lcd,
            "lpwd": lambda words: click.echo(printable_name(os.fsencode(Path.cwd()))),
            "help": self._help,
        }

    # --- lines

    @property
    def prompt(self) -> str:
        """The last name of where we are."""
        return f"{printable_name(os.fsencode(posixpath.basename(self.here) or '/'))}> "

    def talk(self) -> None:
        """Read lines from the terminal until ``exit`` or the end."""
        while True:
            try:
                line = input(self.prompt)
            except EOFError:
                click.echo()
                return
            except KeyboardInterrupt:
                click.echo()
                continue
            with contextlib.suppress(KeyboardInterrupt):
                if self.line(line) is None:
                    return

    def run(self, lines: Iterable[str]) -> int:
        """Run `lines` until ``exit``; exit status 1 if one of them failed."""
        status = 0
        for line in lines:
            outcome = self.line(line)
            if outcome is None:
                break
            status = status or outcome
        return status

    def line(self, line: str) -> int | None:
        """Run one line; its exit status, or None for ``exit``."""
        try:
            words = shlex.split(line, comments=True)
        except ValueError as wrong:
            Failure(f"{wrong}").show()
            return 2
        if not words:
            return 0
        if words[0] in ("exit", "quit", "bye"):
            return None
        try:
            return self._command(words[0], words[1:])
        except click.ClickException as failure:
            failure.show()
            return failure.exit_code
        except click.Abort:
            return 1
        except SystemExit as end:
            return int(end.code or 0)

    def _command(self, name: str, words: list[str]) -> int:
        own = self._own.get(name)
        if own is not None:
            with failing_at(name):
                own(words)
            return 0
        if name not in COMMANDS:
            raise Failure(f"{name}: no such command; `help` lists them")
        command: click.Command = getattr(import_module(f"nfsrpc.cli.{name}"), name)
        arguments = self._arguments(name, words)
        with in_one_line():
            command.main(arguments, prog_name=name, standalone_mode=False, obj=self._shared)
        return 0

    # --- names

    def _path(self, name: str) -> str:
        return posixpath.normpath(posixpath.join(self.here, name)).replace("//", "/", 1)

    def _url(self, path: str) -> str:
        return self._prefix + quote(os.fsencode(path)) + self._query

    def _remote(self, name: str) -> list[str]:
        """URLs of a name, or of what matches it; a name that nothing matches stays what it is."""
        if is_url(name):
            return [name]
        slash = "/" if name.endswith("/") and name != "/" else ""
        if glob.has_magic(name):
            pattern = name if name.startswith("/") else f"{glob.escape(self.here)}/{name}"
            matches = self._mount.glob(pattern.lstrip("/"))
            if matches:
                return [self._url("/" + match) for match in matches]
        return [self._url(self._path(name)).partition("?")[0] + slash + self._query]

    def _arguments(self, name: str, words: list[str]) -> list[str]:
        """The command's arguments: options as they are, remote names as URLs."""
        plain = [at for at, word in enumerate(words) if not self._is_option(words, at)]
        kept: set[int] = set()
        if name in FIRST_IS_WORD or (name == "ln" and any(word.startswith("-s") for word in words)):
            kept = set(plain[:1])
        elif name == "put":
            kept = set(plain[:-1]) if len(plain) > 1 else set(plain)
        elif name == "get" and len(plain) > 1:
            kept = set(plain[-1:])
        arguments: list[str] = []
        for at, word in enumerate(words):
            if at in kept or at not in plain:
                arguments.append(word)
            else:
                arguments += self._remote(word)
        if (name == "put" and len(plain) == 1) or (name in _DEFAULT_HERE and not plain):
            arguments += self._remote(".")
        return arguments

    @staticmethod
    def _is_option(words: list[str], at: int) -> bool:
        if words[at].startswith("-") and words[at] != "-":
            return True
        return at > 0 and words[at - 1] in _TAKES_VALUE

    # --- commands of its own

    def _cd(self, words: list[str]) -> None:
        path = self._path(words[0] if words else "/")
        if not self._mount.isdir(path):
            self._mount.stat(path)
            raise NotADirectoryError(20, os.strerror(20), path)
        self.here = path

    def _lcd(self, words: list[str]) -> None:
        os.chdir(words[0] if words else Path.home())

    def _help(self, words: list[str]) -> None:
        if words and words[0] in COMMANDS:
            self._command(words[0], ["--help"])
            return
        click.echo(f"commands: {' '.join(sorted(COMMANDS))}")
        click.echo("          cd pwd, lcd lpwd (on this machine), help [COMMAND], exit")

    # --- completion

    def candidates(self, line: str, begin: int, text: str) -> list[str]:
        """What `text`, which begins at `begin` of `line`, may become: commands first, then names."""
        before = line[:begin].split()
        if not before:
            return [f"{name} " for name in sorted({*COMMANDS, *self._own, "exit"}) if name.startswith(text)]
        local = before[0] in ("lcd", "put") and (before[0] == "lcd" or len(before) < 2)
        return self._local_names(text) if local else self._remote_names(text)

    def _remote_names(self, text: str) -> list[str]:
        above, _, start = text.rpartition("/")
        prefix = f"{above}/" if above or text.startswith("/") else ""
        try:
            entries = list(self._mount.scandir(self._path(prefix or ".")))
        except OSError:
            return []
        found = []
        for entry in entries:
            if entry.name.startswith(start) and printable(entry.name) == entry.name:
                found.append(f"{prefix}{_escaped(entry.name)}{'/' if entry.is_dir() else ' '}")
        return sorted(found)

    def _local_names(self, text: str) -> list[str]:
        return sorted(
            f"{_escaped(path)}{'/' if os.path.isdir(path) else ' '}" for path in glob.glob(glob.escape(text) + "*")
        )


def _escaped(name: str) -> str:
    """A name as it is typed."""
    return "".join(f"\\{letter}" if letter in " \t\"'\\*?[]#&;|<>()$`!" else letter for letter in name)


@contextlib.contextmanager
def history(session: Interactive) -> Iterator[None]:
    """Lines of earlier dialogues with the arrow keys, completion with tab."""
    try:
        import readline
    except ImportError:
        yield
        return
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    path = Path(home) / "nfsrpc" / "history"
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        readline.read_history_file(path)
    readline.set_history_length(_LENGTH)
    found: list[str] = []

    def complete(text: str, state: int) -> str | None:
        if state == 0:
            found[:] = session.candidates(readline.get_line_buffer(), readline.get_begidx(), text)
        return found[state] if state < len(found) else None

    readline.set_completer(complete)
    readline.set_completer_delims(" \t\n")
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            readline.write_history_file(path)
