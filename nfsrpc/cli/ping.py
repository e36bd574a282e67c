"""`nfsrpc ping`: whether a program answers, and how fast."""

import time

import click

from nfsrpc.client.url import PORTMAPPER_PORT, parse_authority
from nfsrpc.portmap.client import LIMITS, TIMEOUT, Portmapper
from nfsrpc.portmap.entry import Transport
from nfsrpc.protocols import nfs_prot
from nfsrpc.rpc.errors import RpcError
from nfsrpc.rpc.retry import MAYBE
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp
from nfsrpc.transport.ping import ping as call_null

from .errors import Failure
from .remote import failing_at


@click.command()
@click.argument("host", metavar="HOST[:PORT]")
@click.option("--program", type=int, default=nfs_prot.NFS_PROGRAM, show_default=True, help="Program number.")
@click.option("--version", type=int, default=nfs_prot.NFS_VERSION, show_default=True, help="Program version.")
@click.option("--proto", type=click.Choice(["tcp", "udp"]), default="udp", show_default=True)
@click.option("-c", "--count", type=click.IntRange(min=1), default=4, show_default=True, help="Calls to make.")
@click.option("-i", "--interval", type=click.FloatRange(min=0), default=1.0, show_default=True,
              help="Seconds between two calls.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(min=0.01), default=2.0, show_default=True,
              help="Seconds that a call may take.")  # fmt: skip
def ping(host: str, program: int, version: int, proto: str, count: int, interval: float, timeout: float) -> None:
    """Call procedure 0 of a program on HOST some times, each call sent once, and say how long each took.

    Without PORT the portmapper of HOST is asked. Exit status 0: at least one call was answered.
    """
    with failing_at(host):
        name, port = parse_authority(host)
        connect = connect_udp if proto == "udp" else connect_tcp
        if port is None:
            transport = Transport.UDP if proto == "udp" else Transport.TCP
            with connect(name, PORTMAPPER_PORT, timeout=TIMEOUT, limits=LIMITS) as client:
                port = Portmapper(client).getport(program, version, transport)
            if port is None:
                raise Failure(f"{host}: program {program} version {version} is not registered there")
        with connect(name, port, timeout=timeout, policy=MAYBE) as client:
            times: list[float] = []
            for number in range(count):
                if number:
                    time.sleep(interval)
                began = time.perf_counter()
                try:
                    call_null(client, program, version)
                except RpcError as error:
                    click.echo(f"{client.peer}: call {number + 1}: {error}")
                    continue
                times.append(time.perf_counter() - began)
                click.echo(f"{client.peer}: call {number + 1}: {times[-1] * 1000:.3f} ms")
    _summary(host, count, times)


def _summary(host: str, count: int, times: list[float]) -> None:
    if not times:
        raise Failure(f"{host}: none of {count} calls was answered")
    least, most, mean = min(times), max(times), sum(times) / len(times)
    click.echo(
        f"{len(times)} of {count} calls answered; "
        f"least/mean/most {least * 1000:.3f}/{mean * 1000:.3f}/{most * 1000:.3f} ms"
    )
