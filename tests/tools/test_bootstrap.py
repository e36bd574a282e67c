"""The commands of tools/ on machines that lack something: one line that says what to type."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]
ORDINARY_USER = "#!/bin/sh\necho 1000\n"
NO_VENV = "#!/bin/sh\necho No module named venv >&2\nexit 1\n"


@pytest.fixture
def checkout(tmp_path):
    """A checkout without an environment."""
    copy = tmp_path / "checkout"
    copy.mkdir()
    shutil.copytree(REPO / "tools", copy / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPO / "setup.cfg", copy)
    return copy


@pytest.fixture
def plain_path(tmp_path):
    """A PATH with what every system has; not root, and whichever Python there is has no venv module."""
    path = tmp_path / "bin"
    path.mkdir()
    for command in ("sh", "dirname", "cmp", "cat", "ls", "date"):
        found = shutil.which(command)
        assert found is not None
        (path / command).symlink_to(found)
    for name, script in (("id", ORDINARY_USER), ("python3", NO_VENV)):
        (path / name).write_text(script)
        (path / name).chmod(0o755)
    return str(path)


def run(command, path, *arguments):
    environment = {"PATH": path, "HOME": os.environ.get("HOME", "/")}
    return subprocess.run(
        [command, *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", ["serve", "test", "bench"])
def test_without_venv_the_one_line_to_type_is_said(checkout, plain_path, name):
    command = checkout / "tools" / name
    done = run(command, plain_path)
    assert done.returncode == 1
    assert done.stdout == ""
    wanted = f"tools/{name}: Python 3.11 with its venv module is missing; type: sudo apt install python3-venv\n"
    assert done.stderr == wanted


def test_serve_makes_nothing_before_it_can_serve(checkout, plain_path, tmp_path):
    run(checkout / "tools" / "serve", plain_path, str(tmp_path / "volume"))
    assert not (tmp_path / "volume").exists()


@pytest.mark.parametrize("name", ["test", "kernel_client/setup", "kernel_client/run"])
def test_help_needs_no_environment(name):
    done = run(REPO / "tools" / name, os.environ["PATH"], "--help")
    assert done.returncode == 0
    assert f"tools/{name}" in done.stdout
