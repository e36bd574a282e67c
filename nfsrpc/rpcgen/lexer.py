"""Text to tokens, each with its exact place (RFC 4506 §6.2, and what real files add to it).

Preprocessor lines (``#``) and pass-through lines (``%``) come out as one token each;
what they mean is the preprocessor's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from .source import Source, Span


class Kind(Enum):
    """What a token is."""

    NAME = "a name"
    NUMBER = "a number"
    STRING = "a string"
    SYMBOL = "a symbol"
    DIRECTIVE = "a preprocessor line"
    PASS = "a pass-through line"
    BAD = "an unknown character"
    END = "end of file"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` is as written, for DIRECTIVE and PASS without the mark and with continuations joined."""

    kind: Kind
    text: str
    span: Span

    def __str__(self) -> str:
        return "end of file" if self.kind is Kind.END else repr(self.text)


_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\f\v]+)
  | (?P<newline>\n)
  | (?P<comment>/\*.*?\*/|//[^\n]*)
  | (?P<unclosed>/\*)
  | (?P<NAME>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<NUMBER>0[xX][0-9a-fA-F]+[uUlL]*|[0-9]+[uUlL]*)
  | (?P<STRING>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)')
  | (?P<SYMBOL>::|<<|>>|&&|\|\||[=!<>]=|[{}()\[\]<>*=;,:+\-/|&^~!?.])
  | (?P<line>[%\#])
  | (?P<BAD>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_LINE = re.compile(r"(?:[^\\\n]|\\\r?\n|\\(?!\r?\n))*")


def tokens(source: Source) -> Iterator[Token]:
    """Yield the tokens of a text, END last. Unknown characters are BAD tokens: they may stand in a skipped region."""
    text, pos, line, start = source.text, 0, 1, 0
    fresh = True
    while pos < len(text):
        found = _TOKEN.match(text, pos)
        assert found is not None
        kind, end = found.lastgroup or "BAD", found.end()
        span = Span(source, line, pos - start + 1, end - pos)
        if kind == "line":
            if fresh:
                body = _LINE.match(text, end)
                assert body is not None
                end = body.end()
                mark = Kind.DIRECTIVE if found.group() == "#" else Kind.PASS
                width = len(text[pos:end].split("\n")[0].rstrip())
                yield Token(mark, body.group(), Span(source, line, pos - start + 1, width))
            else:
                yield Token(Kind.SYMBOL if found.group() == "%" else Kind.BAD, found.group(), span)
        elif kind == "unclosed":
            yield Token(Kind.BAD, "/*", Span(source, line, pos - start + 1, 2))
            end = len(text)
        elif kind not in ("space", "newline", "comment"):
            yield Token(Kind[kind], found.group(), span)
            fresh = False
        breaks = text.count("\n", pos, end)
        if breaks:
            line += breaks
            start = text.rindex("\n", pos, end) + 1
            fresh = fresh or kind == "newline"
        elif kind == "newline":
            fresh = True
        pos = end
    yield Token(Kind.END, "", Span(source, line, pos - start + 1, 1))
