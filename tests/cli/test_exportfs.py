"""nfsrpc exportfs, and a server that serves what a file lists."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result
from until import until

from nfsrpc.auth import SysCredential
from nfsrpc.client.mountd import MountService
from nfsrpc.client.nfs2 import Nfs2, attributes_to_set
from nfsrpc.protocols import mount
from nfsrpc.store.volume import make_volume
from nfsrpc.transport.client_tcp import connect_tcp

Run = Callable[..., Result]


def test_what_a_file_means(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "exports"
    path.write_text("/a 10.0.0.0/8(rw,sec=sys:krb5,all_squash) *\n/b (async,fsid=7,anonuid=5) # no host\n")
    result = run("exportfs", "--check", path)
    assert result.exit_code == 0
    assert [line.split() for line in result.stdout.splitlines()] == [
        ["DIRECTORY", "CLIENT", "OPTIONS"],
        ["/a", "10.0.0.0/8", "sync,anonuid=65534,anongid=65534,sec=sys:krb5,rw,secure,root_squash,all_squash"],
        ["/a", "*", "sync,anonuid=65534,anongid=65534,sec=sys,ro,secure,root_squash,no_all_squash"],
        ["/b", "*", "async,fsid=7,anonuid=5,anongid=65534,sec=sys,ro,secure,root_squash,no_all_squash"],
    ]
    assert result.stderr.startswith(f"nfsrpc: {path}:2:4: options without a client are for everybody")
    found = json.loads(run("exportfs", "--json", "--check", path).stdout)
    assert [(one["path"], one["client"]) for one in found] == [("/a", "10.0.0.0/8"), ("/a", "*"), ("/b", "*")]
    assert "all_squash" in found[0]["options"]


def test_what_it_shows_can_be_read_again(nfsrpc: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "exports"
    path.write_text("/a 10.0.0.0/8(fsid=3,sec=krb5p,rw,no_root_squash,sec=sys,ro,root_squash) *(fsid=3)\n")
    shown = nfsrpc("exportfs", "--check", path)
    lines = [line.split() for line in shown.splitlines()[1:]]
    path.write_text("".join(f"{directory} {client}({options})\n" for directory, client, options in lines))
    assert nfsrpc("exportfs", "--check", path) == shown


def test_all_that_is_wrong_is_told(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "exports"
    path.write_text("/a sun(rx)\nb *\n/c *\x1b[2J(rw)\n")
    result = run("exportfs", "--check", path)
    assert (result.exit_code, result.stdout) == (1, "")
    lines = result.stderr.splitlines()
    assert [line.split(": ")[:2] for line in lines[:2]] == [["nfsrpc", f"{path}:1:8"], ["nfsrpc", f"{path}:2:1"]]
    assert "\x1b" not in result.stderr


def test_no_file(failing: Callable[..., str], tmp_path: Path) -> None:
    assert failing("exportfs", "--check", tmp_path / "none").endswith("none: No such file or directory")
    assert "Is a directory" in failing("exportfs", "--check", tmp_path)


class Server:
    """`nfsrpc serve --exports` on a free port."""

    def __init__(self, directory: Path, *options: str) -> None:
        ready, self._log = directory / "ready", directory / "log"
        command = [sys.executable, "-m", "nfsrpc", "serve", "--exports", str(directory / "exports"), "--no-portmap"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--port", "0", "--ready-file", str(ready), *options], stdout=log, stderr=log
            )
        until(lambda: ready.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log()
        self.port = int(ready.read_text())

    def log(self) -> str:
        return self._log.read_text()

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def exports(self) -> list[bytes]:
        with connect_tcp("127.0.0.1", self.port, credential=SysCredential()) as client:
            return [line.path for line in MountService(client).exports()]

    def mnt(self, path: Path) -> bytes:
        with connect_tcp("127.0.0.1", self.port, credential=SysCredential()) as client:
            return MountService(client).mnt(os.fsencode(path))

    def mounted(self, path: Path) -> bytes:
        """As `mnt`, patient with workers that leave and do not know of `path` yet."""
        found: list[bytes] = []

        def try_it() -> bool:
            with contextlib.suppress(FileNotFoundError):
                found.append(self.mnt(path))
            return bool(found)

        until(try_it)
        return found[0]

    def status(self, handle: bytes) -> str:
        with connect_tcp("127.0.0.1", self.port, credential=SysCredential()) as client:
            try:
                Nfs2(client).getattr(handle)
            except OSError as error:
                return error.strerror
            return "ok"


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    servers = []

    def serve(text: str, *options: str) -> Server:
        (tmp_path / "exports").write_text(text)
        servers.append(Server(tmp_path, *options))
        return servers[-1]

    for name in ("a", "b"):
        make_volume(tmp_path / name)
    yield serve
    for server in servers:
        server.process.terminate()
        server.process.wait(60)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_file_is_served_and_read_again(serve: Callable[..., Server], tmp_path: Path, workers: str) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    both = f"{a} *(rw,insecure)\n{b} *(rw,insecure)\n"
    server = serve(f"{a} *(rw,insecure)\n", "--workers", workers)
    assert server.exports() == [os.fsencode(a)]
    handle = server.mnt(a)

    (tmp_path / "exports").write_text(both)
    server.reload()
    until(lambda: server.exports() == [os.fsencode(a), os.fsencode(b)])
    other = server.mounted(b)
    assert server.status(handle) == "ok"
    until(lambda: server.status(other) == "ok")

    (tmp_path / "exports").write_text(f"{a} *(rx)\n")
    server.reload()
    until(lambda: "nothing is reloaded" in server.log())
    assert f"{tmp_path}/exports:1:{len(str(a)) + 4}: unknown option 'rx'" in server.log()
    assert server.status(other) == "ok"

    (tmp_path / "exports").write_text(f"{tmp_path}/none *\n")
    server.reload()
    until(lambda: "no such file or directory" in server.log())
    assert server.status(other) == "ok"

    (tmp_path / "exports").write_text(f"{b} *(rw,insecure)\n")
    server.reload()
    until(lambda: server.exports() == [os.fsencode(b)])
    until(lambda: "Stale" in server.status(handle))
    assert server.status(other) == "ok"

    (tmp_path / "exports").write_text(both)
    server.reload()
    until(lambda: len(server.exports()) == 2)
    until(lambda: server.status(handle) == "ok")
    server.process.terminate()
    assert server.process.wait(60) == 0


def test_a_volume_that_is_served_no_more_can_be_used(serve: Callable[..., Server], tmp_path: Path, run: Run) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    server = serve(f"{a} *\n{b} *\n")
    assert "in use" in run("fsck", a).stderr
    (tmp_path / "exports").write_text(f"{b} *\n")
    server.reload()
    until(lambda: run("fsck", a).exit_code == 0)
    assert "in use" in run("fsck", b).stderr


def test_reloading_leaves_nothing_open(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(f"{tmp_path / 'a'} *(insecure)\n")
    folder = Path(f"/proc/{server.process.pid}/fd")

    def reloaded(name: str) -> int:
        (tmp_path / "exports").write_text(f"{tmp_path / 'a'} *(insecure)\n{tmp_path / name} *(insecure)\n")
        server.reload()
        until(lambda: server.exports()[1:] == [os.fsencode(tmp_path / name)])
        return len(list(folder.iterdir()))

    make_volume(tmp_path / "c")
    reloaded("b")
    first = reloaded("c")
    assert max(reloaded(name) for name in ("b", "c") * 3) <= first + 1


@pytest.mark.parametrize(("options", "asynchronous"), [("async", True), ("sync", False)])
def test_async_is_said_aloud_and_reaches_the_volume(
    serve: Callable[..., Server], tmp_path: Path, options: str, asynchronous: bool
) -> None:
    server = serve(f"{tmp_path / 'a'} *(rw,insecure,no_root_squash,{options})\n")
    assert ("a power cut can take" in server.log()) is asynchronous
    with connect_tcp("127.0.0.1", server.port, credential=SysCredential()) as client:
        root = MountService(client).mnt(os.fsencode(tmp_path / "a"))
        file, _ = Nfs2(client).create(root, b"f", attributes_to_set(mode=0o600))
        Nfs2(client).write(file, 0, b"x" * 8192)
    assert (behind(server.process.pid) > 0) is asynchronous


def behind(pid: int) -> int:
    """Threads of a server that sync behind the replies."""
    return len(list(Path(f"/proc/{pid}/task").iterdir())) - 1


def test_a_plain_directory_in_the_file(serve: Callable[..., Server], tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "f").write_bytes(b"from the host")
    try:
        lines = f"{tmp_path / 'plain'} *(ro,insecure)\n{tmp_path / 'a'} *(rw,insecure)\n"
        server = serve(lines, "--state", str(tmp_path / "state"))
    except AssertionError as error:
        if "file handles" in str(error):
            pytest.skip("no file system with handles here")
        raise
    with connect_tcp("127.0.0.1", server.port, credential=SysCredential()) as client:
        service, nfs = MountService(client), Nfs2(client)
        root = service.mnt(os.fsencode(tmp_path / "plain"))
        service.mnt(os.fsencode(tmp_path / "a"))
        file, _ = nfs.lookup(root, b"f")
        assert nfs.read(file, 0, 100)[0] == b"from the host"
        with pytest.raises(OSError, match="Read-only"):
            nfs.write(file, 0, b"x")
        assert {(row.host, row.path) for row in service.dump()} == {
            (b"127.0.0.1", os.fsencode(tmp_path / name)) for name in ("plain", "a")
        }
        mount.MOUNTPROG_1_client(client).MOUNTPROC_UMNTALL()
        assert service.dump() == []


def test_what_lies_in_a_volume_is_no_export(failing: Callable[..., str], tmp_path: Path) -> None:
    make_volume(tmp_path / "a")
    for inside in ("data", "home"):
        (tmp_path / "exports").write_text(f"{tmp_path / 'a' / inside} *\n")
        words = failing("serve", "--exports", tmp_path / "exports", "--port", "0", "--no-portmap")
        assert f"it lies in the volume {tmp_path / 'a'}; serve that" in words


@pytest.mark.parametrize("fsids", [("5",), ("5", "5"), ("5", "6", "7")])
def test_every_path_has_an_fsid_of_its_own(run: Run, fsids: tuple[str, ...]) -> None:
    result = run("serve", "/v", "/w", *(word for fsid in fsids for word in ("--fsid", fsid)))
    assert result.exit_code == 2
    assert "give each of the 2 paths one of its own" in result.stderr


def test_who_is_not_let_in(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(f"{tmp_path / 'a'} 192.0.2.0/24\n")
    with pytest.raises(PermissionError):
        server.mnt(tmp_path / "a")
    assert "127.0.0.1 is refused" in server.log()


@pytest.mark.parametrize("client", ["local*", "LOCALHOST", "localhos?", "127.0.0.0/8", "127.0.0.1"])
def test_this_machine_by_every_kind_of_name(serve: Callable[..., Server], tmp_path: Path, client: str) -> None:
    server = serve(f"{tmp_path / 'a'} @no-such-netgroup-here(ro) {client}(rw,insecure)\n")
    assert server.mnt(tmp_path / "a")
    assert server.status(server.mnt(tmp_path / "a")) == "ok"


def test_who_must_come_by_tls_is_told_how_it_is_served(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve(f"{tmp_path / 'a'} *(xprtsec=tls)\n")
    with pytest.raises(PermissionError):
        server.mnt(tmp_path / "a")
    assert "it takes --tls-cert and --tls-key" in server.log()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("/v",), "a PATH and --exports; list /v in"),
        (("--read-only",), "--read-only and --exports; say it in"),
        (("--sec", "sys"), "--sec and --exports"),
        (("--as", "/x"), "--as and --exports"),
    ],
)
def test_what_the_file_says_is_not_said_twice(run: Run, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    (tmp_path / "exports").write_text("/v *\n")
    result = run("serve", "--exports", tmp_path / "exports", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr


@pytest.mark.parametrize(
    ("text", "words"),
    [("", ":1:1: nothing is exported"), ("/none *", "/none: no such file or directory"), ("/v *(rx)", ":1:6: unknown")],
)
def test_files_that_cannot_be_served(failing: Callable[..., str], tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "exports").write_text(text)
    assert words in failing("serve", "--exports", tmp_path / "exports", "--port", "0", "--no-portmap")
