"""tools/mutate: mutants that tests notice are killed, those that they cannot are told; the long run."""

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
HANDLES = "nfsrpc/nfs/handles.py"


def mutate(*arguments, timeout=200):
    command = [sys.executable, "tools/mutation", *arguments]
    return subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture(scope="module")
def listed():
    done = mutate("--list")
    assert done.returncode == 0, done.stdout.splitlines()[-1]  # an explanation of what is not there any more
    return done.stdout.splitlines()


def test_every_file_has_mutants(listed):
    files = {line.partition(":")[0] for line in listed}
    of_interest = [*REPO.glob("nfsrpc/xdr/*.py"), *REPO.glob("nfsrpc/rpc/*.py"), REPO / HANDLES]
    without = {str(path.relative_to(REPO)) for path in of_interest} - files
    assert without == {"nfsrpc/rpc/__init__.py", "nfsrpc/rpc/work.py", "nfsrpc/xdr/program.py"}  # no code
    assert len(listed) > 1000
    assert len(set(listed)) == len(listed)


def test_every_survivor_that_is_listed_has_a_reason():
    rows = [row.split(" || ") for row in (REPO / "tools/mutation/explained.txt").read_text().splitlines()[1:]]
    assert len({row[0] for row in rows}) == len(rows)
    assert [row for row in rows if len(row) != 2 or row[0].count(" | ") < 2 or len(row[1]) < 20] == []


@pytest.mark.parametrize(
    ("only", "verdict"),
    [
        ("_MAC_SIZE: Final = 8", "1 mutants, 1 killed, 0 survive: 0.0%"),  # loaded with its module
        ("NotEq -> Eq | if kind", "1 mutants, 1 killed, 0 survive: 0.0%"),  # put in the place of a function
    ],
)
def test_what_the_tests_notice_is_killed(only, verdict):
    done = mutate(HANDLES, "--only", only)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, verdict), done.stderr


def test_what_nobody_notices_is_told_and_is_counted_though_it_is_explained():
    done = mutate("nfsrpc/xdr/quadruple.py", "--only", "if TYPE_CHECKING", "--tests", "tests/xdr/test_quadruple.py")
    assert done.returncode == 1
    survivor, reason, *figures = done.stdout.splitlines()
    assert survivor.startswith("SURVIVED nfsrpc/xdr/quadruple.py:")
    assert reason.startswith("    the name is for the type checker")
    assert figures == [
        "1 mutants, 0 killed, 1 survive: 100.0%",
        "1 of the survivors are explained, 0 are not",
    ]


def test_what_the_tests_named_do_not_reach_survives():
    done = mutate(HANDLES, "--only", "NotEq -> Eq | if kind", "--tests", "tests/xdr/test_record.py")
    assert done.returncode == 1
    assert done.stdout.startswith(f"SURVIVED {HANDLES}:")
    assert "    without a reason\n" in done.stdout


def test_tests_that_fail_by_themselves_are_told(tmp_path):
    (tmp_path / "test_wrong.py").write_text("def test_wrong():\n    assert False\n")
    done = mutate(HANDLES, "--tests", str(tmp_path / "test_wrong.py"))
    assert done.returncode == 1
    assert "without any change, tests fail already: " in done.stderr
    assert "test_wrong" in done.stderr


@pytest.mark.full
@pytest.mark.timeout(2 * 3600)
def test_less_than_one_in_twenty_survives():
    done = mutate(timeout=2 * 3600)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
