"""What setup.cfg says is compiled, and how that is asked for."""

import os
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

REPO = Path(__file__).resolve().parents[2]


def listed(key):
    settings = ConfigParser()
    settings.read(REPO / "setup.cfg")
    return settings["nfsrpc:compiled"][key].split()


@pytest.mark.parametrize("key", ["modules", "by_hand"])
def test_a_list_is_in_order_and_names_each_module_once(key):
    assert listed(key) == sorted(set(listed(key)))


def test_no_module_is_compiled_in_two_ways():
    assert not set(listed("modules")) & set(listed("by_hand"))


@pytest.mark.parametrize("name", listed("modules") + listed("by_hand"))
def test_what_is_listed_is_there(name):
    assert Path(REPO, *name.split(".")).with_suffix(".py").is_file()


@pytest.mark.parametrize("name", listed("by_hand"))
def test_what_is_written_by_hand_has_its_c_beside_it(name):
    assert Path(REPO, *name.split(".")).with_suffix(".c").is_file()


def build(checkout, command="bdist_wheel", **environment):
    """The files that a wheel would have compiled; the build's own words."""
    program = (
        "import setuptools; setuptools.setup = lambda **given: print(*(source for extension in"
        " given['ext_modules'] for source in extension.sources)); exec(open('setup.py').read())"
    )
    return subprocess.run([sys.executable, "-c", program, command], cwd=checkout, capture_output=True, text=True,
                          env={**os.environ, **environment}, timeout=120, check=False)  # fmt: skip


def test_nothing_is_compiled_unless_asked_for():
    done = build(REPO)
    assert (done.returncode, done.stdout.strip()) == (0, "")


@pytest.mark.skipif(sys.platform != "linux", reason="what is written by hand is for Linux")
def test_a_module_that_is_listed_and_not_there_is_named(tmp_path):
    (tmp_path / "setup.cfg").write_text("[nfsrpc:compiled]\nmodules = nfsrpc.gone\nby_hand = nfsrpc.lost\n")
    (tmp_path / "setup.py").write_text((REPO / "setup.py").read_text())
    done = build(tmp_path, NFSRPC_COMPILE="1")
    assert done.returncode == 1
    assert done.stderr == "setup.cfg, [nfsrpc:compiled]: no such module: nfsrpc/gone.py, nfsrpc/lost.c\n"


def test_an_editable_installation_is_refused_rather_than_left_uncompiled():
    done = build(REPO, "editable_wheel", NFSRPC_COMPILE="1")
    assert done.returncode == 1
    assert done.stderr == "NFSRPC_COMPILE=1: an editable installation runs the files as they are; leave out -e\n"


@pytest.mark.parametrize("argument", ["--help", "-h"])
def test_help_compiles_nothing(argument, tmp_path):
    done = subprocess.run([REPO / "tools" / "compiled", argument], capture_output=True, text=True, cwd=tmp_path,
                          timeout=60, check=False)  # fmt: skip
    assert done.returncode == 0
    assert "tools/compiled [arguments of python]" in done.stdout
