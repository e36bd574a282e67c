"""A Kerberos realm for the tests of one process."""

from realm_fixtures import realm, running_realm

__all__ = ["realm", "running_realm"]
