"""An NFS server put together: volumes, exports, the programs, and port 111."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nfsrpc.auth import Authenticator
from nfsrpc.portmap.entry import Registered, Transport
from nfsrpc.portmap.own import own_entries
from nfsrpc.portmap.registry import Registry
from nfsrpc.portmap.service import Mapper
from nfsrpc.portmap.statistics import Statistics
from nfsrpc.protocols import mount, nfs_prot, portmap, rpcb_prot
from nfsrpc.protocols import rquota as rquota_prot
from nfsrpc.rpc.dispatch import Binding
from nfsrpc.rpc.errors import RpcError
from nfsrpc.store import Store
from nfsrpc.store.held import IN_USE, Held, hold
from nfsrpc.store.volume import VolumeError
from nfsrpc.transport import PortInUse, Server
from nfsrpc.transport.inheritance import Inheritance

from . import mount as mount_program
from . import nfs2, rquota
from .export_ids import kept_ids
from .export_spec import ExportSpec
from .exports import Exports
from .rmtab import Rmtab, Rmtabs
from .security import SecurityOptions, authenticators

if TYPE_CHECKING:
    import ssl

    from nfsrpc.portmap.client import Registration
    from nfsrpc.transport.tls import ServerTls

_log = logging.getLogger(__name__)

PROGRAMS = (
    (mount.MOUNTPROG, mount.MOUNTVERS),
    (mount.MOUNTPROG, mount.MOUNTVERS_POSIX),
    (nfs_prot.NFS_PROGRAM, nfs_prot.NFS_VERSION),
    (rquota_prot.RQUOTAPROG, rquota_prot.RQUOTAVERS),
    (rquota_prot.RQUOTAPROG, rquota_prot.EXT_RQUOTAVERS),
)
"""What is served besides the portmapper, as (program, version)."""

RMTAB = "rmtab"
_LEAVING = 10.0
"""Seconds that workers have to leave before a volume that they had is taken for somebody else's."""


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


class Options(NamedTuple):
    """How to serve: address, port (0: a free one), workers, whether to care for port 111, who is believed, TLS.

    `state`: where what is to be known of plain directories is kept; None: the usual place.
    `shared`: beside other servers that have the same volumes, if they are started so, too.
    `indirect`: the portmapper makes calls for others, so that who broadcasts finds what is served here.
    """

    host: str = "127.0.0.1"
    port: int = 2049
    workers: int = 1
    portmap: bool = True
    security: SecurityOptions = SecurityOptions()
    tls: "ServerTls | None" = None
    state: Path | None = None
    shared: bool = False
    indirect: bool = False


class Served(NamedTuple):
    """What a worker has open."""

    exports: Exports
    stores: dict[str, Store]
    rmtabs: Rmtabs

    def close(self) -> None:
        """Close it all."""
        self.exports.close()
        self.rmtabs.close()
        for store in self.stores.values():
            store.close()


class NfsServer:
    """Serves what `read` says: exports, which name stores by their paths. It is called again at every reload, as
    are the files of `Options.tls`.

    Everything that can be wrong with exports, stores, address and port raises in
    `started`, before a call is taken: what `read` raises, `NotAVolume`, `VolumeInUse`, `CannotServe`, `PortInUse`,
    `BadCertificate`, or the OSError of the address. What flavours of authentication need raises at once: see
    `authenticators`.
    """

    def __init__(self, read: Callable[[], Sequence[ExportSpec]], options: Options) -> None:
        self._read = read
        self._exports = list(read())
        self._options = options
        self._inheritance = Inheritance()
        self._registry = Registry(self._inheritance.take("registry"))
        self._inheritance.keep("registry", self._registry.fileno())
        self._statistics = Statistics(self._inheritance.take("statistics of the portmapper"))
        self._inheritance.keep("statistics of the portmapper", self._statistics.fileno())
        self._security = _security(self._exports)
        self._flavors = authenticators(self._security, options.security)
        self._locks: dict[str, Held] = {}
        self._given_up: set[str] = set()
        self._ids: dict[bytes, int] = {}
        self._served: Served | None = None
        self._server: Server | None = None

    @property
    def exports(self) -> Sequence[ExportSpec]:
        """What is served now. Where files cannot be given to others, everybody acts as the user that owns them."""
        users = {path: held.user for path, held in self._locks.items()}
        return tuple(
            export if (user := users.get(export.store)) is None else export.as_one(*user) for export in self._exports
        )

    @contextmanager
    def started(self) -> Iterator[tuple[Server, Place]]:
        """Volumes locked, sockets bound, port 111 settled; undone in reverse order at the end."""
        with ExitStack() as stack:
            stack.callback(self._unlock)
            self._locks = self._locked(self._exports)
            self._ids = self._numbered(self._exports, self._locks)
            server, port111 = self._bound()
            self._server = server
            stack.callback(server.close)
            reason = ""
            if port111 is Port111.TAKEN:
                port111, reason = self._register(stack, server)
            self._fill_registry(server)
            if self._options.indirect:
                from nfsrpc.portmap.networks import in_group

                stack.enter_context(in_group())
            yield server, Place(self._options.host, server.ports[0], port111, reason)

    def reload(self) -> None:
        """Serve what `read` says now, in turns that are made from here on.

        OSError, ValueError or RpcError: something is wrong with it, and everything stays as it was.
        """
        exports = list(self._read())
        tls = self._tls()
        locks = self._locked(exports)
        try:
            ids = self._numbered(exports, locks)
            flavors = self._flavors_for(exports)
        except BaseException:
            for path in locks.keys() - self._locks.keys():
                locks[path].release()
            raise
        for path in self._locks.keys() - locks.keys():
            self._give_up(path)
        self._exports, self._locks, self._ids, self._flavors = exports, locks, ids, flavors
        for path, lock in locks.items():
            self._inheritance.keep(_lock_name(path), lock.fileno())
        if self._server is not None:
            self._server.flavors = tuple(flavors)
            self._server.tls = tls

    def _locked(self, exports: Iterable[ExportSpec]) -> dict[str, Held]:
        """The lock of every volume that is exported: those held already, and new ones."""
        locks: dict[str, Held] = {}
        with ExitStack() as stack:
            for path in sorted({export.store for export in exports}):
                held = self._locks.get(path)
                if held is None:
                    held = self._taken(path)
                    stack.callback(held.release)
                    self._inheritance.keep(_lock_name(path), held.fileno())
                locks[path] = held
            _tell_apart(locks)
            stack.pop_all()
        return locks

    def _taken(self, path: str) -> Held:
        """The lock of a volume. Workers that are leaving may still have one that was given up a moment ago."""
        inherited = self._inheritance.take(_lock_name(path)) if path not in self._given_up else None
        deadline = time.monotonic() + (_LEAVING if path in self._given_up else 0)
        while True:
            try:
                options = self._options
                return hold(path, state=options.state, shared=options.shared, inherited=inherited)
            except IN_USE:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(_LEAVING / 500)

    def _numbered(self, exports: Iterable[ExportSpec], locks: Mapping[str, Held]) -> dict[bytes, int]:
        """The id of every export, as its store keeps it."""
        exports = list(exports)
        ids: dict[bytes, int] = {}
        for path, held in locks.items():
            ids |= kept_ids(str(held.keep), [export.key for export in exports if export.store == path])
        return ids

    def _flavors_for(self, exports: Iterable[ExportSpec]) -> list[Authenticator]:
        """The flavours there are, which know their callers, and those that are wanted besides."""
        wanted = _security(exports) - self._security
        present = {flavor.flavor for flavor in self._flavors}
        new = [flavor for flavor in authenticators(wanted, self._options.security) if flavor.flavor not in present]
        self._security |= wanted
        return [*self._flavors, *new]

    def _give_up(self, path: str) -> None:
        """Close a volume that is served no more; workers that still have it hold its lock until they end."""
        if self._served is not None:
            self._served.stores.pop(path).close()
        self._inheritance.drop(_lock_name(path))
        self._given_up.add(path)
        self._locks[path].release()

    def _unlock(self) -> None:
        for lock in self._locks.values():
            lock.release()

    def _bound(self) -> tuple[Server, Port111]:
        """The server on its own port, and on 111 as well where that is wanted and possible."""
        options = self._options
        main = (options.host, options.port)
        if options.port == portmap.PMAP_PORT:
            return self._serving([main]), Port111.OWN
        if not options.portmap:
            return self._serving([main]), Port111.UNUSED
        try:
            return self._serving([main, (options.host, portmap.PMAP_PORT)]), Port111.OWN
        except PortInUse as error:
            if error.port != portmap.PMAP_PORT:
                raise
            return self._serving([main]), Port111.TAKEN
        except PermissionError:
            return self._serving([main]), Port111.FORBIDDEN

    def _serving(self, addresses: list[tuple[str, int]]) -> Server:
        return Server(
            self._bindings,
            addresses,
            self._options.workers,
            flavors=self._flavors,
            inheritance=self._inheritance,
            tls=self._tls(),
        )

    def _tls(self) -> "ssl.SSLContext | None":
        """With what connections may be protected, as the files say now; ValueError: they cannot be used."""
        return None if self._options.tls is None else self._options.tls.context()

    def _register(self, stack: ExitStack, server: Server) -> tuple[Port111, str]:
        from nfsrpc.portmap.client import Registration

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
        synchronous = {export.store for export in self._exports if export.sync}
        stores: dict[str, Store] = {
            path: held.attach(asynchronous=path not in synchronous) for path, held in self._locks.items()
        }
        rmtabs = Rmtabs(
            {stores[path].fsid: Rmtab(os.path.join(held.keep, RMTAB)) for path, held in self._locks.items()}
        )
        before, self._served = self._served, Served(Exports(self.exports, stores, self._ids), stores, rmtabs)
        if before is not None:
            before.close()
        exports = self._served.exports
        return [
            *self._protected(
                [nfs2.binding(exports), *mount_program.bindings(exports, rmtabs), *rquota.bindings(exports)]
            ),
            *self._mapper().bindings(),
        ]

    def _mapper(self) -> Mapper:
        if not self._options.indirect:
            return Mapper(self._registry, self._statistics)
        from nfsrpc.portmap.forward import Forwarder

        return Mapper(self._registry, self._statistics, Forwarder())

    def _protected(self, bindings: Iterable[Binding]) -> Iterable[Binding]:
        """As --tls says. The portmapper is not among them: who looks for a service does not know yet what it wants."""
        tls = self._options.tls
        return [binding._replace(tls_required=tls is not None and tls.required) for binding in bindings]


def _lock_name(path: str) -> str:
    return f"lock of {path}"


def _security(exports: Iterable[ExportSpec]) -> frozenset[str]:
    return frozenset[str]().union(*(export.security for export in exports))


def _tell_apart(locks: Mapping[str, Held]) -> None:
    """A volume and its copy have one fsid, and so one set of handles: they cannot be served together."""
    paths: dict[int, str] = {}
    for path, lock in locks.items():
        with closing(lock.attach()) as store:
            if store.fsid in paths:
                raise VolumeError(path, f"it is a copy of {paths[store.fsid]}; serve one of them")
            paths[store.fsid] = path


def _lines(port: int) -> list[Registered]:
    return [Registered(program, version, protocol, port) for program, version in PROGRAMS for protocol in Transport]


def _withdraw(registration: "Registration", server: Server) -> None:
    if server.succeeded:
        return
    try:
        registration.withdraw()
    except RpcError as error:
        _log.warning("the portmapper keeps this server's entries: %s", error)
