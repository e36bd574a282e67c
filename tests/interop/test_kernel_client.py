"""The Linux kernel's own NFSv2 client, in user-mode Linux, works on what we serve as on a local disk."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

GUEST = Path(__file__).parent / "guest"
EXERCISES = pytest.mark.parametrize("exercises", ["behaviour", "special"])
GUEST_PYTHON = f"{sys.executable} -E -s -S"
PROTOCOLS = ("udp", "tcp")
TREE_FILES = 3200
LARGEST = 200_000  # bytes; the tree is about many files, not about large ones
COPY_LIMIT = 600  # seconds; ten seconds on an idle machine
KILLS = pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.full)])


def regular_files(root: Path) -> list[Path]:
    return sorted(p for p in root.rglob("*") if p.is_file() and not p.is_symlink() and p.stat().st_size <= LARGEST)


@pytest.fixture(scope="module")
def source_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real source tree: the standard library's first files by name, then the installed packages'."""
    tree = tmp_path_factory.mktemp("source") / "tree"
    found: list[tuple[Path, Path]] = []
    for name in ("stdlib", "purelib"):
        root = Path(sysconfig.get_path(name)).resolve()
        found += [(path, Path(name) / path.relative_to(root)) for path in regular_files(root)]
    assert len(found) >= TREE_FILES, "this interpreter has too few files of its own"
    for path, relative in found[:TREE_FILES]:
        (tree / relative).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, tree / relative)
    (tree / "a link").symlink_to("stdlib")
    return tree


@pytest.fixture(params=["volume", "directory"])
def make_server(make_server, request):
    """Servers of both kinds of store. Thousands of files in a directory of the host are for the long form."""
    long = request.param == "directory" and "source_tree" in request.fixturenames
    if long and not request.config.getoption("--full"):
        pytest.skip("long form: tools/test --full")
    return functools.partial(make_server, kind=request.param)


def check(server) -> None:
    """What is left on disk is whole: of a plain directory the host says so itself."""
    if server.kind == "volume":
        fsck(server.volume)


def fsck(volume: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nfsrpc", "fsck", str(volume)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@EXERCISES
@pytest.mark.parametrize("proto", PROTOCOLS)
def test_behaves_as_a_local_file_system(kernel_client, server, proto, exercises):
    local = "/dev/shm/local"
    program = f"{GUEST_PYTHON} {GUEST / exercises}.py"
    result = kernel_client.run(
        server, proto, f"mkdir {local} $NFSDIR/work && {program} {local} && echo ---- && {program} $NFSDIR/work"
    )
    assert result.status == 0, str(result)
    on_local, on_nfs = result.output.split("----\n")
    assert on_nfs.splitlines() == on_local.splitlines()
    assert on_nfs.count("left: False") >= 8
    server.stop()
    check(server)


@pytest.mark.parametrize("proto", PROTOCOLS)
def test_two_clients_at_once(make_kernel_client, make_server, proto):
    """What one has closed the other sees when it opens, though it has the old bytes and attributes cached."""
    server = make_server("--workers", "2")
    pingpong = f"{GUEST_PYTHON} {GUEST / 'pingpong.py'} $NFSDIR"
    commands = [f"{pingpong} one other first", f"{pingpong} other one second"]
    opts = "acregmin=60,acregmax=60,acdirmin=0,acdirmax=0"
    with ThreadPoolExecutor(2) as both:
        running = [both.submit(make_kernel_client().run, server, proto, command, opts=opts) for command in commands]
        results = [one.result() for one in running]
    for result in results:
        assert result.status == 0, str(result)
    assert results[0].output == results[1].output
    assert results[0].output.startswith("turns: 12 bytes: ")
    server.stop()
    check(server)


@pytest.mark.timeout(3 * COPY_LIMIT)
@pytest.mark.parametrize("proto", PROTOCOLS)
def test_copies_a_source_tree(kernel_client, server, source_tree, proto):
    copied = kernel_client.run(server, proto, f"cp -a {source_tree} copy", timeout=COPY_LIMIT)
    assert copied.status == 0, str(copied)
    assert copied.calls["CREATE"]["calls"] >= TREE_FILES
    # another kernel, so that nothing of the comparison comes from the first one's cache
    compare = f"diff -r --no-dereference {source_tree} copy && rm -rf copy && ls -A"
    compared = kernel_client.run(server, proto, compare, timeout=COPY_LIMIT)
    assert compared.status == 0, str(compared)
    assert compared.output == ""
    server.stop()
    check(server)


@pytest.mark.timeout(5 * COPY_LIMIT)
@pytest.mark.parametrize("proto", PROTOCOLS)
@KILLS
def test_copy_goes_on_while_the_server_is_killed(kernel_client, make_server, source_tree, proto, kills):
    server = make_server("--workers", "2")
    kill_at = {TREE_FILES * n // (kills + 1) for n in range(1, kills + 1)}
    seen = 0

    def count(line: str) -> None:
        nonlocal seen
        seen += 1
        if seen in kill_at:
            server.kill()
            server.start()

    copy = f"cp -avT {source_tree} copy"
    if server.kind == "directory":
        # A MKDIR or SYMLINK that was done and not answered is done again, and its name is there: at least once.
        copy = f"{copy} || {copy}"
    copied = kernel_client.run(server, proto, copy, on_line=count, timeout=COPY_LIMIT + 30 * kills)
    assert copied.status == 0, str(copied)
    assert seen > max(kill_at)
    assert copied.errors == "" or server.kind == "directory"
    server.kill()
    server.start()
    compared = kernel_client.run(
        server, proto, f"diff -r --no-dereference {source_tree} copy", timeout=COPY_LIMIT
    )
    assert (compared.status, compared.output) == (0, ""), str(compared)
    server.stop()
    check(server)


@pytest.mark.parametrize("proto", PROTOCOLS)
def test_an_open_file_outlives_a_restart(kernel_client, make_server, proto):
    """The handle that the client holds is good for the next server process as well, also after a rename."""
    server = make_server()

    def restart(line: str) -> None:
        if line == "now":
            server.kill()
            server.start()

    result = kernel_client.run(
        server,
        proto,
        "echo one > f; exec 3<>f; mv f g; echo now; echo two >> g; echo 3 > /proc/sys/vm/drop_caches; cat <&3",
        on_line=restart,
        opts="noac",
    )
    assert (result.status, result.output) == (0, "now\none\ntwo\n"), str(result)


@pytest.mark.parametrize("proto", PROTOCOLS)
def test_large_blocks_arrive_whole(kernel_client, server, proto):
    """8 KiB reads and writes cross the guest's link as several IP fragments over UDP."""
    result = kernel_client.run(
        server,
        proto,
        "dd if=/dev/urandom of=/dev/shm/x bs=1M count=8 status=none && cp /dev/shm/x x &&"
        " echo 3 > /proc/sys/vm/drop_caches && cmp /dev/shm/x x && grep -o 'wsize=[0-9]*' /proc/mounts",
    )
    assert (result.status, result.output) == (0, "wsize=8192\n"), str(result)
    assert result.calls["WRITE"]["calls"] == 1024
