"""The volume: nfsrpc's own store on disk. `docs/volume.md` describes its format."""

from .errors import NotAVolume, VolumeError, VolumeInUse
from .limits import VolumeLimits
from .lock import VolumeLock
from .make import make_volume
from .volume import Volume

__all__ = ["NotAVolume", "Volume", "VolumeError", "VolumeInUse", "VolumeLimits", "VolumeLock", "make_volume"]
