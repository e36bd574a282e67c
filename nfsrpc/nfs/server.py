"""An NFS server put together: volumes, exports, the three programs, and port 111."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import NamedTuple

from nfsrpc.portmap.client import PORT as PORTMAP_PORT
from nfsrpc.portmap.client import Registration
from nfsrpc.portmap.entry import Registered, Transport
from nfsrpc.portmap.own import own_entries
from nfsrpc.portmap.registry import Registry
from nfsrpc.portmap.service import Mapper
from nfsrpc.portmap.statistics import Statistics
from nfsrpc.protocols import mount, nfs_prot, portmap, rpcb_prot
from nfsrpc.rpc.dispatch import Binding
from nfsrpc.rpc.errors import RpcError
from nfsrpc.store import Store
from nfsrpc.store.volume import Volume, VolumeError, VolumeLock
from nfsrpc.transport import PortInUse, Server
from nfsrpc.transport.inheritance import Inheritance
from nfsrpc.transport.tls import ServerTls

from . import mount as mount_program
from . import nfs2
from .exports import Exports, ExportSpec
from .rmtab import Rmtab
from .security import SecurityOptions, authenticators

_log = logging.getLogger(__name__)

PROGRAMS = (
    (mount.MOUNTPROG, mount.MOUNTVERS),
    (mount.MOUNTPROG, mount.MOUNTVERS_POSIX),
    (nfs_prot.NFS_PROGRAM, nfs_prot.NFS_VERSION),
)
"""What is served besides the portmapper, as (program, version)."""

RMTAB = "rmtab"


class Port111(Enum):
    """How clients that can only ask a portmapper on port 111 are served."""

    OWN = "answered by this server"
    REGISTERED = "answered by the portmapper that runs here, where this server is registered"
    FORBIDDEN = "not permitted to this user"
    TAKEN = "taken by another program that does not let this server register"
    UNUSED = "left alone, as asked"


class Place(NamedTuple):
    """Where a server serves: numeric host, port, and what became of port 111 (with the reason if it was refused)."""

    host: str
    port: int
    port111: Port111
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """How to serve: address, port (0: a free one), workers, whether to care for port 111, who is believed, TLS."""

    host: str = "127.0.0.1"
    port: int = 2049
    workers: int = 1
    portmap: bool = True
    security: SecurityOptions = field(default_factory=SecurityOptions)
    tls: ServerTls | None = None


class NfsServer:
    """Serves `exports`, which name volumes by their paths.

    Everything that can be wrong with volumes, address and port raises in
    `started`, before a call is taken: `NotAVolume`, `VolumeInUse`, `PortInUse`,
    or the OSError of the address. What flavours of authentication need raises at once: see `authenticators`.
    """

    def __init__(self, exports: Sequence[ExportSpec], options: Options) -> None:
        self._exports = list(exports)
        self._options = options
        self._inheritance = Inheritance()
        self._registry = Registry(self._inheritance.take("registry"))
        self._inheritance.keep("registry", self._registry.fileno())
        self._statistics = Statistics(self._inheritance.take("portmap statistics"))
        self._inheritance.keep("portmap statistics", self._statistics.fileno())
        wanted = frozenset[str]().union(*(export.security or () for export in self._exports))
        self._flavors = authenticators(wanted, options.security)
        self._locks: dict[str, VolumeLock] = {}

    @contextmanager
    def started(self) -> Iterator[tuple[Server, Place]]:
        """Volumes locked, sockets bound, port 111 settled; undone in reverse order at the end."""
        with ExitStack() as stack:
            for path in sorted({export.volume for export in self._exports}):
                name = f"lock of {path}"
                lock = VolumeLock(path, inherited=self._inheritance.take(name))
                self._locks[path] = stack.enter_context(lock)
                self._inheritance.keep(name, lock.fileno())
            self._tell_apart()
            server, port111 = self._bound()
            stack.callback(server.close)
            reason = ""
            if port111 is Port111.TAKEN:
                port111, reason = self._register(stack, server)
            self._fill_registry(server)
            yield server, Place(self._options.host, server.ports[0], port111, reason)

    def _tell_apart(self) -> None:
        """A volume and its copy have one fsid, and so one set of handles: they cannot be served together."""
        paths: dict[int, str] = {}
        for path, lock in self._locks.items():
            with closing(Volume(path, lock)) as volume:
                if volume.fsid in paths:
                    raise VolumeError(path, f"it is a copy of {paths[volume.fsid]}; serve one of them")
                paths[volume.fsid] = path

    def _bound(self) -> tuple[Server, Port111]:
        """The server on its own port, and on 111 as well where that is wanted and possible."""
        options = self._options
        main = (options.host, options.port)
        if options.port == PORTMAP_PORT:
            return self._server([main]), Port111.OWN
        if not options.portmap:
            return self._server([main]), Port111.UNUSED
        try:
            return self._server([main, (options.host, PORTMAP_PORT)]), Port111.OWN
        except PortInUse as error:
            if error.port != PORTMAP_PORT:
                raise
            return self._server([main]), Port111.TAKEN
        except PermissionError:
            return self._server([main]), Port111.FORBIDDEN

    def _server(self, addresses: list[tuple[str, int]]) -> Server:
        return Server(
            self._bindings,
            addresses,
            self._options.workers,
            flavors=self._flavors,
            inheritance=self._inheritance,
            tls=None if self._options.tls is None else self._options.tls.context,
        )

    def _register(self, stack: ExitStack, server: Server) -> tuple[Port111, str]:
        registration = Registration(_lines(server.ports[0]))
        try:
            registration.register()
        except RpcError as error:
            return Port111.TAKEN, str(error)
        stack.callback(_withdraw, registration, server)
        return Port111.REGISTERED, ""

    def _fill_registry(self, server: Server) -> None:
        """What is served, and where; the portmapper itself is at the last address: port 111 where we have it."""
        main, mapper = server.places[0], server.places[-1]
        for program, version in PROGRAMS:
            for entry in own_entries(program, version, *main):
                self._registry.set(entry)
        for version in (portmap.PMAP_VERS, rpcb_prot.RPCBVERS, rpcb_prot.RPCBVERS4):
            for entry in own_entries(portmap.PMAP_PROG, version, *mapper):
                self._registry.set(entry)

    def _bindings(self) -> Iterable[Binding]:
        """What one worker serves; runs in that worker's process."""
        stores: dict[str, Store] = {path: Volume(path, lock) for path, lock in self._locks.items()}
        exports = Exports(self._exports, stores)
        rmtab = Rmtab(os.path.join(self._exports[0].volume, RMTAB))
        return [
            *self._protected([nfs2.binding(exports), *mount_program.bindings(exports, rmtab)]),
            *Mapper(self._registry, self._statistics).bindings(),
        ]


    def _protected(self, bindings: Iterable[Binding]) -> Iterable[Binding]:
        """As --tls says. The portmapper is not among them: who looks for a service does not know yet what it wants."""
        tls = self._options.tls
        return [replace(binding, tls_required=tls is not None and tls.required) for binding in bindings]


def _lines(port: int) -> list[Registered]:
    return [
        Registered(program, version, protocol, port)
        for program, version in PROGRAMS
        for protocol in Transport
    ]


def _withdraw(registration: Registration, server: Server) -> None:
    if server.succeeded:
        return
    try:
        registration.withdraw()
    except RpcError as error:
        _log.warning("the portmapper keeps this server's entries: %s", error)
