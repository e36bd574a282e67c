"""File contents that are kept: pages by file and number, bounded in bytes, and what a sequential reader will want next.

No I/O; `contents` decides what is true of a file, this what is kept of it.
"""

from collections import OrderedDict
from collections.abc import Set

_NONE: Set[int] = frozenset()


class PageCache:
    """Pages of all files of a mount. The least recently used ones go when there are more than `limit` bytes.

    A file is any object that can be a key.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._pages: OrderedDict[tuple[object, int], bytes] = OrderedDict()
        self._numbers: dict[object, set[int]] = {}
        self.held = 0
        """Bytes that are kept now."""

    def get(self, file: object, number: int) -> bytes | None:
        """A page, if it is kept. The last one of a file is shorter."""
        key = (file, number)
        page = self._pages.get(key)
        if page is not None:
            self._pages.move_to_end(key)
        return page

    def numbers(self, file: object) -> Set[int]:
        """The pages of a file that are kept."""
        return self._numbers.get(file, _NONE)

    def put(self, file: object, number: int, page: bytes) -> None:
        """Keep a page, in place of an older state of it."""
        if len(page) > self.limit:
            self.drop(file, number)
            return
        key, pages = (file, number), self._pages
        if key in pages:
            self.held -= len(pages.pop(key))
        pages[key] = page
        self.held += len(page)
        numbers = self._numbers.get(file)
        if numbers is None:
            numbers = self._numbers[file] = set()
        numbers.add(number)
        while self.held > self.limit:
            (other, gone), data = pages.popitem(last=False)
            self.held -= len(data)
            self._unlist(other, gone)

    def drop(self, file: object, number: int) -> None:
        """Forget a page."""
        page = self._pages.pop((file, number), None)
        if page is not None:
            self.held -= len(page)
            self._unlist(file, number)

    def _unlist(self, file: object, number: int) -> None:
        numbers = self._numbers[file]
        numbers.discard(number)
        if not numbers:
            del self._numbers[file]

    def drop_file(self, file: object) -> None:
        """Forget all pages of a file."""
        for number in self._numbers.pop(file, ()):
            self.held -= len(self._pages.pop((file, number)))


class ReadAhead:
    """What one reader will want next: twice as many pages each time that it reads on where it stopped, up to `most`.

    frontier
        The first page that has not been asked for.
    limit
        The last page that should be.
    trigger
        The page at which it is time to ask for more: not for each, but for many at a time.
    """

    FIRST = 4

    def __init__(self, most: int) -> None:
        self._most = most
        self._next = 0
        self._pages = 0
        self.frontier = 0
        self.trigger = 0
        self.limit = -1

    def wants(self, offset: int, size: int, last: int) -> None:
        """The reader now wants `size` bytes at `offset`, up to page `last`. A jump begins anew with nothing beyond."""
        if offset == self._next:
            self._pages = min(max(2 * self._pages, self.FIRST), self._most)
        else:
            self._pages = 0
            self.frontier = self.trigger = 0
        self._next = offset + size
        self.limit = last + self._pages


class Dirty:
    """Bytes of one page that the server has not got yet: one run, from `low` to `high` within the page."""

    __slots__ = ("_data", "high", "low", "whole")

    def __init__(self, page: int, low: int, piece: bytes | memoryview) -> None:
        self.low = low
        self.high = low + len(piece)
        self.whole = len(piece) == page
        """Whether the run is the page."""
        self._data: bytes | bytearray
        if self.whole:
            self._data = bytes(piece)
        else:
            self._data = bytearray(page)
            self._data[low : self.high] = piece

    def add(self, low: int, piece: bytes | memoryview) -> bool:
        """Write `piece` at `low`. False, and nothing done, where that would leave a gap."""
        high = low + len(piece)
        if low > self.high or high < self.low:
            return False
        if not isinstance(self._data, bytearray):
            self._data = bytearray(self._data)
        self._data[low:high] = piece
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.whole = self.high - self.low == len(self._data)
        return True

    @property
    def run(self) -> bytes:
        """The bytes."""
        return self._data if isinstance(self._data, bytes) else bytes(self._data[self.low : self.high])


def patched(base: bytes, low: int, run: bytes) -> bytes:
    """A page with `run` written into it at `low`; what was beyond its end is zeros."""
    high = low + len(run)
    if low == 0 and high >= len(base):
        return run
    return base[:low].ljust(low, b"\0") + run + base[high:]
