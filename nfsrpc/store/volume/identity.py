"""The identity of a volume through time: its keys, its fsid, and the place it lies in."""

import os
import secrets
import time
from collections.abc import Callable

from ..interface import OldKey
from .beside import beside_servers
from .errors import VolumeError
from .lock import Lock
from .superblock import OLD_KEYS, Superblock


def new_fsid() -> int:
    """A random fsid; 0 is none."""
    return secrets.randbelow(0xFFFFFFFF) + 1


def new_key() -> bytes:
    """A random key to seal handles with."""
    return secrets.token_bytes(32)


def rekey_volume(
    path: str | os.PathLike[str], keep: int, *, now: Callable[[], int] = time.time_ns
) -> tuple[OldKey, ...]:
    """Give the volume at `path`, served or not, a new key; handles under the old one are good for `keep` ns more.

    Servers use it once they are started or reloaded. Returns the old keys that
    are still good. VolumeError if there are `OLD_KEYS` of them already; OSError; NotAVolume.
    """
    present = now()
    with beside_servers(path, changing=True) as (superblock, _, _):
        old = superblock.read()
        good = tuple(each for each in old.old_keys if each.until > present)
        if keep:
            good = (OldKey(old.key, present + keep), *good)
        if len(good) > OLD_KEYS:
            raise VolumeError(path, f"{OLD_KEYS} older keys are still good; one has to expire before the next change")
        superblock.update(old._replace(key=new_key(), old_keys=good))
        return good


def adopt_volume(path: str | os.PathLike[str], *, moved: bool = False) -> Superblock:
    """Make a volume that was copied here one of its own, with a new fsid and key; `moved`: let it be the same volume.

    Of a volume that was moved there must be no other copy that is served, nor
    one older than the latest: both would give out the same handles for different
    files. OSError; NotAVolume; VolumeInUse.
    """
    with Lock(path), beside_servers(path, changing=True) as (superblock, _, _):
        here = superblock.read()._replace(home=superblock.home)
        if not moved:
            here = here._replace(fsid=new_fsid(), key=new_key(), old_keys=())
        return superblock.update(here)
