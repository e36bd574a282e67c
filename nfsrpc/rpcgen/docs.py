"""The reference page of a .x file: constants, types with their wire sizes, programs; as Markdown or HTML."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .compiler import Compiled
from .layout import Layout, Size
from .model import (
    AliasType,
    Array,
    Boolean,
    EnumType,
    Field,
    FixedArray,
    FixedOpaque,
    Floating,
    Integer,
    NamedType,
    Opaque,
    Optional,
    ProgramType,
    Ref,
    Spec,
    String,
    StructType,
    Type,
    UnionType,
    Void,
)


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a level, 1 to 3."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Code:
    """A piece of the .x file as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """One sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A table; a cell that names a type links to it."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


Block = Heading | Code | Text | Table


def markdown_backend(compiled: Compiled) -> dict[str, str]:
    """Return the one file NAME.md."""
    return {f"{compiled.spec.name}.md": "\n\n".join(_markdown(block) for block in page(compiled.spec)) + "\n"}


def html_backend(compiled: Compiled) -> dict[str, str]:
    """Return the one file NAME.html."""
    name = html.escape(compiled.spec.name)
    body = "\n".join(_html(block) for block in page(compiled.spec))
    head = f'<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{name}.x</title></head>\n<body>\n'
    return {f"{compiled.spec.name}.html": f"{head}{body}\n</body>\n</html>\n"}


def page(spec: Spec) -> list[Block]:
    """Return the content of the page."""
    layout = Layout(spec)
    blocks: list[Block] = [Heading(1, f"{spec.name}.x")]
    for program in spec.programs:
        blocks += _program(program)
    if spec.constants:
        rows = [(c.name, repr(c.value) if isinstance(c.value, str) else f"{c.value}") for c in spec.constants]
        blocks += [Heading(2, "Constants"), Table(("name", "value"), rows)]
    if spec.types:
        blocks.append(Heading(2, "Types"))
    for type in spec.types.values():
        blocks += _type(type, layout)
    return blocks


def _program(program: ProgramType) -> list[Block]:
    blocks: list[Block] = [Heading(2, f"Program {program.name}"), Text(f"Program number {program.number}.")]
    for version in program.versions:
        rows = [
            (str(p.number), p.name, ", ".join(written(f.type) for f in p.arguments) or "void", written(p.result))
            for p in version.procedures
        ]
        blocks += [Heading(3, f"{program.name} version {version.number} ({version.name})")]
        blocks.append(Table(("number", "procedure", "arguments", "result"), rows))
    return blocks


def _type(type: NamedType, layout: Layout) -> list[Block]:
    blocks: list[Block] = [Heading(3, type.name), Text(f"On the wire: {wire_size(layout.size(Ref(type.name)))}.")]
    if type.text:
        blocks.append(Code(type.text))

    def row(label: str, field: Field) -> tuple[str, ...]:
        return (label, field.name, written(field.type), wire_size(layout.size(field.type)))

    match type:
        case EnumType(members=members):
            blocks.append(Table(("value", "name"), [(str(value), name) for name, value in members]))
        case StructType(fields=fields):
            blocks.append(Table(("field", "type", "wire size"), [row("", f)[1:] for f in fields]))
        case UnionType(discriminant=discriminant, arms=arms, default=default):
            rows = [row("", discriminant)]
            rows += [row(", ".join(text for text, _ in arm.labels), arm.field) for arm in arms]
            rows += [row("default", default)] if default else []
            blocks.append(Table(("case", "field", "type", "wire size"), rows))
        case AliasType():
            blocks.append(Text(f"The same as {written(type.type)}."))
    return blocks


def wire_size(size: Size) -> str:
    """Return a size in words."""
    if size.most is None:
        return f"{size.least} bytes or more"
    return f"{size.least} bytes" if size.least == size.most else f"{size.least} to {size.most} bytes"


def written(type: Type) -> str:
    """Return a type as the .x language writes it."""
    match type:
        case Integer(64, signed):
            return "hyper" if signed else "unsigned hyper"
        case Integer(bits, signed):
            return f"{'' if signed else 'unsigned '}{ {8: 'char', 16: 'short', 32: 'int'}[bits] }"
        case Floating(bits):
            return {32: "float", 64: "double", 128: "quadruple"}[bits]
        case Boolean():
            return "bool"
        case Void():
            return "void"
        case FixedOpaque(size):
            return f"opaque[{size}]"
        case Opaque(bound):
            return f"opaque<{'' if bound is None else bound}>"
        case String(bound):
            return f"string<{'' if bound is None else bound}>"
        case FixedArray(element, size):
            return f"{written(element)}[{size}]"
        case Array(element, bound):
            return f"{written(element)}<{'' if bound is None else bound}>"
        case Optional(element):
            return f"{written(element)} *"
        case Ref(name):
            return name


def _markdown(block: Block) -> str:
    match block:
        case Heading(level, text):
            return f"{'#' * level} {text}"
        case Code(text):
            # A fence one longer than any run of backticks inside cannot be closed by the content.
            fence = "```" if "```" not in text else "````````"
            return f"{fence}c\n{text}\n{fence}"
        case Text(text):
            return text
        case Table(head, rows):
            lines = [head, tuple("---" for _ in head), *rows]
            return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    safe = text.replace("|", "\\|")
    return safe.replace("<", "\\<").replace("*", "\\*").replace("_", "\\_")


def _html(block: Block) -> str:
    escape: Callable[[str], str] = html.escape
    match block:
        case Heading(3, text):
            return f'<h3 id="{escape(text.replace(" ", "-"))}">{escape(text)}</h3>'
        case Heading(level, text):
            return f"<h{level}>{escape(text)}</h{level}>"
        case Code(text):
            return f"<pre><code>{escape(text)}</code></pre>"
        case Text(text):
            return f"<p>{escape(text)}</p>"
        case Table(head, rows):
            top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
            body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>\n" for row in rows)
            return f"<table>\n<tr>{top}</tr>\n{body}</table>"
