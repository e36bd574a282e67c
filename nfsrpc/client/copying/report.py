"""What a copy tells of itself while it runs."""

from typing import Protocol


class Report(Protocol):
    """Told by a copy, on the thread that runs it."""

    def found(self, size: int) -> None:
        """One more file is to be copied, with so many bytes."""

    def moved(self, size: int) -> None:
        """So many bytes have arrived, or were there already."""

    def finished(self, path: bytes) -> None:
        """A file is complete; the path is the source's."""

    def failed(self, path: bytes, error: OSError) -> None:
        """A file could not be copied. The others are."""


class Silent:
    """Tells nobody, and keeps the errors."""

    def __init__(self) -> None:
        self.errors: list[tuple[bytes, OSError]] = []
        self.files = 0
        self.bytes = 0

    def found(self, size: int) -> None:
        """Nobody is told."""

    def moved(self, size: int) -> None:
        """Counted."""
        self.bytes += size

    def finished(self, path: bytes) -> None:
        """Counted."""
        self.files += 1

    def failed(self, path: bytes, error: OSError) -> None:
        """Kept."""
        self.errors.append((path, error))
