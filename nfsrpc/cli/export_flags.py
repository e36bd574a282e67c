"""The options of an export, as flags of `nfsrpc serve`."""

from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple

import click

from nfsrpc.nfs.clients import EVERYBODY, BadClient, ClientSpec, parse_client
from nfsrpc.nfs.export_options import Access, ExportOptions
from nfsrpc.nfs.export_spec import ANYBODY, Rule
from nfsrpc.nfs.identity import NOBODY
from nfsrpc.nfs.security import BadSecurity, parse_security

_ID = click.IntRange(0, 2**32 - 2)
_OPTIONS = (
    click.option("--client", "clients", multiple=True, metavar="CLIENT", help="Let only CLIENT in: a host, a network "
                 "(192.0.2.0/24), a wildcard (*.lab.example) or an @netgroup. Can be given several times."),
    click.option("--read-only/--rw", default=None, help="Refuse every change. Without either, a volume is read-write "
                 "and a plain directory read-only."),
    click.option("--secure/--insecure", default=False, help="Refuse callers from source ports above 1023."),
    click.option("--root-squash/--no-root-squash", default=None, help="Let root act as nobody. Without either, so it "
                 "is in a plain directory, but not in a volume."),
    click.option("--all-squash/--no-all-squash", default=False, help="Let everybody act as nobody."),
    click.option("--anonuid", default=NOBODY, show_default=True, type=_ID, help="nobody's uid."),
    click.option("--anongid", default=NOBODY, show_default=True, type=_ID, help="nobody's gid."),
    click.option("--fsid", "fsids", multiple=True, type=click.IntRange(0, 2**32 - 1), metavar="NUMBER", help="The file "
                 "system id that clients see, and handles know the export by; once for each PATH, in the same order."),
    click.option("--sync/--async", default=True, help="Answer changes when they are on stable storage, or before: then "
                 "a power cut can take the latest that clients were told are safe."),
    click.option("--sec", "security", metavar="NAME[:NAME...]", help="Take only callers who are known in one of these "
                 "ways: sys, krb5, krb5i, krb5p, dh, none. Others can mount, no more."),
)  # fmt: skip


class ExportFlags(NamedTuple):
    """What was asked for with these flags; `given` has those that were typed, as they were."""

    clients: tuple[str, ...]
    read_only: bool | None
    secure: bool
    root_squash: bool | None
    all_squash: bool
    anonuid: int
    anongid: int
    fsids: tuple[int, ...]
    sync: bool
    security: str | None
    given: tuple[str, ...] = ()

    def fsids_for(self, paths: int) -> tuple[int | None, ...]:
        """The ids of so many exports. Raises click.UsageError."""
        if not self.fsids:
            return (None,) * paths
        if len(self.fsids) != paths or len(set(self.fsids)) != paths:
            raise click.UsageError(f"--fsid: give each of the {paths} paths one of its own")
        return self.fsids

    def rules(self, *, careful: bool, fsid: int | None = None) -> tuple[Rule, ...]:
        """The same as rules of an export; `careful`: what was left open is decided for a directory that others use.

        Raises click.UsageError for what cannot be.
        """
        access = Access(
            careful if self.read_only is None else self.read_only,
            self.secure,
            careful if self.root_squash is None else self.root_squash,
            self.all_squash,
        )
        names = ANYBODY if self.security is None else sorted(_security(self.security))
        terms = dict.fromkeys(names, access)
        options = ExportOptions(access, terms, frozenset(), self.anonuid, self.anongid, self.sync, fsid)
        clients = [_client(text) for text in self.clients] or [EVERYBODY]
        return tuple(Rule(client, options) for client in clients)


def export_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the flags; it gets them as one argument `flags`."""

    @wraps(command)
    def collected(*args: Any, **arguments: Any) -> Any:
        context = click.get_current_context()
        mine = [name for name in ExportFlags._fields if name in arguments]
        default = click.core.ParameterSource.DEFAULT
        given = tuple(
            parameter.opts[0]
            for parameter in context.command.params
            if parameter.name in mine and context.get_parameter_source(parameter.name) is not default
        )
        flags = ExportFlags(**{name: arguments.pop(name) for name in mine}, given=given)
        return command(*args, flags=flags, **arguments)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


def _client(text: str) -> ClientSpec:
    try:
        client, remark = parse_client(text)
    except BadClient as error:
        raise click.UsageError(f"--client: {error}") from None
    if remark is not None:
        click.echo(f"nfsrpc: --client: {remark}", err=True)
    return client


def _security(text: str) -> frozenset[str]:
    try:
        return parse_security(text)
    except BadSecurity as error:
        raise click.UsageError(f"--sec: {error}") from None
