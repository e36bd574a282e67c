"""Writes encode_T for one type: straight-line code that packs each run of fixed-size items at once."""

from __future__ import annotations

from ..model import (
    Array,
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
from .names import attribute
from .text import Item


class EncodeWriter(FunctionWriter):
    """Writes one encoder. `preparations` are the lines that must come before the pending run is packed."""

    index = "-1"
    preparations: list[str]
    misfits: list[str]

    def write(self, name: str, value_type: str, body: Type | StructType | UnionType) -> list[str]:
        """Return the lines of the function called `name` for a value of the Python type `value_type`."""
        self.start()
        self.add(f"def {name}(v: {value_type}, out: list[bytes]) -> None:")
        self.depth = 1
        is_list = isinstance(body, StructType) and body.name in self.layout.list_links
        self.index = "index" if is_list else "-1"
        if is_list:
            self.add("index = 0")
        self.add(f'at: {self.module.use("Run")} | str = ""')
        self.add("try:")
        self.depth = 2
        match body:
            case StructType() if is_list:
                self.write_list(body)
            case StructType():
                self.write_fields(body, "v", "")
                self.flush()
            case UnionType():
                self.write_union(body)
            case _:
                self.write_value(body, "v", "")
                self.flush()
        self.finish()
        return self.lines

    def write_tuple(self, name: str, value_type: str, fields: list[Field]) -> list[str]:
        """Return the lines of the function that encodes a tuple of arguments."""
        self.start()
        self.add(f"def {name}(v: {value_type}, out: list[bytes]) -> None:")
        self.depth = 1
        self.add(f'at: {self.module.use("Run")} | str = ""')
        self.add("try:")
        self.depth = 2
        for position, item in enumerate(fields):
            self.write_value(item.type, f"v[{position}]", f"[{position}]")
        self.flush()
        self.finish()
        return self.lines

    def start(self) -> None:
        """Begin a function."""
        self.preparations, self.misfits = [], []

    def finish(self) -> None:
        """Write the one clause that turns whatever stopped the function into an XdrEncodeError."""
        if self.lines[-1].strip() == "try:":
            self.add("pass")
        self.depth = 1
        self.add(f"except {self.module.use('ENCODE_FAILURES')} as failure:")
        index = "" if self.index == "-1" else f", {self.index}"
        self.add(f"    raise {self.module.use('encode_failure')}(failure, at, v{index}) from None")

    def flush(self, *parts: str) -> None:
        """Write the pending run, and append `parts` (expressions for bytes) in the same step."""
        packed = ""
        if self.pending:
            run, _ = self.module.run(self.owner, self.pending)
            self.add(f"at = {run}")
            packed = f"{run}.pack({', '.join(item.value for item in self.pending)})"
        for line in self.preparations:
            self.add(line)
        if self.misfits:
            self.add(f"if {' or '.join(self.misfits)}:")
            self.add(f'    raise {self.module.use("XdrEncodeError")}("an item does not fit")')
        pieces = [piece for piece in (packed, *parts) if piece]
        if len(pieces) == 1:
            self.add(f"out.append({pieces[0]})")
        elif pieces:
            self.add(f"out += {', '.join(pieces)}")
        self.pending, self.preparations, self.misfits = [], [], []

    # Values

    def write_value(self, type: Type, value: str, path: str) -> None:
        """Write the encoding of the expression `value`."""
        target = self.spec.resolve(type)
        code = word_code(target)
        if code:
            self.write_word(target, code, value, path)
            return
        match target:
            case FixedOpaque(size):
                self.write_fixed_opaque(size, value, path)
            case Floating(128):
                self.pending.append(Item("16s", f"{path}#", f"{value}.to_bytes()"))
            case Opaque(bound) | String(bound):
                self.write_opaque(bound, value, path)
            case FixedArray(element, size):
                self.write_fixed_array(element, size, value, path)
            case Array(element, bound):
                self.write_array(element, bound, value, path)
            case Optional(element):
                self.write_optional(element, value, path)
            case StructType() if self.is_inlined(target):
                self.write_inlined(target, value, path)
            case StructType() | UnionType():
                self.flush()
                self.add(f"at = {path!r}")
                self.add(f"encode_{target.name}({value}, out)")

    def write_word(self, target: Type | EnumType | StructType | UnionType, code: str, value: str, path: str) -> None:
        """Write a number; where not all its values are allowed, looking it up among those that are refuses the rest."""
        allowed = allowed_values(target, self.module.use)
        if allowed.startswith("range"):
            low, high = allowed[6:-1].split(", ")
            self.misfits.append(f"not {low} <= {value} < {high}")
        packed = value if not allowed or allowed.startswith("range") else f"{allowed}[{value}]"
        self.pending.append(Item(code, path, packed, allowed))

    def write_fixed_opaque(self, size: int, value: str, path: str) -> None:
        """Write opaque data of a fixed size, whose length `struct` itself would silently correct."""
        self.misfits.append(f"len({value}) != {size}")
        self.pending.append(Item(f"{size}s", path, value))
        if size & 3:
            fill = f"{self.module.use('PAD')}[{size & 3}]"
            self.pending.append(Item(f"{-size & 3}s", f"{path}#", fill, f"bytes({-size & 3})"))

    def write_opaque(self, bound: int | None, value: str, path: str) -> None:
        """Write opaque data or a string: length, bytes, fill bytes."""
        data, length = self.local("s"), self.local("n")
        self.preparations += [
            f"{data} = {value}",
            f"if {data}.__class__ is not bytes:",
            f"    {data} = {self.module.use('as_bytes')}({data}, {path!r})",
            f"{length} = len({data})",
        ]
        self.prepare_bound(length, bound, path)
        self.pending.append(Item("I", f"{path}#", length))
        self.flush(data, f"{self.module.use('PAD')}[{length} & 3]")

    def prepare_bound(self, length: str, bound: int | None, path: str) -> None:
        """Write the comparison of a length with its bound."""
        if bound is not None and bound < 2**32 - 1:
            self.preparations += [
                f"if {length} > {bound}:",
                f"    {self.module.use('check_length')}({path!r}, {length}, {bound})",
            ]

    def write_fixed_array(self, element: Type, size: int, value: str, path: str) -> None:
        """Write an array of a fixed size; a short one of fixed-size elements joins the run around it."""
        self.preparations += [
            f"if len({value}) != {size}:",
            f"    {self.module.use('check_size')}({path!r}, len({value}), {size})",
        ]
        if self.is_fused(element, size):
            items = self.local("a")
            self.preparations.append(f"{items} = {value}")
            for index in range(size):
                self.write_value(element, f"{items}[{index}]", f"{path}.[{index}]" if path else f"[{index}]")
            return
        self.write_elements(element, value, path)

    def write_array(self, element: Type, bound: int | None, value: str, path: str) -> None:
        """Write an array: number of elements, elements."""
        items, length = self.local("a"), self.local("n")
        self.preparations += [f"{items} = {value}", f"{length} = len({items})"]
        self.prepare_bound(length, bound, path)
        self.pending.append(Item("I", f"{path}#", length))
        self.write_elements(element, items, path)

    def write_elements(self, element: Type, items: str, path: str) -> None:
        """Write the elements of an array: plain numbers in one step, anything else by its own encoder."""
        target = self.spec.resolve(element)
        code = word_code(target)
        if code:
            allowed = allowed_values(target, self.module.use)
            extra = f", {allowed}" if allowed else ""
            self.flush(f"{self.module.use('encode_words')}({code!r}, {items}, {path!r}{extra})")
            return
        if target == Floating(128):
            self.flush(f'b"".join([q.to_bytes() for q in {items}])')
            return
        self.flush()
        self.add(f"at = {path!r}")
        assert isinstance(element, Ref)
        self.add(f"{self.module.use('encode_items')}(encode_{element.name}, {items}, out)")

    def write_optional(self, element: Type, value: str, path: str) -> None:
        """Write an optional: a flag, and the value where there is one."""
        chosen = self.local("p")
        self.preparations.append(f"{chosen} = {value}")
        self.pending.append(Item("I", f"{path}#", f"{chosen} is not None", self.module.use("BOOL")))
        self.flush()
        self.add(f"if {chosen} is not None:")
        self.depth += 1
        if isinstance(element, Ref):
            self.add(f"at = {path!r}")
            self.add(f"encode_{element.name}({chosen}, out)")
        else:
            self.write_value(element, chosen, path)
            self.flush()
        self.depth -= 1

    def write_inlined(self, struct: StructType, value: str, path: str) -> None:
        """Write the fields of a nested struct as if they were this one's own, so that they join its runs."""
        nested = value
        if len(struct.fields) > 1 and not value.isidentifier():
            nested = self.local("r")
            self.preparations.append(f"{nested} = {value}")
        self.write_fields(struct, nested, path)

    def write_fields(self, struct: StructType, value: str, path: str) -> None:
        """Write the fields of a struct in order."""
        for item in struct.fields:
            name = attribute(item.name)
            self.write_value(item.type, f"{value}.{name}", f"{path}.{name}" if path else name)

    # Unions and lists

    def write_union(self, union: UnionType) -> None:
        """Write the discriminant fused with the run that each arm starts with."""
        tag = attribute(union.discriminant.name)
        self.add(f"d = v.{tag}")
        kind = self.spec.resolve(union.discriminant.type)
        allowed = allowed_values(kind, self.module.use)
        head = Item(word_code(kind), tag, f"{allowed}[d]" if allowed else "d", allowed)
        word = "if"
        for arm in union.arms:
            values = [value for _, value in arm.labels]
            test = f"d == {values[0]}" if len(values) == 1 else f"d in {tuple(values)}"
            self.add(f"{word} {test}:  # {', '.join(text for text, _ in arm.labels)}")
            known = Item(head.code, tag, str(values[0]) if len(values) == 1 else head.value, head.check)
            self.write_arm(known, arm.field)
            word = "elif"
        if not union.arms and union.default is not None:
            self.depth -= 1
            self.write_arm(head, union.default)
            self.depth += 1
            return
        self.add("else:")
        if union.default is not None:
            self.write_arm(head, union.default)
        else:
            self.add(f'    raise {self.module.use("XdrEncodeError")}(f"{{d!r}} has no arm", path={tag!r})')

    def write_arm(self, head: Item, field: Field) -> None:
        """Write one arm of a union, its discriminant included."""
        self.depth += 1
        self.pending = [head]
        if not isinstance(field.type, Void):
            name = attribute(field.name)
            chosen = self.local("u")
            self.module.used.add("Any")
            self.preparations.append(f"{chosen}: _Any = v.{name}")
            self.write_value(field.type, chosen, name)
        self.flush()
        self.depth -= 1

    def write_list(self, struct: StructType) -> None:
        """Write a loop over the elements of a linked list, which may be longer than any stack is deep."""
        self.add(f"for index in range({self.module.use('DEFAULT_LIMITS')}.elements):  # noqa: B007")
        self.depth += 1
        for item in struct.fields[:-1]:
            name = attribute(item.name)
            self.write_value(item.type, f"v.{name}", name)
        link = attribute(struct.fields[-1].name)
        self.preparations.append(f"following = v.{link}")
        self.pending.append(Item("I", f"{link}#", "following is not None", self.module.use("BOOL")))
        self.flush()
        self.add("if following is None:")
        self.add("    return")
        self.add("v = following")
        self.depth -= 1
        self.add(f'raise {self.module.use("XdrEncodeError")}("the list has too many elements, or no end")')
