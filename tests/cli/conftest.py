"""The command as its users run it, in this process, and a server to run it against."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nfsrpc.cli import main
from nfsrpc.testing.served import Served


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of our own, shared by a module's tests: each test uses names of its own."""
    with Served(Path(tmp_path_factory.mktemp("served"))) as server:
        yield server


@pytest.fixture
def run() -> Callable[..., Result]:
    """Run `nfsrpc` with these arguments; the result has exit_code, stdout and stderr."""

    def invoke(*arguments: object, input: bytes | None = None) -> Result:
        return CliRunner().invoke(main, [str(argument) for argument in arguments], input=input)

    return invoke


@pytest.fixture
def nfsrpc(run: Callable[..., Result]) -> Callable[..., str]:
    """Run `nfsrpc`, which must succeed without a word on standard error; its standard output."""

    def invoke(*arguments: object, input: bytes | None = None) -> str:
        result = run(*arguments, input=input)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return result.stdout

    return invoke


@pytest.fixture
def failing(run: Callable[..., Result]) -> Callable[..., str]:
    """Run `nfsrpc`, which must fail with exit status 1 and one line on standard error: that line."""

    def invoke(*arguments: object, input: bytes | None = None) -> str:
        result = run(*arguments, input=input)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        (line,) = result.stderr.splitlines()
        assert line.startswith("nfsrpc: ")
        return line

    return invoke
