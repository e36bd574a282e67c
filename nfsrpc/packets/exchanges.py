"""Calls and their replies, brought together by xid (RFC 5531 §9), with time-outs by the capture's own clock."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from struct import Struct

from nfsrpc.rpc.message import NULL_AUTH, OpaqueAuth, Refusal, decode_call

from .network import Endpoint
from .streams import Message, is_call, is_reply

PATIENCE = 60_000_000_000
"""Nanoseconds that a call may wait for its reply before it counts as unanswered; NFS clients repeat it within that."""
MOST_PENDING = 1 << 16
MOST_ANSWERED = 1 << 14
"""Answered calls remembered so that a late repetition is told from a new call."""

_HEADER = Struct(">6I")
_WORD = Struct(">I")
_Key = tuple[Endpoint, Endpoint, str, int]


@dataclass(slots=True)
class Exchange:
    """A call, and its reply where one was seen. Times in nanoseconds since 1970.

    `body` is where the arguments begin in `call`, None for a header that cannot be read to its end.
    `repeats` counts further copies of the call before its reply; `again` says that this call itself
    repeats one that was answered before. `whole` and `reply_whole`: not cut short by the capture.
    """

    number: int
    time: int
    transport: str
    client: Endpoint
    server: Endpoint
    xid: int
    program: int
    version: int
    procedure: int
    call: bytes
    whole: bool = True
    credential: OpaqueAuth = NULL_AUTH
    body: int | None = None
    repeats: int = 0
    again: bool = False
    reply: bytes | None = None
    reply_time: int | None = None
    reply_whole: bool = True

    @property
    def latency(self) -> int | None:
        """Nanoseconds from the first copy of the call to the reply."""
        return None if self.reply_time is None else self.reply_time - self.time


@dataclass(slots=True)
class Counts:
    """What was seen besides exchanges. `orphans`: replies without a call; `others`: messages that are no RPC."""

    calls: int = 0
    replies: int = 0
    repeated_calls: int = 0
    repeated_replies: int = 0
    orphans: int = 0
    others: int = 0


@dataclass(slots=True)
class Exchanges:
    """Feeds on messages, gives each exchange once it is over: answered, or given up.

    What looks like RPC is taken; what does not is taken, too, when it goes to or comes from an end that
    has served RPC before, so that calls with a broken header are seen. `started` is told of each new call.
    """

    counts: Counts = field(default_factory=Counts)
    started: Callable[[Exchange], None] = lambda exchange: None
    _pending: OrderedDict[_Key, Exchange] = field(default_factory=OrderedDict)
    _answered: OrderedDict[_Key, int] = field(default_factory=OrderedDict)
    _servers: OrderedDict[tuple[Endpoint, str], None] = field(default_factory=OrderedDict)
    _number: int = 0

    def feed(self, message: Message) -> Iterator[Exchange]:
        """The exchanges that are over by now."""
        data = message.data
        if is_call(data) or self._broken_call(message):
            yield from self._call(message)
        elif is_reply(data):
            reply_key = (message.target, message.source, message.transport, _WORD.unpack_from(data)[0])
            yield from self._reply(reply_key, message)
        else:
            self.counts.others += 1
        yield from self._overdue(message.time)

    def _broken_call(self, message: Message) -> bool:
        """A message to a server that says it is a call, and is of another RPC version or too short for one."""
        data = message.data
        served = (message.target, message.transport) in self._servers
        return served and len(data) >= 12 and _WORD.unpack_from(data, 4)[0] == 0

    def _call(self, message: Message) -> Iterator[Exchange]:
        data = message.data
        (xid,) = _WORD.unpack_from(data)
        key = (message.source, message.target, message.transport, xid)
        self.counts.calls += 1
        pending = self._pending.get(key)
        if pending is not None:
            if pending.call == data:
                pending.repeats += 1
                self.counts.repeated_calls += 1
                return
            yield self._pending.pop(key)
        again = self._answered.get(key) == hash(data)
        self.counts.repeated_calls += again
        self._pending[key] = exchange = self._exchange(message, xid, again)
        self.started(exchange)
        server = (message.target, message.transport)
        self._servers[server] = None
        if len(self._servers) > MOST_ANSWERED:
            self._servers.popitem(last=False)

    def _exchange(self, message: Message, xid: int, again: bool) -> Exchange:
        self._number += 1
        data = message.data
        program, version, procedure = _HEADER.unpack_from(data)[3:] if len(data) >= 24 else (0, 0, 0)
        exchange = Exchange(
            self._number, message.time, message.transport, message.source, message.target, xid,
            program, version, procedure, data, message.whole, again=again,
        )  # fmt: skip
        try:
            header = decode_call(data)
        except Refusal:
            return exchange
        exchange.credential, exchange.body = header.credential, header.body
        return exchange

    def _reply(self, key: _Key, message: Message) -> Iterator[Exchange]:
        exchange = self._pending.pop(key, None)
        if exchange is None:
            if key in self._answered:
                self.counts.replies += 1
                self.counts.repeated_replies += 1
            elif (message.source, message.transport) in self._servers:
                self.counts.replies += 1
                self.counts.orphans += 1
            else:
                self.counts.others += 1
            return
        self.counts.replies += 1
        exchange.reply, exchange.reply_time, exchange.reply_whole = message.data, message.time, message.whole
        self._answered[key] = hash(exchange.call)
        self._answered.move_to_end(key)
        if len(self._answered) > MOST_ANSWERED:
            self._answered.popitem(last=False)
        yield exchange

    def _overdue(self, now: int) -> Iterator[Exchange]:
        while self._pending:
            first = next(iter(self._pending.values()))
            if now - first.time <= PATIENCE and len(self._pending) <= MOST_PENDING:
                return
            yield self._pending.popitem(last=False)[1]

    def rest(self) -> Iterator[Exchange]:
        """The calls that have no reply when the capture ends."""
        while self._pending:
            yield self._pending.popitem(last=False)[1]
