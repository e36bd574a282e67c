"""The `nfsrpc` command: one module per subcommand, imported when it is asked for."""

import gc
import os
import sys
from importlib import import_module
from typing import Any

import click

from nfsrpc import __version__

from .errors import in_one_line
from .logs import set_up

_COMMANDS = {
    "serve": "Serve volumes over NFS version 2.",
    "mkfs": "Make a volume.",
    "fsck": "Check a volume that is not being served.",
    "snapshot": "Copy a volume, also while it is served.",
    "upgrade": "Bring a volume of an older format to the present one.",
    "resize": "Let a volume grow to a size.",
    "quota": "Show and set what each user may have in a volume.",
    "rekey": "Give a volume a new key for its file handles.",
    "adopt": "Make a copied or restored volume one of its own.",
    "exportfs": "Check an exports(5) file.",
    "exports": "What a server exports, or who has mounted it (as showmount).",
    "info": "What runs on a host, and what answers (as rpcinfo -p).",
    "ping": "Whether a program answers, and how fast.",
    "nfsstat": "What a server on this machine has answered, and how fast.",
    "ls": "List remote directories and files.",
    "stat": "Show everything a server says of files.",
    "cat": "Print remote files.",
    "get": "Copy remote files and trees to here.",
    "put": "Copy files and trees to a server.",
    "cp": "Copy between servers, or here and a server.",
    "mv": "Rename remote files.",
    "rm": "Remove remote files.",
    "mkdir": "Make remote directories.",
    "rmdir": "Remove empty remote directories.",
    "ln": "Make hard and symbolic links on a server.",
    "chmod": "Change permissions of remote files.",
    "chown": "Change owners of remote files.",
    "touch": "Make empty remote files, or set times to now.",
    "df": "Show the room on servers.",
    "du": "Show how much room remote directories take.",
    "find": "Find remote files by name, kind, size and age.",
    "shell": "Use a server's files by their names, with completion.",
    "mount": "Show a remote directory as a file system of this machine.",
    "completion": "Print what makes a shell complete this command.",
    "keygen": "Make a pair of keys for AUTH_DH.",
    "keyserv": "Hold users' secret keys for AUTH_DH.",
    "keylogin": "Hand your secret key to the keyserv.",
    "gen": "Compile an XDR/RPC language (.x) file.",
    "dump": "Show the RPC calls of a capture or an interface.",
    "replay": "Send the calls of a capture to a server, and compare.",
}
"""Every subcommand, which is the name of its module as well, and its line in the list of --help."""


class _LazyGroup(click.Group):
    """Loads a subcommand's module only when that subcommand runs."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; what standard output does not take any more is not tried again at the interpreter's end."""
        try:
            return super().main(*args, **kwargs)
        finally:
            try:
                sys.stdout.flush()
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the options in front of the subcommand."""
        with in_one_line():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand."""
        with in_one_line():
            return super().invoke(ctx)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; who has mistyped it is told what is like it."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as wrong:
            import difflib

            close = difflib.get_close_matches(args[0], _COMMANDS)
            raise click.UsageError(
                f"No such command {args[0]!r}." + (f" Did you mean {' or '.join(close)}?" if close else ""), ctx
            ) from wrong

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(f"nfsrpc.cli.{cmd_name}"), cmd_name)
        if not gc.isenabled():
            gc.freeze()  # all that has been loaded stays, here and in the processes that are forked
            gc.enable()
        return command


@click.group("nfsrpc", cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="nfsrpc")
@click.option("-v", "--verbose", count=True, help="Say more on stderr; twice for every refused message.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True,
              help="How to say it: lines, or JSON objects with xid, peer and procedure as fields.")  # fmt: skip
def main(verbose: int, log_format: str) -> None:
    """NFSv2 server and client, and an ONC (Sun) RPC toolkit.

    \b
    Serve a volume:   nfsrpc mkfs DIR && nfsrpc serve DIR
    Look at a server: nfsrpc info HOST, nfsrpc exports HOST
    Use it:           nfsrpc ls|get|put|... nfs://HOST[:PORT]/PATH
    Mount it:         nfsrpc mount nfs://HOST[:PORT]/PATH DIR
    Compile a .x:     nfsrpc gen FILE.x -o OUT.py

    Exit status: 0 done; 1 it could not be done (one line says why and what to
    do); 2 the command line was wrong.
    """
    set_up(verbose, log_format)
