"""RFC 1833: finding the port of a program."""
