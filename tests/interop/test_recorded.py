"""What the tests themselves have sent (`pytest --record DIR`), read by tshark and by us. tools/test runs it last."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from side_by_side import NUMBERS, TEXTS, Comparison

SELDOM = {f"mount.pathconf.{name}" for name in ("link_max", "name_max", "path_max", "pipe_buf")}
"""Few tests ask for them, over a socket: whether they do depends on what a random test comes upon."""
MOST_NOT_REACHED = 0.1
"""Part of the messages that may lie where tshark has lost its place, and have only our word."""

NFS = [
    "NULL", "GETATTR", "SETATTR", "LOOKUP", "READLINK", "READ", "WRITE", "CREATE", "REMOVE", "RENAME", "LINK",
    "SYMLINK", "MKDIR", "RMDIR", "READDIR", "STATFS",
]  # fmt: skip


@pytest.fixture
def recorded(request, need_commands):
    directory: Path | None = request.config.getoption("--recorded")
    if directory is None:
        pytest.skip("no recording: tools/test, as root, makes one")
    need_commands("tshark")
    return sorted(directory.glob("*.pcap"))


def of_test(path: Path, text: str) -> str:
    """The text, behind the name of the test whose packets it is about."""
    names = dict(line.split(" ", 1) for line in path.with_suffix(".tests").read_text().splitlines())
    address = re.search(r"\b127\.(\d+)\.(\d+)\.|::0?\.?(\d+)\.(\d+)\.0\.1|\[::([0-9a-f]+):0:1\]", text)
    if address is None:
        return text
    number = int(address[5], 16) if address[5] else int(address[1] or address[3]) * 256 + int(address[2] or address[4])
    return f"{names.get(str(number), '?')}: {text}"


def test_everything_that_was_sent_is_read_alike(recorded):
    fields: Counter[str] = Counter()
    procedures: set[tuple[str, str]] = set()
    wrong = []
    messages = not_reached = 0
    for path in recorded:
        read = Comparison(path)
        wrong += [of_test(path, text) for text in [*read.malformed, *read.differences()]]
        messages += len(read.our_calls) + len(read.our_replies)
        not_reached += read.not_reached()
        fields += read.fields()
        procedures |= {(d.program, d.procedure) for d in read.exchanges}
    what = f"{len(wrong)} messages are malformed, or read in two ways; tests that do so on purpose are marked `hostile`"
    assert not wrong, "\n".join([what, *wrong[:20]])
    assert not_reached <= MOST_NOT_REACHED * messages
    assert sum(fields.values()) > 100_000
    assert {*NUMBERS, *TEXTS} - fields.keys() <= SELDOM
    assert procedures >= {("nfs", name) for name in NFS}
    assert procedures >= {("mount", name) for name in ("MNT", "DUMP", "UMNT", "UMNTALL", "EXPORT")}
    assert procedures >= {("portmap", name) for name in ("SET", "UNSET", "GETPORT", "DUMP", "CALLIT")}
