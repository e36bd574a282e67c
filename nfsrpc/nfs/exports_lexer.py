"""The words of an exports(5) file, with the place of each character.

Blanks part words, a newline ends an entry, a backslash before a newline joins
two lines. ``#`` where a word could begin starts a comment. Double quotes keep
blanks, and ``\\ooo`` (three octal digits) stands for a byte.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from .exports_remarks import Place

_OCTAL = re.compile(r"\\([0-3][0-7]{2})")
_BLANKS = " \t\r\f\v"


class Word(NamedTuple):
    """One word; `places` has one element for each character of `text`."""

    text: str
    start: Place
    places: tuple[Place, ...]

    def at(self, index: int) -> Place:
        """The place of the character at `index`, of the last one if the word ends before it."""
        return self.places[min(index, len(self.places) - 1)] if self.places else self.start


class Unclosed(ValueError):
    """A quotation that does not end on its line."""

    def __init__(self, place: Place) -> None:
        super().__init__("a quotation is not closed on its line")
        self.place = place


def entries(text: str) -> Iterator[list[Word] | Unclosed]:
    """The words of each entry, in order; an entry that cannot be read is the error itself."""
    for characters in _lines(text):
        try:
            words = list(_words(characters))
        except Unclosed as error:
            yield error
            continue
        if words:
            yield words


def _lines(text: str) -> Iterator[list[tuple[str, Place]]]:
    """The characters of each logical line."""
    characters: list[tuple[str, Place]] = []
    for number, line in enumerate(text.split("\n"), 1):
        body = line.removesuffix("\r")
        continued = body.endswith("\\")
        kept = body[:-1] if continued else body
        characters += [(character, Place(number, column)) for column, character in enumerate(kept, 1)]
        if continued:
            characters.append((" ", Place(number, len(body))))
            continue
        yield characters
        characters = []
    yield characters


def _words(line: list[tuple[str, Place]]) -> Iterator[Word]:
    at = 0
    while at < len(line):
        character, _ = line[at]
        if character in _BLANKS:
            at += 1
        elif character == "#":
            return
        else:
            at, word = _word(line, at)
            yield word


def _word(line: list[tuple[str, Place]], at: int) -> tuple[int, Word]:
    """The word that begins at `at`, and where it ends."""
    start, letters, places = line[at][1], [], []
    quote: Place | None = None
    while at < len(line):
        character, place = line[at]
        if character == '"':
            quote = place if quote is None else None
            at += 1
            continue
        if quote is None and character in _BLANKS:
            break
        escape = _OCTAL.match("".join(letter for letter, _ in line[at : at + 4])) if character == "\\" else None
        if escape is not None:
            # A byte as os.fsencode will write it, also where several make one character.
            character = bytes([int(escape[1], 8)]).decode("ascii", "surrogateescape")
        letters.append(character)
        places.append(place)
        at += 1 if escape is None else 4
    if quote is not None:
        raise Unclosed(quote)
    return at, Word("".join(letters), start, tuple(places))
