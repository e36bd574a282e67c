"""The entries of the server that a portmapper is part of."""

import ipaddress

from .entry import Service
from .registry import OURS
from .uaddr import to_uaddr


def own_entries(program: int, version: int, host: str, port: int) -> list[Service]:
    """`program` in `version` over UDP and TCP at the numeric `host`; "::" answers over IPv4 as well."""
    places = [("6" if ipaddress.ip_address(host).version == 6 else "", host)]
    if host == "::":
        places.append(("", "0.0.0.0"))
    return [
        Service(program, version, protocol + suffix, to_uaddr(address, port), OURS)
        for suffix, address in places
        for protocol in ("udp", "tcp")
    ]
