"""Writes what a remote program becomes: numbers, a procedure table, a client class and an abstract service class."""

from __future__ import annotations

import re

from ..layout import Layout, references
from ..model import EnumType, Field, ProcedureType, ProgramType, Ref, Spec, Type, VersionType, Void
from .decoder import DecodeWriter
from .encoder import EncodeWriter
from .names import annotation, attribute, docstring, top_level
from .text import Module


def numbers(spec: Spec) -> dict[str, int]:
    """Return the numbers of programs, versions, procedures; names with two numbers or another meaning are left out."""
    found: dict[str, set[int]] = {}
    taken = {*spec.types, *(c.name for c in spec.constants)}
    taken.update(name for type in spec.types.values() if isinstance(type, EnumType) for name, _ in type.members)
    for program in spec.programs:
        found.setdefault(program.name, set()).add(program.number)
        for version in program.versions:
            found.setdefault(version.name, set()).add(version.number)
            for procedure in version.procedures:
                found.setdefault(procedure.name, set()).add(procedure.number)
    return {name: min(values) for name, values in found.items() if len(values) == 1 and name not in taken}


class ProgramWriter:
    """Writes one version of one program after the other."""

    def __init__(self, spec: Spec, layout: Layout, module: Module) -> None:
        self.spec = spec
        self.layout = layout
        self.module = module
        self.hidden: set[str] = set()
        self.numbers = numbers(spec)

    def version(self, program: ProgramType, version: VersionType) -> list[str]:
        """Return the lines of one program version."""
        base = f"{top_level(program.name)}_{version.number}"
        codecs, rows = [], []
        for procedure in version.procedures:
            lines, row = self.row(base, program, version, procedure)
            codecs += lines
            rows.append(row)
        use = self.module.use
        if not any(p.number == 0 for p in version.procedures):
            null = ProcedureType(self.null_name(version), 0, [], Void(), "")
            rows.insert(0, self.row(base, program, version, null)[1])
        table = [f"_{base}_procedures = {{", *(f"    {row}" for row in rows), "}"]
        use("Procedure")
        return [
            *codecs, *table, *self.aliases(version), "", "",
            *self.client(base, program, version), "", "",
            *self.service(base, program, version),
        ]  # fmt: skip

    def number(self, program: ProgramType) -> str:
        """Return a program's number by its name, where that means nothing else."""
        return top_level(program.name) if program.name in self.numbers else str(program.number)

    @staticmethod
    def null_name(version: VersionType) -> str:
        """Return the name for an undeclared procedure 0: every program has one (RFC 5531 §12.3)."""
        return "NULL_" if any(p.name == "NULL" for p in version.procedures) else "NULL"

    def row(
        self, base: str, program: ProgramType, version: VersionType, procedure: ProcedureType
    ) -> tuple[list[str], str]:
        """Return the codecs a procedure needs beyond those of its types, and its line of the table."""
        use = self.module.use
        name = f"{base}_{procedure.name}"
        lines: list[str] = []
        types = [f.type for f in procedure.arguments]
        if not types:
            args = f"{use('encode_no_args')}, {use('decode_no_args')}"
        elif len(types) == 1 and isinstance(types[0], Ref):
            args = f"*{use('one_arg')}(encode_{types[0].name}, decode_{types[0].name})"
        else:
            lines += self.tuple_codec(f"{name}_args", procedure.arguments)
            args = f"_encode_{name}_args, _decode_{name}_args"
        result_codec, result = self.result(name, procedure.result)
        number = self.number(program)
        head = f"{number}, {version.number}, {procedure.number}, {attribute(procedure.name)!r}"
        return lines + result_codec, f"{procedure.number}: {use('Procedure')}({head}, {args}, {result}),"

    def result(self, name: str, type: Type) -> tuple[list[str], str]:
        """Return the lines and the names of encoder and decoder of a result."""
        if isinstance(type, Void):
            return [], f"{self.module.use('encode_void')}, {self.module.use('decode_void')}"
        if isinstance(type, Ref):
            return [], f"encode_{type.name}, decode_{type.name}"
        owner = f"{name}_result"
        encode = EncodeWriter(self.spec, self.layout, self.module, owner)
        decode = DecodeWriter(self.spec, self.layout, self.module, owner)
        hint = annotation(type)
        functions = [
            *encode.write(f"_encode_{owner}", hint, type), "", "",
            *decode.write(f"_decode_{owner}", hint, type), "", "",
        ]  # fmt: skip
        return [*self.runs(), *functions], f"_encode_{owner}, _decode_{owner}"

    def tuple_codec(self, owner: str, fields: list[Field]) -> list[str]:
        """Return the lines of encoder and decoder of an argument tuple."""
        hint = f"tuple[{', '.join(annotation(f.type) for f in fields)}]"
        encode = EncodeWriter(self.spec, self.layout, self.module, owner)
        decode = DecodeWriter(self.spec, self.layout, self.module, owner)
        functions = [
            *encode.write_tuple(f"_encode_{owner}", hint, fields), "", "",
            *decode.write_tuple(f"_decode_{owner}", hint, fields), "", "",
        ]  # fmt: skip
        return [*self.runs(), *functions]

    def runs(self) -> list[str]:
        """Return the runs that the last functions need, to stand in front of them."""
        made = self.module.take_runs()
        return [*made, "", ""] if made else []

    def aliases(self, version: VersionType) -> list[str]:
        """Return other names for types that a procedure is called like: inside the classes its method hides them."""
        types = [t for p in version.procedures for t in (p.result, *(f.type for f in p.arguments))]
        used = {ref for t in types for ref in references(t)}
        self.hidden = {top_level(name) for name in used & {p.name for p in version.procedures}}
        if self.hidden:
            self.module.used.add("TypeAlias")
        return [f"_{name}_type: _TypeAlias = {name}" for name in sorted(self.hidden)]

    def hint(self, type: Type) -> str:
        """Return the annotation of a type inside the classes."""
        return re.sub(r"\w+", lambda word: f"_{word[0]}_type" if word[0] in self.hidden else word[0], annotation(type))

    def parameters(self, procedure: ProcedureType) -> list[tuple[str, str]]:
        """Return (name, annotation) of the arguments as method parameters."""
        taken = {"self", "call"}
        found = []
        for item in procedure.arguments:
            name = attribute(item.name)
            name = f"{name}_" if name in taken else name
            taken.add(name)
            found.append((name, self.hint(item.type)))
        return found

    def client(self, base: str, program: ProgramType, version: VersionType) -> list[str]:
        """Return the lines of the client class."""
        lines = [
            f"class {base}_client:",
            f'    """Calls of {program.name} version {version.number} ({version.name}), one method per procedure."""',
            "",
            f"    def __init__(self, caller: {self.module.use('Caller')}) -> None:",
            "        self._caller = caller",
        ]
        for procedure in version.procedures:
            parameters = self.parameters(procedure)
            signature = "".join(f", {name}: {hint}" for name, hint in parameters)
            names = "".join(f"{name}, " for name, _ in parameters).rstrip()
            values = f"({names})" if len(parameters) <= 1 else f"({names.rstrip(',')})"
            result = self.hint(procedure.result)
            call = f"self._caller.call(_{base}_procedures[{procedure.number}], {values})"
            lines += ["", f"    def {attribute(procedure.name)}(self{signature}) -> {result}:"]
            lines += docstring(procedure.text, "        ")
            # Also where the result is None: an asyncio caller returns something to await.
            lines += [f"        result: {result} = {call}", "        return result"]
        return lines

    def service(self, base: str, program: ProgramType, version: VersionType) -> list[str]:
        """Return the lines of the abstract service class."""
        self.module.used.update(("ABC", "Any", "Mapping"))
        lines = [
            f"class {base}_service(_ABC):",
            f'    """Answers to {program.name} version {version.number} ({version.name}); `call` says who asks."""',
            "",
            f"    program: int = {self.number(program)}",
            f"    version: int = {version.number}",
            f"    procedures: _Mapping[int, {self.module.use('Procedure')}] = _{base}_procedures",
        ]
        if not any(p.number == 0 for p in version.procedures):
            name = self.null_name(version)
            lines += [
                "",
                f"    def {name}(self, call: _Any) -> None:",
                '        """Do nothing, to show that the program is there."""',
                "        return None",
            ]
        for procedure in version.procedures:
            parameters = "".join(f", {name}: {hint}" for name, hint in self.parameters(procedure))
            result = self.hint(procedure.result)
            concrete = procedure.number == 0 and not procedure.arguments and result == "None"
            if not concrete:
                self.module.used.add("abstractmethod")
            lines += [""] if concrete else ["", "    @_abstractmethod"]
            lines.append(f"    def {attribute(procedure.name)}(self{parameters}, call: _Any) -> {result}:")
            lines += docstring(procedure.text, "        ")
            if concrete:
                lines.append("        return None")
        return lines
