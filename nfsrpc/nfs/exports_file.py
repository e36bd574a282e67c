"""exports(5): a file of paths, the clients that may mount them, and on what terms."""

import os
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from nfsrpc.protocols import mount as mnt

from .clients import EVERYBODY, BadClient, ClientSpec, Resolve, addresses_of, parse_client
from .export_options import BadOption, ExportOptions, split_options, with_option
from .export_spec import ExportSpec, Rule
from .exports_lexer import Unclosed, Word, entries
from .exports_remarks import BadExports, Place, Remark
from .paths import normal_path

SIZE_MAX = 1 << 20
"""Bytes of a file that is read."""


class ExportsFile(NamedTuple):
    """What a file says, and what is to be remarked about it."""

    exports: list[ExportSpec]
    remarks: list[Remark]


def read_exports(path: str, resolve: Resolve = addresses_of) -> ExportsFile:
    """Read the file at `path`. Raises `BadExports`, and the OSError of a file that cannot be read."""
    with open(path, "rb") as file:
        data = file.read(SIZE_MAX + 1)
    if len(data) > SIZE_MAX:
        raise BadExports(path, [Remark(Place(1, 1), f"longer than {SIZE_MAX} bytes; that is no exports file")])
    return parse_exports(data.decode("utf-8", "surrogateescape"), path, resolve)


def parse_exports(text: str, path: str = "exports", resolve: Resolve = addresses_of) -> ExportsFile:
    """What `text` says; `path` is for messages. Raises `BadExports`."""
    reader = _Reader(resolve)
    for entry in entries(text):
        reader.take(entry)
    reader.demand_one_fsid_each()
    reader.remark_mixed_sync()
    if reader.errors:
        raise BadExports(path, sorted(reader.errors))
    exports = [ExportSpec(name, os.fsdecode(name), tuple(rules)) for name, rules in reader.rules.items()]
    return ExportsFile(exports, sorted(reader.remarks))


class _Reader:
    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self.rules: dict[bytes, list[Rule]] = {}
        self._places: dict[bytes, Place] = {}
        self.remarks: list[Remark] = []
        self.errors: list[Remark] = []
        self._idle: set[str] = set()

    def take(self, entry: list[Word] | Unclosed) -> None:
        """Add one entry, or note what is wrong with it."""
        if isinstance(entry, Unclosed):
            self.errors.append(Remark(entry.place, f"{entry}; close it with '\"'"))
            return
        path, *clients = entry
        try:
            name = normal_path(os.fsencode(path.text))
        except ValueError as error:
            self.errors.append(Remark(path.start, f"{error}; an entry begins with the path to export"))
            return
        if len(name) > mnt.MNTPATHLEN:
            self.errors.append(Remark(path.start, f"a path has at most {mnt.MNTPATHLEN} bytes, this one {len(name)}"))
            return
        self._places.setdefault(name, path.start)
        rules = self.rules.setdefault(name, [])
        for place, rule in self._rules(path, clients):
            if any(rule.client == other.client for other in rules):
                self.remarks.append(Remark(place, f"{rule.client.text} is named before for this path; that counts"))
            else:
                rules.append(rule)

    def _rules(self, path: Word, words: list[Word]) -> Iterator[tuple[Place, Rule]]:
        defaults = ExportOptions()
        named = False
        for before, word in zip(chain((path,), words), words, strict=False):
            if word.text.startswith("-"):
                defaults = self._options(word, 1, word.text[1:], defaults)
                continue
            named = True
            name, bracket, rest = word.text.partition("(")
            options = defaults
            if bracket:
                inner, closing, behind = rest.partition(")")
                if not closing or behind:
                    self._blame(word, len(word.text) - len(behind), "the options of a client are one word, "
                                "without blanks, and end with ')'")  # fmt: skip
                    continue
                options = self._options(word, len(name) + 1, inner, defaults)
            client = self._client(word, name, before, path)
            if client is not None:
                yield word.start, Rule(client, options)
        if not named:
            self.remarks.append(Remark(path.start, "no client is named: everybody may mount it; write * to say so"))
            yield path.start, Rule(EVERYBODY, defaults)

    def _client(self, word: Word, name: str, before: Word, path: Word) -> ClientSpec | None:
        if not name:
            alone = before is path or before.text.startswith("-") or before.text.endswith(")")
            cause = (
                "options without a client are for everybody"
                if alone
                else f"a blank parts {before.text!r} from its options: these are for everybody"
            )
            remedy = f"write *{word.text}" if alone else f"write {before.text}{word.text}"
            self.remarks.append(Remark(word.start, f"{cause}; {remedy}"))
            return EVERYBODY
        if len(os.fsencode(name)) > mnt.MNTNAMLEN:
            self._blame(word, 0, f"a client has at most {mnt.MNTNAMLEN} bytes, this one {len(os.fsencode(name))}")
            return None
        try:
            client, remark = parse_client(name, self._resolve)
        except BadClient as error:
            self._blame(word, 0, str(error))
            return None
        if remark is not None:
            self.remarks.append(Remark(word.start, remark))
        return client

    def _options(self, word: Word, offset: int, text: str, options: ExportOptions) -> ExportOptions:
        """`options` after those in `text`, which begins at `offset` of `word`."""
        for index, option in split_options(text):
            try:
                options, remark = with_option(options, option)
            except BadOption as error:
                self._blame(word, offset + index, str(error))
                continue
            if remark is not None and option not in self._idle:
                self._idle.add(option)
                self.remarks.append(Remark(word.at(offset + index), remark))
        return options

    def _blame(self, word: Word, index: int, text: str) -> None:
        self.errors.append(Remark(word.at(index), text))

    def demand_one_fsid_each(self) -> None:
        """What clients see as one file system has one id, and no two have the same."""
        owners: dict[int, bytes] = {}
        for path, rules in self.rules.items():
            place = self._places[path]
            found = {rule.options.fsid for rule in rules}
            if len(found) > 1:
                self.errors.append(Remark(place, "its clients have different fsid=; give all of them the same"))
            for fsid in found - {None}:
                assert fsid is not None
                other = owners.setdefault(fsid, path)
                if other != path:
                    first = f"{os.fsdecode(other)} in line {self._places[other].line}"
                    self.errors.append(Remark(place, f"fsid={fsid} is that of {first}; give it another"))

    def remark_mixed_sync(self) -> None:
        """Clients of one path cannot differ in this: the files are the same."""
        for path, rules in self.rules.items():
            if len({rule.options.sync for rule in rules}) > 1:
                self.remarks.append(Remark(self._places[path], "async for some of its clients only: all are sync"))
