"""A capture in figures: counts, errors, repetitions, latencies. Memory does not grow with the capture."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from .decoded import NO_REPLY, OK, Decoded
from .exchanges import Counts

_STEPS = 32
"""Classes of latency for each doubling: percentiles are exact to 1/32."""


class Latencies:
    """Latencies in nanoseconds, counted in classes that widen with their value."""

    def __init__(self) -> None:
        self._classes: Counter[int] = Counter()
        self.count = 0
        self.total = 0
        self.largest = 0

    def add(self, latency: int) -> None:
        """Count one latency; one below zero (a clock set back during the capture) counts as zero."""
        latency = max(latency, 0)
        shift = max(latency.bit_length() - _STEPS.bit_length(), 0)
        self._classes[shift << 8 | latency >> shift] += 1
        self.count += 1
        self.total += latency
        self.largest = max(self.largest, latency)

    def percentile(self, percent: float) -> int | None:
        """The latency that `percent` of all do not exceed, nanoseconds; None without any."""
        if not self.count:
            return None
        rank = max(1, -(-self.count * percent // 100))
        seen = 0
        for place in sorted(self._classes):
            seen += self._classes[place]
            if seen >= rank:
                shift, value = place >> 8, place & 0xFF
                return min(((value + 1) << shift) - 1, self.largest)
        return self.largest


@dataclass(slots=True)
class Line:
    """Figures of one procedure. `errors` counts replies with another status than success."""

    calls: int = 0
    errors: int = 0
    unanswered: int = 0
    repeats: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    latencies: Latencies = field(default_factory=Latencies)

    def as_dict(self) -> dict[str, Any]:
        """The figures for JSON, latencies in seconds."""
        return {
            "calls": self.calls, "errors": self.errors, "unanswered": self.unanswered, "repeats": self.repeats,
            "bytes_up": self.bytes_up, "bytes_down": self.bytes_down, "latency": latency_dict(self.latencies),
        }  # fmt: skip


def latency_dict(latencies: Latencies) -> dict[str, float | None]:
    """Percentiles in seconds."""
    points = {f"p{percent:g}": latencies.percentile(percent) for percent in (50, 90, 99, 99.9)}
    points["max"] = latencies.largest if latencies.count else None
    return {name: None if value is None else value / 1e9 for name, value in points.items()}


@dataclass(slots=True)
class Summary:
    """Figures of a capture. Statuses and procedures are few in honest traffic; `MOST` bounds them in any other."""

    procedures: dict[tuple[str, int, str], Line] = field(default_factory=dict)
    statuses: Counter[str] = field(default_factory=Counter)
    latencies: Latencies = field(default_factory=Latencies)
    first: int | None = None
    last: int = 0
    MOST = 4096

    def add(self, decoded: Decoded) -> None:
        """Count one exchange."""
        exchange = decoded.exchange
        key = (decoded.program, exchange.version, decoded.procedure)
        if key not in self.procedures and len(self.procedures) >= self.MOST:
            key = ("other", 0, "")
        line = self.procedures.setdefault(key, Line())
        line.calls += 1
        line.repeats += exchange.repeats + exchange.again
        line.bytes_up += len(exchange.call)
        self.first = exchange.time if self.first is None else min(self.first, exchange.time)
        self.last = max(self.last, exchange.reply_time or exchange.time)
        status = decoded.status if decoded.status in self.statuses or len(self.statuses) < self.MOST else "other"
        self.statuses[status] += 1
        if exchange.reply is None:
            line.unanswered += 1
            return
        line.bytes_down += len(exchange.reply)
        line.errors += decoded.status != OK
        latency = (exchange.reply_time or 0) - exchange.time
        line.latencies.add(latency)
        self.latencies.add(latency)

    def as_dict(self, counts: Counts, packets: int, lost: int) -> dict[str, Any]:
        """All figures for JSON; times in seconds."""
        return {
            "packets": packets,
            "seconds": 0.0 if self.first is None else (self.last - self.first) / 1e9,
            "calls": counts.calls,
            "replies": counts.replies,
            "repeated_calls": counts.repeated_calls,
            "repeated_replies": counts.repeated_replies,
            "replies_without_call": counts.orphans,
            "unanswered": self.statuses[NO_REPLY],
            "gaps_in_tcp": lost,
            "statuses": dict(self.statuses.most_common()),
            "latency": latency_dict(self.latencies),
            "procedures": [
                {"program": program, "version": version, "procedure": procedure, **line.as_dict()}
                for (program, version, procedure), line in sorted(
                    self.procedures.items(), key=lambda item: -item[1].calls
                )
            ],
        }
