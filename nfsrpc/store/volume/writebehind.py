"""Syncing behind the replies: what a volume that is served `async` does after it has acknowledged.

One thread per process has content files, and then the database's log, brought
to the disk as fast as that goes. Until then a power cut may take what was
acknowledged; but never more than what the thread has still to do.
"""

import errno
import logging
import os
import threading
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .database import LOG_FILE
from .host import sync_data, sync_path

_log = logging.getLogger(__name__)

BACKLOG = 128
"""Files waiting to be synced; whoever brings more waits with them."""

SYNC_THREADS = 8
"""Many files at once take the disk a fraction of the time that one after the other does."""

Key = tuple[int, int]


class Batch(NamedTuple):
    """What one committed unit leaves behind.

    owner
        Under which the volume has it on record that these files may not be whole.
    files, directories
        Descriptors to sync and close; paths of directories in which files were made.
    later
        Files to be cut or removed when all this is durable.
    """

    owner: int
    files: dict[Key, int]
    directories: tuple[Path, ...]
    later: tuple[Key, ...]


class WriteBehind:
    """The thread, and what it has still to do. Used by one other thread."""

    def __init__(self, volume: Path) -> None:
        self._log_file = volume / LOG_FILE
        self._changed = threading.Condition()
        self._waiting: deque[Batch] = deque()
        self._under_way = False
        self._done: list[Batch] = []
        self._failed: dict[Key, OSError] = {}
        self._closing = False
        self._thread: threading.Thread | None = None
        from concurrent.futures import ThreadPoolExecutor

        self._pool = ThreadPoolExecutor(SYNC_THREADS, "write-behind")

    def hand_over(self, batch: Batch) -> None:
        """Sync it soon. Waits while there is too much to do already."""
        with self._changed:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="write-behind", daemon=True)
                self._thread.start()
            self._changed.wait_for(lambda: sum(len(each.files) for each in self._waiting) < BACKLOG)
            self._waiting.append(batch)
            self._changed.notify_all()

    def take_done(self) -> list[Batch]:
        """What has become durable since the last time."""
        if not self._done:
            return []
        with self._changed:
            done, self._done = self._done, []
            return done

    def has_done(self) -> bool:
        """Whether `take_done` would have something."""
        return bool(self._done)

    def check(self, key: Key) -> None:
        """The OSError, once, of a sync of this file that failed after what it was for had been acknowledged."""
        if self._failed:
            with self._changed:
                error = self._failed.pop(key, None)
            if error is not None:
                raise OSError(error.errno or errno.EIO, "what was written before has not reached the disk")

    def drain(self) -> None:
        """Wait until nothing is left to do."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._waiting or self._under_way))

    def close(self) -> None:
        """Do what is left, and end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._pool.shutdown()

    # --- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                batches = list(self._waiting)
                self._waiting.clear()
                self._under_way = True
                self._changed.notify_all()
            done = self._sync(batches)
            with self._changed:
                if done:
                    self._done.extend(batches)
                self._under_way = False
                self._changed.notify_all()

    def _sync(self, batches: Iterable[Batch]) -> bool:
        """Files, the directories that name them, and last the log of the database that speaks of them."""
        files = [(key, descriptor) for batch in batches for key, descriptor in batch.files.items()]
        failed = not all(list(self._pool.map(self._sync_file, files)))
        directories = dict.fromkeys(directory for batch in batches for directory in batch.directories)
        return not failed and all(_synced(path) for path in (*directories, self._log_file))

    def _sync_file(self, file: tuple[Key, int]) -> bool:
        key, descriptor = file
        try:
            sync_data(descriptor)
        except OSError as error:
            _log.error("inode %d: acknowledged data has not reached the disk: %s", key[0], error)
            with self._changed:
                self._failed[key] = error
            return False
        finally:
            os.close(descriptor)
        return True


def _synced(path: Path) -> bool:
    try:
        sync_path(path)
    except OSError as error:
        _log.error("%s: acknowledged changes have not reached the disk: %s", path, error)
        return False
    return True
