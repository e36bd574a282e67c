"""Decoding linked lists: one unpacking per element, of its last run together with the first run of the next.

An element of a READDIR reply ends with cookie and "another follows"; the next begins with file id and the
name's length. Read as one run they save a seventh of the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..model import Array, FixedOpaque, Opaque, String, StructType
from .codec import allowed_values, word_code
from .names import attribute, inside
from .text import Item

if TYPE_CHECKING:
    from .decoder import DecodeWriter


def first_run(writer: DecodeWriter, struct: StructType, owner: str) -> list[Item]:
    """Return the items that every element begins with, up to a length word; empty where the run has to be converted."""
    items: list[Item] = []
    for field in struct.fields[:-1]:
        name = attribute(field.name)
        target = writer.spec.resolve(field.type)
        if isinstance(target, Opaque | String | Array):
            # The variable that the element's own code will take for this length, for it takes no other before.
            return [*items, Item("I", f"{name}#", f"n{writer.names + 1}")]
        if isinstance(target, FixedOpaque) and target.size % 4 == 0:
            items.append(Item(f"{target.size}s", name, f"{owner}.{name}"))
        elif (code := word_code(target)) and not allowed_values(target, writer.module.use):
            items.append(Item(code, name, f"{owner}.{name}"))
        else:
            break
    return []


def write_plain_loop(writer: DecodeWriter, struct: StructType) -> None:
    """Write a loop that decodes one element after the other."""
    new, name = writer.module.use("new"), inside(struct.name)
    writer.add(f"head = v = {new}({name})")
    writer.add("for index in range(limits.elements):  # noqa: B007")
    writer.depth += 1
    writer.write_fields(struct.fields[:-1], "v", "")
    flag, link = pend_link(writer, struct)
    writer.flush()
    write_end(writer, flag, link)
    writer.settle()
    writer.add(f"following = {new}({name})")
    writer.add(f"v.{link} = following")
    writer.add("v = following")
    writer.depth -= 1
    write_too_many(writer)


def write_fused_loop(writer: DecodeWriter, struct: StructType) -> None:
    """Write a loop that decodes the end of one element and the beginning of the next at once."""
    new, name = writer.module.use("new"), inside(struct.name)
    beginning = first_run(writer, struct, "v")
    following = first_run(writer, struct, "following")
    first, first_size = writer.module.run(writer.owner, beginning)
    writer.add(f"head = v = {new}({name})")
    writer.add(f"at = {first}")
    writer.add(f"({targets(beginning)},) = {first}.unpack_from(data, pos)")
    body = len(writer.lines)
    writer.depth += 1
    writer.unpacked = True
    writer.write_fields(struct.fields[:-1], "v", "")
    writer.settle_behind()
    flag, link = pend_link(writer, struct)
    ending, conversions = writer.pending, writer.conversions
    writer.pending, writer.conversions = [], []
    _, last_size = writer.module.run(writer.owner, ending)
    both = [*ending, *(Item(item.code, f"{link}.{item.path}", item.value) for item in following)]
    fused, _ = writer.module.run(writer.owner, both)
    writer.lines[body:body] = [
        f"        last = len(data) - {last_size + first_size}",
        "        for index in range(limits.elements):  # noqa: B007",
    ]
    writer.add("if pos > last:")
    writer.add("    break  # no element more can be here, so this one has to be the end")
    writer.add(f"following = {new}({name})")
    writer.add(f"at = {fused}")
    writer.add(f"({targets(both)},) = {fused}.unpack_from(data, pos)")
    for line in conversions:
        writer.add(line)
    writer.behind = last_size
    write_end(writer, flag, link)
    writer.settle_behind()
    writer.add(f"v.{link} = following")
    writer.add("v = following")
    writer.depth -= 1
    writer.add("else:")
    writer.depth += 1
    write_too_many(writer)
    writer.depth -= 1
    writer.pending, writer.conversions = ending, conversions
    writer.flush()
    write_end(writer, flag, link)
    writer.settle_behind()
    writer.add("index += 1")
    writer.add(f"at = {first}")
    writer.add(f'raise {writer.module.use("XdrDecodeError")}("the message ends in the list")')


def targets(items: list[Item]) -> str:
    """Return what a run is unpacked to."""
    return ", ".join(item.value for item in items)


def pend_link(writer: DecodeWriter, struct: StructType) -> tuple[str, str]:
    """Add the flag of the link to the pending run; return its variable and the field's name."""
    link = attribute(struct.fields[-1].name)
    flag = writer.local("x")
    writer.pending.append(Item("I", f"{link}#", flag, writer.module.use("BOOL")))
    return flag, link


def write_end(writer: DecodeWriter, flag: str, link: str) -> None:
    """Write the return at the end of the list, and the check of a flag that is neither 0 nor 1."""
    writer.add(f"if {flag} == 0:")
    writer.add(f"    v.{link} = None")
    writer.add(f"    return head, pos + {writer.behind}")
    writer.add(f"if {flag} > 1:")
    writer.add(f"    {writer.module.use('any_bool')}({flag}, limits)")


def write_too_many(writer: DecodeWriter) -> None:
    """Write the refusal of a list that is longer than the caps allow."""
    writer.add('at = ""')
    reason = 'f"the list has more than {limits.elements} elements"'
    writer.add(f"raise {writer.module.use('XdrDecodeError')}({reason}, offset=pos)")
