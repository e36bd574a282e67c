"""What a bad network does to a message: decided by a seed, without a socket or a clock."""

import random
from dataclasses import dataclass, fields
from typing import Self


@dataclass(frozen=True, slots=True)
class Faults:
    """How often each thing happens to a message, as a probability from 0 to 1; `pause` is in seconds.

    drop
        It never arrives.
    duplicate
        It arrives twice, the second time up to `pause` later.
    reorder
        It arrives after the one that follows it (or after `pause`, if none does).
    delay
        It arrives up to `pause` later.
    truncate
        Only a part of it arrives; a stream ends there.
    corrupt
        One bit of it has changed.
    split
        A stream's chunk arrives in pieces of a few bytes. Does nothing to datagrams.
    cut
        A stream ends before it. Does nothing to datagrams.
    """

    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: float = 0.0
    truncate: float = 0.0
    corrupt: float = 0.0
    split: float = 0.0
    cut: float = 0.0
    pause: float = 0.05

    @classmethod
    def parse(cls, script: str) -> Self:
        """Read ``drop=0.1,duplicate=0.05,pause=0.2``. Raises `ValueError` with the part that is wrong."""
        found: dict[str, float] = {}
        names = [field.name for field in fields(cls)]
        for part in filter(None, (word.strip() for word in script.split(","))):
            name, _, value = part.partition("=")
            if name not in names:
                raise ValueError(f"{part!r}: no such fault; there are {', '.join(names)}")
            try:
                number = float(value)
            except ValueError:
                raise ValueError(f"{part!r}: {value!r} is not a number") from None
            if not 0 <= number <= (60 if name == "pause" else 1):
                raise ValueError(f"{part!r}: out of range")
            found[name] = number
        return cls(**found)


class Mischief:
    """The fate of each message that goes one way, one after the other; the same seed gives the same fates.

    `counts` says how often each fault has happened.
    """

    def __init__(self, faults: Faults, seed: str) -> None:
        self.faults = faults
        """May be replaced at any time: it holds from the next message on."""
        self._random = random.Random(seed)
        self._held: list[bytes] = []
        self.counts: dict[str, int] = {field.name: 0 for field in fields(faults) if field.name != "pause"}
        self.counts["passed"] = 0

    @property
    def holding(self) -> bool:
        """Whether a message waits for another one to overtake it."""
        return bool(self._held)

    def _strikes(self, fault: str) -> bool:
        # A number is drawn for each fault of each message: switching one fault off leaves the others' fates alone.
        hit = self._random.random() < float(getattr(self.faults, fault))
        self.counts[fault] += hit
        return hit

    def datagram(self, data: bytes) -> list[tuple[float, bytes]]:
        """What arrives because `data` was sent, each with the seconds until then."""
        drop, twice, late, behind = map(self._strikes, ("drop", "duplicate", "delay", "reorder"))
        overtaken, self._held = [(0.0, held) for held in self._held], []
        data = self._damaged(data)
        arrivals: list[tuple[float, bytes]] = []
        first, second = (self._random.random() * self.faults.pause for _ in range(2))
        if not drop:
            if behind:
                self._held.append(data)
            else:
                arrivals.append((first if late else 0.0, data))
            if twice:
                arrivals.append((second, data))
        self.counts["passed"] += len(arrivals) + len(overtaken)
        return arrivals + overtaken

    def _damaged(self, data: bytes) -> bytes:
        place = self._random.random()
        if self._strikes("truncate"):
            data = data[: int(len(data) * place)]
        if self._strikes("corrupt") and data:
            at = int(len(data) * place)
            data = data[:at] + bytes([data[at] ^ 1 << int(place * 8)]) + data[at + 1 :]
        return data

    def release(self) -> list[bytes]:
        """The messages still held back for another to overtake them: none came."""
        held, self._held = self._held, []
        self.counts["passed"] += len(held)
        return held

    def chunk(self, data: bytes) -> tuple[list[tuple[float, bytes]], bool]:
        """What arrives of a stream's next bytes, in order, each piece with the pause before it; whether it ends."""
        cut, split, late = map(self._strikes, ("cut", "split", "delay"))
        if cut:
            return [], True
        whole = len(data)
        data = self._damaged(data)
        pause = self._random.random() * self.faults.pause if late else 0.0
        pieces = self._pieces(data) if split else [data]
        self.counts["passed"] += 1
        return [(pause if at == 0 else 0.0, piece) for at, piece in enumerate(pieces)], len(data) < whole

    def _pieces(self, data: bytes) -> list[bytes]:
        """Cut into up to eight pieces of one to seven bytes, and the rest: headers are torn apart, bulk is not."""
        pieces: list[bytes] = []
        while data and len(pieces) < 8:
            size = self._random.randint(1, 7)
            pieces.append(data[:size])
            data = data[size:]
        return [*pieces, data] if data else pieces
