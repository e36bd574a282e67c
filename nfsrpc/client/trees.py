"""Everything below a directory, for commands that do one thing to each file."""

import os
import stat
from collections.abc import Iterator

from .blocking import Mount

MAX_DEPTH = 1000
Found = tuple[str, os.stat_result]


def below(mount: Mount, path: str, depth: int = MAX_DEPTH) -> Iterator[Found]:
    """`path` and all that is below it, at most `depth` directories deep, with status; links are not followed.

    A directory comes before what is in it, names in order. `OSError` for what cannot be listed.
    """
    todo = [(path, mount.lstat(path), depth)]
    while todo:
        here, status, left = todo.pop()
        yield here, status
        if left > 0 and stat.S_ISDIR(status.st_mode):
            entries = sorted(mount.scandir(here), key=lambda entry: os.fsencode(entry.name), reverse=True)
            todo += [
                (f"{here}/{entry.name}" if here else entry.name, entry.stat(follow_symlinks=False), left - 1)
                for entry in entries
            ]


def usage(mount: Mount, path: str, *, apparent: bool) -> Iterator[tuple[str, os.stat_result, int]]:
    """`path` and all below it, each after what is in it, with status and bytes taken: blocks, or (`apparent`) sizes.

    A file with several names counts where it is met first.
    """
    seen: set[tuple[int, int]] = set()
    above: list[tuple[str, os.stat_result, int]] = []

    def leave(until: str) -> Iterator[tuple[str, os.stat_result, int]]:
        """The directories that `until` is not in are complete."""
        while above and not (until.startswith(above[-1][0] + "/") or not above[-1][0]):
            done = above.pop()
            if above:
                directory, status, size = above[-1]
                above[-1] = (directory, status, size + done[2])
            yield done

    for here, status in below(mount, path):
        yield from leave(here)
        key = (status.st_dev, status.st_ino)
        size = 0 if key in seen else status.st_size if apparent else status.st_blocks * 512
        if status.st_nlink > 1:
            seen.add(key)
        above.append((here, status, size))
    while above:
        done = above.pop()
        if above:
            directory, status, size = above[-1]
            above[-1] = (directory, status, size + done[2])
        yield done
