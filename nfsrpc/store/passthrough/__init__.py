"""The passthrough store: an existing directory of the host. `docs/passthrough.md` says what it promises."""

from ..errors import CannotServe, DirectoryInUse
from .limits import PassthroughLimits
from .passthrough import Passthrough
from .state import DirectoryLock, default_state

__all__ = ["CannotServe", "DirectoryInUse", "DirectoryLock", "Passthrough", "PassthroughLimits", "default_state"]
