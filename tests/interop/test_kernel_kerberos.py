"""The Linux kernel's own NFSv2 client with sec=krb5, krb5i and krb5p, its rpc.gssd beside it, in user-mode Linux."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kerberos import REALM, Realm

from nfsrpc.testing.served import Served

SCRIPT = Path(__file__).parent / "guest" / "kerberos.sh"
RUN = Path(__file__).resolve().parents[2] / "tools" / "kernel_client" / "run"
MACHINE = f"host/kernel-client@{REALM}"


@pytest.fixture
def in_the_guest(realm: Realm, tmp_path: Path) -> Path:
    """A directory with what the guest needs of the realm, whose KDC it reaches as 10.0.2.2."""
    directory = tmp_path / "guest"
    directory.mkdir()
    realm.admin(f"addprinc -randkey {MACHINE}", f"ktadd -q -k {directory}/keytab {MACHINE}")
    configuration = (realm.directory / "krb5.conf").read_text()
    (directory / "krb5.conf").write_text(configuration.replace("127.0.0.1", "10.0.2.2"))
    shutil.copy(realm.directory / "alice.cc", directory)
    return directory


@pytest.mark.parametrize(
    ("proto", "workers"),
    [
        ("udp", 1),
        ("tcp", 2),
        pytest.param("udp", 2, marks=pytest.mark.full),
        pytest.param("tcp", 1, marks=pytest.mark.full),
    ],
)
def test_the_kernel_mounts_with_kerberos(
    guest_boots: None, need_commands, in_the_guest: Path, tmp_path: Path, proto: str, workers: int
) -> None:
    """Root and a user, files in both directions; the server is killed and started again: contexts are made anew."""
    need_commands("rpc.gssd", "setpriv")
    id_map = tmp_path / "idmap"
    id_map.write_text(f"alice@{REALM} 1000 100\n{MACHINE} 0 0\n")
    options = ("--sec", "krb5:krb5i:krb5p", "--id-map", str(id_map), "--workers", str(workers))
    with Served(tmp_path, *options) as served:
        script = ["/bin/sh", str(SCRIPT), str(served.port), proto, str(in_the_guest)]
        guest = subprocess.Popen(
            [sys.executable, str(RUN), "--no-mount", "--timeout", "240", "--", *script],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        lines = []
        with guest.stdout as output:
            for line in output:
                lines.append(line.rstrip("\n"))
                if lines[-1] == "restart":
                    served.kill()
                    served.start()
        status = guest.wait(60)
    expected = []
    for security in ("krb5", "krb5i", "krb5p"):
        expected += [f"{security} hers2 1000 100 100000", f"{security} roots 0 0 100000", f"{security} hers2 100005"]
    expected.insert(-1, "restart")
    assert (lines, status) == (expected, 0)
