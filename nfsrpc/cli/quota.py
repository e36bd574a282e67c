"""`nfsrpc quota`."""

import pwd

import click

from nfsrpc.store import Quota
from nfsrpc.store.volume.accounts import WHOLE
from nfsrpc.store.volume.quota import Limits, all_quotas, set_limits

from . import amounts
from .output import print_json, print_table
from .volumes import volume_failures

_UNLIMITED = "-"


def _user(text: str) -> int:
    """A uid, or the name of a user of this machine."""
    if text.isdecimal() and int(text) < 2**32 - 1:
        return int(text)
    try:
        return pwd.getpwnam(text).pw_uid
    except (KeyError, ValueError):
        raise click.BadParameter(f"{text!r} is no uid, nor a user of this machine") from None


@click.command()
@click.argument("path", type=click.Path())
@click.argument("user", type=_user, required=False)
@click.option("--size", type=amounts.size, metavar="SIZE|none", help="Disk space that the user's files may take.")
@click.option("--files", type=amounts.count, metavar="N|none", help="How many files and directories the user may own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document; sizes in bytes, 0 for no limit.")
def quota(path: str, user: int | None, size: int | None, files: int | None, as_json: bool) -> None:
    """Show what each user has in the volume PATH and may have; with a limit and a USER, set it.

    USER is a uid, or a name that this machine knows. Works while the volume is
    served, and holds at once: who is over a limit keeps what he has, and gets
    NFSERR_DQUOT for anything more, also when root writes for him. Space is
    that on disk, so a sparse file counts for what is in it. Nothing is counted
    in a volume without any limit.

    \b
    nfsrpc quota /srv/vol 1000 --size 2G --files 50000
    nfsrpc quota /srv/vol 1000 --size none --files none
    nfsrpc quota /srv/vol
    """
    if user is None and (size is not None or files is not None):
        raise click.UsageError("whose quota? give a USER, or use `nfsrpc resize` for the whole volume")
    with volume_failures(path):
        if user is not None and (size is not None or files is not None):
            set_limits(path, user, Limits(size, files))
        accounts = [(owner, each) for owner, each in all_quotas(path) if user is None or owner in (user, WHOLE)]
    if as_json:
        print_json([{"uid": None if owner == WHOLE else owner, **each._asdict()} for owner, each in accounts])
    elif not accounts:
        click.echo(f"{path}: no limits")
    else:
        headings = ("user", "space", "limit", "files", "limit")
        print_table(headings, [_row(owner, each) for owner, each in accounts], right=frozenset({1, 2, 3, 4}))


def _row(owner: int, account: Quota) -> tuple[str, ...]:
    return (
        "(volume)" if owner == WHOLE else _name(owner),
        amounts.size_text(account.bytes_used),
        amounts.size_text(account.bytes_limit) if account.bytes_limit else _UNLIMITED,
        str(account.inodes_used),
        str(account.inodes_limit) if account.inodes_limit else _UNLIMITED,
    )


def _name(uid: int) -> str:
    try:
        return f"{uid} ({pwd.getpwuid(uid).pw_name})"
    except (KeyError, OverflowError):
        return str(uid)
