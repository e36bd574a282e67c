"""The mount against servers that are not ours: ShenanigaNFS, nfs-ganesha for MOUNT and portmapper, rpcbind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nfsrpc.client import mount

NEEDED = ("ganesha.nfsd", "rpcbind", "unshare", "ip")
SCRIPT = Path(__file__).parents[1] / "support" / "portmapped.py"
PROGRAM = Path(__file__).parent.parent / "conformance" / "shenanigan.py"


@pytest.fixture(scope="module")
def shenanigans(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of ShenanigaNFS' version 2 server over a file system in memory."""
    pytest.importorskip("shenaniganfs")
    with (tmp_path_factory.mktemp("shenanigans") / "log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-W", "ignore", str(PROGRAM)], stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert server.stdout is not None
    yield f"nfs://127.0.0.1:{int(server.stdout.readline())}/export?uid=0&gid=0"
    server.kill()
    server.wait()
    server.stdout.close()


@pytest.mark.parametrize("size", [0, 1, 8192, 100_000, 700_001])
def test_transfers_to_and_from_shenaniganfs(shenanigans: str, size: int) -> None:
    data = os.urandom(size)
    with mount(shenanigans) as m:
        m.write_bytes(f"f{size}", data)
        assert m.stat(f"f{size}").st_size == size
        assert m._files._cache.held == 0  # what was written is not believed after the close: it comes from the server
        assert m.read_bytes(f"f{size}") == data


def test_names_on_shenaniganfs(shenanigans: str) -> None:
    with mount(shenanigans) as m:
        m.makedirs("d/e")
        m.write_text("d/f", "text")
        with m.open("d/f", "a") as file:
            file.write(" and more")
        with m.open("d/new", "x") as file:  # it has no hard links: CREATE after a look
            file.write("new")
        with pytest.raises(FileExistsError):
            m.open("d/new", "x")
        m.rename("d/f", "d/g")
        assert sorted(m.listdir("d")) == ["e", "g", "new"]
        assert m.read_text("d/g") == "text and more"
        m.chmod("d/g", 0o600)
        assert m.stat("d/g").st_mode & 0o777 == 0o600
        m.truncate("d/g", 4)
        assert m.read_text("d/g") == "text"
        with pytest.raises(FileNotFoundError):
            m.stat("d/none")
        m.rmtree("d")
        assert not m.exists("d")


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: ganesha opens files by handle, rpcbind has port 111")
def test_servers_are_found_through_rpcbind_and_ganesha_lists_its_exports(tmp_path: Path) -> None:
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
    lines = done.stdout.splitlines()
    assert lines[:4] == ["rpcbind tcp", "rpcbind udp", "ganesha tcp", "ganesha udp"], words
    assert [line.partition(":")[0] for line in lines[4:]] == ["ganesha has no NFSv2"], words
