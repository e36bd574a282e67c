"""Random reads, writes and truncates of one file under several names and descriptors, verified against a model.

Knows nothing of NFS: it exercises a directory, whatever file system that is on. The idea is
that of the file system exerciser which NeXT wrote for NFS. Run alone: ``python fsx.py DIRECTORY OPERATIONS SEED``.
"""

from __future__ import annotations

import mmap
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

LARGEST = 256 * 1024


class Exerciser:
    """One file in `directory`, and what it must contain. AssertionError with the history's end where it does not."""

    def __init__(self, directory: Path, seed: int, largest: int = LARGEST) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._largest = largest
        self._directory = directory
        self._path = directory / "fsx"
        self._model = bytearray()
        self._history: list[str] = []
        self.counts: Counter[str] = Counter()
        self._descriptors = [os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), self._opened()]
        self._actions: list[tuple[Callable[[], None], int]] = [
            (self.read, 30),
            (self.write, 30),
            (self.append, 6),
            (self.truncate, 8),
            (self.extend, 4),
            (self.status, 8),
            (self.read_mapped, 4),
            (self.write_mapped, 4),
            (self.sync, 2),
            (self.reopen, 3),
            (self.rename, 1),
            (self.read_whole, 1),
        ]

    def _opened(self) -> int:
        return os.open(self._path, os.O_RDWR)

    def run(self, operations: int) -> None:
        """So many operations, a look at everything, and an end."""
        actions, weights = zip(*self._actions, strict=True)
        for _ in range(operations):
            action = self._random.choices(actions, weights)[0]
            self.counts[action.__name__] += 1
            action()
        self.read_whole()
        for descriptor in self._descriptors:
            os.close(descriptor)
        assert self._path.read_bytes() == self._model, self._told("after the last close")
        self._path.unlink()

    def _told(self, what: str) -> str:
        last = "\n".join(self._history[-40:])
        return f"seed {self._seed}, operation {sum(self.counts.values())}: {what}; the last ones were\n{last}"

    def _note(self, *words: object) -> None:
        self._history.append(" ".join(map(str, words)))
        del self._history[:-200]

    def _descriptor(self) -> int:
        return self._random.choice(self._descriptors)

    def _span(self, end: int) -> tuple[int, int]:
        """A place before `end`, and a length; as often as not on or near a page's edge."""
        start = self._random.randrange(end + 1)
        if self._random.random() < 0.3:
            start = min(start - start % 4096 + self._random.choice((-1, 0, 1)), end)
        size = self._random.choice((self._random.randrange(1, 64), self._random.randrange(1, 65536)))
        return max(0, start), size

    def _check(self, found: bytes, start: int, size: int) -> None:
        wanted = bytes(self._model[start : start + size])
        if found != wanted:
            at = next((i for i, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), None)
            where = f"the first other byte is at {start + at}" if at is not None else "the beginning is right"
            raise AssertionError(self._told(f"read {len(found)} of {len(wanted)} bytes at {start}; {where}"))

    def _put(self, start: int, data: bytes) -> None:
        if start > len(self._model):
            self._model.extend(bytes(start - len(self._model)))
        self._model[start : start + len(data)] = data

    def read(self) -> None:
        start, size = self._span(len(self._model))
        self._note("read", start, size)
        self._check(os.pread(self._descriptor(), size, start), start, size)

    def write(self) -> None:
        start, size = self._span(min(len(self._model) + 8192, self._largest))
        data = self._random.randbytes(min(size, self._largest - start) or 1)
        self._note("write", start, len(data))
        assert os.pwrite(self._descriptor(), data, start) == len(data)
        self._put(start, data)

    def append(self) -> None:
        data = self._random.randbytes(self._random.randrange(1, 5000))
        if len(self._model) + len(data) > self._largest:
            return
        self._note("append", len(data))
        with self._path.open("ab", buffering=0) as file:
            assert file.write(data) == len(data)
        self._model += data

    def truncate(self) -> None:
        size = self._random.randrange(len(self._model) + 1)
        self._note("truncate", size)
        os.ftruncate(self._descriptor(), size)
        del self._model[size:]

    def extend(self) -> None:
        size = self._random.randrange(len(self._model), self._largest + 1)
        self._note("extend", size)
        os.truncate(self._path, size)
        self._model.extend(bytes(size - len(self._model)))

    def status(self) -> None:
        self._note("status")
        assert os.fstat(self._descriptor()).st_size == len(self._model), self._told("fstat")
        assert self._path.stat().st_size == len(self._model), self._told("stat")

    def read_mapped(self) -> None:
        if not self._model:
            return
        start, size = self._span(len(self._model) - 1)
        self._note("read mapped", start, size)
        with mmap.mmap(self._descriptor(), len(self._model), access=mmap.ACCESS_READ) as mapped:
            self._check(mapped[start : start + size], start, size)

    def write_mapped(self) -> None:
        if not self._model:
            return
        start, size = self._span(len(self._model) - 1)
        data = self._random.randbytes(min(size, len(self._model) - start))
        self._note("write mapped", start, len(data))
        with mmap.mmap(self._descriptor(), len(self._model)) as mapped:
            mapped[start : start + len(data)] = data
            mapped.flush()
        self._put(start, data)

    def sync(self) -> None:
        self._note("sync")
        os.fsync(self._descriptor())

    def reopen(self) -> None:
        which = self._random.randrange(2)
        self._note("reopen", which)
        os.close(self._descriptors[which])
        self._descriptors[which] = self._opened()

    def rename(self) -> None:
        new = self._directory / f"fsx{self._random.randrange(1000)}"
        self._note("rename", new.name)
        self._path.rename(new)
        self._path = new

    def read_whole(self) -> None:
        self._note("read whole")
        self._check(self._path.read_bytes(), 0, len(self._model) + 1)


if __name__ == "__main__":
    exerciser = Exerciser(Path(sys.argv[1]), int(sys.argv[3]))
    exerciser.run(int(sys.argv[2]))
    print(dict(exerciser.counts))
