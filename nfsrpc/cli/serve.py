"""`nfsrpc serve`."""

import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import click

from nfsrpc.auth.idmap import BadMapping
from nfsrpc.nfs.clients import EVERYBODY
from nfsrpc.nfs.export_ids import TooManyExports
from nfsrpc.nfs.export_options import ASYNC_RISK
from nfsrpc.nfs.export_spec import ExportSpec
from nfsrpc.nfs.exports_remarks import BadExports, Remark
from nfsrpc.nfs.exports_remarks import Place as FilePlace
from nfsrpc.nfs.identity import NOBODY
from nfsrpc.nfs.paths import normal_path
from nfsrpc.nfs.security import SecurityOptions
from nfsrpc.nfs.server import NfsServer, Options, Place, Port111
from nfsrpc.rpc.errors import RpcError
from nfsrpc.store.held import is_volume
from nfsrpc.transport import Server
from nfsrpc.transport.master import Attendant, WorkersFailed
from nfsrpc.transport.reporter import Reporter, control_path, report
from nfsrpc.transport.stream import BadCertificate

from .errors import Failure, printable
from .export_flags import ExportFlags, export_flags
from .tls_options import tls_options

if TYPE_CHECKING:
    from nfsrpc.transport.tls import ServerTls

_log = logging.getLogger(__name__)
_ANY = ("0.0.0.0", "::")


@click.command()
@click.argument("volumes", nargs=-1, metavar="PATH...", type=click.Path())
@click.option("--exports", "exports_file", metavar="FILE", type=click.Path(dir_okay=False), help="Serve what this "
              "exports(5) file lists, instead of PATHs; SIGHUP reads it again.")  # fmt: skip
@click.option("--as", "mount_paths", multiple=True, metavar="/PATH", help="What clients mount instead of PATH's own "
              "absolute path; once for each PATH, in the same order.")  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for every one.")
@click.option("--port", default=2049, show_default=True, type=click.IntRange(0, 65535),
              help="UDP and TCP port of NFS, MOUNT and the portmapper alike; 0 takes a free one.")  # fmt: skip
@click.option("--state", type=click.Path(file_okay=False, path_type=Path), metavar="DIR", help="Where the server keeps "
              "what it has to know of plain directories.  [default: ~/.local/state/nfsrpc]")  # fmt: skip
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Server processes.")
@click.option("--shared", is_flag=True, help="Let other servers have the same volumes, all of them started so.")
@export_flags
@click.option("--id-map", type=click.Path(exists=True, dir_okay=False), metavar="FILE", help="Lines of PRINCIPAL USER "
              "for --sec=krb5... and dh; principals of users are found without.")  # fmt: skip
@click.option("--public-keys", default="/etc/publickey", show_default=True, type=click.Path(), metavar="FILE",
              help="Public keys, for --sec=dh.")  # fmt: skip
@click.option("--keyserv", default="/var/run/keyservsock", show_default=True, type=click.Path(), metavar="SOCKET",
              help="The keyserv that holds this host's secret key, for --sec=dh.")  # fmt: skip
@click.option("--shorthand", is_flag=True, help="Give AUTH_SYS callers a shorthand (AUTH_SHORT).")
@tls_options
@click.option("--portmap/--no-portmap", default=True, help="Take port 111 too, or register with the portmapper "
              "that has it.")  # fmt: skip
@click.option("--indirect", is_flag=True, help="Let the portmapper call services of this machine for others (CALLIT, "
              "BCAST, INDIRECT), some times a second: then broadcasts find them.")  # fmt: skip
@click.option("--metrics", type=click.IntRange(0, 65535), metavar="PORT", help="Answer Prometheus on this port of "
              "127.0.0.1.")  # fmt: skip
@click.option("--control", type=click.Path(path_type=Path), metavar="PATH", help="Where `nfsrpc nfsstat` finds this "
              "server, instead of the usual place.")  # fmt: skip
@click.option("--ready-file", type=click.Path(), metavar="FILE", help="Write the port number to FILE once calls are "
              "taken; for scripts.")  # fmt: skip
def serve(  # noqa: PLR0917 - one parameter for each option
    volumes: tuple[str, ...],
    exports_file: str | None,
    mount_paths: tuple[str, ...],
    host: str,
    port: int,
    state: Path | None,
    workers: int,
    shared: bool,
    id_map: str | None,
    public_keys: str,
    keyserv: str,
    shorthand: bool,
    portmap: bool,
    indirect: bool,
    metrics: int | None,
    control: Path | None,
    ready_file: str | None,
    tls: "ServerTls | None",
    flags: ExportFlags,
) -> None:
    """Serve volumes and plain directories over NFS version 2, until SIGTERM or Ctrl-C.

    PATH is a volume made by `nfsrpc mkfs`, or a directory that there is already: that is served
    read-only until --rw is said, and root acts as nobody in it. With --exports an exports(5) file lists them.
    Serving needs no special rights; only port 111, which some clients insist on, may (the output says how).
    The server listens on 127.0.0.1 until --host says otherwise.

    \b
    nfsrpc serve /srv/vol                                this machine only
    nfsrpc serve /srv/vol --host 0.0.0.0 --as /export    everybody mounts /export
    nfsrpc serve ~/src --rw                              a plain directory, to be written, too
    nfsrpc serve a b --as /a --as /b --read-only         two volumes, unchangeable
    nfsrpc serve --exports /etc/exports                  who may mount what is in the file
    nfsrpc serve /srv/vol --sec krb5i:krb5p              Kerberos (key of nfs/HOST in the keytab)
    nfsrpc serve /srv/vol --tls required --tls-cert C --tls-key K     TLS (RFC 9289)
    """
    try:
        read = _exports(volumes, mount_paths, flags, exports_file)
        known = SecurityOptions(public_keys, keyserv, id_map, shorthand)
        options = Options(host, port, workers, portmap, known, tls, state, shared, indirect)
        with (
            _ended_by_signals(),
            (nfs := NfsServer(read, options)).started() as (server, place),
            _reporting(server, workers, control, metrics) as attendants,
        ):
            if ready_file:
                _write_whole(ready_file, f"{place.port}\n")
            _announce(nfs.exports, place, workers)
            if tls is None and any(rule.options.demands_tls for export in nfs.exports for rule in export.rules):
                _log.warning("xprtsec= keeps callers out that cannot have TLS here: it takes --tls-cert and --tls-key")
            server.run(nfs.reload, attendants=attendants)
    except socket.gaierror as error:
        raise Failure(f"--host {host}: {error.strerror}; give an address of this machine") from None
    except OSError as error:
        raise Failure(_explained(error, host, port)) from None
    except (RpcError, BadMapping, BadCertificate, BadExports, TooManyExports, WorkersFailed) as error:
        raise Failure(str(error)) from None


def _exports(
    volumes: tuple[str, ...], mount_paths: tuple[str, ...], flags: ExportFlags, exports_file: str | None
) -> Callable[[], list[ExportSpec]]:
    """What tells the server, now and at every reload, what to serve."""
    if exports_file is None:
        if not volumes:
            raise click.UsageError("Missing argument 'PATH...'; or give --exports FILE.")
        triples = zip(volumes, _mount_paths(volumes, mount_paths), flags.fsids_for(len(volumes)), strict=True)
        specs = [
            ExportSpec(path, store, flags.rules(careful=not is_volume(store), fsid=fsid))
            for store, path, fsid in triples
        ]
        return lambda: specs
    if volumes:
        raise click.UsageError(f"a PATH and --exports; list {volumes[0]} in {exports_file}")
    if flags.given or mount_paths:
        raise click.UsageError(f"{(*flags.given, '--as')[0]} and --exports; say it in {exports_file}")
    return lambda: _read(exports_file)


def _read(path: str) -> list[ExportSpec]:
    from nfsrpc.nfs.exports_file import read_exports

    exports, remarks = read_exports(path)
    for remark in remarks:
        _log.warning("%s", printable(f"{path}:{remark}"))
    if not exports:
        raise BadExports(path, [Remark(FilePlace(1, 1), "nothing is exported; a line is PATH CLIENT(OPTIONS)...")])
    return exports


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A signal that comes before the server is under way ends it as cleanly as one that comes later."""

    def end(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(0)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    # What does not end a server waits until it runs.
    waiting = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, waiting)
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _reporting(server: Server, workers: int, control: Path | None, metrics: int | None) -> Iterator[list[Attendant]]:
    """Tell nfsstat and Prometheus how the server does. Without a control socket it serves all the same."""
    started = time.time()
    path = control or control_path(server.ports[0])
    try:
        reporter = Reporter(
            lambda: report(server.counters.read(), started, workers), server.counters.read, path, metrics
        )
    except OSError as error:
        if control is not None or metrics is not None:
            raise Failure(f"--control or --metrics: {error.strerror or error}") from None
        _log.warning("nfsstat will not find this server: %s: %s", path, error.strerror)
        yield []
        return
    try:
        yield [(reporter, reporter.act)]
    finally:
        reporter.close(server.succeeded)


def _mount_paths(volumes: tuple[str, ...], given: tuple[str, ...]) -> list[bytes]:
    if given and len(given) != len(volumes):
        raise click.UsageError(f"--as is given {len(given)} times for {len(volumes)} volumes; give it once for each")
    try:
        paths = [normal_path(os.fsencode(path)) for path in given or map(os.path.abspath, volumes)]
    except ValueError as error:
        raise click.UsageError(f"--as: {error}") from None
    if len(set(paths)) != len(paths):
        raise click.UsageError("two volumes would have the same mount path; tell them apart with --as")
    return paths


def _explained(error: OSError, host: str, port: int) -> str:
    """One line: what is wrong, and what to do."""
    text = str(error) if error.filename is not None else (error.strerror or str(error))
    if "in use by another program" in text:
        return f"{text}; stop it, or choose another port with --port"
    if isinstance(error, PermissionError) and error.filename is None:
        return f"port {port} is not permitted to this user; choose one above 1023 with --port"
    if error.filename is None:
        return f"--host {host}: {text[:1].lower()}{text[1:]}; give an address of this machine"
    return text


def _write_whole(path: str, text: str) -> None:
    """Write a file so that whoever sees it sees all of it."""
    part = f"{path}.{os.getpid()}"
    with open(part, "w", encoding="ascii") as file:
        file.write(text)
    os.replace(part, path)


def _reachable(host: str) -> str:
    """The address that clients type for a server that listens on `host`."""
    if host not in _ANY:
        return host
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # TEST-NET-1: sends nothing, but names the interface that leads out
        return str(probe.getsockname()[0])
    return socket.gethostname()


def _announce(exports: Sequence[ExportSpec], place: Place, workers: int) -> None:
    """What is served, and lines to paste on the client."""
    host = _reachable(place.host)
    for export in exports:
        path = printable(os.fsdecode(export.path))
        store, served = (click.style(text, bold=True) for text in (printable(str(export.store)), f"{host}:{path}"))
        click.echo(f"{store} is served as {served}  ({_terms(export)})")
    processes = "1 process" if workers == 1 else f"{workers} processes"
    click.echo(f"on {place.host} port {place.port}, UDP and TCP, by {processes}; Ctrl-C ends it\n")
    path = printable(os.fsdecode(exports[0].path))
    url = f"nfs://{f'[{host}]' if ':' in host else host}:{place.port}{path}"
    options = f"vers=2,proto=tcp,port={place.port},mountport={place.port},mountproto=tcp,nolock"
    click.echo(f"Linux    mount -t nfs -o {options} {host}:{path} /mnt")
    found = "" if place.port111 in (Port111.OWN, Port111.REGISTERED) else "   (needs port 111, see below)"
    click.echo(f"SunOS    mount {host}:{path} /mnt{found}")
    click.echo(f"U-Boot   setenv serverip {host}; nfs ${{loadaddr}} {host}:{path}/FILE{found}")
    click.echo(f"nfsrpc   nfsrpc ls {url}")
    click.echo(f"\nport 111: {place.port111.value}{_port111_advice(place)}")
    if place.host.startswith("127.") or place.host == "::1":
        click.echo("Only this machine can reach it; --host 0.0.0.0 lets others in.")


def _terms(export: ExportSpec) -> str:
    """Who may do what, in a few words."""
    told = []
    for client, options in export.rules:
        accesses = options.terms().values()
        access = "read-only" if all(one.read_only for one in accesses) else "read-write"
        nobody = "nobody" if options.anonuid == NOBODY else f"user {options.anonuid}"
        root = (
            f"everybody acts as {nobody}"
            if all(one.all_squash for one in accesses)
            else (
                f"root acts as {nobody}"
                if all(one.root_squash or one.all_squash for one in accesses)
                else "root may do everything"
            )
        )
        told.append(f"{'' if client == EVERYBODY else f'{client.text}: '}{access}, {root}")
    return "; ".join(told) + ("" if export.sync else f"; asynchronous: {ASYNC_RISK}")


def _port111_advice(place: Place) -> str:
    """What to do so that clients which can only ask a portmapper (U-Boot, SunOS) find the server."""
    if place.port111 is Port111.FORBIDDEN:
        return (
            "; U-Boot and SunOS need it. One of:\n"
            "  start rpcbind, and this server registers with it\n"
            "  sysctl net.ipv4.ip_unprivileged_port_start=111   (as root)\n"
            "  setcap cap_net_bind_service=ep $(readlink -f $(command -v python3))   (as root)"
        )
    if place.port111 is Port111.TAKEN:
        return f": {place.reason}"
    return ""
