"""Setting and showing the limits of a volume and of the owners of its files, also while it is served."""

import os
from typing import NamedTuple

from ..interface import Quota
from . import schema
from .accounts import NOTHING, WHOLE
from .beside import beside_servers
from .database import Database
from .errors import VolumeError
from .unit import Unit


class Limits(NamedTuple):
    """Limits to set; None leaves one as it is, 0 takes it away."""

    used: int | None = None
    inodes: int | None = None


def _account(database: Database, owner: int) -> Quota:
    row = database.one(schema.QUOTA_GET, (owner,))
    return NOTHING if row is None else Quota(*row)


def recount(unit: Unit, database: Database) -> None:
    """Count every owner's files anew, and keep the limits there are; without any, count nothing."""
    accounts = [(owner, Quota(*row)) for owner, *row in database.all(schema.QUOTA_ALL)]
    limited = {owner: each for owner, each in accounts if each.bytes_limit or each.inodes_limit}
    unit.run(schema.QUOTA_DROP)
    if not limited:
        return
    unit.run(schema.QUOTA_COUNT_OWNERS)
    unit.run(schema.QUOTA_COUNT_VOLUME)
    for owner, old in limited.items():
        counted = _account(database, owner)
        _put(unit, owner, counted._replace(bytes_limit=old.bytes_limit, inodes_limit=old.inodes_limit))


def _put(unit: Unit, owner: int, account: Quota) -> None:
    unit.run(schema.QUOTA_PUT, (owner, *account))


def set_limits(path: str | os.PathLike[str], owner: int, limits: Limits) -> Quota:
    """Set limits of `owner`, or of the `WHOLE` volume; returns what it has and may have. Holds at once, also if served.

    The first limit in a volume has all files counted, about a second for a
    million of them. An owner may be given less than he has: he keeps it, and
    gets no more. VolumeError for a volume that is larger already; OSError; NotAVolume.
    """
    with beside_servers(path, changing=True) as (_, unit, database):
        counted = database.one(schema.QUOTA_GET, (WHOLE,)) is not None
        old = _account(database, owner)
        new = old._replace(
            bytes_limit=old.bytes_limit if limits.used is None else limits.used,
            inodes_limit=old.inodes_limit if limits.inodes is None else limits.inodes,
        )
        _put(unit, owner, new)
        if not counted or database.one(schema.QUOTA_LIMITED) is None:
            recount(unit, database)
        account = _account(database, owner)
        if owner == WHOLE:
            _check_size(path, account)
        return account


def _check_size(path: str | os.PathLike[str], account: Quota) -> None:
    for limit, used, what in (
        (account.bytes_limit, account.bytes_used, "bytes"),
        (account.inodes_limit, account.inodes_used, "files"),
    ):
        if limit and used > limit:
            raise VolumeError(path, f"{used} {what} are in use; remove some, or give it more")


def all_quotas(path: str | os.PathLike[str]) -> list[tuple[int, Quota]]:
    """(owner, account) of all who have anything, the `WHOLE` volume first; nothing if nothing is limited."""
    with beside_servers(path, changing=False) as (_, _, database):
        return [(owner, Quota(*row)) for owner, *row in database.all(schema.QUOTA_ALL)]
