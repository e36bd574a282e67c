"""Asking and telling a portmapper, version 2 (RFC 1833 §3): where programs are, and where ours is."""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from nfsrpc.protocols import portmap
from nfsrpc.rpc.errors import BadReply, ProgramMismatch, RpcError
from nfsrpc.transport.client import Client
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.transport.ping import ping
from nfsrpc.xdr import DEFAULT_LIMITS, Caller

from .entry import Registered, Transport

PORT = 111
LIMITS = DEFAULT_LIMITS._replace(message=1 << 18, elements=4096)
"""What a portmapper may answer: ten times the longest list of registrations that a real host has."""
TIMEOUT = 10.0
"""Seconds for one question. A portmapper answers from memory."""
_MAX_PORT = 65535


class Refused(RpcError):
    """The portmapper did not take a registration."""


class Portmapper:
    """The calls of version 2, on whatever carries them."""

    def __init__(self, caller: Caller) -> None:
        self._stub = portmap.PMAP_PROG_2_client(caller)

    def getport(self, program: int, version: int, protocol: int) -> int | None:
        """Port of `program` in `version` over `protocol`, None if it is not registered. `BadReply`: not a port."""
        port = self._stub.PMAPPROC_GETPORT(portmap.mapping(program, version, protocol, 0))
        if port > _MAX_PORT:
            raise BadReply(f"the portmapper says that program {program} is at port {port}")
        return port or None

    def dump(self) -> list[Registered]:
        """Everything that is registered. `BadReply`: a port or protocol that no host can have."""
        found = []
        link = self._stub.PMAPPROC_DUMP()
        while link is not None:
            line = link.map
            if line.port > _MAX_PORT:
                raise BadReply(f"the portmapper lists program {line.prog} at port {line.port}")
            found.append(Registered(line.prog, line.vers, line.prot, line.port))
            link = link.next
        return found

    def set(self, line: Registered) -> bool:
        """Register `line`; False if another port has the place. Only a caller on the portmapper's own host may."""
        return bool(self._stub.PMAPPROC_SET(_mapping(line)))

    def unset(self, program: int, version: int) -> bool:
        """Take `program` in `version` away, over every protocol; False if there was nothing to take."""
        return bool(self._stub.PMAPPROC_UNSET(portmap.mapping(program, version, 0, 0)))


def _mapping(line: Registered) -> portmap.mapping:
    return portmap.mapping(line.program, line.version, line.protocol, line.port)


class Registration:
    """Our programs' entries in the portmapper that runs on this host, for as long as we run.

    A context manager, or `register` and `withdraw`. A dead predecessor's
    entries are replaced; those of a program that answers are left alone and
    `register` fails with `Refused`. `withdraw` takes away only what is still ours.
    """

    def __init__(
        self, lines: Iterable[Registered], *, host: str = "127.0.0.1", port: int = PORT, timeout: float = 1.5
    ) -> None:
        self._lines = tuple(lines)
        self._host = host
        self._port = port
        self._timeout = timeout
        self._done: list[Registered] = []

    def _connect(self) -> Client:
        return connect_udp(self._host, self._port, timeout=self._timeout, limits=LIMITS)

    def register(self) -> None:
        """Enter every line, or none.

        `Refused`: a living program has the place, or the portmapper takes no entry from us.
        Other errors of `nfsrpc.rpc.errors`: no portmapper answers (`RpcTimeout`).
        """
        with self._connect() as client:
            mapper = Portmapper(client)
            try:
                for line in self._lines:
                    if not self._make_room(mapper, line) and not mapper.set(line):
                        raise Refused(f"the portmapper on {self._host}:{self._port} does not take {line}")
                    self._done.append(line)
            except BaseException:
                self._take_back(mapper)
                raise

    def _make_room(self, mapper: Portmapper, line: Registered) -> bool:
        """Remove what is dead in the place of `line`; whether `line` itself is there already."""
        if line in mapper.dump():
            return True
        port = mapper.getport(line.program, line.version, line.protocol)
        if port is None or port == line.port:
            return False
        if answers(self._host, line._replace(port=port), timeout=self._timeout):
            raise Refused(
                f"program {line.program} version {line.version} already runs at port {port} of {self._host}"
            )
        mapper.unset(line.program, line.version)
        for mine in self._done:
            if (mine.program, mine.version) == (line.program, line.version):
                mapper.set(mine)
        return False

    def withdraw(self) -> None:
        """Take our entries away again. Errors of `nfsrpc.rpc.errors` if the portmapper has gone."""
        if not self._done:
            return
        with self._connect() as client:
            self._take_back(Portmapper(client))

    def _take_back(self, mapper: Portmapper) -> None:
        ours, self._done = self._done, []
        for program, version in sorted({(line.program, line.version) for line in ours}):
            still = [line for line in mapper.dump() if (line.program, line.version) == (program, version)]
            others = [line for line in still if line not in ours]
            if len(others) == len(still):
                continue
            mapper.unset(program, version)
            for line in others:
                mapper.set(line)

    def __enter__(self) -> Self:
        self.register()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.withdraw()


def answers(host: str, line: Registered, *, timeout: float = TIMEOUT) -> bool:
    """Whether anything of `line`'s program answers at its place, in whatever version. Never raises for a dead one."""
    connect = connect_tcp if line.protocol == Transport.TCP else connect_udp
    try:
        with connect(host, line.port, timeout=timeout) as client:
            ping(client, line.program, line.version)
    except ProgramMismatch:
        return True
    except RpcError:
        return False
    return True
