"""The NFS servers of a domain, from its DNS SRV records (RFC 2782): ``_nfs._tcp`` and ``_nfs._udp``."""

from importlib import import_module
from typing import Any, NamedTuple

from nfsrpc.auth.des import MissingExtra
from nfsrpc.transport.address import HostUnknown


class Server(NamedTuple):
    """Where a server of the domain is: `proto` is "tcp" or "udp"."""

    host: str
    port: int
    proto: str


def servers_of(domain: str, protos: tuple[str, ...]) -> list[Server]:
    """The servers of `domain` in the order in which to try them: by priority, at random by weight, `protos` in turn.

    Asks the system's resolver. Raises `HostUnknown` where the domain has none, or says that it has none (a
    target of ``.``), and `MissingExtra` where dnspython is not installed.
    """
    try:
        resolver = import_module("dns.resolver")
    except ImportError:
        raise MissingExtra("nfs+srv://", "dns") from None
    found = [server for proto in protos for server in _asked(resolver, domain, proto)]
    if not found:
        asked = " or ".join(f"_nfs._{proto}.{domain}" for proto in protos)
        raise HostUnknown(f"{domain}: DNS has no SRV record {asked}")
    return found


def _asked(resolver: Any, domain: str, proto: str) -> list[Server]:
    failure = import_module("dns.exception").DNSException
    try:
        answer = resolver.resolve(f"_nfs._{proto}.{domain}", "SRV")
    except (resolver.NXDOMAIN, resolver.NoAnswer):
        return []
    except failure as trouble:
        raise HostUnknown(f"{domain}: {trouble}") from trouble
    records = answer.rrset.processing_order()
    hosts = [(record.target.to_text(omit_final_dot=True), record.port) for record in records]
    return [Server(host, port, proto) for host, port in hosts if host not in (".", "")]
