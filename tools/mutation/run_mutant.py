"""Runs tests with one module replaced: run_mutant.py FILE REPLACEMENT TEST... Exit status as pytest's."""

import importlib.machinery
import sys
from collections.abc import Sequence
from pathlib import Path

import hypothesis  # noqa: F401  (imported before the fork, as pytest is: each takes a good part of a second)
import pytest


class Replacement(importlib.machinery.SourceFileLoader):
    """Reads another file in place of the module's own; nothing of it is kept as bytecode."""

    def __init__(self, name: str, path: str, text: str) -> None:
        super().__init__(name, path)
        self.text = text

    def get_code(self, fullname: str):
        return compile(self.text, self.path, "exec")


class Finder:
    """Finds the replaced module first."""

    def __init__(self, module: str, path: str, text: str) -> None:
        self.module = module
        self.path = path
        self.text = text

    def find_spec(self, name, path, target=None):
        if name != self.module:
            return None
        loader = Replacement(name, self.path, self.text)
        return importlib.machinery.ModuleSpec(name, loader, origin=self.path)


def run(file: str, text: str, tests: Sequence[str]) -> int:
    """Replace, and run: pytest's exit status, of the first tests that fail. For a process of its own."""
    module = file.removesuffix(".py").replace("/", ".")
    sys.meta_path.insert(0, Finder(module, str(Path(file).resolve()), text))
    # Were assertions rewritten, pytest would find the modules of distributions with a plugin before we do, ours too.
    options = ["--assert=plain", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "--timeout", "100"]
    # One after the other: most mutants die at once, and need not wait until the rest is collected.
    code = next((code for test in tests if (code := int(pytest.main([*options, test])))), 0)
    if code == 0 and not isinstance(sys.modules[module].__loader__, Replacement):
        raise RuntimeError(f"{module} was not replaced")
    return code


def main() -> int:
    """The command line."""
    file, replacement, *tests = sys.argv[1:]
    return run(file, Path(replacement).read_text(), tests)


if __name__ == "__main__":
    sys.exit(main())
