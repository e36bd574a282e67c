"""The HTML report: one file that holds everything, with figures, a latency plot and a sequence diagram.

The page is `report.html` beside this module; what this module adds is data, in columns, with repeated
texts written once, so that a hundred thousand calls stay a few megabytes.
"""

import base64
import json
from importlib.resources import files
from typing import Any

from .decoded import Decoded
from .fields import Fields
from .paths import Paths

MOST_CALLS = 200_000
"""Calls shown one by one; all further ones are in the figures only, and the report says so."""

_MARK = "/*DATA*/"


class _Texts:
    """Texts by number, each kept once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int:
        number = self._numbers.setdefault(text, len(self.texts))
        if number == len(self.texts):
            self.texts.append(text)
        return number


class Report:
    """Takes exchanges, and in the end gives the page."""

    def __init__(self, title: str, paths: Paths) -> None:
        self._title = title
        self._fields = Fields(paths)
        self._procedures = _Texts()
        self._statuses = _Texts()
        self._ends = _Texts()
        self._details = _Texts()
        self._columns: dict[str, list[int]] = {
            name: []
            for name in ("time", "latency", "procedure", "status", "client", "server", "repeats", "call", "reply")
        }
        self._first: int | None = None
        self._left_out = 0

    def add(self, decoded: Decoded) -> None:
        """Take one exchange."""
        exchange, columns = decoded.exchange, self._columns
        if len(columns["time"]) >= MOST_CALLS:
            self._left_out += 1
            return
        if self._first is None:
            self._first = exchange.time
        columns["time"].append((exchange.time - self._first) // 1000)
        columns["latency"].append(-1 if exchange.latency is None else max(exchange.latency, 0) // 1000)
        columns["procedure"].append(self._procedures.number(f"{decoded.program} {decoded.procedure}"))
        columns["status"].append(self._statuses.number(decoded.status))
        columns["client"].append(self._ends.number(str(exchange.client)))
        columns["server"].append(self._ends.number(f"{exchange.server} {exchange.transport}"))
        columns["repeats"].append(exchange.repeats + exchange.again)
        columns["call"].append(self._details.number(self._fields.call(decoded)))
        columns["reply"].append(self._details.number(decoded.trouble or self._fields.reply(decoded)))

    def page(self, summary: dict[str, Any]) -> str:
        """The whole HTML document. `summary` is what `Summary.as_dict` gives."""
        data = {
            "title": self._title,
            "start": 0 if self._first is None else self._first // 1_000_000,
            "summary": summary,
            "leftOut": self._left_out,
            "procedures": self._procedures.texts,
            "statuses": self._statuses.texts,
            "ends": self._ends.texts,
            "details": self._details.texts,
            "columns": self._columns,
        }
        # Names come from the wire: as base64 nothing in them can end the script or begin a tag.
        packed = base64.b64encode(json.dumps(data, separators=(",", ":")).encode()).decode("ascii")
        return files(__package__).joinpath("report.html").read_text("utf-8").replace(_MARK, packed, 1)
