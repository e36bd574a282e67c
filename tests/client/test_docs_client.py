"""The examples of docs/client.md, run one after the other against a server."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from nfsrpc.client import Options, mount
from nfsrpc.client.url import _ARGUMENTS
from nfsrpc.testing.served import Served

PAGE = (Path(__file__).parents[2] / "docs" / "client.md").read_text()


def test_the_examples_do_what_they_say(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    first, errors, asynchronous, options = (
        block.replace("nfs://server/export", f"nfs://127.0.0.1:{served.port}/export") for block in blocks
    )
    names: dict[str, object] = {"asyncio": asyncio}
    exec(first, names)
    assert capsys.readouterr().out == (
        "letters ['1994'] []\nletters/1994 [] ['july']\n10\nDear Sun,\n"
    )
    with mount(served.url()) as m:
        exec(errors, {"m": m})
    assert capsys.readouterr().out == "/export/letters/1993\n"
    exec(asynchronous, names)
    assert capsys.readouterr().out == "Dear Sun,\n"
    exec(options, names)
    assert "letters" in capsys.readouterr().out


def test_every_argument_of_a_url_and_every_option_is_named() -> None:
    named = set(re.findall(r"`([\w-]+)`", PAGE))
    assert set(_ARGUMENTS) <= named
    covered = {"hard", "timeout", "retrans", "read_size", "write_size", "readdir_size", "read_ahead", "names"}
    covered |= {"file_min", "file_max", "directory_min", "directory_max"}
    assert set(Options.__dataclass_fields__) - covered <= named
