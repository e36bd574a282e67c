"""The build. Everything it says about the package is in setup.cfg.

As it comes, the package is pure Python. With ``NFSRPC_COMPILE=1`` in the environment the modules that
setup.cfg lists under ``[nfsrpc:compiled]`` become C, made by mypyc of the very same files: nothing is written
twice, and what is not compiled does not notice. That needs a C compiler and Python's headers.
"""

import os
import sys
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

WANTED = os.environ.get("NFSRPC_COMPILE") == "1"
MYPY = "mypy>=1.18"


def compiled():
    """The extension modules of what shall be compiled; none while the build's own requirements are still asked for."""
    if WANTED and "editable_wheel" in sys.argv:
        sys.exit("NFSRPC_COMPILE=1: an editable installation runs the files as they are; leave out -e")
    if not WANTED or "bdist_wheel" not in sys.argv:
        return []
    settings = ConfigParser()
    settings.read("setup.cfg")
    names = settings["nfsrpc:compiled"]["modules"].split()
    paths = [Path(*name.split(".")).with_suffix(".py") for name in names]
    missing = [str(path) for path in paths if not path.exists()]
    if missing:
        sys.exit(f"setup.cfg, [nfsrpc:compiled]: no such module: {', '.join(missing)}")
    from mypyc.build import mypycify

    # Types were checked before, strictly, where all that is imported is installed. Here they are only read.
    options = ["--config-file=", "--ignore-missing-imports"]
    return mypycify([*options, *map(str, paths)], group_name="nfsrpc", opt_level="3", debug_level="0")


setup(setup_requires=[MYPY] if WANTED else [], ext_modules=compiled())
