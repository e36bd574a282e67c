"""The build. Everything it says about the package is in setup.cfg.

As it comes, the package is pure Python. With ``NFSRPC_COMPILE=1`` in the environment the modules that
setup.cfg lists under ``[nfsrpc:compiled]`` become C: ``modules`` is made by mypyc of the very same files, and each
of ``by_hand`` has a C file beside the Python that defines it, for what only system calls that Python lacks can do
(on Linux, which has them). What is not compiled does not notice. That needs a C compiler and Python's headers.
"""

import os
import sys
from configparser import ConfigParser
from pathlib import Path

from setuptools import Extension, setup

WANTED = os.environ.get("NFSRPC_COMPILE") == "1"
MYPY = "mypy>=1.18"


def files(names, suffix):
    """The file of each of these modules, by its name."""
    return {name: Path(*name.split(".")).with_suffix(suffix) for name in names.split()}


def compiled():
    """The extension modules of what shall be compiled; none while the build's own requirements are still asked for."""
    if WANTED and "editable_wheel" in sys.argv:
        sys.exit("NFSRPC_COMPILE=1: an editable installation runs the files as they are; leave out -e")
    if not WANTED or "bdist_wheel" not in sys.argv:
        return []
    settings = ConfigParser()
    settings.read("setup.cfg")
    listed = settings["nfsrpc:compiled"]
    paths = files(listed["modules"], ".py")
    by_hand = files(listed["by_hand"], ".c") if sys.platform == "linux" else {}
    missing = [str(path) for path in [*paths.values(), *by_hand.values()] if not path.exists()]
    if missing:
        sys.exit(f"setup.cfg, [nfsrpc:compiled]: no such module: {', '.join(missing)}")
    from mypyc.build import mypycify

    # Types were checked before, strictly, where all that is imported is installed. Here they are only read.
    options = ["--config-file=", "--ignore-missing-imports"]
    made = mypycify([*options, *map(str, paths.values())], group_name="nfsrpc", opt_level="3", debug_level="0")
    return [*made, *(Extension(name, [str(path)], extra_compile_args=["-std=c11"]) for name, path in by_hand.items())]


setup(setup_requires=[MYPY] if WANTED else [], ext_modules=compiled())
