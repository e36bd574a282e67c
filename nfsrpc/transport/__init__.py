"""The only place with sockets: the server's loop and workers, and the clients."""

from .endpoints import PortInUse
from .server import Server, serve

__all__ = ["PortInUse", "Server", "serve"]
