"""What is said about an exports(5) file."""

from typing import NamedTuple


class Place(NamedTuple):
    """Where something stands in a file; lines and columns count from 1."""

    line: int
    column: int


class Remark(NamedTuple):
    """What is to be said about a place of a file."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place.line}:{self.place.column}: {self.text}"


class BadExports(ValueError):
    """A file that cannot be taken; nothing of it is. `errors` has everything that is wrong with it."""

    def __init__(self, path: str, errors: list[Remark]) -> None:
        more = f" (and {len(errors) - 1} more; `nfsrpc exportfs --check {path}` tells all)" if len(errors) > 1 else ""
        super().__init__(f"{path}:{errors[0]}{more}")
        self.path = path
        self.errors = errors
