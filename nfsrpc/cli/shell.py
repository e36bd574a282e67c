"""``nfsrpc shell``: a server's files by their names."""

import errno
import os
import sys

import click

from .interactive import Interactive, history
from .places import mounts, place


@click.command()
@click.argument("url")
@click.option("-c", "commands", multiple=True, metavar="COMMAND", help="Run this and end; may be given several times.")
def shell(url: str, commands: tuple[str, ...]) -> None:
    """Work in a remote directory: nfsrpc shell nfs://HOST[:PORT]/PATH

    The commands of nfsrpc with names in place of URLs, and cd, pwd, lcd, lpwd, help, exit. Tab completes commands and
    names; patterns (*, ?, [...]) match remote names. Without a terminal, commands are read from standard input.

    \b
    nfsrpc shell nfs://sun/home
    home> cd me
    me> ls -l *.c
    me> get -r src
    """
    with place(url) as end:
        if not end.is_directory():
            end.mount.stat(end.path)
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        session = Interactive(url, end, mounts())
    if commands:
        sys.exit(session.run(commands))
    if sys.stdin.isatty():
        with history(session):
            session.talk()
        return
    sys.exit(session.run(line.rstrip("\n") for line in sys.stdin))
