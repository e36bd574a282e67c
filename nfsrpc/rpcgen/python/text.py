"""Python source under construction: lines with indentation, the runs a module needs, and the names it imports."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class Item:
    """One fixed-size item of a run: `value` is the expression to pack, or the target to unpack to."""

    code: str
    path: str
    value: str
    check: str = ""


@dataclass(slots=True)
class Module:
    """What one generated module collects besides its text."""

    used: set[str] = field(default_factory=set)
    runs: dict[tuple[str, str, str], str] = field(default_factory=dict)
    new_runs: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def use(self, name: str) -> str:
        """Note that the module imports `name` from nfsrpc.xdr, and return what it is called there."""
        self.used.add(name)
        return f"_{name}"

    def run(self, owner: str, items: list[Item]) -> tuple[str, int]:
        """Return the name of a run of these items, made once, and its size in bytes."""
        form = "> " + " ".join(item.code for item in items)
        fields = " ".join(item.path or "." for item in items)
        checks = ", ".join(f"{item.path or '.'!r}: {item.check}" for item in items if item.check)
        key = (form, fields, checks)
        if key not in self.runs:
            name = f"_{owner}_{self.counts[owner]}"
            self.counts[owner] += 1
            self.runs[key] = name
            extra = f", {{{checks}}}" if checks else ""
            self.new_runs.append(f'{name} = {self.use("Run")}("{form}", "{fields}"{extra})')
        return self.runs[key], struct.calcsize(form)

    def take_runs(self) -> list[str]:
        """Return the definitions of the runs that were made since the last call."""
        made, self.new_runs = self.new_runs, []
        return made


class Lines:
    """Lines of one function."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.depth = 0

    def add(self, text: str = "") -> None:
        """Add one line at the current depth."""
        self.lines.append("    " * self.depth + text if text else "")
