"""A bounded run of tools/fuzz: documented exceptions alone, canonical decoding, bounded memory, a server that holds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

TARGETS = ["compile", "decode", "serve"]
FUZZ = Path(__file__).parents[2] / "tools" / "fuzz"


def fuzz(target: str, seconds: int) -> None:
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: pip install atheris")
    command = [sys.executable, str(FUZZ), target, "--seconds", str(seconds)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 120, check=False)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-8000:]
    assert "stat::number_of_executed_units" in result.stderr


@pytest.mark.parametrize("target", TARGETS)
def test_fuzz_for_some_seconds(target: str) -> None:
    fuzz(target, 10)


@pytest.mark.full
@pytest.mark.timeout(2000)
@pytest.mark.parametrize("target", TARGETS)
def test_fuzz_for_a_quarter_of_an_hour(target: str) -> None:
    fuzz(target, 900)
