"""``python -m nfsrpc.testing``, which is ``tools/chaos``: the proxy of `nfsrpc.testing.chaos` as a program."""

import secrets
import signal
import sys

import click

from .chaos import Chaos
from .faults import Faults


def _faults(context: click.Context, parameter: click.Parameter, script: str) -> Faults:
    try:
        return Faults.parse(script)
    except ValueError as wrong:
        raise click.BadParameter(str(wrong), context, parameter) from None


def _place(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise click.BadParameter(f"{text!r} is not HOST:PORT", context, parameter)
    return host.strip("[]") or "127.0.0.1", int(port)


@click.command(name="chaos")
@click.argument("server", callback=_place, metavar="HOST:PORT")
@click.option("--listen", default="127.0.0.1:0", callback=_place, metavar="[HOST]:PORT", show_default=True,
              help="Where clients connect to, UDP and TCP; port 0 takes a free one.")
@click.option("--up", default="", callback=_faults, metavar="FAULTS", help="What happens to what clients send.")
@click.option("--down", default="", callback=_faults, metavar="FAULTS", help="What happens to what the server sends.")
@click.option("--seed", type=int, help="Makes a run repeatable. Without it one is drawn and printed.")
def main(server: tuple[str, int], listen: tuple[str, int], up: Faults, down: Faults, seed: int | None) -> None:
    """A bad network in front of the server at HOST:PORT, for UDP and TCP.

    FAULTS is a list such as drop=0.1,duplicate=0.05,pause=0.2. The numbers are
    probabilities from 0 to 1 of: drop, duplicate, reorder, delay, truncate, corrupt,
    and for TCP only split and cut; pause is the longest delay in seconds.
    Every client has a sequence of fates of its own, drawn from the seed and the
    client's number. At the end (SIGINT, SIGTERM) it says what it did.
    """
    chosen = secrets.randbelow(1 << 31) if seed is None else seed
    try:
        chaos = Chaos(server, up=up, down=down, seed=chosen, host=listen[0], port=listen[1])
    except OSError as taken:
        raise click.ClickException(f"{listen[0]}:{listen[1]}: {taken.strerror}") from None
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: chaos.stop())
    host, port = chaos.address
    click.echo(f"{host}:{port} leads to {server[0]}:{server[1]}, seed {chosen}")
    sys.stdout.flush()
    chaos.run()
    for way in ("up", "down"):
        happened = ", ".join(f"{name} {count}" for name, count in sorted(chaos.counts(way).items()) if count)
        click.echo(f"{way}: {happened or 'nothing'}")
    chaos.close()


if __name__ == "__main__":
    main()
