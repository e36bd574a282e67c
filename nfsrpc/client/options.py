"""How a mount behaves: patience, transfer sizes, caches. One frozen object; URLs and keyword arguments fill it."""

from dataclasses import dataclass

PAGE = 8192
"""Bytes of a page of the cache, and of the largest READ and WRITE of version 2 (RFC 1094 §2.3.1, MAXDATA)."""


@dataclass(frozen=True, slots=True)
class Options:
    """Everything about a mount that has a default. Times are seconds, sizes bytes.

    hard
        What to do when the server stays silent: ask again for ever (as kernels do), or,
        if False, fail with `TimeoutError` after `retrans` further attempts.
    timeout
        How long one attempt may take. Over TCP the connection is then made anew, over UDP a call has been
        sent several times by then. The call keeps its xid, so that a server that remembers does it once.
    retrans
        Attempts after the first one on a soft mount.
    read_size, write_size
        Bytes of one READ or WRITE, at most 8192; old servers over bad networks want less. A power of two.
    readdir_size
        Bytes of one page of a directory.
    read_ahead
        Bytes that are asked for ahead of a sequential reader, at most. 0: never.
    write_behind
        Bytes that a writer may be ahead of the server's answers.
    cache_size
        Bytes of file contents that are kept.
    file_min, file_max
        Seconds for which a file's attributes are believed: the first when they have just changed,
        twice as long each time they are found unchanged, up to the second.
    directory_min, directory_max
        The same for directories, and with them for the names in them, those that are not there included.
        All four 0: attributes and names are asked for each time.
    names
        Whether names are kept at all.
    nodes
        Files whose attributes are kept.
    umask
        Bits that new files and directories do not get; None: those of this process.
    """

    hard: bool = True
    timeout: float = 30.0
    retrans: int = 2
    read_size: int = PAGE
    write_size: int = PAGE
    readdir_size: int = PAGE
    read_ahead: int = 1 << 20
    write_behind: int = 1 << 20
    cache_size: int = 64 << 20
    file_min: float = 3.0
    file_max: float = 60.0
    directory_min: float = 30.0
    directory_max: float = 60.0
    names: bool = True
    nodes: int = 65536
    umask: int | None = None

    def __post_init__(self) -> None:
        for name in ("read_size", "write_size"):
            size = getattr(self, name)
            if size & (size - 1) or not 512 <= size <= PAGE:
                raise ValueError(f"{name} is a power of two from 512 to {PAGE}, not {size}")
        if not 512 <= self.readdir_size <= PAGE:
            raise ValueError(f"readdir_size is from 512 to {PAGE}, not {self.readdir_size}")
        if self.timeout <= 0 or self.retrans < 0 or self.nodes < 1:
            raise ValueError("timeout and nodes must be more than 0, retrans not less")
        if min(self.read_ahead, self.write_behind, self.cache_size) < 0:
            raise ValueError("read_ahead, write_behind and cache_size must not be less than 0")
        if not (0 <= self.file_min <= self.file_max and 0 <= self.directory_min <= self.directory_max):
            raise ValueError("lifetimes of attributes must not be less than 0, nor the longest less than the shortest")


DEFAULTS = Options()
