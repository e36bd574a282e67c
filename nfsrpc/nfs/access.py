"""Who may do what: the rules of a UNIX file system, applied for callers that are somewhere else.

Two rules differ from a local disk, because the server sees single calls and
never an open file (RFC 1094 §3.3): the owner of a regular file may always
read and write it (he may have made it with mode 0000 and hold it open), and
who may execute a file may read it (the client has to load it).
"""

import errno
import os
import stat
from typing import Final

from nfsrpc.store import DIRECTORY, KIND, Attributes

from .identity import Identity

READ: Final = 4
WRITE: Final = 2
EXECUTE: Final = 1


def refuse(number: int) -> OSError:
    """An OSError with the system's words for `number`."""
    return OSError(number, os.strerror(number))


def allowed(node: Attributes, who: Identity, wanted: int) -> bool:
    """Whether the mode bits of `node` grant all of `wanted` (READ, WRITE, EXECUTE or'ed) to `who`."""
    if who.is_root:
        return not wanted & EXECUTE or node.mode & KIND == DIRECTORY or bool(node.mode & 0o111)
    if who.uid == node.uid:
        granted = node.mode >> 6
    elif who.in_group(node.gid):
        granted = node.mode >> 3
    else:
        granted = node.mode
    return granted & wanted == wanted


def demand(node: Attributes, who: Identity, wanted: int) -> None:
    """OSError(EACCES) unless `allowed`."""
    if not allowed(node, who, wanted):
        raise refuse(errno.EACCES)


def demand_read(node: Attributes, who: Identity) -> None:
    """OSError unless `who` may read the content of the file `node`."""
    if not (who.uid == node.uid or allowed(node, who, READ) or allowed(node, who, EXECUTE)):
        raise refuse(errno.EACCES)


def demand_write(node: Attributes, who: Identity) -> None:
    """OSError unless `who` may change the content of the file `node`."""
    if who.uid != node.uid:
        demand(node, who, WRITE)


def demand_removal(directory: Attributes, node: Attributes, who: Identity) -> None:
    """OSError unless `who` may take the name of `node` out of `directory`; the sticky bit guards others' files."""
    demand(directory, who, WRITE | EXECUTE)
    if directory.mode & stat.S_ISVTX and not who.is_root and who.uid not in (node.uid, directory.uid):
        raise refuse(errno.EPERM)
