"""One run of a suite as it is: how long each test takes, and which lines of the files in question it reaches."""

import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from changes import Mutant

Line = tuple[str, int]


@dataclass(slots=True)
class Test:
    """What one test took, in seconds, and which lines it ran, as far as was seen: other processes are not traced."""

    seconds: float = 0.0
    lines: set[Line] = field(default_factory=set)
    seen_whole: bool = True


@dataclass(slots=True)
class Survey:
    """What the tests of a suite reach, by their names; what had run already when the first of them began."""

    tests: dict[str, Test] = field(default_factory=dict)
    lines_before: set[Line] = field(default_factory=set)
    called_before: set[tuple[str, str]] = field(default_factory=set)
    failed: list[str] = field(default_factory=list)

    def tests_for(self, mutant: Mutant) -> list[str]:
        """The tests that could notice a mutant: the quickest first, those that were not seen whole last."""
        lines = {(mutant.path, line) for line in mutant.lines}
        by_all = not lines.isdisjoint(self.lines_before)
        chosen = [
            (lines.isdisjoint(test.lines), test.seconds, name)
            for name, test in self.tests.items()
            if by_all or not test.seen_whole or not lines.isdisjoint(test.lines)
        ]
        return [name for _, _, name in sorted(chosen)]


class Surveyor:
    """A plugin for pytest that fills a survey; what it traces are the files at `paths` below `root`."""

    def __init__(self, root: Path, paths: Iterable[str]) -> None:
        self.survey = Survey()
        self._paths = {str(root / path): path for path in paths}
        self._collecting = True
        self._test = Test()
        self._lines = self.survey.lines_before
        os.register_at_fork(before=self._forks)
        self._trace = self._enter  # one object, to be told from others
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def _forks(self) -> None:
        self._test.seen_whole = False

    def _enter(self, frame: FrameType, event: str, argument: object) -> Any:
        path = self._paths.get(frame.f_code.co_filename)
        if path is None:
            return None
        if self._collecting:
            self.survey.called_before.add((path, frame.f_code.co_qualname.partition(".<locals>")[0]))
        self._lines.add((path, frame.f_lineno))

        def step(frame: FrameType, event: str, argument: object) -> Any:
            self._lines.add((path, frame.f_lineno))
            return step

        return step

    def pytest_collection_finish(self) -> None:
        self._collecting = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._test = Test()
        self._lines = self._test.lines
        sys.settrace(self._trace)
        began = time.perf_counter()
        result = yield
        self._test.seconds = time.perf_counter() - began
        if sys.gettrace() is not self._trace:  # it ends where the stack does
            self._test.seen_whole = False
        self.survey.tests[item.nodeid] = self._test
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.survey.failed.append(report.nodeid)
