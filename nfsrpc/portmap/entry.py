"""One registration with a portmapper, as version 2 and as versions 3 and 4 have it."""

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


class Service(NamedTuple):
    """`program` in `version` is at the universal `address` over the transport `netid`; `owner` may change that."""

    program: int
    version: int
    netid: str
    address: str
    owner: str = "unknown"


class Target(NamedTuple):
    """The procedure that the portmapper is to call for somebody, and its encoded arguments."""

    program: int
    version: int
    procedure: int
    args: bytes
