"""From files to a checked specification: the front end as one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .ast import Const, Definition, Program, Specification, Typedef, TypeDefinition
from .checker import Checker
from .layout import references
from .libraries import Library, c_headers, defined_names, load, neighbours, passed_defines
from .model import Spec, parts
from .parser import Parser
from .preprocessor import Preprocessor, read
from .rules import Rules
from .scope import Scope
from .source import Diagnostic, Report, Source


@dataclass(frozen=True, slots=True)
class Compiled:
    """What the front end makes of a file: the tree as written, its meaning, and warnings."""

    tree: Specification
    spec: Spec
    warnings: list[Diagnostic]


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says about reading a file.

    `include_dirs` are searched for ``#include "..."`` after the including file's own directory; `defines` are
    ``-D`` macros; `libraries` are .x files whose definitions the file may use without including them.
    """

    include_dirs: tuple[Path, ...] = ()
    defines: Mapping[str, str] = field(default_factory=dict)
    libraries: tuple[Path, ...] = ()


def compile_file(path: Path, options: Options = Options()) -> Compiled:
    """Compile one .x file; raise CompileError with every diagnostic, and OSError where a file cannot be read."""
    return compile_source(read(path), path, options)


def compile_source(source: Source, path: Path | None = None, options: Options = Options()) -> Compiled:
    """Compile a text that is in memory, as `compile_file` does; `path` is where its includes are looked for."""
    report = Report()
    preprocessor = Preprocessor(report, options.include_dirs, dict(options.defines))
    tokens = list(preprocessor.run(source, path))
    parser = Parser(tokens, report)
    tree = Specification(Path(source.name).stem, parser.parse(), preprocessor.passed)
    seen = {path.resolve()} if path else set()
    reading = (options.include_dirs, options.defines, seen)
    given = load(options.libraries, report, *reading)
    places = [path.parent if path else Path(), *options.include_dirs]
    # What C would find by way of a header is a help, not a demand: mistakes there are not this file's.
    implied = load(neighbours(preprocessor.passed, places), Report(), *reading)
    library = Library()
    for found in (given, implied, c_headers()):
        library.add(found.definitions.values())
    fallback = {**implied.defines, **given.defines, **{c.name.text: c for c in passed_defines(preprocessor.passed)}}
    spec = Meaning(tree, library, fallback, report).check(preprocessor.defines, parser.broken)
    return Compiled(tree, spec, report.diagnostics)


class Meaning:
    """Gives a syntax tree its meaning."""

    def __init__(self, tree: Specification, library: Library, fallback: Mapping[str, Const], report: Report) -> None:
        self.tree = tree
        self.library = library
        self.report = report
        self.scope = Scope(report, fallback)
        self.spec = Spec(tree.name, passed=tree.passed)
        self.checker = Checker(self.scope, self.spec, report)

    def check(self, defines: list[Const], broken: frozenset[str]) -> Spec:
        """Return the meaning, or raise CompileError where the report has errors, from before or from now.

        `broken` are names whose definition could not be read: using them is no second mistake.
        """
        own = [d for d in defines if d.name.text not in self.library.definitions]
        self.scope.collect(self.tree.definitions, own, broken)
        borrowed = self.borrow()
        for define in own:
            if self.scope.places.get(define.name.text) is define.name.span:
                self.checker.constant(define)
        self.define(self.tree.definitions)
        own_types = set(self.spec.types)
        self.define([d for d in borrowed if not isinstance(d, Const)])
        rules = Rules(self.checker)
        for definition in self.tree.definitions:
            if isinstance(definition, Program):
                rules.program(definition)
        if not self.report.failed:
            rules.check_types()
        self.report.check()
        self.forget_unused(own_types)
        return self.spec

    def define(self, definitions: Iterable[Definition]) -> None:
        """Add constants and types to the specification."""
        for definition in definitions:
            match definition:
                case Const() if definition.name.span is self.scope.places.get(definition.name.text):
                    self.checker.constant(definition)
                case TypeDefinition():
                    self.checker.type_definition(definition)
                case Typedef():
                    self.checker.typedef(definition)

    def borrow(self) -> list[Definition]:
        """Enter the library's definitions of names that the file does not define itself, the first of a name.

        Return them.
        """
        taken: list[Definition] = []
        known = set(self.scope.places)
        for definition in self.library.definitions.values():
            names = set(defined_names(definition))
            if not names & known:
                taken.append(definition)
                known |= names
        self.scope.collect(taken, [], frozenset())
        return taken

    def forget_unused(self, own: set[str]) -> None:
        """Drop borrowed types that nothing of the file's own leads to."""
        pending = list(own)
        for program in self.spec.programs:
            for version in program.versions:
                for procedure in version.procedures:
                    for type in (procedure.result, *(f.type for f in procedure.arguments)):
                        pending += references(type)
        needed: set[str] = set()
        while pending:
            name = pending.pop()
            if name not in needed:
                needed.add(name)
                pending += [ref for part in parts(self.spec.types[name]) for ref in references(part)]
        self.spec.types = {name: type for name, type in self.spec.types.items() if name in needed}
