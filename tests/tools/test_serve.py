"""tools/serve: a volume that is there and served, from one command."""

import contextlib
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
SERVE = REPO / "tools" / "serve"
NFSRPC = REPO / ".venv" / "bin" / "nfsrpc"


@pytest.fixture(autouse=True)
def environment():
    """The checkout's own environment, up to date: a test must not fetch packages."""
    stamp = REPO / ".venv" / "installed-test"
    if not stamp.exists() or stamp.read_bytes() != (REPO / "setup.cfg").read_bytes():
        pytest.skip("tools/test has not made this checkout's environment")


@contextlib.contextmanager
def serving(directory, *arguments):
    """The port and, once it has ended on SIGTERM, what tools/serve said on stderr."""
    ready = directory / "ready"
    ready.unlink(missing_ok=True)
    process = subprocess.Popen(
        [SERVE, *arguments, "--port", "0", "--no-portmap", "--ready-file", ready],
        cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    said = []
    try:
        while not ready.exists():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
                pytest.fail(f"ended with {process.returncode}: {process.stderr.read()}")
        yield int(ready.read_text()), said
    finally:
        process.terminate()
        said += process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 0


def test_makes_a_volume_once_and_serves_it(tmp_path):
    with serving(tmp_path) as (port, said):
        url = f"nfs://127.0.0.1:{port}{tmp_path}/volume"
        (tmp_path / "local").write_text("kept")
        subprocess.run([NFSRPC, "put", tmp_path / "local", f"{url}/file"], check=True, timeout=60)
    assert said == [
        f"tools/serve: making a volume in {tmp_path}/volume",
        f"tools/serve: serving {tmp_path}/volume",
    ]
    with serving(tmp_path, "volume") as (port, said):
        url = f"nfs://127.0.0.1:{port}{tmp_path}/volume"
        listed = subprocess.run([NFSRPC, "ls", url], check=True, capture_output=True, text=True, timeout=60)
        assert listed.stdout == "file\n"
    assert said == [f"tools/serve: serving {tmp_path}/volume"]


def test_an_empty_directory_becomes_a_volume(tmp_path):
    (tmp_path / "empty").mkdir()
    with serving(tmp_path, "empty") as (_, said):
        pass
    assert said[0] == f"tools/serve: making a volume in {tmp_path}/empty"


def test_a_mistake_is_one_line_and_status_1(tmp_path):
    (tmp_path / "file").write_text("not a directory")
    done = subprocess.run(
        [SERVE, tmp_path / "file", "--port", "0", "--no-portmap"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 2  # what is going to be served, and why it cannot be
    assert done.stdout == ""
