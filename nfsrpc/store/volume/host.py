"""What one host has and another has not."""

import os


def sync_data(descriptor: int) -> None:
    """Bring a file's bytes, and what it takes to find them again, to stable storage. OSError.

    macOS has no fdatasync; its fsync does as much and a little more.
    """
    getattr(os, "fdatasync", os.fsync)(descriptor)
