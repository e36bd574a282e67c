"""Remote files for everything that speaks fsspec (pandas, dask, zarr...): protocols ``nfs`` and ``nfs2``.

    import fsspec

    fs = fsspec.filesystem("nfs", host="sun", port=2049, uid=1000)
    with fsspec.open("nfs://sun:2049/home/me/table.csv?uid=1000") as file:
        ...

Needs the extra ``[fsspec]``. Paths are those of the server, from ``/`` on, with the export's own path in front.
"""

import os
import re
import stat
import threading
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from fsspec import AbstractFileSystem
from fsspec.utils import stringify_path

from .blocking import Mount, mount
from .identity import credential_of
from .locate import MOUNT_SERVER, locate, open_client
from .mountd import MountService, longest_export
from .site import find_site
from .url import NfsUrl, authority, parse_authority, parse_url

_URL = re.compile(r"nfs2?://([^/?]*)(/[^?]*)?(\?.*)?", re.DOTALL)
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link"}


class NfsFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """Files of the server `host`.

    `port` and `arguments` are those of a URL (``proto``, ``uid``, ``gid``, ``sec``, ``soft``...), see
    `nfsrpc.client.url.parse_url`. With `auto_mkdir` directories are made where a file is written into them.
    """

    protocol = ("nfs", "nfs2")
    root_marker = "/"

    def __init__(self, host: str, port: int | None = None, auto_mkdir: bool = False, **arguments: Any) -> None:
        own = {name: arguments.pop(name) for name in _OF_FSSPEC & arguments.keys()}
        super().__init__(host=host, port=port, auto_mkdir=auto_mkdir, **own, **arguments)
        self.host = host
        self.port = port
        self.auto_mkdir = auto_mkdir
        query = {name.replace("_", "-"): int(value) if isinstance(value, bool) else value
                 for name, value in arguments.items()}  # fmt: skip
        self._query = urlencode(query)
        self._url("/")
        self._lock = threading.Lock()
        self._exports: list[Any] | None = None
        self._mounts: dict[bytes, Mount] = {}

    # --- names

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = stringify_path(path)
        found = _URL.fullmatch(text)
        if found is not None:
            text = found[2] or "/"
        return "/" + "/".join(name for name in text.split("/") if name not in ("", "."))

    @staticmethod
    def _get_kwargs_from_urls(path: str) -> dict[str, Any]:
        found = _URL.fullmatch(stringify_path(path))
        if found is None:
            return {}
        host, port = parse_authority(found[1])
        return {"host": host, "port": port} | dict(parse_qsl((found[3] or "")[1:], keep_blank_values=True))

    def unstrip_protocol(self, name: str) -> str:
        """The whole URL of a path."""
        return f"nfs://{authority(self.host, self.port)}{self._strip_protocol(name)}"

    @property
    def fsid(self) -> str:
        """Which server this is."""
        return f"nfs_{authority(self.host, self.port)}"

    def _url(self, path: str) -> NfsUrl:
        query = f"?{self._query}" if self._query else ""
        return parse_url(f"nfs://{authority(self.host, self.port)}{quote(os.fsencode(path))}{query}")

    def _at(self, path: str) -> tuple[Mount, str]:
        """The mount of the export that holds `path`, and the rest of it."""
        raw = os.fsencode(path)
        with self._lock:
            if self._exports is None:
                url = self._url(path)
                place = locate(url.host, url.mount_port or url.port, MOUNT_SERVER, url.proto)
                with open_client(place, credential_of(url), url.options.timeout) as client:
                    self._exports = MountService(client).exports()
            export = longest_export(self._exports, raw)
            if export is None:
                export = find_site(self._url(path)).export
            if export not in self._mounts:
                self._mounts[export] = mount(self._url(os.fsdecode(export)))
            below = raw[len(export) :] if export != b"/" else raw
            return self._mounts[export], os.fsdecode(below).strip("/")

    def close(self) -> None:
        """Unmount everything."""
        with self._lock:
            for mounted in self._mounts.values():
                mounted.close()
            self._mounts.clear()

    # --- looking

    def _info(self, path: str, status: os.stat_result, mounted: Mount, below: str) -> dict[str, Any]:
        found = {
            "name": path,
            "size": status.st_size,
            "type": _KINDS.get(stat.S_IFMT(status.st_mode), "other"),
            "islink": stat.S_ISLNK(status.st_mode),
            "created": status.st_ctime,
            "mtime": status.st_mtime,
            "mode": status.st_mode,
            "uid": status.st_uid,
            "gid": status.st_gid,
            "ino": status.st_ino,
            "nlink": status.st_nlink,
        }
        if found["islink"]:
            found["destination"] = mounted.readlink(below)
            try:
                there = mounted.stat(below)
            except OSError:
                return found
            found |= {"size": there.st_size, "type": _KINDS.get(stat.S_IFMT(there.st_mode), "other")}
        return found

    def info(self, path: str, **kwargs: Any) -> dict[str, Any]:
        """Everything about one path; a link is described by what it leads to."""
        path = self._strip_protocol(path)
        mounted, below = self._at(path)
        return self._info(path, mounted.lstat(below), mounted, below)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> list[Any]:
        """What is in a directory, or the file itself."""
        path = self._strip_protocol(path)
        mounted, below = self._at(path)
        own = self.info(path)
        if own["type"] != "directory":
            return [own] if detail else [path]
        base = path.rstrip("/")
        if not detail:
            return [f"{base}/{name}" for name in mounted.listdir(below)]
        return [
            self._info(f"{base}/{entry.name}", entry.stat(follow_symlinks=False), mounted, f"{below}/{entry.name}")
            for entry in mounted.scandir(below)
        ]

    def created(self, path: str) -> datetime:
        """Time of the last change of attributes, the nearest that NFS has."""
        return datetime.fromtimestamp(self.info(path)["created"], tz=UTC)

    def modified(self, path: str) -> datetime:
        """Time of the last change of contents."""
        return datetime.fromtimestamp(self.info(path)["mtime"], tz=UTC)

    # --- changing

    def _target(self, path: str) -> tuple[Mount, str]:
        """Where something shall be made, with the directories above it if they are wanted."""
        path = self._strip_protocol(path)
        mounted, below = self._at(path)
        if self.auto_mkdir and "/" in below:
            mounted.makedirs(below.rpartition("/")[0], exist_ok=True)
        return mounted, below

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        if not autocommit:
            raise NotImplementedError("transactions: write to another name, and mv it")
        mounted, below = self._at(self._strip_protocol(path)) if mode == "rb" else self._target(path)
        return mounted.open(below, mode, block_size or -1)

    def mkdir(self, path: str, create_parents: bool = True, **kwargs: Any) -> None:
        """Make a directory."""
        mounted, below = self._at(self._strip_protocol(path))
        if create_parents and "/" in below:
            mounted.makedirs(below.rpartition("/")[0], exist_ok=True)
        mounted.mkdir(below)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Make a directory and those above it."""
        mounted, below = self._at(self._strip_protocol(path))
        mounted.makedirs(below, exist_ok=exist_ok)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        mounted, below = self._at(self._strip_protocol(path))
        mounted.rmdir(below)

    def _rm(self, path: str) -> None:
        mounted, below = self._at(self._strip_protocol(path))
        mounted.remove(below)

    def rm(self, path: Any, recursive: bool = False, maxdepth: int | None = None) -> None:
        """Remove files, and with `recursive` directories with what is in them."""
        if maxdepth is not None:
            super().rm(path, recursive=recursive, maxdepth=maxdepth)
            return
        for one in self.expand_path(path):
            mounted, below = self._at(one)
            if not mounted.isdir(below) or mounted.islink(below):
                mounted.remove(below)
            elif recursive:
                mounted.rmtree(below)
            else:
                raise IsADirectoryError(21, os.strerror(21), one)

    def cp_file(self, path1: str, path2: str, **kwargs: Any) -> None:
        """Copy a file; a directory is made."""
        if self.isdir(path1):
            self.makedirs(path2, exist_ok=True)
            return
        mounted, below = self._at(self._strip_protocol(path1))
        to, target = self._target(path2)
        with mounted.open(below, "rb", 0) as source, to.open(target, "wb", 0) as sink:
            while block := source.read(1 << 20):
                sink.write(block)

    def mv(self, path1: str, path2: str, recursive: bool = True, maxdepth: int | None = None, **kwargs: Any) -> None:
        """Rename; between two exports copy and remove."""
        mounted, below = self._at(self._strip_protocol(path1))
        to, target = self._target(path2)
        if mounted is to and maxdepth is None:
            if to.isdir(target):
                target = f"{target}/{below.rpartition('/')[2]}"
            mounted.rename(below, target)
            return
        super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **kwargs)

    def touch(self, path: str, truncate: bool = True, **kwargs: Any) -> None:
        """Make an empty file, or empty the one that is there, or (not `truncate`) set its times to now."""
        mounted, below = self._target(path)
        if not truncate and mounted.exists(below):
            mounted.utime(below)
            return
        mounted.open(below, "wb", 0).close()

    def chmod(self, path: str, mode: int) -> None:
        """Change permissions."""
        mounted, below = self._at(self._strip_protocol(path))
        mounted.chmod(below, mode)

    def link(self, src: str, dst: str, **kwargs: Any) -> None:
        """One more name, `dst`, of the file `src`."""
        mounted, below = self._at(self._strip_protocol(src))
        _, target = self._target(dst)
        mounted.link(below, target)

    def symlink(self, src: str, dst: str, **kwargs: Any) -> None:
        """A symbolic link `dst` with the text `src`."""
        mounted, below = self._target(dst)
        mounted.symlink(src, below)


_OF_FSSPEC = frozenset({
    "use_listings_cache", "listings_expiry_time", "max_paths", "skip_instance_cache", "asynchronous", "loop",
})  # fmt: skip
"""Arguments that are not the URL's."""
