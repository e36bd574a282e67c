"""ONC (Sun) RPC toolkit, and an NFSv2 server and client on top of it."""

__version__ = "0.1.0"
