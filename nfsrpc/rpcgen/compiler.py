"""From files to a checked specification: the front end as one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .ast import Const, Program, Specification, Typedef, TypeDefinition
from .checker import Checker
from .model import Spec
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


def compile_file(
    path: Path, *, include_dirs: Iterable[Path] = (), defines: Mapping[str, str] | None = None
) -> Compiled:
    """Compile one .x file.

    `include_dirs` are searched for ``#include "..."`` after the including file's own directory; `defines` are
    ``-D`` macros. Raises CompileError with every diagnostic, and OSError where the file cannot be read.
    """
    return compile_source(read(path), path=path, include_dirs=include_dirs, defines=defines)


def compile_source(
    source: Source,
    *,
    path: Path | None = None,
    include_dirs: Iterable[Path] = (),
    defines: Mapping[str, str] | None = None,
) -> Compiled:
    """Compile a text that is in memory, as `compile_file` does."""
    report = Report()
    preprocessor = Preprocessor(report, include_dirs, dict(defines or {}))
    tokens = list(preprocessor.run(source, path))
    definitions = Parser(tokens, report).parse()
    tree = Specification(Path(source.name).stem, definitions, preprocessor.passed)
    spec = check(tree, preprocessor.defines, report)
    return Compiled(tree, spec, report.diagnostics)


def check(tree: Specification, defines: list[Const], report: Report) -> Spec:
    """Give the tree its meaning; raise CompileError where the report has errors, from before or from now."""
    scope = Scope(report)
    scope.collect(tree.definitions, defines)
    spec = Spec(tree.name, passed=tree.passed)
    checker = Checker(scope, spec, report)
    own = {id(d) for d in defines if scope.places.get(d.name.text) is d.name.span}
    for define in defines:
        if id(define) in own:
            checker.constant(define)
    for definition in tree.definitions:
        match definition:
            case Const():
                checker.constant(definition)
            case TypeDefinition():
                checker.type_definition(definition)
            case Typedef():
                checker.typedef(definition)
    rules = Rules(checker)
    for definition in tree.definitions:
        if isinstance(definition, Program):
            rules.program(definition)
    if not report.failed:
        rules.check_types()
    report.check()
    return spec
