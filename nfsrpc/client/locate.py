"""Where on a host a program of ours is: given, or asked of the host's portmapper."""

import os
from typing import NamedTuple

from nfsrpc.auth import Credential
from nfsrpc.portmap import client as portmapper
from nfsrpc.portmap.entry import Transport
from nfsrpc.protocols import mount as mount_prot
from nfsrpc.protocols import nfs_prot
from nfsrpc.rpc.errors import RpcError
from nfsrpc.rpc.retry import RetryPolicy
from nfsrpc.transport.address import RESERVED_PORTS
from nfsrpc.transport.aio import AsyncClient
from nfsrpc.transport.aio_tcp import connect_tcp as async_tcp
from nfsrpc.transport.aio_udp import connect_udp as async_udp
from nfsrpc.transport.client import CONNECT_TIMEOUT, Client
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.xdr import DEFAULT_LIMITS

LIMITS = DEFAULT_LIMITS._replace(elements=1 << 16)
"""What a server may answer: lists of at most 65 536 exports, groups, mounts or names."""
EITHER = ("tcp", "udp")
"""Transports in the order of our preference; the oldest servers have only the second."""

DATAGRAMS = RetryPolicy(least=0.05)
"""When calls over UDP are sent again: by the server's own pace, between 0.05 and 0.7 s the first time."""


class Service(NamedTuple):
    """A program in the version that we speak, and what to call it."""

    program: int
    version: int
    name: str


MOUNT_SERVER = Service(int(mount_prot.MOUNTPROG), int(mount_prot.MOUNTVERS), "mount server")
NFS_SERVER = Service(int(nfs_prot.NFS_PROGRAM), int(nfs_prot.NFS_VERSION), "NFS server")


class NotServed(RpcError):
    """The portmapper does not know the program that is needed."""

    def __init__(self, service: Service, host: str, protos: tuple[str, ...]) -> None:
        over = " or ".join(proto.upper() for proto in protos)
        super().__init__(f"the portmapper of {host} knows no {service.name} of version {service.version} over {over}")


class Place(NamedTuple):
    """Where to call a program: `proto` is "tcp" or "udp"."""

    host: str
    port: int
    proto: str


def locate(host: str, port: int | None, service: Service, proto: str | None) -> Place:
    """Where `service` is on `host`: at `port` if that is given, else where the portmapper says.

    `proto` None leaves the choice: TCP at a given port, else whichever the
    portmapper lists, TCP first. Raises `NotServed`, and the errors of a call.
    """
    protos = EITHER if proto is None else (proto,)
    if port is not None:
        return Place(host, port, protos[0])
    connect = connect_udp if proto == "udp" else connect_tcp
    with connect(host, portmapper.PORT, timeout=portmapper.TIMEOUT, limits=portmapper.LIMITS) as client:
        mapper = portmapper.Portmapper(client)
        for candidate in protos:
            found = mapper.getport(service.program, service.version, Transport[candidate.upper()])
            if found is not None:
                return Place(host, found, candidate)
    raise NotServed(service, host, protos)


async def open_async_client(place: Place, credential: Credential, timeout: float) -> AsyncClient:
    """The asyncio twin of `open_client`."""
    host, port, proto = place
    ports = RESERVED_PORTS if os.geteuid() == 0 else ()
    if proto == "udp":
        return await async_udp(
            host, port, credential=credential, timeout=timeout, limits=LIMITS, policy=DATAGRAMS, source_ports=ports
        )
    return await async_tcp(
        host,
        port,
        credential=credential,
        timeout=timeout,
        connect_timeout=min(timeout, CONNECT_TIMEOUT),
        limits=LIMITS,
        source_ports=ports,
    )


def open_client(place: Place, credential: Credential, timeout: float) -> Client:
    """A blocking client of `place`; root calls from a reserved port, as many servers demand."""
    host, port, proto = place
    ports = RESERVED_PORTS if os.geteuid() == 0 else ()
    if proto == "udp":
        return connect_udp(
            host, port, credential=credential, timeout=timeout, limits=LIMITS, policy=DATAGRAMS, source_ports=ports
        )
    return connect_tcp(
        host,
        port,
        credential=credential,
        timeout=timeout,
        connect_timeout=min(timeout, CONNECT_TIMEOUT),
        limits=LIMITS,
        source_ports=ports,
    )
