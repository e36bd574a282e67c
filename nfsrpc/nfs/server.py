"""An NFS server put together: volumes, exports, the three programs, and port 111."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from nfsrpc.portmap.client import PORT as PORTMAP_PORT
from nfsrpc.portmap.client import Registration
from nfsrpc.portmap.entry import Registered, Transport
from nfsrpc.portmap.registry import Registry
from nfsrpc.portmap.service import PortMapper
from nfsrpc.protocols import mount, nfs_prot, portmap
from nfsrpc.rpc.dispatch import Binding
from nfsrpc.rpc.errors import RpcError
from nfsrpc.store import Store
from nfsrpc.store.volume import Volume, VolumeError, VolumeLock
from nfsrpc.transport import PortInUse, Server

from . import mount as mount_program
from . import nfs2
from .exports import Exports, ExportSpec
from .rmtab import Rmtab

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
    """How to serve: address, port (0: a free one), worker processes, and whether to care for port 111."""

    host: str = "127.0.0.1"
    port: int = 2049
    workers: int = 1
    portmap: bool = True


class NfsServer:
    """Serves `exports`, which name volumes by their paths.

    Everything that can be wrong with volumes, address and port raises in
    `started`, before a call is taken: `NotAVolume`, `VolumeInUse`, `PortInUse`,
    or the OSError of the address.
    """

    def __init__(self, exports: Sequence[ExportSpec], options: Options) -> None:
        self._exports = list(exports)
        self._options = options
        self._registry = Registry()
        self._locks: dict[str, VolumeLock] = {}

    @contextmanager
    def started(self) -> Iterator[tuple[Server, Place]]:
        """Volumes locked, sockets bound, port 111 settled; undone in reverse order at the end."""
        with ExitStack() as stack:
            for path in sorted({export.volume for export in self._exports}):
                self._locks[path] = stack.enter_context(VolumeLock(path))
            self._tell_apart()
            server, port111 = self._bound()
            stack.callback(server.close)
            reason = ""
            if port111 is Port111.TAKEN:
                port111, reason = self._register(stack, server.ports[0])
            self._fill_registry(server.ports[0], port111)
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
        return Server(self._bindings, addresses, self._options.workers)

    def _register(self, stack: ExitStack, port: int) -> tuple[Port111, str]:
        registration = Registration(_lines(port))
        try:
            registration.register()
        except RpcError as error:
            return Port111.TAKEN, str(error)
        stack.callback(_withdraw, registration)
        return Port111.REGISTERED, ""

    def _fill_registry(self, port: int, port111: Port111) -> None:
        mapper = PORTMAP_PORT if port111 is Port111.OWN else port
        for protocol in Transport:
            own = Registered(portmap.PMAP_PROG, portmap.PMAP_VERS, protocol, mapper)
            self._registry.set(own, own=True)
        for line in _lines(port):
            self._registry.set(line, own=True)

    def _bindings(self) -> Iterable[Binding]:
        """What one worker serves; runs in that worker's process."""
        stores: dict[str, Store] = {path: Volume(path, lock) for path, lock in self._locks.items()}
        exports = Exports(self._exports, stores)
        rmtab = Rmtab(os.path.join(self._exports[0].volume, RMTAB))
        return [
            nfs2.binding(exports),
            *mount_program.bindings(exports, rmtab),
            Binding(PortMapper(self._registry)),
        ]


def _lines(port: int) -> list[Registered]:
    return [
        Registered(program, version, protocol, port)
        for program, version in PROGRAMS
        for protocol in Transport
    ]


def _withdraw(registration: Registration) -> None:
    try:
        registration.withdraw()
    except RpcError as error:
        _log.warning("the portmapper keeps this server's entries: %s", error)
