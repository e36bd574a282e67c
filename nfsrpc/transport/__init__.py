"""The only place with sockets: the server's loop and workers, and the clients."""

from typing import TYPE_CHECKING, Any

from .endpoints import PortInUse
from .server import Server, serve

if TYPE_CHECKING:
    from .client_tcp import connect_tcp
    from .client_udp import connect_udp

__all__ = ["PortInUse", "Server", "connect_tcp", "connect_udp", "serve"]


def __getattr__(name: str) -> Any:
    """The clients are loaded when they are asked for: a server starts without them."""
    match name:
        case "connect_tcp":
            from .client_tcp import connect_tcp

            return connect_tcp
        case "connect_udp":
            from .client_udp import connect_udp

            return connect_udp
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
