"""Tokens to syntax tree, by recursive descent (RFC 4506 §6.3, RFC 5531 §12.2).

Dialects are read by name: each departure from the RFCs' grammar is one function or one line that says so.
"""

from __future__ import annotations

from .ast import Builtin, Const, Declaration, Definition, Procedure, Program, Shape, Typedef, TypeDefinition, Version
from .cursor import FOREIGN, Misread, did_you_mean
from .declarations import MOST_NESTING, DeclarationParser
from .lexer import Kind, Token
from .namespaces import flatten
from .source import Report

_DEFINITIONS = ("const", "typedef", "enum", "struct", "union", "program", "namespace")


class Parser(DeclarationParser):
    """Reads a whole specification. Errors go to the report, and reading goes on with the next statement."""

    def __init__(self, tokens: list[Token], report: Report) -> None:
        super().__init__(tokens, report)
        self.definitions: list[Definition] = []
        self.namespace: tuple[str, ...] = ()
        self.unread: set[str] = set()

    def parse(self) -> list[Definition]:
        """Return the definitions in order, with names that mean one thing each (see `namespaces`)."""
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
        flatten(self.definitions)
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

    def _namespace(self) -> None:
        self.advance()
        outer, name = self.namespace, self.name("the name of the namespace")
        self.expect("{", "behind the namespace's name")
        if len(outer) >= MOST_NESTING:
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
            self._add(Const(name, self.text_from(start), None, string))
            return
        value = self.expression()
        self.expect(";", "behind the constant")
        self._add(Const(name, self.text_from(start), value))

    def _typedef(self, start: int) -> None:
        declaration = self.declaration("the name of the new type")
        if declaration.name is None:
            raise self.refuse("a typedef needs a name", token=self.tokens[start])
        self.expect(";", "behind the typedef")
        self._add(Typedef(declaration.name, self.text_from(start), declaration))

    def _type_definition(self, start: int) -> None:
        keyword = self.token
        body = self.body(self.advance(), named=True)
        assert body.name is not None
        if self.token.kind is Kind.NAME and self.ahead().text == ";":
            # RFC 5531's own reply_body ends so: C would make a variable of it.
            self.report.warn("a variable means nothing in this language and is ignored", self.advance().span)
        self.expect(";", f"behind the {keyword.text}")
        self._add(TypeDefinition(body.name, self.text_from(start), body))

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
        self._add(Program(name, self.text_from(start), number, versions))

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
        # rpcgen takes `F()` for `F(void)`.
        arguments = [] if self.next_is(")") else [self._argument("argument", named=True)]
        while arguments and self.accept(","):
            arguments.append(self._argument("argument", named=True))
        self.expect(")", "behind the arguments")
        voids = [a for a in arguments if a.shape is Shape.VOID]
        if voids and len(arguments) > 1:
            self.report.error("void must be the only argument", voids[0].span)
        self.expect("=", "and the procedure's number")
        number = self.expression()
        self.expect(";", "behind the procedure")
        return Procedure(name, number, result, [a for a in arguments if a not in voids], self.text_from(start))

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
