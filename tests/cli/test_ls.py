"""nfsrpc ls."""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable

import pytest
from by_hand import DIRECTORY, MOUNT, NFS, ROOT, ByHand, chain, fattr, opaque, word

from nfsrpc.client import mount
from nfsrpc.testing.served import Served

Run = Callable[..., str]
NASTY = b"\x1b[31mred\\\n\xff\xe2\x80\xae"
NASTY_SHOWN = "\\x1b[31mred\\\\\\x0a\\xff\\u202e"


@pytest.fixture(scope="module")
def tree(served: Served) -> str:
    """A directory with one of each kind; its URL."""
    with mount(served.url(uid=0, gid=0), umask=0) as m:
        m.mkdir("tree")
        m.write_text("tree/file", "contents")
        m.chmod("tree/file", 0o640)
        m.chown("tree/file", 12, 34)
        m.utime("tree/file", (86400 * 365, 86400 * 365))
        m.write_text("tree/.hidden", "")
        m.write_text(b"tree/" + NASTY, "")
        m.chmod(b"tree/" + NASTY, 0o644)
        m.mkdir("tree/dir", 0o1777)
        m.symlink("file", "tree/link")
        m.mknod("tree/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        m.mknod("tree/pipe", stat.S_IFIFO | 0o600)
    return served.url("/tree", uid=0, gid=0)


def test_names_in_order_one_a_line_escaped(nfsrpc: Run, tree: str) -> None:
    assert nfsrpc("ls", tree).splitlines() == [NASTY_SHOWN, "dir", "file", "link", "null", "pipe"]


def test_a_shows_hidden_names_and_the_directories(nfsrpc: Run, tree: str) -> None:
    assert nfsrpc("ls", "-a", tree).splitlines()[:4] == [NASTY_SHOWN, ".", "..", ".hidden"]


def test_l_shows_what_ls_does(nfsrpc: Run, tree: str) -> None:
    lines = [re.split(r" +", line, maxsplit=8) for line in nfsrpc("ls", "-l", tree).splitlines()]
    found = {line[-1]: line[:-1] for line in lines}
    assert [line[0] for line in lines] == [
        "-rw-r--r--", "drwxrwxrwt", "-rw-r-----", "lrwxrwxrwx", "crw-rw-rw-", "prw-------"
    ]  # fmt: skip
    assert found["file"][1:5] == ["1", "12", "34", "8"]
    assert found["file"][5:8] == ["Jan", "01", "1971"]
    assert found["null"][4] == "1,3"
    assert "link -> file" in found


def test_a_single_file(nfsrpc: Run, served: Served, tree: str) -> None:
    url = served.url("/tree/file", uid=0, gid=0)
    assert nfsrpc("ls", url) == "file\n"
    assert nfsrpc("ls", "-l", url).startswith("-rw-r-----  1  12  34  8 ")
    assert nfsrpc("ls", served.url("/tree/link")) == "link\n"
    assert nfsrpc("ls", "-l", served.url("/tree/link")).endswith(" link -> file\n")


def test_json(nfsrpc: Run, tree: str) -> None:
    lines = {line["name"]: line for line in json.loads(nfsrpc("ls", "--json", tree))}
    assert lines["file"]["size"] == 8
    assert lines["file"]["mode"] == "-rw-r-----"
    assert lines["file"]["mtime"] == 86400 * 365
    assert lines["link"]["target"] == "file"
    assert NASTY_SHOWN in lines


def test_udp(nfsrpc: Run, served: Served, tree: str) -> None:
    assert "file" in nfsrpc("ls", served.url("/tree", proto="udp")).splitlines()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/none", "/export/none: No such file or directory"),
        ("/tree/file/x", "/export/tree/file/x: Not a directory"),
        ("/tree/no%1bne", "no\\x1bne"),
    ],
)
def test_what_is_not_there(failing: Run, served: Served, tree: str, path: str, words: str) -> None:
    assert words in failing("ls", served.url(path))


def test_an_export_that_is_not_there(failing: Run, served: Served) -> None:
    assert "/none/x: " in failing("ls", f"nfs://127.0.0.1:{served.port}/none/x")


def test_what_is_no_url(failing: Run) -> None:
    assert "it must look like nfs://host[:port]/path" in failing("ls", "/etc")


def test_nobody_there(failing: Run) -> None:
    with ByHand({}) as gone:
        pass
    line = failing("ls", f"nfs://127.0.0.1:{gone.port}/x")
    assert "Connection refused" in line
    assert "is the server running?" in line


def test_another_program_there(failing: Run) -> None:
    with ByHand({(1, 1): b""}) as server:
        assert "another program listens there" in failing("ls", f"nfs://127.0.0.1:{server.port}/x")


def test_a_name_that_leads_elsewhere_is_refused(failing: Run) -> None:
    listing = word(0) + chain(word(1) + opaque(b"../../evil") + word(1)) + word(1)
    answers = {(MOUNT, 1): word(0) + ROOT, (MOUNT, 3): b"", (NFS, 1): word(0) + DIRECTORY, (NFS, 16): listing}
    with ByHand({**answers, (NFS, 4): word(0) + ROOT + fattr()}) as server:
        assert "impossible name" in failing("ls", f"nfs://127.0.0.1:{server.port}/")


def test_what_a_pattern_matches_is_in_columns_and_under_headings(nfsrpc: Run, nfs_url: str) -> None:
    with mount(nfs_url) as m:
        m.mkdir("b")
        for name, size in (("a1", 5), ("a2", 12345), ("b/in", 1)):
            m.write_bytes(name, bytes(size))
    lines = nfsrpc("ls", "-l", f"{nfs_url}/*").splitlines()
    assert [line.split()[-1] for line in lines if line] == ["a1", "a2", f"{nfs_url}/b:", "in"]
    assert lines[0].index("a1") == lines[1].index("a2")


@pytest.mark.parametrize("command", [["ls", "-R"], ["find"], ["du"]])
def test_a_reader_that_has_seen_enough_is_no_error(nfs_url: str, command: list[str]) -> None:
    with mount(nfs_url) as m:
        m.makedirs("a/b")
    told, tell = os.pipe()
    os.close(told)
    words = [sys.executable, "-m", "nfsrpc", *command, nfs_url]
    done = subprocess.run(words, stdout=tell, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(tell)
    assert (done.returncode, done.stderr) == (1, b"")
