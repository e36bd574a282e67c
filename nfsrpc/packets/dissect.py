"""The whole way from frames to decoded exchanges, and what a user wants to see of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from .capture import Frame
from .decoded import Decoded, Decoder
from .exchanges import Exchange, Exchanges
from .fields import handles
from .network import Reassembler, host_text
from .paths import Paths
from .programs import Programs
from .streams import MessageSource
from .summary import Summary


@dataclass(frozen=True, slots=True)
class Filter:
    """What is wanted; an empty field wants everything.

    hosts: addresses of client or server. programs, procedures: names or numbers as text. statuses: names,
    also without ``NFSERR_``. handles: hexadecimal digits that a handle begins with, or a path or a path's beginning.
    """

    hosts: frozenset[str] = frozenset()
    programs: frozenset[str] = frozenset()
    procedures: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    handles: tuple[str, ...] = ()

    def wants(self, decoded: Decoded, paths: Paths) -> bool:
        """Whether this exchange is to be shown. Names are compared without regard to case."""
        exchange = decoded.exchange
        if self.hosts and not self.hosts & {host_text(exchange.client.host), host_text(exchange.server.host)}:
            return False
        if self.programs and not self.programs & {decoded.program.lower(), str(exchange.program)}:
            return False
        if self.procedures and not self.procedures & {decoded.procedure.lower(), str(exchange.procedure)}:
            return False
        status = decoded.status.lower()
        if self.statuses and not self.statuses & {status, status.removeprefix("nfserr_"), status.split(" ")[0]}:
            return False
        return not self.handles or self._touches(decoded, paths)

    def _touches(self, decoded: Decoded, paths: Paths) -> bool:
        for handle in handles(decoded):
            digits, path = handle.hex(), paths.text(decoded.exchange.server.host, handle)
            for wanted in self.handles:
                if digits.startswith(wanted.lower()) or path == wanted or path.startswith(wanted.rstrip("/") + "/"):
                    return True
        return False


@dataclass(slots=True)
class Dissection:
    """Turns frames into decoded exchanges, in the order in which they end; keeps the figures on the way.

    `paths` is as of the exchange that was given last.
    """

    programs: Programs
    wanted: Filter = field(default_factory=Filter)
    reassembler: Reassembler = field(default_factory=Reassembler)
    source: MessageSource = field(default_factory=MessageSource)
    exchanges: Exchanges = field(default_factory=Exchanges)
    paths: Paths = field(default_factory=Paths)
    summary: Summary = field(default_factory=Summary)
    packets: int = 0
    _time: int = 0

    def run(self, frames: Iterable[Frame]) -> Iterator[Decoded]:
        """The wanted exchanges of all frames, to the end."""
        decoder = Decoder(self.programs)
        for exchange in self.raw(frames):
            decoded = decoder.decode(exchange)
            self.paths.learn(decoded)
            if self.wanted.wants(decoded, self.paths):
                self.summary.add(decoded)
                yield decoded

    def raw(self, frames: Iterable[Frame]) -> Iterator[Exchange]:
        """All exchanges, not decoded."""
        for time, link, data in frames:
            self.packets += 1
            self._time = time
            packet = self.reassembler.packet(time, link, data)
            if packet is not None:
                for message in self.source.messages(time, packet):
                    yield from self.exchanges.feed(message)
        for message in self.source.rest(self._time):
            yield from self.exchanges.feed(message)
        yield from self.exchanges.rest()
