"""What generated structs and unions have in common: comparison and display that survive long linked lists.

Written-out classes with ``__slots__`` instead of dataclasses: importing
`dataclasses` and running its decorator costs more than the rest of a generated module together.
"""

from typing import Any, Self


class Record:
    """A struct or a union (RFC 4506 §4.14, §4.15): a mutable value, compared by its fields, not hashable."""

    __slots__: tuple[str, ...] = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        pending: list[tuple[Any, Any]] = [(self, other)]
        while pending:
            a, b = pending.pop()
            if a is b:
                continue
            if isinstance(a, Record):
                if type(a) is not type(b):
                    return False
                pending.extend((getattr(a, name), getattr(b, name)) for name in reversed(a.__slots__))
            elif isinstance(a, list) and isinstance(b, list):
                if len(a) != len(b):
                    return False
                pending.extend(zip(reversed(a), reversed(b), strict=True))
            elif a != b:
                return False
        return True

    def __repr__(self) -> str:
        parts: list[str] = []
        pending: list[Any] = [self]
        while pending:
            item = pending.pop()
            if isinstance(item, _Text):
                parts.append(item)
            elif isinstance(item, Record):
                parts.append(f"{type(item).__name__}(")
                pending.append(_Text(")"))
                for position, name in reversed(list(enumerate(item.__slots__))):
                    pending += (getattr(item, name), _Text(f"{', ' if position else ''}{name}="))
            elif isinstance(item, list):
                parts.append("[")
                pending.append(_Text("]"))
                for position in range(len(item) - 1, -1, -1):
                    pending += (item[position], _Text(", " if position else ""))
            else:
                parts.append(repr(item))
        return "".join(parts)

    def __replace__(self, **changes: Any) -> Self:
        """Return a copy with `changes` made to its fields, as ``copy.replace`` of Python 3.13 asks for it."""
        return type(self)(**{name: changes.pop(name, getattr(self, name)) for name in self.__slots__}, **changes)


class _Text(str):
    """A piece of finished text on the stack of `Record.__repr__`, as opposed to a value that is a string."""

    __slots__ = ()
