"""Recorded calls sent to a server of now, in the order and with the overlaps of the capture, and the replies compared.

A call is sent once every reply that came before it in the capture has come here, too: what depended on
each other then does so now, and what was in flight together is so again.
"""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from nfsrpc.auth.base import ClientSession, OpaqueAuth, PlainAuth, PlainSession
from nfsrpc.rpc.calls import PendingCall
from nfsrpc.rpc.errors import RpcError
from nfsrpc.transport.client import Client
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.xdr import XdrError

from .capture import Frame
from .compare import difference
from .decoded import NO_REPLY, Decoded, Decoder, failure_name, own_status
from .dissect import Dissection
from .exchanges import Exchange
from .rewrite import Rewriter, UnknownHandle
from .summary import Latencies

MOST_CLIENTS = 64
"""Associations open at one time, one for each transport and identity of the capture."""
AUTH_NONE, AUTH_SYS = 0, 1
_PROGRAMS = frozenset({"nfs", "mount"})


class _Recorded:
    """A credential as it was captured; only flavours without a secret can be used again."""

    def __init__(self, captured: OpaqueAuth) -> None:
        self._captured = captured

    def session(self, host: str) -> ClientSession:
        """The same for every call."""
        return PlainSession(PlainAuth(self._captured))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recorded call: `difference` is "" where the replies agree; `latency` is of now, in ns."""

    recorded: Decoded
    status: str
    difference: str
    latency: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How to replay. `programs` are names; `paths` replace the beginnings of mounted paths; `proto` None: as recorded.

    `at_speed`: keep the capture's pauses. `timeout` in seconds for each call.
    """

    host: str
    port: int
    programs: frozenset[str] = _PROGRAMS
    paths: dict[bytes, bytes] = field(default_factory=dict)
    proto: str | None = None
    at_speed: bool = False
    timeout: float = 30.0


@dataclass(slots=True)
class _Flight:
    decoded: Decoded
    arguments: tuple[Any, ...]
    call: PendingCall
    client: Client
    sent: int


@dataclass(slots=True)
class Replay:
    """One run of a plan. `skipped` counts recorded calls that were not sent, by reason; latencies are by procedure."""

    plan: Plan
    dissection: Dissection
    skipped: dict[str, int] = field(default_factory=dict)
    latencies: dict[str, tuple[Latencies, Latencies]] = field(default_factory=dict)
    _clients: OrderedDict[tuple[str, OpaqueAuth], Client] = field(default_factory=OrderedDict)
    _flights: dict[int, _Flight] = field(default_factory=dict)
    _rewriter: Rewriter = field(init=False)
    _decoder: Decoder = field(init=False)
    _began: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        self._rewriter = Rewriter(self.plan.paths)
        self._decoder = Decoder(self.dissection.programs)

    def run(self, frames: Iterable[Frame], sleep: Callable[[float], None] = time.sleep) -> Iterator[Outcome]:
        """Send what the frames hold; one outcome for each call that was sent."""
        starting: deque[Exchange] = deque()
        self.dissection.exchanges.started = starting.append
        try:
            for exchange in self.dissection.raw(frames):
                while starting:
                    self._start(starting.popleft(), sleep)
                flight = self._flights.pop(exchange.number, None)
                if flight is not None:
                    yield self._finish(flight, exchange)
                else:
                    self._withhold(self._decoder.decode(exchange), "was left out")
        finally:
            for client in self._clients.values():
                client.close()

    def _start(self, exchange: Exchange, sleep: Callable[[float], None]) -> None:
        decoded = self._decoder.decode(exchange)
        named = self.dissection.programs.find(exchange.program, exchange.version, exchange.procedure)
        reason = self._reason(decoded)
        if named is None or reason or decoded.arguments is None:
            self._skip(reason or decoded.trouble or "unknown procedure")
            return
        try:
            arguments = self._rewriter.arguments(decoded.arguments)
        except UnknownHandle as unknown:
            self._skip(str(unknown))
            return
        if self.plan.at_speed:
            self._keep_pace(exchange.time, sleep)
        client = self._client(exchange)
        try:
            call = client.submit(named.procedure, arguments)
        except XdrError as unfit:
            self._skip(f"cannot be encoded: {unfit}")
            return
        self._flights[exchange.number] = _Flight(decoded, arguments, call, client, time.monotonic_ns())

    def _reason(self, decoded: Decoded) -> str:
        """Why this call is not sent; "" if it is."""
        if decoded.program not in self.plan.programs:
            return f"of program {decoded.program}"
        if decoded.exchange.again:
            return "a repetition"
        flavor = decoded.exchange.credential.flavor
        return "" if flavor in (AUTH_NONE, AUTH_SYS) else f"of authentication flavour {flavor}, which has a secret"

    def _withhold(self, recorded: Decoded, what: str) -> None:
        """Later calls may name handles that this one gave out in the capture, and not here."""
        self._rewriter.withhold(recorded.result, f"its handle comes from {recorded.procedure}, which {what}")

    def _skip(self, reason: str) -> None:
        self.skipped[reason] = self.skipped.get(reason, 0) + 1

    def _keep_pace(self, recorded: int, sleep: Callable[[float], None]) -> None:
        now = time.monotonic_ns()
        if self._began is None:
            self._began = (recorded, now)
        due = self._began[1] + recorded - self._began[0]
        if due > now:
            sleep((due - now) / 1e9)

    def _client(self, exchange: Exchange) -> Client:
        proto = self.plan.proto or exchange.transport
        key = (proto, exchange.credential)
        client = self._clients.get(key)
        if client is None:
            busy = {id(flight.client) for flight in self._flights.values()}
            idle = [k for k, c in self._clients.items() if id(c) not in busy]
            if len(self._clients) >= MOST_CLIENTS and idle:
                self._clients.pop(idle[0]).close()
            connect = connect_udp if proto == "udp" else connect_tcp
            client = connect(
                self.plan.host, self.plan.port, credential=_Recorded(exchange.credential), timeout=self.plan.timeout
            )
            self._clients[key] = client
        self._clients.move_to_end(key)
        return client

    def _finish(self, flight: _Flight, exchange: Exchange) -> Outcome:
        recorded = self._decoder.decode(exchange)
        # The arguments of now: those of the capture have been rewritten in their place.
        recorded.arguments = flight.arguments
        try:
            result = flight.client.wait(flight.call)
        except RpcError as failure:
            status = NO_REPLY if isinstance(failure, TimeoutError) else failure_name(failure)
            latency = time.monotonic_ns() - flight.sent
            self._withhold(recorded, f"got {status} here")
            return Outcome(recorded, status, _statuses(recorded.status, status), latency)
        latency = time.monotonic_ns() - flight.sent
        self._count(recorded, latency)
        status = own_status(result)
        if recorded.exchange.reply is None:
            return Outcome(recorded, status, "", latency)
        self._rewriter.learn(flight.arguments, recorded.result, result)
        self._withhold(recorded, f"got {status} here")
        unlike = _statuses(recorded.status, status)
        if not unlike and recorded.result is not None:
            unlike = difference(flight.arguments, recorded.result, result)
        return Outcome(recorded, status, unlike, latency)

    def _count(self, recorded: Decoded, latency: int) -> None:
        before, now = self.latencies.setdefault(f"{recorded.program} {recorded.procedure}", (Latencies(), Latencies()))
        if recorded.exchange.latency is not None:
            before.add(recorded.exchange.latency)
        now.add(latency)


def _statuses(recorded: str, now: str) -> str:
    return "" if recorded == now else f"status: recorded {recorded}, now {now}"
