"""Tokens to syntax tree, by recursive descent (RFC 4506 §6.3, RFC 5531 §12.2).

Dialects are read by name: each departure from the RFCs' grammar is one function or one line that says so.
"""

from __future__ import annotations

from collections.abc import Callable

from .ast import (
    Arm,
    Builtin,
    Const,
    Declaration,
    Definition,
    EnumBody,
    EnumMember,
    NamedType,
    Procedure,
    Program,
    Shape,
    StructBody,
    Typedef,
    TypeDefinition,
    TypeSpecifier,
    UnionBody,
    Version,
)
from .cursor import FOREIGN, KEYWORDS, Cursor, Misread, did_you_mean
from .lexer import Kind, Token
from .source import Report, Span

_SIMPLE = {"float": "float", "double": "double", "quadruple": "quadruple", "bool": "bool"}
_SIGNED = {"int": "int", "hyper": "hyper", "char": "char", "short": "short", "long": "int"}
_UNSIGNED = {"int": "uint", "hyper": "uhyper", "char": "uchar", "short": "ushort", "long": "uint"}
_DEFINITIONS = ("const", "typedef", "enum", "struct", "union", "program", "namespace")
_MOST_NESTING = 32


class Parser(Cursor):
    """Reads a whole specification. Errors go to the report, and reading goes on with the next statement."""

    def __init__(self, tokens: list[Token], report: Report) -> None:
        super().__init__(tokens, report)
        self.definitions: list[Definition] = []
        self.namespace: tuple[str, ...] = ()
        self.nesting = 0
        self.unread: set[str] = set()

    def parse(self) -> list[Definition]:
        """Return the definitions in order."""
        while not self.at_end:
            start = self.position
            try:
                self._definition()
            except Misread:
                self.skip_statement()
                if self.accept("}"):
                    self.accept(";")
                if self.position == start:
                    self.advance()
                self._give_up(start)
        return self.definitions

    @property
    def broken(self) -> frozenset[str]:
        """The names that occur in text that could not be read, where their definition may have been."""
        return frozenset(self.unread)

    def _give_up(self, start: int) -> None:
        """Note the names from the token at `start` up to here as perhaps defined there."""
        self.unread.update(t.text for t in self.tokens[start : self.position] if t.kind is Kind.NAME)

    def _definition(self) -> None:
        start = self.position
        if self.accept(";"):
            return  # an empty statement, as after "};;"
        if self.next_is("namespace") and self.ahead().kind is Kind.NAME:
            self._namespace()
        elif self.accept("const"):
            self._const(start)
        elif self.accept("typedef"):
            self._typedef(start)
        elif self.next_is("enum", "struct", "union"):
            self._type_definition(start)
        elif self.accept("program"):
            self._program(start)
        elif self.next_is("pragma") and self.ahead().kind is Kind.NAME:
            self.report.warn("pragmas are for another compiler and have no effect here", self.token.span)
            self.skip_statement()
        else:
            hint = FOREIGN.get(self.token.text, "") or did_you_mean(self.token.text, _DEFINITIONS)
            raise self.refuse(f"expected a definition ({', '.join(_DEFINITIONS)}), found {self.token}", hint)

    def _text(self, start: int) -> str:
        """Return the source from the token at `start` up to the last one read: of one file, else an empty string."""
        first, last = self.tokens[start].span, self.tokens[self.position - 1].span
        if first.source is not last.source:
            return ""
        lines = first.source.lines[first.line - 1 : last.line]
        lines[-1] = lines[-1][: last.column + last.length - 1]
        lines[0] = lines[0][first.column - 1 :]
        return "\n".join(line.rstrip() for line in lines)

    def _namespace(self) -> None:
        self.advance()
        outer, name = self.namespace, self.name("the name of the namespace")
        self.expect("{", "behind the namespace's name")
        if len(outer) >= _MOST_NESTING:
            raise self.refuse("namespaces are nested too deep")
        self.namespace = (*outer, name.text)
        while not self.next_is("}") and not self.at_end:
            start = self.position
            try:
                self._definition()
            except Misread:
                self.skip_statement()
                self._give_up(start)
        self.namespace = outer
        self.expect("}", f"at the end of namespace {name.text}")
        self.accept(";")

    def _add(self, definition: Definition) -> None:
        definition.namespace = self.namespace
        self.definitions.append(definition)

    def _const(self, start: int) -> None:
        name = self.name("the name of the constant")
        self.expect("=", f"behind {name.text!r}")
        if self.token.kind is Kind.STRING:
            string = self.advance().text[1:-1]
            self.expect(";", "behind the constant")
            self._add(Const(name, self._text(start), None, string))
            return
        value = self.expression()
        self.expect(";", "behind the constant")
        self._add(Const(name, self._text(start), value))

    def _typedef(self, start: int) -> None:
        declaration = self.declaration("the name of the new type")
        if declaration.name is None:
            raise self.refuse("a typedef needs a name", token=self.tokens[start])
        self.expect(";", "behind the typedef")
        self._add(Typedef(declaration.name, self._text(start), declaration))

    def _type_definition(self, start: int) -> None:
        keyword = self.token
        body = self._body(self.advance(), named=True)
        assert body.name is not None
        self.expect(";", f"behind the {keyword.text}")
        self._add(TypeDefinition(body.name, self._text(start), body))

    def _body(self, keyword: Token, *, named: bool) -> EnumBody | StructBody | UnionBody:
        """Read what follows the keyword enum, struct or union; a tag is required where `named`, else optional."""
        name = None
        if named or not self.next_is("{", "switch"):
            name = self.name(f"the name of the {keyword.text}")
        if self.nesting >= _MOST_NESTING:
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
        body.text = self._text(start)
        body.name = name
        return body

    def _enum_body(self, span: Span) -> EnumBody:
        self.expect("{", "at the start of the enum")
        members: list[EnumMember] = []
        while not self.next_is("}"):
            name = self.name("the name of an enum member")
            members.append(EnumMember(name, self.expression() if self.accept("=") else None))
            if not self.accept(","):
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
                self._recover_in_braces()
        self.expect("}", "at the end of the struct")
        return StructBody(fields, span)

    def _recover_in_braces(self) -> None:
        before = self.position
        self.skip_statement()
        # A missing ';' is best forgiven where the next declaration starts: it was reported already.
        for index in range(before, self.position):
            token = self.tokens[index]
            if token.span.line > self.tokens[max(before - 1, 0)].span.line and token.kind is Kind.NAME:
                self.position = index if index > before else self.position
                break

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

    # Declarations and type specifiers

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
            return self._body(token, named=False)
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

    # Programs

    def _program(self, start: int) -> None:
        name = self.name("the name of the program")
        self.expect("{", "behind the program's name")
        versions: list[Version] = []
        unread = False
        while not self.next_is("}") and not self.at_end:
            try:
                versions.append(self._version())
            except Misread:
                self.skip_statement()
                unread = True
        self.expect("}", "at the end of the program")
        self.expect("=", "and the program's number")
        number = self.expression()
        self.expect(";", "behind the program")
        if not versions and not unread:
            self.report.error("a program needs at least one version", name.span)
        self._add(Program(name, self._text(start), number, versions))

    def _version(self) -> Version:
        if not self.next_is("version"):
            raise self.refuse(f"expected 'version', found {self.token}", did_you_mean(self.token.text, ("version",)))
        self.advance()
        name = self.name("the name of the version")
        self.expect("{", "behind the version's name")
        procedures: list[Procedure] = []
        while not self.next_is("}") and not self.at_end:
            try:
                procedures.append(self._procedure())
            except Misread:
                self.skip_statement()
        self.expect("}", "at the end of the version")
        self.expect("=", "and the version's number")
        number = self.expression()
        self.expect(";", "behind the version")
        return Version(name, number, procedures)

    def _procedure(self) -> Procedure:
        start = self.position
        result = self._argument("result", named=False)
        name = self.name("the name of the procedure")
        self.expect("(", f"behind {name.text!r}")
        arguments = [self._argument("argument", named=True)]
        while self.accept(","):
            arguments.append(self._argument("argument", named=True))
        self.expect(")", "behind the arguments")
        voids = [a for a in arguments if a.shape is Shape.VOID]
        if voids and len(arguments) > 1:
            self.report.error("void must be the only argument", voids[0].span)
        self.expect("=", "and the procedure's number")
        number = self.expression()
        self.expect(";", "behind the procedure")
        return Procedure(name, number, result, [a for a in arguments if a not in voids], self._text(start))

    def _argument(self, what: str, *, named: bool) -> Declaration:
        """Read an argument, with a name or without (rpcgen -N), or a result, whose next name is the procedure's."""
        if named:
            if self.next_is("void"):
                span = self.advance().span
                if self.token.kind is Kind.NAME:
                    self.advance()
                return Declaration(Shape.VOID, Builtin("void", span), None, None, span)
            return self.declaration(f"the name of the {what}", nameless=True)
        span = self.token.span
        if self.accept("void"):
            return Declaration(Shape.VOID, Builtin("void", span), None, None, span)
        if self.accept("string"):
            size = None
            if self.accept("<"):
                size = None if self.next_is(">") else self.expression()
                self.expect(">", "behind the bound")
            return Declaration(Shape.STRING, Builtin("string", span), None, size, span)
        specifier = self.type_specifier()
        shape = Shape.OPTIONAL if self.accept("*") else Shape.PLAIN
        return Declaration(shape, specifier, None, None, span)
