"""Mutation testing: change one thing in the code at a time, and see whether a test notices.

    tools/mutate [--only TEXT] [--tests PATH] [--list] [--jobs N] [FILE...]

The tests are run once as they are, which shows which of them reach which lines; then once for each mutant, the quickest
of those that reach the changed line first, up to the first that fails. What survives is listed. Survivors that
tools/mutation/explained.txt knows are counted as such: they change nothing that anybody could notice, and the reason
stands beside each. Exit status 0 when fewer than 5 % survive, all of them explained, and nothing else is.
"""

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from changes import Mutant, mutants
from runs import Runs

ROOT = Path(__file__).resolve().parents[2]
EXPLAINED = ROOT / "tools" / "mutation" / "explained.txt"
MOST_SURVIVORS = 0.05
SUITES = {
    ("nfsrpc/nfs/handles*.py",): ("tests/nfs/test_handles.py",),
    ("nfsrpc/xdr/*.py",): ("tests/xdr",),
    ("nfsrpc/rpc/*.py",): (
        "tests/rpc", "tests/nfs/test_once.py", "tests/auth/test_short.py", "tests/transport/test_semantics.py",
        "tests/transport/test_aio.py"),
}  # fmt: skip
"""Files, and the tests that are to notice what is wrong with them."""


def explained() -> dict[str, str]:
    """Survivors with a reason, by their keys."""
    rows = [line.split(" || ") for line in EXPLAINED.read_text().splitlines()[1:]]
    return {row[0]: row[1] for row in rows}


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="tools/mutate", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="files below nfsrpc/xdr and nfsrpc/rpc, or nfs/handles"
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="only mutants whose name has this text in it")
    parser.add_argument("--tests", metavar="PATH", action="append", help="tests to run instead of the files' own")
    parser.add_argument("--list", action="store_true", help="only say which mutants there are")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes at a time")
    options = parser.parse_args()
    known = {str(path.relative_to(ROOT)) for globs in SUITES for glob in globs for path in ROOT.glob(glob)}
    if unknown := set(options.files) - known:
        parser.error(f"no tests are named for {', '.join(sorted(unknown))}")
    return options


def chosen(globs: tuple[str, ...], options: argparse.Namespace) -> list[Mutant]:
    """The mutants of a suite that are asked for."""
    paths = sorted(str(path.relative_to(ROOT)) for glob in globs for path in ROOT.glob(glob))
    found = [mutant for path in paths if not options.files or path in options.files for mutant in mutants(ROOT, path)]
    return [mutant for mutant in found if options.only in mutant.name]


def main() -> int:
    """Run; print survivors and the score."""
    options = parse()
    reasons, counts, keys = explained(), Counter[str](), set[str]()
    for globs, tests in SUITES.items():
        tried = chosen(globs, options)
        keys |= {mutant.key for mutant in tried}
        if options.list:
            print(*(mutant.name for mutant in tried), sep="\n", end="\n" if tried else "")
        elif tried:
            run(Runs(ROOT, options.tests or tests, options.jobs), tried, reasons, counts)
    whole = not options.files and not options.only
    gone = sorted(reasons.keys() - keys) if whole else []
    print(*(f"EXPLAINED, BUT NOT THERE: {key}" for key in gone), sep="\n", end="\n" if gone else "")
    if options.list:
        return 1 if gone else 0
    survived = counts["explained"] + counts["unexplained"]
    share = survived / max(counts.total(), 1)
    print(f"{counts.total()} mutants, {counts['killed']} killed, {survived} survive: {share:.1%}")
    print(f"{counts['explained']} of the survivors are explained, {counts['unexplained']} are not")
    return 0 if share < MOST_SURVIVORS and not counts["unexplained"] and not gone else 1


def run(runs: Runs, tried: list[Mutant], reasons: dict[str, str], counts: Counter[str]) -> None:
    """Try the mutants of one suite."""
    survey = runs.survey({mutant.path for mutant in tried})
    if survey.failed:
        sys.exit(f"tools/mutate: without any change, tests fail already: {', '.join(survey.failed)}")
    for mutant, survived in runs.survivors(tried, survey):
        verdict = "killed" if not survived else "explained" if mutant.key in reasons else "unexplained"
        counts[verdict] += 1
        if survived:
            print(f"SURVIVED {mutant.name}\n    {reasons.get(mutant.key, 'without a reason')}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
