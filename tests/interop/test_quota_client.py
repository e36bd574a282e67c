"""A C program made from the system's own rquota.x asks our server for quotas."""

import subprocess
import sys
from pathlib import Path

import pytest

SPEC = Path("/usr/include/rpcsvc/rquota.x")


@pytest.mark.skipif(not SPEC.exists(), reason="not on this machine: rpcsvc-proto")
def test_quotas_by_c(c_builder, make_server):
    program = c_builder.build(SPEC, Path(__file__).parent / "c" / "quota_client.c", "xdr", "clnt")
    server = make_server()

    def ask(*uids: int, path: str = "") -> list[str]:
        command = [str(program), str(server.port), path or str(server.volume), *map(str, uids)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()

    assert ask(1000) == ["status 2"]
    quota = [sys.executable, "-m", "nfsrpc", "quota", str(server.volume), "1000", "--size", "10M", "--files", "50"]
    subprocess.run(quota, check=True, capture_output=True, timeout=60)
    assert ask(1000, 1001) == ["1024 1 10240 10240 0 50 50 0", "status 3"]
    assert ask(1000, path="/nowhere") == ["status 2"]
