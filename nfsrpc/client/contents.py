"""The contents of one file that is or was open: pages, reads ahead, writes behind. The core, without I/O of its own.

Close-to-open consistency: whoever opens a file asks the server for its state, and what is kept of another
state is thrown away; whoever closes a file has waited until the server has everything. While a
file is open, what is kept of it is believed until a reply says otherwise.
"""

import errno
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from nfsrpc.protocols.nfs_prot import fattr

from . import nfs2
from .node import Node, Version, version_of
from .pages import Dirty, PageCache, ReadAhead, patched
from .wire import Flight

if TYPE_CHECKING:
    from .tree import Tree

Reading = Flight[tuple[bytes, bytes]]


class Flying(NamedTuple):
    """A WRITE on its way: the place in its page, and the bytes."""

    flight: Flight[fattr]
    low: int
    run: bytes


class Contents:
    """What this client knows of a file's contents, and what the server does not know yet.

    size
        Bytes of the file as its users here see it.
    version
        The state that the kept pages belong to. None as soon as this client has written: a WRITE of version 2 does not
        say whether somebody else has written as well, so what is kept is good until the file is closed, no longer.
    """

    def __init__(self, tree: "Tree", node: Node, cache: PageCache, page: int) -> None:
        self._tree = tree
        self._node = node
        self._cache = cache
        self._page = page
        self.size = node.attributes.size
        self.version: Version | None = version_of(node.attributes)
        self._seen: tuple[bytes, Version | None] = (b"", None)
        """The attributes of the last READ as they travelled, and the version that they are."""
        self._stored = 0
        """Where what the server has confirmed ends: replies are not always taken in the order they were made in."""
        self.path = b""
        self._reading: dict[int, Reading] = {}
        self._dirty: dict[int, Dirty] = {}
        self._whole: dict[int, None] = {}
        self._writing: dict[int, Flying] = {}
        self._error: OSError | None = None
        self.changes = 0
        """Counts what this client has changed."""

    # --- what is believed

    @property
    def pending(self) -> bool:
        """Whether there is anything that the server has not confirmed."""
        return bool(self._dirty or self._writing)

    def opened(self, attributes: fattr, changes: int) -> None:
        """The server says that the file is in this state, asked when `changes` was so: keep what belongs to it."""
        version = version_of(attributes)
        if version == self.version and changes == self.changes:
            return
        self.forget()
        if self.pending or changes != self.changes:
            self.version = None
            self.size = max(self.size, attributes.size)
        else:
            self.version = version
            self.size = attributes.size
            self._stored = 0
        self._node.resized()

    def closed(self) -> None:
        """Nobody has it open any more, and all is on the server: what cannot be checked at the next open goes."""
        if self.version is None:
            self.forget()

    def changed_here(self, size: int | None) -> None:
        """This client has changed attributes, and the size to `size` if that is given."""
        self.changes += 1
        self.version = None
        if size is not None:
            self.forget()
            self.size = self._stored = size
            self._node.resized()

    def forget(self) -> None:
        """Drop what is kept, but nothing that the server has not got."""
        self._cache.drop_file(self)
        for flight in self._reading.values():
            self._tree.wire.drop(flight)
        self._reading.clear()

    def _saw(self, encoded: bytes) -> None:
        """A reply to a READ came with these attributes."""
        seen, version = self._seen
        if encoded == seen and version is self.version:
            return  # as nearly always
        attributes = nfs2.attributes_of(encoded)
        version = version_of(attributes)
        if version != self.version:
            if self.version is not None:
                self.forget()
                self.version = version
                self.size = attributes.size
            else:
                self.size = max(self.size, attributes.size)
            self._node.learn(attributes, self._tree.clock(), self._tree.options)
        if self.version is not None:
            self._seen = (encoded, self.version)

    @property
    def _extent(self) -> int:
        """Bytes of the file as the server has it."""
        return max(self._node.attributes.size, self._stored)

    # --- reading

    async def read_into(self, view: memoryview, offset: int, ahead: ReadAhead) -> int:
        """Fill `view` with the bytes at `offset`; how many there were. Fewer only at the end of the file."""
        count = min(len(view), self.size - offset)
        if count <= 0:
            return 0
        page, done, cache = self._page, 0, self._cache
        last = (offset + count - 1) // page
        ahead.wants(offset, count, last)
        # Whoever reads a file from end to end that is larger than the cache would find nothing again, and others less.
        passing = self.size > cache.limit and ahead.limit > last
        while done < count:
            number, low = divmod(offset + done, page)
            if number >= ahead.trigger and ahead.frontier <= ahead.limit:
                self._run_ahead(number, ahead)
            data = cache.get(self, number)
            if data is None and number in self._reading:
                self._harvest()
                data = cache.get(self, number)
            if data is None or self._dirty or self._writing:
                data = await self._page_at(number)
                if self.size < offset + count:
                    # It was cut short meanwhile.
                    count = max(done, self.size - offset)
                    continue
            high = min(page, low + count - done)
            piece = data if not low and high == len(data) else data[low:high]
            view[done : done + len(piece)] = piece
            if passing and low + len(piece) == page:
                cache.drop(self, number)
            if len(piece) < high - low:
                view[done + len(piece) : done + high - low] = bytes(high - low - len(piece))
            done += high - low
        return count

    async def _page_at(self, number: int) -> bytes:
        """A page as its readers here see it; zeros at its end may be missing."""
        recovered = False
        while True:
            base = self._cache.get(self, number)
            if base is not None or number * self._page >= self._extent or self._written_whole(number):
                return self._with_own(number, base or b"")
            if number in self._writing:
                await self._land(number)
                continue
            flight = self._reading.get(number) or self._ask_for(number)
            try:
                data, encoded = await self._complete(number, flight)
            except OSError as stale:
                if flight.dropped:
                    continue  # another one has written there meanwhile
                self._reading.pop(number, None)
                if stale.errno != errno.ESTALE or recovered:
                    raise
                recovered = True
                await self._recover(stale)
                continue
            if self._reading.pop(number, None) is flight:
                self._saw(encoded)
                self._cache.put(self, number, data)
                return self._with_own(number, data)

    def _written_whole(self, number: int) -> bool:
        """Whether a run of our own covers all of a page that there is."""
        dirty, flying = self._dirty.get(number), self._writing.get(number)
        extent = min(self._page, self.size - number * self._page)
        return (dirty is not None and not dirty.low and dirty.high >= extent) or (
            flying is not None and not flying.low and len(flying.run) >= extent
        )

    def _with_own(self, number: int, base: bytes) -> bytes:
        """A page of the server's with what it has not got yet."""
        if not self._writing and not self._dirty:
            return base
        flying, dirty = self._writing.get(number), self._dirty.get(number)
        if flying is not None:
            base = patched(base, flying.low, flying.run)
        return base if dirty is None else patched(base, dirty.low, dirty.run)

    async def _complete(self, number: int, flight: Reading) -> tuple[bytes, bytes]:
        """The result of a READ of a page. Servers may return less than asked: the rest is asked for again."""
        wire = self._tree.wire
        data, encoded = wire.take(flight) if wire.ready(flight) else await flight
        while len(data) < self._page and (missing := self._missing(number, data, encoded)):
            place = number * self._page + len(data)
            more, encoded = await self._tree.ask(nfs2.read(self._node.handle, place, missing))
            if not more:
                size = nfs2.attributes_of(encoded).size
                raise OSError(errno.EIO, f"the server sent nothing at {place} of {size} bytes")
            data += more
        return data, encoded

    def _missing(self, number: int, data: bytes, encoded: bytes) -> int:
        """Bytes of a page that the server has but has not sent."""
        return max(0, min(self._page, nfs2.attributes_of(encoded).size - number * self._page) - len(data))

    def _ask_for(self, number: int) -> Reading:
        request = nfs2.read(self._node.handle, number * self._page, self._page)
        flight = self._reading[number] = self._tree.wire.submit(request)
        return flight

    def _run_ahead(self, number: int, ahead: ReadAhead) -> None:
        """Ask for what a reader at page `number` will want, as far as the window reaches: many at a time, or none."""
        window = self._tree.wire.window
        self._harvest()
        room = window - len(self._reading)
        if room < window // 16:
            ahead.trigger = number + 1
            return
        first = max(number, ahead.frontier)
        behind = min(ahead.limit + 1, first + room, -(-self._extent // self._page))
        reading, kept = self._reading, self._cache.numbers(self)
        wanted = [number for number in range(first, behind) if number not in reading and number not in kept]
        if self._dirty or self._writing:
            wanted = [n for n in wanted if n not in self._writing and not self._written_whole(n)]
        handle, page = self._node.handle, self._page
        flights = self._tree.wire.submit_all(nfs2.reads(handle, [number * page for number in wanted], page))
        self._reading.update(zip(wanted, flights, strict=True))
        ahead.frontier = max(behind, first)
        ahead.trigger = ahead.frontier - window + window // 8

    def _harvest(self) -> None:
        """Keep the whole pages that have come, so that others can be asked for."""
        ready, take, page, reading = self._tree.wire.ready, self._tree.wire.take, self._page, self._reading
        while reading:
            number, flight = next(iter(reading.items()))
            if not ready(flight):
                return  # they come in order, nearly always
            try:
                data, encoded = take(flight)
            except OSError:
                del reading[number]
                continue
            if len(data) < page and self._missing(number, data, encoded):
                return  # whoever reads it asks for the rest
            del reading[number]
            self._saw(encoded)
            self._cache.put(self, number, data)

    # --- writing

    async def write(self, data: memoryview, offset: int) -> None:
        """Take `data` for `offset`. It is on its way when this returns; `settle` tells what became of it."""
        self._raise_error()
        if offset + len(data) > nfs2.MAX_OFFSET:
            raise OSError(errno.EFBIG, "NFS version 2 ends at 4 GiB")
        page, done = self._page, 0
        while done < len(data):
            number, low = divmod(offset + done, page)
            high = min(page, low + len(data) - done)
            await self._put(number, low, data[done : done + high - low])
            done += high - low
            self.size = max(self.size, offset + done)
            if len(self._whole) >= self._batch:
                await self._launch(self._whole)
        self._node.resized()
        if len(self._dirty) * page > self._tree.options.write_behind:
            await self._launch(list(self._dirty))

    async def _put(self, number: int, low: int, piece: memoryview) -> None:
        self.changes += 1
        self.version = None
        while (dirty := self._dirty.get(number)) is not None and not dirty.add(low, piece):
            await self._launch([number])
        if dirty is None:
            dirty = self._dirty[number] = Dirty(self._page, low, piece)
        if dirty.whole:
            self._whole[number] = None

    @property
    def _batch(self) -> int:
        """Pages that are sent together: half of what may be in flight, so that the server always has some."""
        return max(1, min(self._tree.wire.window, self._tree.options.write_behind // self._page) // 2)

    async def _launch(self, numbers: Iterable[int]) -> None:
        """Send what is dirty of these pages, together.

        Runs of one page go one after the other: two in flight could change places.
        """
        wire, page, batch = self._tree.wire, self._page, self._batch
        waiting = deque(numbers)
        while waiting:
            now = [waiting.popleft() for _ in range(min(batch, len(waiting)))]
            await self._room_for(len(now))
            for number in now:
                while number in self._writing:
                    await self._land(number)
            ready = [(number, dirty) for number in now if (dirty := self._take(number)) is not None]
            handle = self._node.handle
            flights = wire.submit_all([nfs2.write(handle, n * page + dirty.low, dirty.run) for n, dirty in ready])
            for (number, dirty), flight in zip(ready, flights, strict=True):
                self._writing[number] = Flying(flight, dirty.low, flight.request.argument.data)
            # Only now, so that the server did not have to wait for it.
            for number in [number for number, flying in self._writing.items() if wire.ready(flying.flight)]:
                await self._land(number)

    async def _room_for(self, count: int) -> None:
        """Wait until `count` more WRITEs may be in flight."""
        wire = self._tree.wire
        while True:
            flying = [number for number, flying in self._writing.items() if not wire.ready(flying.flight)]
            excess = len(flying) + count - wire.window
            if excess <= 0:
                return
            await self._land(flying[excess - 1])

    def _take(self, number: int) -> Dirty | None:
        """What is dirty of a page, if it can leave now; a READ of it that is under way is not waited for any more."""
        if number in self._writing:
            return None  # another task was faster: that one, or the next, sends it
        dirty = self._dirty.pop(number, None)
        if dirty is not None:
            self._whole.pop(number, None)
            reading = self._reading.pop(number, None)
            if reading is not None:
                self._tree.wire.drop(reading)
        return dirty

    async def _land(self, number: int) -> None:
        """Wait for the WRITE of a page. A failure is kept for whoever writes, syncs or closes next."""
        flying = self._writing[number]
        wire = self._tree.wire
        try:
            attributes = wire.take(flying.flight) if wire.ready(flying.flight) else await flying.flight
        except OSError as error:
            if self._writing.get(number) is flying:
                await self._failed(number, flying, error)
            return
        if self._writing.get(number) is not flying:
            return
        del self._writing[number]
        self._stored = max(self._stored, number * self._page + flying.low + len(flying.run))
        base = self._cache.get(self, number)
        if base is not None or (not flying.low and len(flying.run) >= min(self._page, self.size - number * self._page)):
            self._cache.put(self, number, patched(base or b"", flying.low, flying.run))
        self.size = max(self.size, attributes.size)
        self._node.learn(attributes, self._tree.clock(), self._tree.options)

    async def _failed(self, number: int, flying: Flying, error: OSError) -> None:
        """A WRITE has failed: once more with a new handle if the old one was stale, otherwise its bytes are lost."""
        if error.errno == errno.ESTALE:
            try:
                await self._recover(error)
            except OSError as gone:
                error = gone
            else:
                if self._writing.get(number) is flying:
                    request = nfs2.write(self._node.handle, number * self._page + flying.low, flying.run)
                    self._writing[number] = Flying(self._tree.wire.submit(request), flying.low, flying.run)
                return
        if self._writing.get(number) is flying:
            del self._writing[number]
            self._cache.drop(self, number)
            self._error = self._error or error

    async def settle(self) -> None:
        """Wait until the server has everything. Raises, once, what went wrong with what was written."""
        while self._dirty or self._writing:
            await self._launch(list(self._dirty))
            if self._writing:
                await self._land(next(iter(self._writing)))
        self._raise_error()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self.size = self._node.attributes.size
            self.version = None
            raise error

    async def _recover(self, stale: OSError) -> None:
        """The handle is stale: walk to the file again. Only the same file will do, not another of that name."""
        await self._tree.recover()
        node = self._node
        try:
            found = await self._tree.find_under_root(self.path)
        except OSError:
            raise stale from None
        if found.attributes.fileid != node.attributes.fileid or found.attributes.type != node.attributes.type:
            raise stale
        self._tree.nodes.take_over(node, found)
