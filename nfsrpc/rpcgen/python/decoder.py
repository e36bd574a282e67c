"""Writes decode_T for one type: straight-line code that unpacks each run of fixed-size items at once."""

from __future__ import annotations

from ..model import (
    Array,
    Boolean,
    EnumType,
    Field,
    FixedArray,
    FixedOpaque,
    Floating,
    Opaque,
    Optional,
    Ref,
    String,
    StructType,
    Type,
    UnionType,
    Void,
)
from .codec import FunctionWriter, allowed_values, word_code
from .lists import first_run, write_fused_loop, write_plain_loop
from .names import attribute, inside
from .text import Item


class DecodeWriter(FunctionWriter):
    """Writes one decoder.

    `conversions` are the lines that must follow the unpacking of the pending run; `behind` counts the
    bytes that are decoded but not yet added to ``pos``: it still points at the run for the sake of errors.
    With `unpacked`, the first run of what comes has been unpacked already.
    """

    conversions: list[str]
    behind = 0
    unpacked = False
    index = "-1"

    def write(self, name: str, value_type: str, body: Type | StructType | UnionType) -> list[str]:
        """Return the lines of the function called `name` that returns the Python type `value_type` and a position."""
        is_list = isinstance(body, StructType) and body.name in self.layout.list_links
        self.index = "index" if is_list else "-1"
        self.begin(name, value_type)
        match body:
            case StructType() if is_list:
                if first_run(self, body, "v"):
                    write_fused_loop(self, body)
                else:
                    write_plain_loop(self, body)
            case StructType(name=type_name, fields=fields):
                self.add(f"v = {self.module.use('new')}({inside(type_name)})")
                self.write_fields(fields, "v", "")
                self.write_return("v")
            case UnionType():
                self.write_union(body)
            case _:
                self.write_value(body, "v", "")
                self.write_return("v")
        self.finish()
        return self.lines

    def write_tuple(self, name: str, value_type: str, fields: list[Field]) -> list[str]:
        """Return the lines of the function that decodes a tuple of arguments."""
        self.index = "-1"
        self.begin(name, value_type)
        for position, item in enumerate(fields):
            self.write_value(item.type, f"v{position}", f"[{position}]")
        self.write_return(f"({', '.join(f'v{position}' for position in range(len(fields)))},)")
        self.finish()
        return self.lines

    def begin(self, name: str, value_type: str) -> None:
        """Write the head of the function, up to where decoding starts."""
        self.conversions = []
        depth = ", depth: int = 0" if self.owner in self.layout.cycle else ""
        limits = self.module.use("Limits")
        self.add(f"def {name}(data: bytes, pos: int, limits: {limits}{depth}) -> tuple[{value_type}, int]:")
        self.depth = 1
        if self.index != "-1":
            self.add("index = 0")
        self.add(f'at: {self.module.use("Run")} | str = ""')
        self.add("try:")
        self.depth = 2
        if depth:
            self.add("if depth > limits.depth:")
            self.add(f"    {self.module.use('check_depth')}(depth, pos, limits)")

    def finish(self) -> None:
        """Write the one clause that turns whatever stopped the function into an XdrDecodeError."""
        self.depth = 1
        self.add(f"except {self.module.use('DECODE_FAILURES')} as failure:")
        index = "" if self.index == "-1" else f", {self.index}"
        self.add(f"    raise {self.module.use('decode_failure')}(failure, at, data, pos{index}) from None")

    def write_return(self, value: str) -> None:
        """Write the end of a branch."""
        self.flush()
        self.add(f"return {value}, pos + {self.behind}" if self.behind else f"return {value}, pos")

    def settle(self) -> None:
        """Make ``pos`` point behind everything decoded so far."""
        self.flush()
        self.settle_behind()

    def settle_behind(self) -> None:
        """Make ``pos`` point behind the runs that are written."""
        if self.behind:
            self.add(f"pos += {self.behind}")
            self.behind = 0

    def flush(self) -> None:
        """Write the unpacking of the pending run and the conversions of its items."""
        if self.pending and self.unpacked:
            self.unpacked = False
            _, self.behind = self.module.run(self.owner, self.pending)
        elif self.pending:
            self.settle_behind()
            run, self.behind = self.module.run(self.owner, self.pending)
            self.add(f"at = {run}")
            targets = ", ".join(item.value for item in self.pending)
            self.add(f"({targets},) = {run}.unpack_from(data, pos)")
        for line in self.conversions:
            self.add(line)
        self.pending, self.conversions = [], []

    # Values

    def write_value(self, type: Type, target: str, path: str) -> None:
        """Write the decoding of one value into the assignable expression `target`."""
        kind = self.spec.resolve(type)
        code = word_code(kind)
        if code:
            self.write_word(kind, code, target, path)
            return
        match kind:
            case Void():
                self.conversions.append(f"{target} = None")
            case FixedOpaque(size):
                self.write_fixed_opaque(size, target, path)
            case Floating(128):
                raw = self.local("q")
                self.pending.append(Item("16s", f"{path}#", raw))
                self.conversions.append(f"{target} = {self.module.use('Quadruple')}.from_bytes({raw})")
            case Opaque(bound) | String(bound):
                self.write_opaque(bound, target, path)
            case FixedArray(element, size) if self.is_fused(element, size):
                items = [self.local("a") for _ in range(size)]
                for index, item in enumerate(items):
                    self.write_value(element, item, f"{path}.[{index}]" if path else f"[{index}]")
                self.conversions.append(f"{target} = [{', '.join(items)}]")
            case FixedArray(element, size):
                self.settle()
                self.write_elements(element, str(size), target, path)
            case Array(element, bound):
                self.write_array(element, bound, target, path)
            case Optional(element):
                self.write_optional(element, target, path)
            case StructType(name=name, fields=fields) if self.is_inlined(kind):
                nested = self.local("r")
                self.add(f"{target} = {nested} = {self.module.use('new')}({inside(name)})")
                self.write_fields(fields, nested, path)
            case StructType(name=name) | UnionType(name=name):
                self.write_call(name, target, path)

    def write_call(self, name: str, target: str, path: str) -> None:
        """Write a call to the decoder of a named type."""
        self.settle()
        self.add(f"at = {path!r}")
        depth = ", depth + 1" if self.calls_with_depth(name) else ""
        self.add(f"{target}, pos = decode_{name}(data, pos, limits{depth})")

    def write_word(self, kind: Type | EnumType | StructType | UnionType, code: str, target: str, path: str) -> None:
        """Write a number, and the refusal of the values that its type does not have."""
        allowed = allowed_values(kind, self.module.use)
        if not allowed:
            self.pending.append(Item(code, path, target))
            return
        raw = self.local("x")
        self.pending.append(Item(code, path, raw, allowed))
        if isinstance(kind, Boolean):
            self.conversions.append(
                f"{target} = {raw} == 1 if {raw} < 2 else {self.module.use('any_bool')}({raw}, limits)"
            )
        elif allowed.startswith("range"):
            low, high = allowed[6:-1].split(", ")
            self.conversions += [
                f"if not {low} <= {raw} < {high}:",
                f'    raise {self.module.use("XdrDecodeError")}(f"{{{raw}}} is out of range")',
                f"{target} = {raw}",
            ]
        else:
            self.conversions.append(f"{target} = {allowed}[{raw}]")

    def write_fixed_opaque(self, size: int, target: str, path: str) -> None:
        """Write opaque data of a fixed size and the check of its fill bytes."""
        self.pending.append(Item(f"{size}s", path, target))
        if size & 3:
            fill = self.local("x")
            zeros = f"bytes({-size & 3})"
            self.pending.append(Item(f"{-size & 3}s", f"{path}#", fill, zeros))
            self.conversions += [
                f"if any({fill}) and not limits.accept_nonzero_padding:",
                f'    raise {self.module.use("XdrDecodeError")}("fill bytes must be zero")',
            ]

    def write_bound(self, length: str, bound: int | None, path: str) -> None:
        """Write the comparison of a length word, just unpacked, with its bound."""
        if bound is not None and bound < 2**32 - 1:
            self.add(f"if {length} > {bound}:")
            self.add(f"    raise {self.module.use('too_long')}({path!r}, {length}, {bound}, pos - 4)")

    def write_opaque(self, bound: int | None, target: str, path: str) -> None:
        """Write opaque data or a string: length, bytes, fill bytes."""
        length, end = self.local("n"), self.local("e")
        self.pending.append(Item("I", f"{path}#", length))
        self.settle()
        self.add('at = ""')
        self.write_bound(length, bound, path)
        self.add(f"{end} = pos + {length}")
        self.add(f"{target} = data[pos:{end}]")
        self.add(f"pos = {end} + (-{length} & 3)")
        fill = f"data[{end}:pos] != {self.module.use('PAD')}[{length} & 3]"
        self.add(f"if pos > len(data) or ({length} & 3 and {fill}):")
        self.add(f"    {self.module.use('check_tail')}({path!r}, data, {end}, {length}, limits)")

    def write_array(self, element: Type, bound: int | None, target: str, path: str) -> None:
        """Write an array: the count is compared with every cap before anything is made."""
        count = self.local("n")
        self.pending.append(Item("I", f"{path}#", count))
        self.settle()
        self.add('at = ""')
        self.write_bound(count, bound, path)
        least = self.layout.size(element).least
        self.add(f"{self.module.use('check_count')}({path!r}, {count}, {least}, data, pos, limits)")
        self.write_elements(element, count, target, path)

    def write_elements(self, element: Type, count: str, target: str, path: str) -> None:
        """Write the elements of an array: plain numbers in one step, anything else by its own decoder."""
        kind = self.spec.resolve(element)
        code = word_code(kind)
        self.add(f"at = {path!r}")
        if code or kind == Floating(128):
            self.write_plain_elements(kind, code or "16s", count, target)
            return
        assert isinstance(element, Ref)
        if self.calls_with_depth(element.name):
            call, depth = self.module.use("decode_nested_items"), ", depth + 1"
        else:
            call, depth = self.module.use("decode_items"), ""
        self.add(f"{target}, pos = {call}(decode_{element.name}, {count}, data, pos, limits{depth})")

    def write_plain_elements(
        self, kind: Type | EnumType | StructType | UnionType, code: str, count: str, target: str
    ) -> None:
        """Write the elements of an array of numbers."""
        if code == "16s":
            words = self.local("w")
            self.add(f"{words} = {self.module.use('decode_quadruples')}({count}, data, pos)")
            self.add(f"{target} = {words}")
            self.add(f"pos += {count} * 16")
            return
        size = 8 if code in "qQd" else 4
        words = f"{self.module.use('decode_words')}({code!r}, {count}, data, pos)"
        allowed = allowed_values(kind, self.module.use)
        if isinstance(kind, Boolean):
            self.add(f"{target} = {self.module.use('decode_bools')}({count}, data, pos, limits)")
        elif allowed:
            self.add(f"{target} = {self.module.use('checked_words')}({words}, {allowed}, {size}, pos)")
        else:
            self.add(f"{target} = list({words})")
        self.add(f"pos += {count} * {size}")

    def write_optional(self, element: Type, target: str, path: str) -> None:
        """Write an optional: a flag, and the value where the flag says so."""
        flag = self.local("x")
        self.pending.append(Item("I", f"{path}#", flag, self.module.use("BOOL")))
        self.conversions += [f"if {flag} > 1:", f"    {self.module.use('any_bool')}({flag}, limits)"]
        self.settle()
        self.add(f"if {flag}:")
        self.depth += 1
        if isinstance(element, Ref):
            self.write_call(element.name, target, path)
        else:
            self.write_value(element, target, path)
            self.settle()
        self.depth -= 1
        self.add("else:")
        self.add(f"    {target} = None")

    def write_fields(self, fields: list[Field], owner: str, path: str) -> None:
        """Write the fields of a struct in order, into the object that the variable `owner` holds."""
        for item in fields:
            name = attribute(item.name)
            self.write_value(item.type, f"{owner}.{name}", f"{path}.{name}" if path else name)

    # Unions and lists

    def write_union(self, union: UnionType) -> None:
        """Write the discriminant and, for each arm, what follows it."""
        tag = attribute(union.discriminant.name)
        kind = self.spec.resolve(union.discriminant.type)
        self.add(f"v = {self.module.use('new')}({inside(union.name)})")
        arms = [attribute(f.name) for f in self.fields_of(union)]
        if arms:
            self.add(" = ".join(f"v.{name}" for name in arms) + " = None")
        allowed = allowed_values(kind, self.module.use)
        self.pending.append(Item(word_code(kind), tag, "d", allowed))
        if isinstance(kind, Boolean):
            self.conversions += [f"d = d if d < 2 else {self.module.use('any_bool')}(d, limits)", f"v.{tag} = d == 1"]
        else:
            self.conversions.append(f"v.{tag} = {allowed}[d]" if allowed else f"v.{tag} = d")
        self.flush()
        after_tag = self.behind
        word = "if"
        for arm in union.arms:
            values = [value for _, value in arm.labels]
            test = f"d == {values[0]}" if len(values) == 1 else f"d in {tuple(values)}"
            self.add(f"{word} {test}:  # {', '.join(text for text, _ in arm.labels)}")
            self.write_arm(arm.field, after_tag)
            word = "elif"
        if union.default is not None:
            if union.arms:
                self.add("else:")
                self.write_arm(union.default, after_tag)
            else:
                self.depth -= 1
                self.write_arm(union.default, after_tag)
                self.depth += 1
            return
        name = inside(kind.name) if isinstance(kind, EnumType) else ""
        what = f"{{d!r}} has no arm in {union.name}" if name else f"{{d}} has no arm in {union.name}"
        self.add(f'raise {self.module.use("XdrDecodeError")}(f"{what}", offset=pos, path={tag!r})')

    def fields_of(self, union: UnionType) -> list[Field]:
        """Return the arms that have a value."""
        every = [arm.field for arm in union.arms] + ([union.default] if union.default else [])
        return [f for f in every if not isinstance(f.type, Void)]

    def write_arm(self, field: Field, behind: int) -> None:
        """Write one arm of a union, up to its return."""
        self.depth += 1
        self.behind = behind
        if not isinstance(field.type, Void):
            name = attribute(field.name)
            self.write_value(field.type, f"v.{name}", name)
        self.write_return("v")
        self.depth -= 1
