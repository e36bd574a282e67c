"""Names that a file uses and others define: .x files named on the command line, beside it, or C's RPC headers.

A definition from a library takes part only where the file itself defines no such name, and
reaches the output only where the file uses it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .ast import Const, Definition, EnumBody, Name, PassThrough, Program, Typedef, TypeDefinition
from .expressions import LANGUAGE_LEVELS, ExpressionError, ExpressionParser
from .lexer import Kind, Token, tokens
from .parser import Parser
from .preprocessor import Preprocessor, read
from .source import Report, Source

C_HEADERS = """
/* What <rpc/rpc.h> and its companions give every C program that rpcgen makes. */
const MAXNETNAMELEN = 255;
const HEXKEYBYTES = 48;
const MAX_AUTH_BYTES = 400;
const MAX_MACHINE_NAME = 255;
const MAXHOSTNAMELEN = 64;
const AUTH_NONE = 0;
const AUTH_NULL = 0;
const AUTH_SYS = 1;
const AUTH_UNIX = 1;
const AUTH_SHORT = 2;
const AUTH_DH = 3;
const AUTH_DES = 3;
const RPCSEC_GSS = 6;
typedef unsigned int rpcprog_t;
typedef unsigned int rpcvers_t;
typedef unsigned int rpcproc_t;
typedef unsigned int rpcprot_t;
typedef unsigned int rpcport_t;
typedef opaque netobj<1024>;
typedef opaque des_block[8];
struct netbuf { unsigned int maxlen; opaque buf<>; };
struct authunix_parms {
    unsigned int aup_time; string aup_machname<255>;
    unsigned int aup_uid; unsigned int aup_gid; unsigned int aup_gids<16>;
};
typedef authunix_parms authsys_parms;
struct opaque_auth { int oa_flavor; opaque oa_base<400>; };
"""


@dataclass(slots=True)
class Library:
    """Definitions to borrow from, by name; `defines` are constants that only C would see (``%#define``)."""

    definitions: dict[str, Definition] = field(default_factory=dict)
    defines: dict[str, Const] = field(default_factory=dict)

    def add(self, definitions: Iterable[Definition]) -> None:
        """Take in definitions; the first of a name stays."""
        for definition in definitions:
            if isinstance(definition, Program):
                continue
            self.definitions.setdefault(definition.name.text, definition)


def defined_names(definition: Definition) -> Iterator[str]:
    """Yield the names that a definition brings: its own, and those of an enum's members."""
    yield definition.name.text
    body = getattr(definition, "body", None) or getattr(getattr(definition, "declaration", None), "type", None)
    if isinstance(definition, TypeDefinition | Typedef) and isinstance(body, EnumBody):
        yield from (member.name.text for member in body.members)


def c_headers() -> Library:
    """Return the library of names that every C program with RPC has."""
    library = Library()
    found = list(tokens(Source("<C headers>", C_HEADERS)))
    library.add(Parser(found, Report()).parse())
    return library


def passed_defines(passed: Iterable[PassThrough]) -> Iterator[Const]:
    """Yield the constants of ``%#define`` lines: C sees them, so a size may use them."""
    for line in passed:
        found = re.match(r"\s*#\s*define\s+([A-Za-z_]\w*)\s+(\S.*)$", line.text.split("\\\n")[0])
        if not found:
            continue
        name, value = found.groups()
        pieces = [Token(t.kind, t.text, line.span) for t in tokens(Source(line.span.source.name, value))]
        reader = ExpressionParser(pieces, 0, LANGUAGE_LEVELS)
        try:
            expression = reader.parse()
        except ExpressionError:
            continue
        if pieces[reader.position].kind is Kind.END:
            yield Const(Name(name, line.span), f"%#define {name} {value}", expression)


def neighbours(passed: Iterable[PassThrough], places: Iterable[Path]) -> Iterator[Path]:
    """Yield the .x files whose headers a file's ``%#include`` lines name: rpcgen makes foo.h of foo.x."""
    where = list(places)
    for line in passed:
        found = re.match(r'\s*#\s*include\s*["<]([^">]+)\.h[">]', line.text)
        if not found:
            continue
        stem = found.group(1)
        for place in where:
            for path in (place / f"{stem}.x", place / f"{Path(stem).name}.x"):
                if path.is_file():
                    yield path


def load(
    paths: Iterable[Path], report: Report, include_dirs: tuple[Path, ...], defines: Mapping[str, str], seen: set[Path]
) -> Library:
    """Read libraries, and the ones they name themselves; mistakes in them go to `report`."""
    library = Library()
    pending = list(paths)
    while pending:
        path = pending.pop(0)
        if path.resolve() in seen:
            continue
        seen.add(path.resolve())
        preprocessor = Preprocessor(report, include_dirs, dict(defines))
        found = list(preprocessor.run(read(path), path))
        library.add(Parser(found, report).parse())
        library.add(preprocessor.defines)
        for constant in passed_defines(preprocessor.passed):
            library.defines.setdefault(constant.name.text, constant)
        pending += neighbours(preprocessor.passed, [path.parent, *include_dirs])
    return library
