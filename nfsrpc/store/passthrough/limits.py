"""The bounds of a passthrough store, in one place, each with its reason."""

from typing import NamedTuple


class PassthroughLimits(NamedTuple):
    """What one process keeps in memory and open, and what the side table may give out."""

    directories: int = 256
    """Directories kept open between units: with the files of a unit well below the usual 1024 descriptors."""
    files: int = 128
    """Files open within one unit; when there are more, those written are synced early."""
    depth: int = 200
    """Directories above a file that are found again by their names after a restart."""
    hints: int = 16
    """Remembered names of one file that are tried before it counts as gone."""
    cached_files: int = 8192
    """Rows of the file table kept by a process, about 0.4 KiB each."""
    cached_cookies: int = 16384
    """Positions with their cookies kept by a process, about 0.2 KiB each."""
    fileid: int = 0xFFFFFFFF
    """Highest file id: old clients have 32 bits for it."""
    cookie: int = 0x7FFFFFFF
    """Highest cookie: NFSv2 has 32 bits, and old clients keep them in a signed number."""
    swept: int = 2
    """Old rows looked at for each new one, so that files that are gone leave the table."""
    failed_calls: int = 1024
    """Calls remembered whose change may not be on the disk, until they have been told so."""
