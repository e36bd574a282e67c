"""Runs tests with one module replaced: run_mutant.py FILE REPLACEMENT TEST... Exit status as pytest's."""

import importlib.machinery
import sys
from pathlib import Path

import pytest


class Replacement(importlib.machinery.SourceFileLoader):
    """Reads another file in place of the module's own; nothing of it is kept as bytecode."""

    def __init__(self, name: str, path: str, text: bytes) -> None:
        super().__init__(name, path)
        self.text = text

    def get_code(self, fullname: str):
        return compile(self.text, self.path, "exec")


class Finder:
    """Finds the replaced module first."""

    def __init__(self, module: str, path: str, text: bytes) -> None:
        self.module = module
        self.path = path
        self.text = text

    def find_spec(self, name, path, target=None):
        if name != self.module:
            return None
        loader = Replacement(name, self.path, self.text)
        return importlib.machinery.ModuleSpec(name, loader, origin=self.path)


def main() -> int:
    """Replace, and run."""
    file, replacement, *tests = sys.argv[1:]
    module = file.removesuffix(".py").replace("/", ".")
    sys.meta_path.insert(0, Finder(module, str(Path(file).resolve()), Path(replacement).read_bytes()))
    options = ["-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "--timeout", "60"]
    return int(pytest.main([*options, *tests]))


if __name__ == "__main__":
    sys.exit(main())
