"""The conformance suite finds the known gaps of ShenanigaNFS' version 2 server, and others."""

import subprocess
import sys
from pathlib import Path

import pytest
from conformance_run import conformance

pytestmark = pytest.mark.hostile

PROGRAM = Path(__file__).parent / "shenanigan.py"
GAPS = {
    "test_link": "LINK is refused",
    "test_symlink[a]": "SYMLINK is refused",
    "test_readdir_keeps_to_its_count": "count is taken for a number of entries",
    "test_statfs[a file]": "STATFS knows the top directory only",
    "test_names_that_are_none[a/b]": "a name may have slashes",
    "test_a_handle_that_is_none[all ones-1]": "another server's handle is an I/O error",
    "test_answer[tcp-RPC version 3]": "any RPC version will do",
    "test_answer[tcp-GETATTR cut at 4]": "what cannot be decoded is the server's own fault",
    "test_no_answer[tcp-a reply]": "replies are answered",
}


def test_it_finds_what_is_wrong(tmp_path):
    pytest.importorskip("shenaniganfs")
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(PROGRAM)], stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        port = int(server.stdout.readline())
        outcomes, said = conformance(
            tmp_path, f"127.0.0.1:{port}", "--portmap-port", "0", "--reply-timeout", "3", "--silence", "0.3"
        )
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
    by_rule = {rule["rule"]: rule["outcome"] for rule in outcomes}
    assert {gap: by_rule[gap] for gap in GAPS} == dict.fromkeys(GAPS, "fail")
    assert by_rule["test_read_of_8192_bytes"] == "known quirk"
    for sound in ("test_remove", "test_write", "test_lookup"):
        assert by_rule[sound] == "pass", said
