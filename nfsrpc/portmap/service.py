"""Program 100000: the portmapper, version 2 (RFC 1833 §3), and rpcbind, versions 3 and 4 (RFC 1833 §2)."""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from nfsrpc.protocols import portmap as pm
from nfsrpc.protocols import rpcb_prot as rb
from nfsrpc.rpc.allowance import LISTS, Allowance
from nfsrpc.rpc.dispatch import Binding, Call, Drop, postponed
from nfsrpc.rpc.errors import RemoteSystemError, RpcError
from nfsrpc.rpc.security import Peer
from nfsrpc.xdr import XdrError

from .alive import Undertaker
from .entry import Service, Target, Transport
from .registry import SUPERUSER, Registry, port_of
from .statistics import Statistics
from .uaddr import from_taddr, from_uaddr, to_taddr, to_uaddr

if TYPE_CHECKING:
    from .forward import Forwarder

_RESERVED = 1024
_NETIDS = {
    "udp": ("inet", "udp", 1),
    "tcp": ("inet", "tcp", 3),
    "udp6": ("inet6", "udp", 1),
    "tcp6": ("inet6", "tcp", 3),
}
"""Protocol family, protocol, and semantics (1 connectionless, 3 connection with orderly release) by netid."""
_OF_PROTOCOL = {Transport.UDP: "udp", Transport.TCP: "tcp"}
_PROTOCOLS = {netid: protocol for protocol, netid in _OF_PROTOCOL.items()}


class Mapper:
    """What the three versions have in common: the table, who may change it, and forwarding if there is any."""

    def __init__(
        self,
        registry: Registry,
        statistics: Statistics | None = None,
        forwarder: "Forwarder | None" = None,
        lists: Allowance | None = None,
    ) -> None:
        self._registry = registry
        self.statistics = Statistics() if statistics is None else statistics
        self._forwarder = forwarder
        self.lists = Allowance(LISTS) if lists is None else lists
        self._undertaker = Undertaker()

    def bindings(self) -> list[Binding]:
        """Versions 2, 3 and 4, to be served."""
        return [Binding(PortMapper(self)), Binding(RpcBind3(self)), Binding(RpcBind4(self))]

    def entries(self) -> list[Service]:
        """Every living registration."""
        self._bury()
        return self._registry.entries()

    def _bury(self) -> None:
        if self._undertaker.due():
            self._registry.sweep(self._undertaker.is_dead)

    def add(self, entry: Service, call: Call) -> bool:
        """Register for a caller on this machine. A dead predecessor's entry gives way."""
        if not call.peer.is_loopback or entry.netid not in _NETIDS:
            return False
        try:
            place = from_uaddr(entry.address)
        except ValueError:
            return False
        self._bury()
        return place.port > 0 and self._registry.set(entry._replace(owner=_owner(call)))

    def remove(self, program: int, version: int, netid: str, call: Call) -> bool:
        """Remove for a caller on this machine what is its own."""
        return call.peer.is_loopback and self._registry.unset(program, version, netid, _owner(call))

    def find(self, index: int, program: int, version: int, netid: str, exactly: bool) -> Service | None:
        """The entry in this version, or unless `exactly` in any other; counted under version `index` + 2."""
        self._bury()
        registry = self._registry
        find = registry.find if exactly else registry.find_any
        entry = find(program, version, netid)
        self.statistics.looked_up(index, program, version, netid, entry is not None)
        return entry

    def find_all(self, program: int, version: int) -> list[Service]:
        """The entries of one program version, over every transport."""
        return [entry for entry in self.entries() if entry[:2] == (program, version)]

    def forward(
        self, index: int, target: Target, call: Call, answer: Callable[[Service, bytes], Any], direct: bool = True
    ) -> NoReturn:
        """Call `target` for a caller: raises `Postponed`, and the reply is what `answer` makes of entry and result.

        `Drop` without a forwarder, or where it may not be. Of a call that fails nobody hears, unless it is not
        `direct`: INDIRECT tells. Counted under version `index` + 2.
        """
        forwarder = self._forwarder
        if forwarder is None or not forwarder.permits(target):
            raise Drop
        netid = "udp6" if _speaks_ipv6(call.peer) else "udp"
        entry = self._registry.find(target.program, target.version, netid)
        count = partial(self.statistics.called_for_others, index, target[:3], netid, direct)
        if entry is None:
            count(False)
            raise Drop

        def work() -> Any:
            try:
                result = answer(entry, forwarder.call(target, entry.address))
            except (RpcError, XdrError, OSError):
                count(False)
                raise (Drop if direct else RemoteSystemError) from None
            count(True)
            return result

        raise postponed(call, forwarder.start(work))


def _speaks_ipv6(peer: Peer) -> bool:
    """Not so the callers of IPv4 that a socket for both takes."""
    return ":" in peer.host and not peer.host.startswith("::ffff:")


def _netid(peer: Peer) -> str:
    """By what transport the caller came, as the registry names them."""
    return peer.netid if _speaks_ipv6(peer) else peer.netid.removesuffix("6")


def _owner(call: Call) -> str:
    """Who may change what this caller registers: the superuser (from a reserved port), a uid, or whoever."""
    if call.peer.port < _RESERVED:
        return SUPERUSER
    uid = getattr(call.principal, "uid", None)
    return "unknown" if uid is None else str(uid)


def _reachable(entry: Service, peer: Peer) -> bytes:
    """The address of `entry` for `peer`; of a service on every address of this machine, the one that leads to it."""
    place = from_uaddr(entry.address)
    if not place.is_wildcard:
        return entry.address.encode()
    with suppress(OSError):
        family, kind, _, _, address = socket.getaddrinfo(
            peer.host.removeprefix("::ffff:"), peer.port or 9, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )[0]
        with socket.socket(family, kind) as probe:
            probe.connect(address)  # sends nothing
            return to_uaddr(probe.getsockname()[0].partition("%")[0], place.port).encode()
    return entry.address.encode()


class PortMapper(pm.PMAP_PROG_2_service):
    """Version 2: ports of UDP and TCP over IPv4."""

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper
        self._count = mapper.statistics

    def PMAPPROC_SET(self, arg: pm.mapping, call: Call) -> bool:
        """Register; FALSE for a stranger, for what is registered elsewhere, and for a port or protocol that is none."""
        self._count.called(0, 1)
        netid = next((name for protocol, name in _OF_PROTOCOL.items() if protocol == arg.prot), "")
        if not 0 < arg.port < 65536:
            return False
        done = self._mapper.add(Service(arg.prog, arg.vers, netid, to_uaddr("0.0.0.0", arg.port)), call)
        if done:
            self._count.changed(0, 1)
        return done

    def PMAPPROC_UNSET(self, arg: pm.mapping, call: Call) -> bool:
        """Remove a program version, whatever protocol and port the caller names (RFC 1833 §3.1)."""
        self._count.called(0, 2)
        done = self._mapper.remove(arg.prog, arg.vers, "", call)
        if done:
            self._count.changed(0, 2)
        return done

    def PMAPPROC_GETPORT(self, arg: pm.mapping, call: Call) -> int:
        """The port, 0 if it is not registered."""
        self._count.called(0, 3)
        netid = next((name for protocol, name in _OF_PROTOCOL.items() if protocol == arg.prot), "")
        entry = self._mapper.find(0, arg.prog, arg.vers, netid, exactly=False)
        return 0 if entry is None else port_of(entry)

    def PMAPPROC_DUMP(self, call: Call) -> pm.pmaplist | None:
        """All registrations that version 2 has words for, as a linked list; over UDP not too often."""
        self._count.called(0, 4)
        self._mapper.lists.demand_for_list(call.peer)
        head = None
        for entry in reversed(self._mapper.entries()):
            if entry.netid in _PROTOCOLS:
                line = pm.mapping(entry.program, entry.version, _PROTOCOLS[entry.netid], port_of(entry))
                head = pm.pmaplist(line, head)
        return head

    def PMAPPROC_CALLIT(self, arg: pm.call_args, call: Call) -> pm.call_result:
        """Call a local service; only its success is answered (RFC 1833 §3.1)."""
        self._count.called(0, 5)
        self._mapper.forward(
            0,
            Target(arg.prog, arg.vers, arg.proc, arg.args),
            call,
            lambda entry, result: pm.call_result(port_of(entry, ("udp", "udp6")), result),
        )


class _RpcBind:
    """The procedures that versions 3 and 4 share; `_index` tells them apart in the statistics."""

    _index: int

    def __init__(self, mapper: Mapper) -> None:
        self._mapper = mapper
        self._count = mapper.statistics

    def RPCBPROC_SET(self, arg: rb.rpcb, call: Call) -> bool:
        """Register; FALSE for a stranger, what is registered elsewhere, and an address or transport that is none."""
        self._count.called(self._index, 1)
        netid, address = (text.decode("ascii", "replace") for text in (arg.r_netid, arg.r_addr))
        done = self._mapper.add(Service(arg.r_prog, arg.r_vers, netid, address), call)
        if done:
            self._count.changed(self._index, 1)
        return done

    def RPCBPROC_UNSET(self, arg: rb.rpcb, call: Call) -> bool:
        """Remove over the transport that is named, over all without a name: what is the caller's own."""
        self._count.called(self._index, 2)
        done = self._mapper.remove(arg.r_prog, arg.r_vers, arg.r_netid.decode("ascii", "replace"), call)
        if done:
            self._count.changed(self._index, 2)
        return done

    def RPCBPROC_GETADDR(self, arg: rb.rpcb, call: Call) -> bytes:
        """The address over the transport that the call came by (RFC 1833 §2.2.1); empty if there is none."""
        self._count.called(self._index, 3)
        entry = self._mapper.find(self._index, arg.r_prog, arg.r_vers, _netid(call.peer), exactly=False)
        return b"" if entry is None else _reachable(entry, call.peer)

    def RPCBPROC_DUMP(self, call: Call) -> rb.rpcblist | None:
        """All registrations as a linked list; over UDP not too often."""
        self._count.called(self._index, 4)
        self._mapper.lists.demand_for_list(call.peer)
        head = None
        for entry in reversed(self._mapper.entries()):
            texts = (text.encode() for text in entry[2:])
            head = rb.rpcblist(rb.rpcb(entry.program, entry.version, *texts), head)
        return head

    def RPCBPROC_GETTIME(self, call: Call) -> int:
        """Seconds since 1970."""
        self._count.called(self._index, 6)
        return int(time.time()) & 0xFFFFFFFF

    def RPCBPROC_UADDR2TADDR(self, arg: bytes, call: Call) -> rb.netbuf:
        """A universal address as a socket address of this machine; empty for what is no address."""
        self._count.called(self._index, 7)
        try:
            address = to_taddr(from_uaddr(arg.decode("ascii", "replace")))
        except ValueError:
            address = b""
        return rb.netbuf(len(address), address)

    def RPCBPROC_TADDR2UADDR(self, arg: rb.netbuf, call: Call) -> bytes:
        """The universal form of a socket address of this machine; empty for what is none."""
        self._count.called(self._index, 8)
        try:
            return to_uaddr(*from_taddr(arg.buf)).encode()
        except ValueError:
            return b""

    def _forward(self, arg: rb.rpcb_rmtcallargs, call: Call, direct: bool = True) -> NoReturn:
        self._mapper.forward(
            self._index,
            Target(arg.prog, arg.vers, arg.proc, arg.args),
            call,
            lambda entry, result: rb.rpcb_rmtcallres(_reachable(entry, call.peer), result),
            direct,
        )


class RpcBind3(_RpcBind, rb.RPCBPROG_3_service):
    """Version 3."""

    _index = 1

    def RPCBPROC_CALLIT(self, arg: rb.rpcb_rmtcallargs, call: Call) -> rb.rpcb_rmtcallres:
        """Call a local service; only its success is answered."""
        self._count.called(self._index, 5)
        self._forward(arg, call)


class RpcBind4(_RpcBind, rb.RPCBPROG_4_service):
    """Version 4."""

    _index = 2

    def RPCBPROC_BCAST(self, arg: rb.rpcb_rmtcallargs, call: Call) -> rb.rpcb_rmtcallres:
        """Call a local service; only its success is answered."""
        self._count.called(self._index, 5)
        self._forward(arg, call)

    def RPCBPROC_GETVERSADDR(self, arg: rb.rpcb, call: Call) -> bytes:
        """As GETADDR, of exactly this version."""
        self._count.called(self._index, 9)
        entry = self._mapper.find(self._index, arg.r_prog, arg.r_vers, _netid(call.peer), exactly=True)
        return b"" if entry is None else _reachable(entry, call.peer)

    def RPCBPROC_INDIRECT(self, arg: rb.rpcb_rmtcallargs, call: Call) -> rb.rpcb_rmtcallres:
        """Call a local service; its failure is answered too."""
        self._count.called(self._index, 10)
        self._forward(arg, call, direct=False)

    def RPCBPROC_GETADDRLIST(self, arg: rb.rpcb, call: Call) -> rb.rpcb_entry_list | None:
        """Every way to reach a program version."""
        self._count.called(self._index, 11)
        head = None
        for entry in reversed(self._mapper.find_all(arg.r_prog, arg.r_vers)):
            family, protocol, semantics = _NETIDS[entry.netid]
            address = _reachable(entry, call.peer)
            way = rb.rpcb_entry(address, entry.netid.encode(), semantics, family.encode(), protocol.encode())
            head = rb.rpcb_entry_list(way, head)
        return head

    def RPCBPROC_GETSTAT(self, call: Call) -> list[rb.rpcb_stat]:
        """Counts of calls, for versions 2, 3 and 4."""
        self._count.called(self._index, 12)
        return self._mapper.statistics.report()
