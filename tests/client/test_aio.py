"""The asyncio mount: that it is a twin of the blocking one, and that its tasks share a connection and a cache."""

from __future__ import annotations

import asyncio
import inspect
import io
import itertools
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from nfsrpc.client import Mount, aio
from nfsrpc.client import mount as blocking_mount
from nfsrpc.client.aio import AsyncMount
from nfsrpc.testing.served import Served

_numbers = itertools.count()
Work = Callable[[AsyncMount], Coroutine[Any, Any, None]]


@pytest.fixture(params=["tcp", "udp"])
def run(request: pytest.FixtureRequest, served: Served) -> Callable[[Work], None]:
    """Run work on a mount of a directory of the test's own."""
    name = f"aio-{os.getpid()}-{next(_numbers)}"
    with blocking_mount(served.url(uid=0, gid=0)) as top:
        top.mkdir(name)

    async def whole(work: Work) -> None:
        async with await aio.mount(served.url("/" + name, proto=request.param, uid=0, gid=0)) as m:
            await work(m)

    return lambda work: asyncio.run(whole(work))


def public(cls: type[Any]) -> dict[str, Any]:
    return {name: member for name, member in vars(cls).items() if not name.startswith("_") and callable(member)}


def shape(method: Any) -> list[tuple[Any, ...]]:
    return [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]


def test_the_twins_have_the_same_methods_and_arguments() -> None:
    blocking, asynchronous = public(Mount), public(AsyncMount)
    assert set(blocking) - set(asynchronous) == {"path", "fsync"}
    assert set(asynchronous) <= set(blocking)
    for name, method in asynchronous.items():
        assert shape(method) == shape(blocking[name]), name


def test_everything_once(run: Callable[[Work], None]) -> None:
    async def work(m: AsyncMount) -> None:
        await m.makedirs("a/b")
        assert await m.write_text("a/f", "one\ntwo\n") == 8
        await m.symlink("f", "a/s")
        await m.link("a/f", "a/h")
        assert sorted(await m.listdir("a")) == ["b", "f", "h", "s"]
        assert sorted(await m.listdir("a")) == ["b", "f", "h", "s"]
        assert sorted(entry.name for entry in await m.scandir("a") if entry.is_file()) == ["f", "h", "s"]
        assert [path async for path, _, _ in m.walk()] == ["", "a", "a/b"]
        assert await m.glob("a/[fh]") == ["a/f", "a/h"]
        assert (await m.stat("a/s")).st_nlink == 2
        assert (await m.isdir("a"), await m.isfile("a/f"), await m.islink("a/s"), await m.exists("x")) == (
            True, True, True, False)  # fmt: skip
        assert await m.readlink("a/s") == "f"
        await m.chmod("a/f", 0o600)
        await m.chown("a/f", 1, -1)
        await m.utime("a/f", (1, 2))
        status = await m.lstat("a/f")
        assert (status.st_mode & 0o777, status.st_uid, status.st_mtime) == (0o600, 1, 2)
        await m.truncate("a/f", 3)
        assert await m.read_bytes("a/h") == b"one"
        await m.rename("a/h", "a/i")
        await m.mknod("a/p")
        assert (await m.statvfs()).f_namemax == 255
        await m.remove("a/i")
        await m.rmdir("a/b")
        with pytest.raises(FileNotFoundError) as raised:
            await m.open("a/none")
        assert raised.value.filename.endswith("/a/none")
        await m.rmtree("a")
        assert await m.listdir() == []

    run(work)


def test_files(run: Callable[[Work], None]) -> None:
    async def work(m: AsyncMount) -> None:
        data = os.urandom(1_000_003)
        async with await m.open("f", "xb") as file:
            for at in range(0, len(data), 70_001):
                await file.write(data[at : at + 70_001])
        assert await m.read_bytes("f") == data
        async with await m.open("f", "r+b") as file:
            assert await file.read(10) == data[:10]
            assert file.raw is not None
            assert await file.tell() == 10
            await file.write(b"xyz")
            await file.seek(8)
            assert await file.read(6) == data[8:10] + b"xyz" + data[13:14]
            assert await file.seek(-2, os.SEEK_END) == len(data) - 2
            assert await file.read() == data[-2:]
            await file.truncate(100)
        async with await m.open("f", "ab", 0) as raw:
            await raw.write(b"end")
            await raw.fsync()
            assert (await raw.stat()).st_size == 103
            with pytest.raises(io.UnsupportedOperation):
                await raw.read(1)
        async with await m.open("f", "rb", 0) as raw:
            assert await raw.pread(10, 98) == data[98:99] + (await raw.pread(4, 99))
        with pytest.raises(ValueError, match="closed"):
            await raw.pread(1, 0)

    run(work)


def test_text_by_lines(run: Callable[[Work], None]) -> None:
    async def work(m: AsyncMount) -> None:
        lines = [f"caf\u00e9 {number}\n" for number in range(1000)]
        async with await m.open("t", "w", encoding="utf-16", newline="\r\n") as file:
            await file.writelines(lines)
        async with await m.open("t", encoding="utf-16") as file:
            assert [line async for line in file] == lines
        async with await m.open("t", encoding="utf-16") as file:
            assert await file.readline() == lines[0]
            assert await file.read(5) == lines[1][:5]
            assert await file.read() == lines[1][5:] + "".join(lines[2:])

    run(work)


def test_many_tasks_at_once(run: Callable[[Work], None]) -> None:
    async def work(m: AsyncMount) -> None:
        await asyncio.gather(*(m.write_bytes(f"f{number}", bytes([number]) * 10_000) for number in range(100)))
        contents = await asyncio.gather(*(m.read_bytes(f"f{number}") for number in range(100)))
        assert contents == [bytes([number]) * 10_000 for number in range(100)]

    run(work)


def test_a_cancelled_task_leaves_the_others_alone(run: Callable[[Work], None]) -> None:
    async def work(m: AsyncMount) -> None:
        data = os.urandom(2_000_000)
        await m.write_bytes("f", data)
        readers = [asyncio.create_task(m.read_bytes("f")) for _ in range(4)]
        await asyncio.sleep(0)
        readers[0].cancel()
        outcomes = await asyncio.gather(*readers, return_exceptions=True)
        assert isinstance(outcomes[0], asyncio.CancelledError)
        assert outcomes[1:] == [data] * 3

    run(work)


def test_a_reader_is_not_cancelled_by_a_writer_of_the_same_page(run: Callable[[Work], None]) -> None:
    async def work(m: AsyncMount) -> None:
        await m.write_bytes("f", bytes(100))
        async with await m.open("f", "r+b", 0) as file:
            reader = asyncio.create_task(file.pread(10, 0))
            await asyncio.sleep(0)
            await file.pwrite(b"x" * 10, 0)
            await file.fsync()
            assert await reader == b"x" * 10

    run(work)


def test_a_mount_whose_server_is_silent_can_be_abandoned(tmp_path: Path) -> None:
    async def work(server: Served) -> None:
        m = await aio.mount(server.url())
        server.kill()
        waiting = asyncio.create_task(m.listdir(""))
        await asyncio.sleep(0)
        await m.abandon()
        with pytest.raises(OSError):
            await waiting

    with Served(tmp_path) as server:
        asyncio.run(asyncio.wait_for(work(server), 60))
