"""The codec beside others in one process: floors far below what tools/bench_codec.py measures, for busy machines."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nfsrpc.protocols import nfs_prot as n

for _needed in ("msgspec", "xdrlib3"):
    pytest.importorskip(_needed)


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    path = Path(__file__).parents[2] / "tools" / "bench_codec.py"
    spec = importlib.util.spec_from_file_location("bench_codec", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["bench_codec"] = module
    spec.loader.exec_module(module)
    return module


def test_fattr_is_several_times_as_fast_as_xdrlib(bench: ModuleType) -> None:
    encoding, decoding, data = bench.codec_pair(n.encode_fattr, n.decode_fattr, bench.FATTR)
    old = bench.best(bench.xdrlib_encode_fattr) + bench.best(lambda: bench.unpack_fattr(bench.xdrlib3.Unpacker(data)))
    assert old / (encoding + decoding) > 2


def test_a_directory_is_several_times_as_fast_as_by_recursion(bench: ModuleType) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10_000)
    try:
        value = bench.directory(100)
        encoding, decoding, data = bench.codec_pair(n.encode_readdirres, n.decode_readdirres, value)
        old = bench.best(lambda: bench.recursive_encode_directory(value)) + bench.best(
            lambda: bench.recursive_directory(data)
        )
    finally:
        sys.setrecursionlimit(limit)
    assert old / (encoding + decoding) > 2
