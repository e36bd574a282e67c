"""`nfsrpc mount`, with the programs that people use on files: cp, cc, git, and an exerciser with a model."""

from __future__ import annotations

import contextlib
import errno
import filecmp
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fsx import Exerciser

from nfsrpc.testing.served import Served

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "nfsrpc", "mount"]

mfusepy = pytest.importorskip("mfusepy", exc_type=(ImportError, OSError), reason="needs mfusepy and libfuse (fuse3)")
pytestmark = pytest.mark.skipif(
    not os.access("/dev/fuse", os.R_OK | os.W_OK) or shutil.which("fusermount3") is None,
    reason="needs /dev/fuse and fusermount3 (fuse3)",
)


def is_mounted(directory: Path) -> bool:
    return f" {directory} fuse.nfsrpc " in Path("/proc/mounts").read_text()


class Shown:
    """A directory with a mount in it, in a process of its own that stays in the foreground."""

    def __init__(self, url: str, directory: Path, *options: str) -> None:
        directory.mkdir()
        self.directory = directory
        self.process = subprocess.Popen(
            [*COMMAND, "--foreground", *options, url, str(directory)], stderr=subprocess.PIPE, text=True
        )

    def __enter__(self) -> Shown:
        for _ in range(3000):
            if is_mounted(self.directory) or self.process.poll() is not None:
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.01)
        assert is_mounted(self.directory), self.process.communicate()[1]
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def __exit__(self, *error: object) -> None:
        if self.process.poll() is None:
            self.end()
        assert self.process.stderr is not None
        self.process.stderr.close()


@pytest.fixture(scope="module")
def shown(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A mount, shared by the module's tests."""
    with Shown(served.url(), tmp_path_factory.mktemp("shown") / "m") as mounted:
        yield mounted.directory


@pytest.fixture
def here(shown: Path, request: pytest.FixtureRequest) -> Path:
    """An empty directory on the mount."""
    directory = shown / request.node.name
    directory.mkdir()
    return directory


@pytest.fixture
def show(served: Served, tmp_path: Path) -> Iterator[Callable[..., Shown]]:
    """Another mount, of `served` or of another URL."""
    with contextlib.ExitStack() as stack:

        def make(name: str = "m", url: str | None = None, *options: str) -> Shown:
            return stack.enter_context(Shown(url or served.url(), tmp_path / name, *options))

        yield make


def test_a_tree_is_copied_there_and_back(here: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(ROOT / "nfsrpc" / "rpcgen", source, ignore=shutil.ignore_patterns("__pycache__"))
    (source / "link").symlink_to("ast.py")
    os.link(source / "ast.py", source / "hard")
    os.utime(source / "ast.py", ns=(10**18, 10**18 + 1000))
    (source / "ast.py").chmod(0o640)
    subprocess.run(["cp", "-a", source, here / "there"], check=True)
    subprocess.run(["cp", "-a", here / "there", tmp_path / "back"], check=True)
    for copy in (here / "there", tmp_path / "back"):
        assert subprocess.run(["diff", "-r", source, copy], check=False).returncode == 0
        status = (copy / "ast.py").stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns, status.st_nlink) == (0o640, 10**18 + 1000, 2)
        assert status.st_ino == (copy / "hard").stat().st_ino
        assert os.readlink(copy / "link") == "ast.py"
    shutil.rmtree(here / "there")
    assert list(here.iterdir()) == []


def test_a_program_is_compiled_and_run(here: Path) -> None:
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler (gcc)")
    (here / "hello.h").write_text('#define WORDS "hello from afar"\n')
    (here / "hello.c").write_text('#include <stdio.h>\n#include "hello.h"\nint main(void) { puts(WORDS); return 0; }\n')
    subprocess.run(["cc", "-g", "-c", "hello.c"], cwd=here, check=True)
    subprocess.run(["cc", "-o", "hello", "hello.o"], cwd=here, check=True)
    assert subprocess.run([here / "hello"], check=True, capture_output=True).stdout == b"hello from afar\n"


def test_git_clones_and_finds_nothing_to_complain_about(here: Path, tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    origin = tmp_path / "origin"
    shutil.copytree(ROOT / "nfsrpc" / "xdr", origin, ignore=shutil.ignore_patterns("__pycache__"))
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], cwd=origin, check=True)
    clone = here / "clone"
    subprocess.run([*git, "clone", "-q", "--no-local", origin, clone], check=True)
    (clone / "words.py").write_text("changed\n")
    subprocess.run([*git, "commit", "-q", "-a", "-m", "two"], cwd=clone, check=True)
    subprocess.run([*git, "gc", "-q"], cwd=clone, check=True)
    fsck = subprocess.run([*git, "fsck", "--strict"], cwd=clone, check=True, capture_output=True, text=True)
    assert fsck.stdout + fsck.stderr == ""
    status = subprocess.run([*git, "status", "--porcelain"], cwd=clone, check=True, capture_output=True)
    assert status.stdout == b""


@pytest.mark.parametrize(
    "operations", [1500, pytest.param(100_000, marks=[pytest.mark.full, pytest.mark.timeout(3600)])]
)
def test_random_operations_give_what_a_model_says(here: Path, operations: int) -> None:
    exerciser = Exerciser(here, seed=20)
    exerciser.run(operations)
    assert min(exerciser.counts[name] for name in ("read", "write", "truncate", "write_mapped")) > operations / 100
    assert list(here.iterdir()) == []


def test_links(here: Path) -> None:
    (here / "a").write_text("x")
    os.link(here / "a", here / "b")
    assert ((here / "a").stat().st_nlink, (here / "b").stat().st_ino) == (2, (here / "a").stat().st_ino)
    with (here / "b").open("a") as file:
        file.write("y")
    assert (here / "a").read_text() == "xy"
    (here / "b").unlink()
    assert (here / "a").stat().st_nlink == 1
    (here / "s").symlink_to("nowhere")
    assert os.readlink(here / "s") == "nowhere"
    assert (here / "s").is_symlink()
    assert not (here / "s").exists()


def test_a_file_that_is_unlinked_while_open_stays_usable(here: Path) -> None:
    with (here / "f").open("w+b", buffering=0) as file:
        file.write(b"before")
        (here / "f").unlink()
        assert not (here / "f").exists()
        file.write(b" and after")
        assert os.pread(file.fileno(), 100, 0) == b"before and after"
        (here / "f").write_text("another")
        assert os.pread(file.fileno(), 100, 0) == b"before and after"
    assert [path.name for path in here.iterdir()] == ["f"]


def test_attributes_and_kinds(here: Path) -> None:
    (here / "f").write_bytes(b"123")
    (here / "f").chmod(0o604)
    os.utime(here / "f", ns=(1_000_000, 2_000_000_000_000))
    status = (here / "f").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_size, status.st_mtime_ns) == (0o604, 3, 2_000_000_000_000)
    os.mkfifo(here / "pipe")
    assert stat.S_ISFIFO((here / "pipe").stat().st_mode)
    os.truncate(here / "f", 10)
    assert (here / "f").read_bytes() == b"123" + bytes(7)
    assert shutil.disk_usage(here).total > 0
    with os.scandir(here) as entries:
        numbers = {entry.name: entry.inode() for entry in entries}
    assert numbers == {name: (here / name).stat().st_ino for name in ("f", "pipe")}
    if os.geteuid() == 0:
        os.chown(here / "f", 12, -1)
        assert ((here / "f").stat().st_uid, (here / "f").stat().st_gid) == (12, status.st_gid)


def test_the_umask_is_that_of_the_program(here: Path) -> None:
    subprocess.run(["sh", "-c", "umask 027; touch f; mkdir d"], cwd=here, check=True)
    assert [stat.S_IMODE((here / name).stat().st_mode) for name in "fd"] == [0o640, 0o750]


def test_names_are_bytes(here: Path) -> None:
    name = b"\xff\xfe\n\\ \xc3\xa4"
    Path(os.fsdecode(os.fsencode(here) + b"/" + name)).write_text("x")
    assert os.listdir(os.fsencode(here)) == [name]


def test_what_must_not_be_overwritten_is_not(here: Path) -> None:
    (here / "old").write_text("old")
    (here / "new").write_text("new")
    subprocess.run(["mv", "-n", "new", "old"], cwd=here, check=False)
    assert (here / "old").read_text() == "old"
    with pytest.raises(FileExistsError):
        (here / "old").open("x")


@pytest.mark.parametrize(
    ("act", "number"),
    [
        (lambda d: (d / "none").read_text(), errno.ENOENT),
        (lambda d: (d / "f" / "x").read_text(), errno.ENOTDIR),
        (lambda d: (d / "d").rmdir(), errno.ENOTEMPTY),
        (lambda d: (d / "d").mkdir(), errno.EEXIST),
        (lambda d: (d / "d").unlink(), errno.EISDIR),
        (lambda d: os.truncate(d / "f", 1 << 33), errno.EFBIG),
        (lambda d: (d / ("n" * 256)).touch(), errno.ENAMETOOLONG),
        (lambda d: os.getxattr(d / "f", "user.x"), errno.EOPNOTSUPP),
    ],
)  # fmt: skip
def test_errors_are_those_of_a_file_system(
    shown: Path, tmp_path_factory: pytest.TempPathFactory, act: Callable[[Path], object], number: int
) -> None:
    directory = shown / "errors"
    (directory / "d" / "e").mkdir(parents=True, exist_ok=True)
    (directory / "f").touch()
    with pytest.raises(OSError) as error:
        act(directory)
    assert error.value.errno == number


def test_what_one_mount_has_closed_another_one_sees(here: Path, show: Callable[..., Shown]) -> None:
    other = show().directory / here.name
    for text in ("one", "two!", "3"):
        (here / "f").write_text(text)
        assert (other / "f").read_text() == text
        (other / "f").write_text(text * 2)
        assert (here / "f").read_text() == text * 2


def test_a_read_only_mount(served: Served, show: Callable[..., Shown]) -> None:
    mounted = show("ro", None, "--read-only").directory
    with pytest.raises(OSError) as error:
        (mounted / "f").touch()
    assert error.value.errno == errno.EROFS


WRITER = """
import os, sys
with open(sys.argv[1], "wb", buffering=0) as file:
    for number in range(30):
        file.write(bytes([number]) * 100_000)
        os.fsync(file.fileno())
        print(number, flush=True)
"""


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_server_that_is_restarted_is_waited_for(tmp_path: Path, show: Callable[..., Shown], proto: str) -> None:
    with Served(tmp_path) as server:
        mounted = show("m", server.url(proto=proto)).directory
        writing = [sys.executable, "-c", WRITER, str(mounted / "big")]
        with subprocess.Popen(writing, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            for line in writer.stdout:
                if line == "5\n":
                    server.kill()
                    server.start()
            assert writer.wait(60) == 0
        assert (mounted / "big").read_bytes() == b"".join(bytes([number]) * 100_000 for number in range(30))
        server.stop()
        server.start()
        (mounted / "after").write_text("x")
        assert filecmp.dircmp(mounted, mounted).common_files == ["after", "big"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_unmounts(show: Callable[..., Shown], number: int) -> None:
    mounted = show()
    descriptor = os.open(mounted.directory / "open", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"written before the end")
    assert mounted.end(number) == 0
    assert not is_mounted(mounted.directory)
    with contextlib.suppress(OSError):
        os.close(descriptor)
    again = show("again")
    assert (again.directory / "open").read_text() == "written before the end"


def test_a_signal_unmounts_even_if_the_server_is_gone(tmp_path: Path, show: Callable[..., Shown]) -> None:
    with Served(tmp_path) as server:
        mounted = show("m", server.url())
        server.kill()
        waiting = subprocess.Popen(["ls", "-l", mounted.directory / "x"], stderr=subprocess.DEVNULL)
        assert mounted.end() == 0
        assert not is_mounted(mounted.directory)
        assert waiting.wait(30) != 0


def test_the_command_returns_when_the_files_are_there(served: Served, tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    command = [*COMMAND, served.url(), str(tmp_path / "m")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert is_mounted(tmp_path / "m")
    (tmp_path / "m" / "by-the-command").write_text("x")
    subprocess.run(["fusermount3", "-u", tmp_path / "m"], check=True)
    assert not is_mounted(tmp_path / "m")


@pytest.mark.parametrize("foreground", [[], ["--foreground"]])
@pytest.mark.parametrize(
    ("url", "directory", "words"),
    [
        ("{url}", "none", "is no directory to mount on; make it first: mkdir"),
        ("nfs://127.0.0.1:{free}/x", "m", "is the server running?"),
        ("{url}/nothing", "m", "/export/nothing: No such file or directory"),
        ("http://x/", "m", "it must look like nfs://host[:port]/path"),
    ],
)
def test_mistakes(
    served: Served, tmp_path: Path, foreground: list[str], url: str, directory: str, words: str
) -> None:
    (tmp_path / "m").mkdir()
    given = url.format(url=served.url(), free=9)
    command = [*COMMAND, *foreground, given, str(tmp_path / directory)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1
