"""A place in a list of tokens, and the errors that can be told from there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from .ast import Expression, Name
from .expressions import LANGUAGE_LEVELS, ExpressionError, ExpressionParser
from .lexer import Kind, Token
from .source import Report, Span

KEYWORDS = frozenset(
    [
        "bool",
        "case",
        "const",
        "default",
        "double",
        "enum",
        "float",
        "hyper",
        "int",
        "opaque",
        "program",
        "quadruple",
        "string",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "version",
        "void",
        "char",
        "short",
        "long",
        "namespace",
    ]
)
# Words of the language that real files also use as names of fields: no rule starts a name with them.
_ALSO_NAMES = frozenset(("program", "version", "namespace", "string", "default", "hyper", "quadruple"))

FOREIGN = {
    "package": "this is a dialect of Go's XDR compilers: take the line out, names need no package here",
    "import": "this is a dialect of Go's XDR compilers: name the other file with --with OTHER.x",
    "zcopaque": "this is a dialect of xdrzcc: write opaque",
    "opaque_union": "this is a dialect of xdrzcc: write union",
}
"""Words of other compilers' dialects, and what to write instead."""


class Misread(Exception):
    """Parsing cannot go on here; the report already has the error."""


class Cursor:
    """Looks at one token at a time; every refusal is reported with its place and then raised as `Misread`."""

    def __init__(self, tokens: list[Token], report: Report) -> None:
        self.tokens = tokens
        self.position = 0
        self.report = report

    @property
    def token(self) -> Token:
        """The token in front."""
        return self.tokens[self.position]

    @property
    def at_end(self) -> bool:
        """Say whether only END is in front."""
        return self.token.kind is Kind.END

    def next_is(self, *texts: str) -> bool:
        """Say whether the token in front is one of these names or symbols (never a string)."""
        return self.token.text in texts and self.token.kind in (Kind.NAME, Kind.SYMBOL)

    def ahead(self, count: int = 1) -> Token:
        """Return the token `count` further on, or the END token."""
        return self.tokens[min(self.position + count, len(self.tokens) - 1)]

    def advance(self) -> Token:
        """Return the token in front and move behind it; END stays."""
        token = self.token
        if not self.at_end:
            self.position += 1
        return token

    def accept(self, text: str) -> Token | None:
        """Move behind the token in front where it is `text`, and return it."""
        return self.advance() if self.next_is(text) else None

    def expect(self, text: str, context: str = "") -> Token:
        """Move behind the token in front, which must be `text`; a ';' that is missing at a line's end is forgiven."""
        if self.next_is(text):
            return self.advance()
        behind = f" {context}" if context else ""
        previous = self.tokens[max(self.position - 1, 0)].span
        if text == ";" and (self.token.span.line, self.token.span.source) != (previous.line, previous.source):
            # The mistake is at the end of the line before, not where it was noticed; reading goes on as if it was not.
            place = Span(previous.source, previous.line, previous.column + previous.length)
            self.report.error(f"expected ';'{behind}, found {self.token}", place, "a ';' is missing here")
            return self.tokens[self.position - 1]
        hint = "each name is declared on its own: 'int a; int b;'" if text == ";" and self.next_is(",") else ""
        raise self.refuse(f"expected {text!r}{behind}, found {self.token}", hint)

    def refuse(self, message: str, hint: str = "", token: Token | None = None) -> Misread:
        """Report an error at `token` (the one in front if None) and return the exception to raise."""
        self.report.error(message, (token or self.token).span, hint)
        return Misread()

    def name(self, what: str) -> Name:
        """Read an identifier, perhaps qualified; `what` tells the reader what it would have been."""
        qualifiers = [""] if self.accept("::") else []
        token = self.token
        if token.kind is not Kind.NAME or (token.text in KEYWORDS and token.text not in _ALSO_NAMES):
            hint = f"{token.text!r} is a keyword of the language" if token.text in KEYWORDS else ""
            raise self.refuse(f"expected {what}, found {token}", hint)
        self.advance()
        while self.next_is("::"):
            self.advance()
            qualifiers.append(token.text)
            token = self.advance()
            if token.kind is not Kind.NAME:
                raise self.refuse(f"expected a name behind '::', found {token}", token=token)
        return Name(token.text, token.span, tuple(qualifiers))

    def expression(self) -> Expression:
        """Read a constant expression."""
        reader = ExpressionParser(self.tokens, self.position, LANGUAGE_LEVELS)
        try:
            result = reader.parse()
        except ExpressionError as failure:
            self.report.error(failure.message, failure.span, failure.hint)
            raise Misread from None
        self.position = reader.position
        return result

    def skip_statement(self) -> None:
        """After an error, move behind the next ``;`` of this level, or in front of the brace that ends it."""
        depth = 0
        while not self.at_end:
            if self.next_is("{"):
                depth += 1
            elif self.next_is("}"):
                if depth == 0:
                    return
                depth -= 1
            elif self.next_is(";") and depth == 0:
                self.advance()
                return
            self.advance()


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word closest to `word`, or an empty string."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"did you mean {close[0]!r}?" if close else ""
