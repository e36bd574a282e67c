"""nfsrpc get."""

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from by_hand import DIRECTORY, MOUNT, NFS, ROOT, ByHand, fattr, opaque, word
from click.testing import Result

from nfsrpc.client import mount
from nfsrpc.testing.served import Served

Run = Callable[..., str]
CONTENTS = os.urandom(300_001)


@pytest.fixture(scope="module")
def remote(served: Served, tmp_path_factory: pytest.TempPathFactory) -> str:
    """URL of a file with CONTENTS."""
    local = tmp_path_factory.mktemp("put") / "data"
    local.write_bytes(CONTENTS)
    local.chmod(0o640)
    url = served.url("/data", uid=0, gid=0)
    subprocess.run([sys.executable, "-m", "nfsrpc", "put", str(local), url], check=True, timeout=60)
    return url


def test_into_a_file_with_the_mode_of_the_remote_one(nfsrpc: Run, remote: str, tmp_path: Path) -> None:
    assert nfsrpc("get", remote, tmp_path / "copy") == ""
    assert (tmp_path / "copy").read_bytes() == CONTENTS
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_into_a_directory_and_into_the_working_directory(
    nfsrpc: Run, remote: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nfsrpc("get", remote, tmp_path)
    assert (tmp_path / "data").read_bytes() == CONTENTS
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    nfsrpc("get", remote)
    assert (tmp_path / "here" / "data").read_bytes() == CONTENTS


def test_a_file_that_is_there_is_replaced_through_links(nfsrpc: Run, remote: str, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"old")
    (tmp_path / "link").symlink_to("old")
    nfsrpc("get", remote, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "old").read_bytes() == CONTENTS


def test_a_link_is_copied_under_the_name_that_was_asked_for(nfsrpc: Run, served: Served, tmp_path: Path) -> None:
    with mount(served.url(uid=0, gid=0)) as mounted:
        mounted.write_text("target-of-it", "x")
        mounted.symlink("target-of-it", "asked-for")
    nfsrpc("get", served.url("/asked-for"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["asked-for"]


def test_to_standard_output(run: Callable[..., Result], remote: str) -> None:
    assert run("get", remote, "-").stdout_bytes == CONTENTS


def test_over_udp(run: Callable[..., Result], served: Served, remote: str) -> None:
    assert run("get", served.url("/data", uid=0, proto="udp"), "-").stdout_bytes == CONTENTS


def test_to_a_device(nfsrpc: Run, remote: str) -> None:
    nfsrpc("get", remote, "/dev/null")
    assert not Path("/dev/null").is_file()


def test_a_reader_that_has_seen_enough_is_no_error(remote: str) -> None:
    line = f"{sys.executable} -m nfsrpc get '{remote}' - | head -c 10 | wc -c"
    command = ["bash", "-o", "pipefail", "-c", line]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "10", "")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/none", "/export/none: No such file"),
        ("", "Is a directory; -r copies it"),
        ("/data/x", "/export/data/x: Not a directory"),
    ],
)
def test_what_cannot_be_had(failing: Run, served: Served, remote: str, tmp_path: Path, path: str, words: str) -> None:
    assert words in failing("get", served.url(path, uid=0), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_not_copied(failing: Run, served: Served, tmp_path: Path) -> None:
    assert "Is a directory; -r copies it" in failing("get", served.url(uid=0), tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_nowhere_to_put_it(failing: Run, remote: str, tmp_path: Path) -> None:
    assert "No such file or directory" in failing("get", remote, tmp_path / "no" / "where")
    assert "File name too long" in failing("get", remote, tmp_path / ("x" * 300))
    (tmp_path / "data").mkdir()
    assert f"{tmp_path}/data: Is a directory" in failing("get", remote, tmp_path)


def test_a_copy_that_fails_leaves_the_old_file_as_it_was(failing: Run, tmp_path: Path) -> None:
    def read(arguments: bytes) -> bytes:
        offset = int.from_bytes(arguments[32:36])
        return word(5) if offset else word(0) + fattr(size=100_000) + opaque(bytes(8192))

    answers = {
        (MOUNT, 1): word(0) + ROOT,
        (MOUNT, 3): b"",
        (NFS, 1): word(0) + DIRECTORY,
        (NFS, 4): word(0) + ROOT + fattr(size=100_000),
        (NFS, 6): read,
    }
    target = tmp_path / "f"
    target.write_bytes(b"precious")
    with ByHand({**answers, (MOUNT, 5): word(1) + opaque(b"/x") + word(0) + word(0)}) as server:
        assert "Input/output error" in failing("get", f"nfs://127.0.0.1:{server.port}/x/f", target)
    assert target.read_bytes() == b"precious"
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
