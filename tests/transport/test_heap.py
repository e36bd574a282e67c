"""Freed memory is kept for the next message: seen by the page faults that it saves."""

import ctypes
import platform
import subprocess
import sys

import pytest

from nfsrpc.transport import heap

FAULTS = """
import resource
from nfsrpc.transport.heap import keep_freed
keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytearray(1 << 20)
before = faults()
for _ in range(100):
    bytearray(1 << 20)
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's malloc can be told")
def test_a_megabyte_again_and_again_is_the_same_memory():
    said = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(said.stdout) < 256  # the pages of one such block, instead of those of a hundred


def test_another_malloc_is_left_alone(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    heap.keep_freed()
