"""The bounds of a volume, in one place, each with its reason."""

from typing import NamedTuple


class VolumeLimits(NamedTuple):
    """What a volume holds, and what one process keeps of it in memory."""

    name: int = 255
    """Bytes in a name, as on every local file system a client knows."""
    target: int = 4096
    """Bytes in a symbolic link's target: PATH_MAX; protocols may allow less."""
    links: int = 0x7FFFFFFF
    """Names of a file, and 2 + subdirectories of a directory: pathconf's answer is a signed 32-bit number."""
    file_size: int = 0x7FFFFFFFFFFFF000
    """Bytes in a file: what 64-bit signed offsets reach, in whole pages."""
    room_kept: int = 8 << 20
    """Bytes of the host's disk that new files and new data leave free: a removal has to be written down, too."""
    inode: int = 0xFFFFFFFF
    """Highest inode number: file ids of old clients have 32 bits."""
    generation: int = 0xFFFFFFFF
    """Highest generation: a handle has 32 bits for it."""
    generation_block: int = 1024
    """Generations reserved at once: one synced superblock write per so many new files, lost at most at each stop."""
    cookie: int = 0xFFFFFFFF
    """Highest cookie: NFSv2 has 32 bits for it. A directory that has used all is numbered anew."""
    cached_inodes: int = 8192
    """Rows of inodes kept by a process, about 0.5 KiB each."""
    cached_names: int = 8192
    """Names kept by a process, about 0.25 KiB each."""
    descriptors: int = 256
    """Content files a process keeps open between two units."""
    replay_entries: int = 65536
    """Remembered results per client; the oldest go first."""
    replay_lifetime: int = 120 * 10**9
    """ns of server uptime that a result is kept at least: longer than any client goes on retransmitting."""
