"""`nfsrpc serve` on a fresh volume, for tests of clients."""

from nfsrpc.testing.served import START_LIMIT, Served

__all__ = ["START_LIMIT", "Served"]
