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
    [ \t\r\f\v]*
    (?:
        (?P<NAME>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<newline>\n)
      | (?P<comment>/\*.*?\*/|//[^\n]*)
      | (?P<unclosed>/\*)
      | (?P<NUMBER>0[xX][0-9a-fA-F]+[uUlL]*|[0-9]+[uUlL]*)
      | (?P<STRING>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)')
      | (?P<SYMBOL>::|<<|>>|&&|\|\||[=!<>]=|[{}()\[\]<>*=;,:+\-/|&^~!?.])
      | (?P<line>[%\#])
      | (?P<end>\Z)
      | (?P<BAD>.)
    )
    """,
    re.VERBOSE | re.DOTALL,
)
_LINE = re.compile(r"(?:[^\\\n]|\\\r?\n|\\(?!\r?\n))*")
_KINDS = {kind.name: kind for kind in Kind}


def tokens(source: Source) -> Iterator[Token]:
    """Yield the tokens of a text, END last. Unknown characters are BAD tokens: they may stand in a skipped region."""
    text, end, line, start = source.text, 0, 1, 0
    fresh = True
    size = len(text)
    while end < size:
        found = _TOKEN.match(text, end)
        assert found is not None
        kind = found.lastgroup or "BAD"
        pos, end = found.span(kind)
        if kind == "newline":
            line, start, fresh = line + 1, end, True
        elif kind in _KINDS:
            yield Token(_KINDS[kind], text[pos:end], Span(source, line, pos - start + 1, end - pos))
            fresh = False
        elif kind == "line" and not fresh:
            mark = Kind.SYMBOL if text[pos] == "%" else Kind.BAD
            yield Token(mark, text[pos], Span(source, line, pos - start + 1))
        elif kind == "line":
            body = _LINE.match(text, end)
            assert body is not None
            end = body.end()
            width = len(text[pos:end].split("\n")[0].rstrip())
            mark = Kind.DIRECTIVE if text[pos] == "#" else Kind.PASS
            yield Token(mark, body.group(), Span(source, line, pos - start + 1, width))
        elif kind == "unclosed":
            yield Token(Kind.BAD, "/*", Span(source, line, pos - start + 1, 2))
            end = size
        # A comment or a continued line may have had line ends inside.
        if kind not in ("newline", "NAME", "SYMBOL", "NUMBER") and (breaks := text.count("\n", pos, end)):
            line += breaks
            start = text.rindex("\n", pos, end) + 1
    yield Token(Kind.END, "", Span(source, line, end - start + 1, 1))
