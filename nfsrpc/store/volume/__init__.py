"""The volume: nfsrpc's own store on disk. `docs/volume.md` describes its format."""

from typing import TYPE_CHECKING, Any

from .errors import NotAVolume, VolumeError, VolumeInUse
from .limits import VolumeLimits
from .lock import VolumeLock
from .volume import Volume

if TYPE_CHECKING:
    from .make import make_volume

__all__ = ["NotAVolume", "Volume", "VolumeError", "VolumeInUse", "VolumeLimits", "VolumeLock", "make_volume"]


def __getattr__(name: str) -> Any:
    """Who serves a volume makes none."""
    if name == "make_volume":
        from .make import make_volume

        return make_volume
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
