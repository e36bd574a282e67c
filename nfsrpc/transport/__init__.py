"""The only place with sockets: the server's loop and workers, and the clients."""

from .client_tcp import connect_tcp
from .client_udp import connect_udp
from .endpoints import PortInUse
from .server import Server, serve

__all__ = ["PortInUse", "Server", "connect_tcp", "connect_udp", "serve"]
