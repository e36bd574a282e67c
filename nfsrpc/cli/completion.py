"""``nfsrpc completion``: tab in bash, zsh and fish."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "fish", "zsh"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete subcommands and options of nfsrpc.

    \b
    eval "$(nfsrpc completion bash)"      in ~/.bashrc
    eval "$(nfsrpc completion zsh)"       in ~/.zshrc
    nfsrpc completion fish > ~/.config/fish/completions/nfsrpc.fish
    """
    from nfsrpc.cli import main

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "nfsrpc", "_NFSRPC_COMPLETE").source())
