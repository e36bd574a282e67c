"""What glibc's malloc is told in a process that handles messages all day."""

import ctypes

# From <malloc.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT = 16 << 20
"""Bytes at the end of the heap that are kept for the next messages."""
_MAPPED = 4 << 20
"""Blocks of this size and more get memory of their own, which goes back to the system with them."""


def keep_freed() -> None:
    """Have freed memory kept for the next allocation, up to a bound. Where malloc is not glibc's, nothing changes.

    By default each block of 128 KiB is mapped afresh and unmapped, and so much free memory at
    the end of the heap is given back at once: messages of 32 KiB cost page faults then, more than all else.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)
