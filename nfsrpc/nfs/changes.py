"""Which attribute changes a caller may make, and what they bring with them (chmod(2), chown(2), utimes(2))."""

import errno
import stat
from typing import Final

from nfsrpc.store import DIRECTORY, KIND, REGULAR, Attributes, Changes

from .access import WRITE, demand, demand_write, refuse
from .identity import Identity

TOUCH_WINDOW: Final = 30 * 60 * 1_000_000_000
"""Nanoseconds by which a client's clock may differ when it means "now" (see `_times`)."""


def permitted(node: Attributes, who: Identity, wanted: Changes, now: int) -> Changes:
    """`wanted` as it is to be applied to `node`, with set-id bits cleared as a local disk clears them.

    Raises OSError: EPERM for what only the owner or root may do, EACCES where
    write permission is missing, EISDIR or EINVAL for the size of what is no
    regular file.
    """
    if wanted.size is not None:
        _demand_sizable(node)
        demand_write(node, who)
    changes = wanted if who.is_root else _as_user(node, who, wanted, now)
    return changes._replace(mode=_mode_after(node, who, changes))


def _demand_sizable(node: Attributes) -> None:
    if node.mode & KIND == DIRECTORY:
        raise refuse(errno.EISDIR)
    if node.mode & KIND != REGULAR:
        raise refuse(errno.EINVAL)


def _as_user(node: Attributes, who: Identity, wanted: Changes, now: int) -> Changes:
    """Apply the rules for callers that are not root."""
    owner = who.uid == node.uid
    if wanted.mode is not None and not owner:
        raise refuse(errno.EPERM)
    if wanted.uid is not None and not (owner and wanted.uid == node.uid):
        raise refuse(errno.EPERM)
    if wanted.gid is not None and not (owner and (wanted.gid == node.gid or who.in_group(wanted.gid))):
        raise refuse(errno.EPERM)
    if owner or (wanted.atime is None and wanted.mtime is None):
        return wanted
    return _times(node, who, wanted, now)


def _times(node: Attributes, who: Identity, wanted: Changes, now: int) -> Changes:
    """Times set by somebody who is not the owner: only to now, and only with write permission.

    Version 2 cannot say "now", so a client's own clock stands for it: equal
    times close to ours mean touch(1), and the server's time is taken.
    """
    if wanted.atime != wanted.mtime or wanted.mtime is None or abs(wanted.mtime - now) > TOUCH_WINDOW:
        raise refuse(errno.EPERM)
    demand(node, who, WRITE)
    return wanted._replace(atime=now, mtime=now)


def _mode_after(node: Attributes, who: Identity, changes: Changes) -> int | None:
    """The mode to set, if any: what was asked for, or the old one less the set-id bits that a chown or write ends."""
    if changes.mode is not None:
        group = node.gid if changes.gid is None else changes.gid
        if not who.is_root and not who.in_group(group) and node.mode & KIND != DIRECTORY:
            return changes.mode & ~stat.S_ISGID
        return changes.mode
    chown = changes.uid is not None or changes.gid is not None
    if chown or (changes.size is not None and not who.is_root):
        return mode_without_set_ids(node)
    return None


def mode_without_set_ids(node: Attributes) -> int | None:
    """The mode of a file after its content or owner changed; None if no bit has to go."""
    if node.mode & KIND != REGULAR:
        return None
    lost = node.mode & stat.S_ISUID
    if node.mode & stat.S_IXGRP:
        lost |= node.mode & stat.S_ISGID
    return (node.mode & 0o7777) & ~lost if lost else None
