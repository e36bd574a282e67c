"""How commands that work on a volume say what is wrong with it."""

from collections.abc import Iterator
from contextlib import contextmanager

from nfsrpc.store.volume import VolumeError

from .errors import Failure


@contextmanager
def volume_failures(path: str) -> Iterator[None]:
    """What is wrong with a volume, or with the host's disk, as a `Failure` that names `path`."""
    try:
        yield
    except VolumeError as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
