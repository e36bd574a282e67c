"""The protocols nfs and nfs2: fsspec's own tests for every file system, and what is ours."""

from __future__ import annotations

import errno
import pickle
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec", reason="needs fsspec")

from fsspec.tests.abstract import (  # noqa: E402
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)

from nfsrpc.client import mount  # noqa: E402
from nfsrpc.client.fsspec import NfsFileSystem  # noqa: E402
from nfsrpc.client.url import BadUrl  # noqa: E402
from nfsrpc.testing.served import Served  # noqa: E402

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fsspec.md"


@pytest.fixture
def fs(nfs_server: Served) -> Iterator[Any]:
    system = fsspec.filesystem("nfs", host="127.0.0.1", port=nfs_server.port, auto_mkdir=True, skip_instance_cache=True)
    yield system
    system.close()


@pytest.fixture
def here(nfs_url: str) -> str:
    """A directory of the test's own, as fsspec's paths have it."""
    return str(NfsFileSystem._strip_protocol(nfs_url))


class Fixtures(AbstractFixtures):  # type: ignore[misc]
    """What fsspec's tests want to know."""

    @pytest.fixture
    def fs(self, nfs_server: Served) -> Iterator[Any]:
        system = fsspec.filesystem(
            "nfs2", host="127.0.0.1", port=nfs_server.port, auto_mkdir=True, skip_instance_cache=True
        )
        yield system
        system.close()

    @pytest.fixture
    def fs_path(self, nfs_url: str) -> str:
        return str(NfsFileSystem._strip_protocol(nfs_url))


class TestCopy(AbstractCopyTests, Fixtures):  # type: ignore[misc]
    """fsspec's."""


class TestGet(AbstractGetTests, Fixtures):  # type: ignore[misc]
    """fsspec's."""


class TestPut(AbstractPutTests, Fixtures):  # type: ignore[misc]
    """fsspec's."""


class TestOpen(AbstractOpenTests, Fixtures):  # type: ignore[misc]
    """fsspec's."""


class TestPipe(AbstractPipeTests, Fixtures):  # type: ignore[misc]
    """fsspec's."""


@pytest.mark.parametrize("protocol", ["nfs", "nfs2"])
def test_a_url_is_all_that_is_needed(nfs_url: str, protocol: str) -> None:
    url = nfs_url.replace("nfs://", f"{protocol}://")
    with fsspec.open(f"{url}/table.csv?uid=0&proto=udp", "w") as file:
        file.write("a,b\n1,2\n")
    with fsspec.open(f"{url}/table.csv?uid=0") as file:
        assert file.read() == b"a,b\n1,2\n"
    system, path = fsspec.core.url_to_fs(f"{url}/table.csv?uid=0")
    assert isinstance(system, NfsFileSystem)
    assert path == NfsFileSystem._strip_protocol(url) + "/table.csv"
    assert system.unstrip_protocol(path) == f"{nfs_url}/table.csv"


def test_info_and_ls(fs: Any, here: str) -> None:
    fs.pipe(f"{here}/d/f", b"12345")
    fs.symlink("f", f"{here}/d/link")
    fs.symlink("nowhere", f"{here}/d/dangling")
    found = {entry["name"].rpartition("/")[2]: entry for entry in fs.ls(f"{here}/d")}
    assert {name: (entry["type"], entry["size"], entry["islink"]) for name, entry in found.items()} == {
        "f": ("file", 5, False),
        "link": ("file", 5, True),
        "dangling": ("link", 7, True),
    }
    assert found["link"]["destination"] == "f"
    assert fs.ls(f"{here}/d/f", detail=False) == [f"{here}/d/f"]
    assert (fs.isdir(f"{here}/d"), fs.isfile(f"{here}/d/f"), fs.exists(f"{here}/x")) == (True, True, False)
    assert abs((fs.modified(f"{here}/d/f") - datetime.now(UTC)).total_seconds()) < 3600
    with pytest.raises(FileNotFoundError):
        fs.ls(f"{here}/none")


def test_find_glob_and_walk(fs: Any, here: str) -> None:
    for name in ("a/1.c", "a/b/2.c", "a/b/3.h"):
        fs.pipe(f"{here}/{name}", b"")
    assert fs.glob(f"{here}/a/**/*.c") == [f"{here}/a/1.c", f"{here}/a/b/2.c"]
    assert fs.glob(f"{here}/a/?.c") == [f"{here}/a/1.c"]
    assert fs.find(here) == sorted(f"{here}/{name}" for name in ("a/1.c", "a/b/2.c", "a/b/3.h"))
    assert [path for path, _, _ in fs.walk(here)] == [here, f"{here}/a", f"{here}/a/b"]


def test_moving_linking_and_removing(fs: Any, here: str) -> None:
    fs.pipe(f"{here}/a/f", b"x")
    fs.mv(f"{here}/a", f"{here}/b")
    fs.link(f"{here}/b/f", f"{here}/b/g")
    assert fs.info(f"{here}/b/g")["nlink"] == 2
    fs.chmod(f"{here}/b/f", 0o600)
    assert fs.info(f"{here}/b/g")["mode"] & 0o777 == 0o600
    with pytest.raises(IsADirectoryError):
        fs.rm(f"{here}/b")
    with pytest.raises(OSError) as error:
        fs.rmdir(f"{here}/b")
    assert error.value.errno == errno.ENOTEMPTY
    fs.rm(f"{here}/b", recursive=True)
    assert fs.ls(here) == []


def test_ranges_appending_and_exclusive_creation(fs: Any, here: str) -> None:
    fs.pipe(f"{here}/f", bytes(range(256)) * 100)
    assert fs.cat_file(f"{here}/f", 250, 260) == bytes([*range(250, 256), *range(4)])
    assert fs.tail(f"{here}/f", 3) == bytes([253, 254, 255])
    with fs.open(f"{here}/f", "ab") as file:
        file.write(b"end")
    assert fs.size(f"{here}/f") == 25603
    with pytest.raises(FileExistsError):
        fs.open(f"{here}/f", "xb")


def test_what_the_page_shows(
    make_nfs_server: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_nfs_server()
    with mount(server.url()) as m:
        m.mkdir("results")
    monkeypatch.chdir(tmp_path)
    (shown,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    exec(shown.replace("sun", "127.0.0.1").replace("2049", str(server.port)).replace("1000", "0"), {})
    assert (tmp_path / "results").is_dir()
    with mount(server.url()) as m:
        assert m.read_text("table.csv") == "a,b\n1,2\n"


def test_it_can_be_pickled(nfs_url: str) -> None:
    fs, path = fsspec.core.url_to_fs(nfs_url)
    fs.pipe(f"{path}/f", b"x")
    assert pickle.loads(pickle.dumps(fs)).cat(f"{path}/f") == b"x"


def test_each_export_is_a_mount_of_its_own(make_nfs_server: Callable[..., Served]) -> None:
    server = make_nfs_server(export="/deep/export")
    fs = fsspec.filesystem("nfs", host="127.0.0.1", port=server.port, skip_instance_cache=True)
    fs.pipe("/deep/export/f", b"x")
    with pytest.raises(OSError):
        fs.ls("/other")
    fs.close()


@pytest.mark.parametrize("arguments", [{"proto": "sctp"}, {"blah": 1}, {"port": 70000}])
def test_arguments_that_are_none(arguments: dict[str, Any]) -> None:
    with pytest.raises(BadUrl):
        fsspec.filesystem("nfs", **{"host": "h", **arguments})
