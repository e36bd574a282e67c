"""tools/mutate: mutants that tests notice are killed, those that they cannot are told; the long run."""

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]
HANDLES = "nfsrpc/nfs/handles.py"


def run_mutant(tmp_path, old, new):
    """Whether the handles' tests fail with `old` replaced by `new`."""
    source = (REPO / HANDLES).read_text()
    assert old in source
    changed = tmp_path / "changed.py"
    changed.write_text(source.replace(old, new, 1))
    command = [sys.executable, "tools/mutation/run_mutant.py", HANDLES, str(changed), "tests/nfs/test_handles.py"]
    return subprocess.run(command, cwd=REPO, capture_output=True, timeout=200, check=False).returncode != 0


def test_the_replacement_is_what_is_tested(tmp_path):
    assert not run_mutant(tmp_path, "KIND_UFID = 1", "KIND_UFID = 0 + 1")
    assert run_mutant(tmp_path, "_MAC_SIZE = 8", "_MAC_SIZE = 4")


def test_every_file_of_the_table_is_there_and_has_mutants():
    command = [sys.executable, "tools/mutate", "--list"]
    listed = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=100, check=True).stdout
    files = {line.partition(":")[0] for line in listed.splitlines()}
    assert {HANDLES, "nfsrpc/rpc/message.py", "nfsrpc/rpc/record.py", "nfsrpc/xdr/run.py"} <= files
    assert len(listed.splitlines()) > 1000


@pytest.mark.full
@pytest.mark.timeout(2 * 3600)
def test_less_than_one_in_twenty_survives():
    done = subprocess.run(
        [sys.executable, "tools/mutate", "--minutes", "60"],
        cwd=REPO, capture_output=True, text=True, timeout=2 * 3600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
