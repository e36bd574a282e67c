"""Runs of a suite with a mutant, each in a process of its own.

Most mutants stand in functions that nothing calls before the tests begin: such a run is a copy of a process that has
collected the tests already, and puts the changed code in the place of the function's own. Every other mutant is loaded
with its module, by a copy of a process that knows pytest, and nothing yet of what is tested.
"""

import contextlib
import faulthandler
import gc
import importlib.machinery
import importlib.util
import itertools
import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import pytest
from changes import Mutant, compiled
from hypothesis import Phase, settings
from survey import Survey, Surveyor

MOST_MEMORY = 8 << 30
"""Bytes of address space of one run: a mutant that asks for ever more has been noticed."""
MOST_SECONDS = 15
"""What a test may take beyond twenty times what it took alone: a mutant that does not end has been noticed, too."""
OUR_FAULT = 70
"""The exit status of a run that was not made: neither a test's failure nor success."""
# Were assertions rewritten, pytest would find the modules of distributions with a plugin before we do, ours too.
OPTIONS = ("--assert=plain", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--timeout", "600",
           "--hypothesis-profile=mutation")  # fmt: skip


class Replacement(importlib.machinery.SourceFileLoader):
    """Gives a module other code than its own."""

    def __init__(self, name: str, code: CodeType) -> None:
        super().__init__(name, code.co_filename)
        self._code = code

    def get_code(self, fullname: str) -> CodeType:
        return self._code


class Finder:
    """Finds a replaced module before anybody else does."""

    def __init__(self, path: str, code: CodeType) -> None:
        self._module = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        self._code = code

    def find_spec(self, name: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if name != self._module:
            return None
        file = self._code.co_filename
        package = [str(Path(file).parent)] if file.endswith("/__init__.py") else None
        loader = Replacement(name, self._code)
        return importlib.util.spec_from_file_location(name, file, loader=loader, submodule_search_locations=package)


class EndsAtOnce:
    """A plugin for pytest: the first test that fails ends the process."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os._exit(1)


class Loop:
    """A plugin for pytest: what is done when everything is collected."""

    def __init__(self, act: Callable[[pytest.Session], None]) -> None:
        self._act = act

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._act(session)
        return True


class Runs:
    """All runs of one suite of tests, `jobs` at a time."""

    def __init__(self, root: Path, tests: Sequence[str], jobs: int) -> None:
        self._root = root
        self._tests = tests
        self._jobs = jobs

    def survey(self, paths: Iterable[str]) -> Survey:
        """Run every test once, and see what it reaches of the files."""

        def answer(answers: Connection) -> None:
            surveyor = Surveyor(self._root, paths)
            self._pytest(surveyor)
            sys.settrace(None)
            answers.send(surveyor.survey)

        (found,) = _answers(answer)
        return found

    def survivors(self, mutants: Sequence[Mutant], survey: Survey) -> Iterator[tuple[Mutant, bool]]:
        """Every mutant, and whether all tests pass with it."""
        afresh = dict(enumerate(mutants))
        for number, survived in _answers(lambda answers: self._patched(mutants, survey, answers)):
            yield afresh.pop(number), survived
        rest = ((number, lambda mutant=mutant: self._afresh(mutant, survey)) for number, mutant in afresh.items())
        for number, survived in _in_children(rest, self._jobs):
            yield mutants[number], survived

    def _patched(self, mutants: Sequence[Mutant], survey: Survey, answers: Connection) -> None:
        """Collect, and run each mutant that can be put in place now."""

        def act(session: pytest.Session) -> None:
            known = self._functions()
            work = (
                (number, lambda mutant=mutant, found=found: self._put(mutant, found, survey, session))
                for number, mutant in enumerate(mutants)
                if mutant.function
                and (mutant.path, mutant.function[0]) not in survey.called_before
                and (found := known.get((mutant.path, *mutant.function)))
            )
            for answer in _in_children(work, self._jobs):
                answers.send(answer)

        self._pytest(Loop(act))

    def _functions(self) -> dict[tuple[str, str, int], list[FunctionType]]:
        """The functions that there are, by file, name and line."""
        found: dict[tuple[str, str, int], list[FunctionType]] = {}
        for thing in gc.get_objects():
            if type(thing) is FunctionType and thing.__code__.co_filename.startswith(str(self._root)):
                code = thing.__code__
                path = str(Path(code.co_filename).relative_to(self._root))
                found.setdefault((path, code.co_qualname, code.co_firstlineno), []).append(thing)
        return found

    def _put(self, mutant: Mutant, functions: list[FunctionType], survey: Survey, session: pytest.Session) -> None:
        """Change the functions, and run the tests."""
        codes = _codes(compiled(self._root, mutant))
        code = next(code for code in codes if (code.co_qualname, code.co_firstlineno) == mutant.function)
        for function in functions:
            function.__code__ = code
        self._run(mutant, survey, session)

    def _afresh(self, mutant: Mutant, survey: Survey) -> None:
        """Load everything with the change, and run the tests."""
        sys.meta_path.insert(0, Finder(mutant.path, compiled(self._root, mutant)))
        self._pytest(Loop(lambda session: self._run(mutant, survey, session)))
        for module in list(sys.modules.values()):
            if getattr(module, "__file__", None) == str(self._root / mutant.path):
                assert isinstance(module.__loader__, Replacement), "was loaded before"

    def _run(self, mutant: Mutant, survey: Survey, session: pytest.Session) -> None:
        """Run the tests that could notice, in this process, which ends with the first that fails, or does not end."""
        session.config.pluginmanager.register(EndsAtOnce())
        known = {item.nodeid: item for item in session.items}
        items = [known[name] for name in survey.tests_for(mutant)]
        for item, following in itertools.zip_longest(items, items[1:]):
            faulthandler.dump_traceback_later(MOST_SECONDS + 20 * survey.tests[item.nodeid].seconds, exit=True)
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        faulthandler.cancel_dump_traceback_later()

    def _pytest(self, plugin: object) -> None:
        """Collect and run, in this process; end it if that fails."""
        # A fault once found need not be made small, and is found anew each time.
        phases = [Phase.explicit, Phase.generate]
        settings.register_profile("mutation", database=None, deadline=None, derandomize=True, phases=phases)
        directory = tempfile.mkdtemp()
        try:
            code = pytest.main([*OPTIONS, f"--basetemp={directory}/t", *self._tests], plugins=[plugin])
        finally:
            shutil.rmtree(directory)
        if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED):
            os._exit(1)


def _codes(code: CodeType) -> Iterator[CodeType]:
    """A code object and all within it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _answers(act: Callable[[Connection], None]) -> Iterator[Any]:
    """What a function sends that runs in a child."""
    ours, theirs = Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        ours.close()
        _end_with(lambda: act(theirs))
    theirs.close()
    with contextlib.suppress(EOFError):
        while True:
            yield ours.recv()
    os.waitpid(child, 0)


def _in_children(work: Iterable[tuple[int, Callable[[], None]]], jobs: int) -> Iterator[tuple[int, bool]]:
    """Run each in a child; its number, and whether it ended well."""
    running: dict[int, int] = {}
    waiting = iter(work)
    while True:
        while len(running) < jobs and (following := next(waiting, None)):
            number, act = following
            child = os.fork()
            if child == 0:
                os.setsid()
                _end_with(act)
            running[child] = number
        if not running:
            return
        child, status = os.wait()
        with contextlib.suppress(ProcessLookupError):  # a mutant may leave servers behind
            os.killpg(child, signal.SIGKILL)
        if os.waitstatus_to_exitcode(status) == OUR_FAULT:
            raise RuntimeError("a run could not be made; NFSRPC_MUTATE_LOUD=1 shows why")
        yield running.pop(child), status == 0


def _end_with(act: Callable[[], None]) -> None:
    """Do something in a child, quietly, and end."""
    quiet = os.open(os.devnull, os.O_RDWR)
    code = OUR_FAULT
    try:
        if not os.environ.get("NFSRPC_MUTATE_LOUD"):
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        act()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
