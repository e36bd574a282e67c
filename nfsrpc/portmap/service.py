"""The portmapper, program 100000 version 2 (RFC 1833 §3)."""

from nfsrpc.protocols import portmap as pm
from nfsrpc.rpc.dispatch import Call, Drop

from .entry import Registered, Transport
from .registry import Registry


class PortMapper(pm.PMAP_PROG_2_service):
    """Answers from `registry`. SET and UNSET are for callers on this machine.

    CALLIT is not offered: it forwards calls on behalf of strangers and lets
    the answer's size amplify. It gets silence, which RFC 1833 §3.1 lays down
    for a call that fails.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def PMAPPROC_SET(self, arg: pm.mapping, call: Call) -> bool:
        """Register; FALSE for a stranger, for what is registered already, and for a port or protocol that is none."""
        if not call.peer.is_loopback or arg.prot not in (Transport.TCP, Transport.UDP) or not 0 < arg.port < 65536:
            return False
        return self._registry.set(Registered(arg.prog, arg.vers, arg.prot, arg.port))

    def PMAPPROC_UNSET(self, arg: pm.mapping, call: Call) -> bool:
        """Remove a program version, whatever protocol and port the caller names (RFC 1833 §3.1)."""
        return call.peer.is_loopback and self._registry.unset(arg.prog, arg.vers)

    def PMAPPROC_GETPORT(self, arg: pm.mapping, call: Call) -> int:
        """The port, 0 if it is not registered."""
        return self._registry.port(arg.prog, arg.vers, arg.prot)

    def PMAPPROC_DUMP(self, call: Call) -> pm.pmaplist | None:
        """All registrations as a linked list."""
        head = None
        for entry in reversed(self._registry.mappings()):
            head = pm.pmaplist(pm.mapping(*entry), head)
        return head

    def PMAPPROC_CALLIT(self, arg: pm.call_args, call: Call) -> pm.call_result:
        """Never answered."""
        raise Drop
