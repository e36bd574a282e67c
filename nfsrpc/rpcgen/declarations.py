"""Declarations and type specifiers, by recursive descent (RFC 4506 §6.3)."""

from __future__ import annotations

from collections.abc import Callable

from .ast import (
    Arm,
    Builtin,
    Declaration,
    EnumBody,
    EnumMember,
    NamedType,
    Shape,
    StructBody,
    TypeSpecifier,
    UnionBody,
)
from .cursor import KEYWORDS, Cursor, Misread, did_you_mean
from .lexer import Kind, Token
from .source import Report, Span

_SIMPLE = {"float": "float", "double": "double", "quadruple": "quadruple", "bool": "bool"}
_SIGNED = {"int": "int", "hyper": "hyper", "char": "char", "short": "short", "long": "int"}
_UNSIGNED = {"int": "uint", "hyper": "uhyper", "char": "uchar", "short": "ushort", "long": "uint"}
MOST_NESTING = 32


class DeclarationParser(Cursor):
    """Reads declarations, type specifiers, and the bodies of enums, structs and unions."""

    def __init__(self, tokens: list[Token], report: Report) -> None:
        super().__init__(tokens, report)
        self.nesting = 0

    def text_from(self, start: int) -> str:
        """Return the source from the token at `start` up to the last one read: of one file, else an empty string."""
        first, last = self.tokens[start].span, self.tokens[self.position - 1].span
        if first.source is not last.source:
            return ""
        lines = first.source.lines[first.line - 1 : last.line]
        lines[-1] = lines[-1][: last.column + last.length - 1]
        lines[0] = lines[0][first.column - 1 :]
        return "\n".join(line.rstrip() for line in lines)

    def body(self, keyword: Token, *, named: bool) -> EnumBody | StructBody | UnionBody:
        """Read what follows the keyword enum, struct or union; a tag is required where `named`, else optional."""
        name = None
        if named or not self.next_is("{", "switch"):
            name = self.name(f"the name of the {keyword.text}")
        if self.nesting >= MOST_NESTING:
            raise self.refuse("types are nested too deep", token=keyword)
        readers: dict[str, Callable[[Span], EnumBody | StructBody | UnionBody]] = {
            "enum": self._enum_body,
            "struct": self._struct_body,
            "union": self._union_body,
        }
        start = self.position - 1 if name is None else self.position - 2
        self.nesting += 1
        try:
            body = readers[keyword.text](keyword.span)
        finally:
            self.nesting -= 1
        body.text = self.text_from(start)
        body.name = name
        return body

    def _enum_body(self, span: Span) -> EnumBody:
        self.expect("{", "at the start of the enum")
        members: list[EnumMember] = []
        while not self.next_is("}"):
            name = self.name("the name of an enum member")
            members.append(EnumMember(name, self.expression() if self.accept("=") else None))
            if self.next_is(";") and self.ahead().kind is Kind.NAME:
                self.report.error("expected ',' between the members of an enum, found ';'", self.token.span)
                self.advance()
            elif not self.accept(","):
                break  # a comma before the brace is a C habit and accepted
        self.expect("}", "or ',' in the enum")
        if not members:
            self.report.error("an enum needs at least one member", span)
        return EnumBody(members, span)

    def _struct_body(self, span: Span) -> StructBody:
        self.expect("{", "at the start of the struct")
        fields: list[Declaration] = []
        while not self.next_is("}") and not self.at_end:
            try:
                field = self.declaration("the name of a field")
                if field.shape is Shape.VOID:
                    self.report.error("a struct cannot have a void field", field.span)
                else:
                    fields.append(field)
                self.expect(";", "behind the field")
            except Misread:
                self.skip_statement()
        self.expect("}", "at the end of the struct")
        return StructBody(fields, span)

    def _union_body(self, span: Span) -> UnionBody:
        self.expect("switch", "in the union")
        self.expect("(", "behind switch")
        discriminant = self.declaration("the name of the discriminant")
        self.expect(")", "behind the discriminant")
        self.expect("{", "at the start of the union's arms")
        arms: list[Arm] = []
        unread = False
        while not self.next_is("}") and not self.at_end:
            try:
                arms.append(self._arm())
            except Misread:
                self.skip_statement()
                unread = True
        self.expect("}", "at the end of the union")
        if not arms and not unread:
            self.report.error("a union needs at least one arm", span)
        return UnionBody(discriminant, arms, span)

    def _arm(self) -> Arm:
        span = self.token.span
        labels = []
        if self.accept("default"):
            self.expect(":", "behind default")
        else:
            while self.accept("case"):
                labels.append(self.expression())
                self.expect(":", "behind the label")
            if not labels:
                hint = did_you_mean(self.token.text, ("case", "default"))
                raise self.refuse(f"expected 'case' or 'default', found {self.token}", hint)
        declaration = self.declaration("the name of the arm")
        self.expect(";", "behind the arm")
        return Arm(labels, declaration, span)

    def declaration(self, what: str, *, nameless: bool = False) -> Declaration:
        """Read one declaration; the name may be missing where `nameless` (arguments and results)."""
        span = self.token.span
        if self.next_is("void") and self.ahead().kind is not Kind.NAME and self.ahead().text != "*":
            self.advance()
            return Declaration(Shape.VOID, Builtin("void", span), None, None, span)
        if self.next_is("opaque", "string"):
            return self._bytes_declaration(what, nameless=nameless)
        specifier = self.type_specifier()
        if self.accept("*"):
            if isinstance(specifier, Builtin) and specifier.kind == "char":
                self.report.warn("this is one optional character, not C's string", span, "a string is 'string name<>'")
            name = None if nameless and self.token.kind is not Kind.NAME else self.name(what)
            if self.next_is("[", "<"):
                raise self.refuse("an array of optionals needs a typedef for the optional")
            return Declaration(Shape.OPTIONAL, specifier, name, None, span)
        name = None if nameless and self.token.kind is not Kind.NAME else self.name(what)
        shape, size = Shape.PLAIN, None
        if self.accept("["):
            shape, size = Shape.FIXED_ARRAY, self.expression()
            self.expect("]", "behind the size")
        elif self.accept("<"):
            shape, size = Shape.VARIABLE_ARRAY, None if self.next_is(">") else self.expression()
            self.expect(">", "behind the bound")
        if self.next_is("["):
            raise self.refuse("an array has one dimension", "make the inner array a typedef of its own")
        return Declaration(shape, specifier, name, size, span)

    def _bytes_declaration(self, what: str, *, nameless: bool) -> Declaration:
        keyword = self.advance()
        base = Builtin(keyword.text, keyword.span)
        if keyword.text == "string" and self.next_is("*"):
            raise self.refuse("a string cannot be optional by itself", "make the string a typedef of its own")
        name = None if nameless and (self.token.kind is not Kind.NAME) else self.name(what)
        if self.accept("<"):
            size = None if self.next_is(">") else self.expression()
            self.expect(">", "behind the bound")
            shape = Shape.STRING if keyword.text == "string" else Shape.VARIABLE_OPAQUE
            return Declaration(shape, base, name, size, keyword.span)
        if keyword.text == "opaque" and self.accept("["):
            size = self.expression()
            self.expect("]", "behind the size")
            return Declaration(Shape.FIXED_OPAQUE, base, name, size, keyword.span)
        if keyword.text == "string" and nameless:
            return Declaration(Shape.STRING, base, name, None, keyword.span)  # rpcgen's `string` as an argument
        if keyword.text == "string":
            raise self.refuse(f"expected '<' behind the string's name, found {self.token}", "write 'string name<>'")
        raise self.refuse(
            f"expected '[' or '<' behind the opaque's name, found {self.token}",
            "opaque is a number of bytes: 'opaque name[8]' or 'opaque name<>'",
        )

    def type_specifier(self) -> TypeSpecifier:
        """Read a type: built-in, by name, or a nested enum, struct or union."""
        token = self.token
        if token.kind is Kind.NAME and (token.text in ("unsigned", "signed") or token.text in _SIGNED):
            return self._integer()
        if token.text in _SIMPLE and token.kind is Kind.NAME:
            self.advance()
            return Builtin(_SIMPLE[token.text], token.span)
        if self.next_is("enum", "struct", "union"):
            self.advance()
            if not self.next_is("{", "switch") and self.ahead().text not in ("{", "switch"):
                return NamedType(self.name(f"the name of the {token.text}"), token.text)
            return self.body(token, named=False)
        if self.next_is("void"):
            raise self.refuse("void is no type for a value", "a pointer to anything is 'opaque name<>'")
        if token.kind is Kind.NAME and token.text in KEYWORDS and token.text not in ("program", "version", "namespace"):
            raise self.refuse(f"expected a type, found {token}")
        if token.kind is not Kind.NAME and not self.next_is("::"):
            raise self.refuse(f"expected a type, found {token}")
        return NamedType(self.name("a type"))

    def _integer(self) -> Builtin:
        first = self.advance()
        table, width = (_UNSIGNED, "int") if first.text == "unsigned" else (_SIGNED, first.text)
        if first.text in ("unsigned", "signed"):
            # Bare `unsigned` is unsigned int (RFC 4506 §4.2 has it in the grammar only).
            width = self.advance().text if self.token.kind is Kind.NAME and self.token.text in _SIGNED else "int"
        if width == "long" and self.accept("long"):
            width = "hyper"
        if width in ("long", "short", "hyper"):
            self.accept("int")  # C's `short int`
        return Builtin(table[width], first.span)
