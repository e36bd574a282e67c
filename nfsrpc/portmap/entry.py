"""One registration with a portmapper."""

from enum import IntEnum
from typing import NamedTuple


class Transport(IntEnum):
    """Protocol numbers as the portmapper uses them (RFC 1833 §3.1)."""

    TCP = 6
    UDP = 17


class Registered(NamedTuple):
    """`program` in `version` is at `port` over `protocol` (see `Transport`)."""

    program: int
    version: int
    protocol: int
    port: int
