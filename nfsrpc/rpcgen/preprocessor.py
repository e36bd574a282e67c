"""The part of the C preprocessor that .x files use, without a C preprocessor.

``#include "..."``, object-like ``#define`` and ``#undef``, ``#if`` and its family. rpcgen runs
cpp once per output with RPC_HDR, RPC_XDR, RPC_SVC, RPC_CLNT or RPC_TBL defined; one Python
module is all of these at once, so all are defined.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .ast import Const, Name, PassThrough
from .expressions import DIRECTIVE_LEVELS, LANGUAGE_LEVELS, ExpressionError, ExpressionParser, evaluate
from .lexer import Kind, Token, tokens
from .source import Report, Source, Span

PREDEFINED = ("RPC_HDR", "RPC_XDR", "RPC_SVC", "RPC_CLNT", "RPC_TBL")
_MOST_INCLUDES = 64
_MOST_EXPANSIONS = 100_000


@dataclass(slots=True)
class _Condition:
    """One open ``#if``: whether its current branch counts, and whether a branch has been taken."""

    span: Span
    outer: bool
    active: bool
    taken: bool
    final: bool = False


class Preprocessor:
    """Turns one file and all it includes into tokens, defines and pass-through lines.

    ``macros`` maps names to replacement tokens; ``defines`` holds the ``#define`` lines that are
    constant expressions; ``passed`` the ``%`` lines. Mistakes go to `report`.
    """

    def __init__(
        self, report: Report, include_dirs: Iterable[Path] = (), defines: dict[str, str] | None = None
    ) -> None:
        self.report = report
        self.include_dirs = list(include_dirs)
        self.macros: dict[str, list[Token]] = {name: [] for name in PREDEFINED}
        self.defines: list[Const] = []
        self.passed: list[PassThrough] = []
        self.conditions: list[_Condition] = []
        self._expansions = 0
        self._including: list[Path] = []
        self._seen: set[Path] = set()
        for name, value in (defines or {}).items():
            self.macros[name] = list(tokens(Source("<command line>", value)))[:-1]

    def run(self, source: Source, path: Path | None = None) -> Iterator[Token]:
        """Yield the tokens of `source` after preprocessing, END last; includes are looked for beside `path` first."""
        if path is not None:
            self._including.append(path.resolve())
            self._seen.add(path.resolve())
        end: Token | None = None
        for token in self._one_file(source):
            end = token
            if token.kind is not Kind.END:
                yield token
        assert end is not None
        yield end

    def _one_file(self, source: Source) -> Iterator[Token]:
        depth = len(self.conditions)
        for token in tokens(source):
            if token.kind is Kind.DIRECTIVE:
                yield from self._directive(token)
            elif token.kind is Kind.END:
                for condition in self.conditions[depth:]:
                    self.report.error("#if without #endif", condition.span)
                del self.conditions[depth:]
                yield token
            elif self._active:
                yield from self._plain(token)

    @property
    def _active(self) -> bool:
        return not self.conditions or self.conditions[-1].active

    def _plain(self, token: Token) -> Iterator[Token]:
        if token.kind is Kind.PASS:
            self.passed.append(PassThrough(token.text, token.span))
        elif token.kind is Kind.BAD:
            hint = "comments of this kind end with */" if token.text == "/*" else ""
            what = "comment is never closed" if token.text == "/*" else f"unexpected character {token.text!r}"
            self.report.error(what, token.span, hint)
        elif token.kind is Kind.NAME and token.text in self.macros and self.macros[token.text]:
            yield from self._expand(token, ())
        else:
            yield token

    def _expand(self, token: Token, within: tuple[str, ...]) -> Iterator[Token]:
        replacement = self.macros.get(token.text)
        self._expansions += 1
        endless = token.text in within or self._expansions > _MOST_EXPANSIONS
        if token.kind is not Kind.NAME or not replacement or endless:
            yield token
            return
        for piece in replacement:
            # Every token of a replacement stands where the macro was used: that is what a reader looks for.
            yield from self._expand(Token(piece.kind, piece.text, token.span), (*within, token.text))

    def _directive(self, token: Token) -> Iterator[Token]:
        text = re.sub(r"/\*.*?(\*/|$)|//.*", " ", re.sub(r"\\\r?\n", " ", token.text))
        found = re.match(r"\s*(\w*)\s*(.*?)\s*$", text, re.DOTALL)
        assert found is not None
        word, rest = found.groups()
        if word in ("if", "ifdef", "ifndef", "elif", "else", "endif"):
            self._conditional(word, rest, token.span)
        elif not self._active or word in ("", "pragma", "line", "ident") or word.isdigit():
            return
        elif word == "define":
            self._define(rest, token.span)
        elif word == "undef":
            self.macros.pop(rest, None)
        elif word == "include":
            yield from self._include(rest, token.span)
        elif word in ("error", "warning"):
            getattr(self.report, "error" if word == "error" else "warn")(f"#{word} {rest}", token.span)
        else:
            self.report.error(f"unknown preprocessor line #{word}", token.span)

    def _conditional(self, word: str, rest: str, span: Span) -> None:
        if word in ("if", "ifdef", "ifndef"):
            outer = self._active
            truth = outer and self._truth(word, rest, span)
            self.conditions.append(_Condition(span, outer, truth, truth))
            return
        if not self.conditions or self.conditions[-1].span.source is not span.source:
            self.report.error(f"#{word} without #if", span)
            return
        current = self.conditions[-1]
        if word == "endif":
            self.conditions.pop()
            return
        if current.final:
            self.report.error(f"#{word} after #else", span, related=(("the #if is here", current.span),))
        current.final = word == "else"
        wanted = current.outer and not current.taken
        current.active = wanted and (word == "else" or self._truth("if", rest, span))
        current.taken = current.taken or current.active

    def _truth(self, word: str, rest: str, span: Span) -> bool:
        if word != "if":
            return (rest in self.macros) is (word == "ifdef")

        def defined(match: re.Match[str]) -> str:
            return str(int((match.group(1) or match.group(2)) in self.macros))

        line = re.sub(r"\bdefined\s*(?:\(\s*(\w+)\s*\)|(\w+))", defined, rest)
        expanded = [piece for token in tokens(Source(str(span), line)) for piece in self._expand(token, ())]
        reader = ExpressionParser(expanded, 0, DIRECTIVE_LEVELS)
        try:
            value = evaluate(reader.parse(), lambda name: 0)
        except ExpressionError as failure:
            self.report.error(f"#if: {failure.message}", span)
            return False
        if expanded[reader.position].kind is not Kind.END:
            self.report.error(f"#if: unexpected {expanded[reader.position]}", span)
        return bool(value)

    def _define(self, rest: str, span: Span) -> None:
        found = re.match(r"([A-Za-z_]\w*)(\(?)\s*(.*)$", rest, re.DOTALL)
        if not found:
            self.report.error("#define without a name", span)
            return
        name, parenthesis, value = found.groups()
        if parenthesis:
            self.report.warn(f"#define {name}(...) takes arguments and is ignored", span)
            return
        here = Source(span.source.name, span.source.text, span.source.included_at)
        replacement = [Token(t.kind, t.text, span) for t in tokens(Source(here.name, value))]
        self.macros[name] = replacement[:-1]
        reader = ExpressionParser(replacement, 0, LANGUAGE_LEVELS)
        try:
            expression = reader.parse()
        except ExpressionError:
            return
        if replacement[reader.position].kind is Kind.END:
            self.defines.append(Const(Name(name, span), f"#define {name} {value}", expression))

    def _include(self, rest: str, span: Span) -> Iterator[Token]:
        found = re.match(r'"([^"]+)"|<([^>]+)>', rest)
        if not found:
            self.report.error('expected "file" behind #include', span)
            return
        wanted = found.group(1) or found.group(2)
        if not wanted.endswith(".x"):
            # A C header means something to C only; its constants come by -D.
            hint = "give its constants with -D NAME=VALUE"
            self.passed.append(PassThrough(f"#include {found.group()}", span))
            self.report.warn(f"{wanted} is not a .x file and is not read", span, hint)
            return
        places = [*([self._including[-1].parent] if self._including else [Path()]), *self.include_dirs]
        path = next((place / wanted for place in places if (place / wanted).is_file()), None)
        if path is None:
            self.report.error(f"cannot find {wanted}", span, "name its directory with -I DIR")
            return
        if path.resolve() in self._including or len(self._including) > _MOST_INCLUDES:
            self.report.error(f"{wanted} includes itself", span)
            return
        if path.resolve() in self._seen:
            return
        self._seen.add(path.resolve())
        self._including.append(path.resolve())
        yield from (t for t in self._one_file(read(path, span)) if t.kind is not Kind.END)
        self._including.pop()


def read(path: Path, included_at: Span | None = None) -> Source:
    """Read a .x file; bytes that are not UTF-8 are taken as Latin-1, as comments of the 1980s have them."""
    data = path.read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return Source(str(path), text, included_at)
