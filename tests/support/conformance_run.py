"""The conformance suite as its users run it, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def conformance(directory: Path, address: str, *options: str) -> tuple[list[dict[str, str]], str]:
    """The outcome of each rule, and what pytest printed."""
    results = directory / "results.json"
    done = subprocess.run(
        [
            sys.executable, "-m", "pytest", "--pyargs", "nfsrpc.conformance", "-q",
            "-p", "no:randomly", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(directory),
            "--server", address, "--results", str(results), *options,
        ],
        capture_output=True, text=True, timeout=280, check=False, cwd=directory,
    )  # fmt: skip
    assert results.exists(), done.stdout + done.stderr
    return json.loads(results.read_text()), done.stdout
