"""Texts of .x files, places in them, and what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Source:
    """The text of one file as it was read; `included_at` is where another file asked for it."""

    name: str
    text: str
    included_at: Span | None = None
    lines: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.text.split("\n")


@dataclass(frozen=True, slots=True)
class Span:
    """A piece of one line: line and column count from 1, `length` is in characters."""

    source: Source
    line: int
    column: int
    length: int = 1

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing that is wrong, or (a warning) that is probably not what was meant."""

    message: str
    span: Span
    hint: str = ""
    related: tuple[tuple[str, Span], ...] = ()
    severity: str = "error"

    def render(self) -> str:
        """Return the text for people: position, message, source line with a caret, related places, include chain."""
        out = [f"{self.span}: {self.severity}: {self.message}", *_excerpt(self.span)]
        if self.hint:
            out.append(f"  hint: {self.hint}")
        for label, span in self.related:
            out += [f"{span}: note: {label}", *_excerpt(span)]
        place = self.span.source.included_at
        while place:
            out.append(f"  in file included from {place}")
            place = place.source.included_at
        return "\n".join(out)


def _excerpt(span: Span) -> list[str]:
    if not 0 < span.line <= len(span.source.lines):
        return []
    line = span.source.lines[span.line - 1].rstrip("\r")
    # Tabs stay tabs in front of the caret, so that it stands under its token at any tab width.
    lead = "".join("\t" if c == "\t" else " " for c in line[: span.column - 1])
    return [f"  {line}", f"  {lead}{'^' * max(span.length, 1)}"]


class CompileError(Exception):
    """The file cannot be compiled; `diagnostics` says why, in source order, errors and warnings alike."""

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__("\n".join(d.render() for d in diagnostics))
        self.diagnostics = diagnostics


class Report:
    """Collects diagnostics of one compilation."""

    def __init__(self) -> None:
        self.diagnostics: list[Diagnostic] = []

    def error(self, message: str, span: Span, hint: str = "", related: tuple[tuple[str, Span], ...] = ()) -> None:
        """Note an error; compilation goes on so that one run shows several."""
        found = Diagnostic(message, span, hint, related)
        if found not in self.diagnostics:
            self.diagnostics.append(found)

    def warn(self, message: str, span: Span, hint: str = "") -> None:
        """Note something that compiles but is probably not what was meant."""
        self.diagnostics.append(Diagnostic(message, span, hint, severity="warning"))

    @property
    def failed(self) -> bool:
        """Say whether there was any error."""
        return any(d.severity == "error" for d in self.diagnostics)

    def check(self) -> None:
        """Raise CompileError where there was any error."""
        if self.failed:
            raise CompileError(self.in_order())

    def in_order(self) -> list[Diagnostic]:
        """Return the diagnostics by their place in each file, files in the order in which they came up."""
        files = {id(d.span.source): position for position, d in reversed(list(enumerate(self.diagnostics)))}
        return sorted(self.diagnostics, key=lambda d: (files[id(d.span.source)], d.span.line, d.span.column))
