"""Our client and nfs-ganesha under Kerberos: NULL, and calls that name a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gssapi", reason="needs python-gssapi")
NAMES = ("NULL", "GETATTR", "FSSTAT", "WRITE and READ")
SCRIPT = Path(__file__).resolve().parents[1] / "support" / "ganesha_in_a_realm.py"
NEEDED = ("ganesha.nfsd", "rpcbind", "unshare", "ip", "krb5kdc", "kadmin.local", "kinit")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: ganesha opens files by handle")
def test_our_client_and_ganesha(tmp_path: Path) -> None:
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [command for command in NEEDED if shutil.which(command, path=path) is None]
    if missing or not Path("/usr/lib/x86_64-linux-gnu/ganesha/libfsalvfs.so").exists():
        pytest.skip(f"not on this machine: {', '.join(missing) or 'the VFS back end of nfs-ganesha'}")
    command = ["unshare", "--net", "--mount", sys.executable, str(SCRIPT), str(tmp_path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=240, check=False, env={**os.environ, "PATH": path}
    )
    log = tmp_path / "ganesha.log"
    words = done.stderr + (log.read_text()[-3000:] if log.exists() else "")
    expected = [f"{name} {how}" for how in ("krb5", "krb5i", "krb5p") for name in NAMES]
    assert done.stdout.splitlines() == expected, words
