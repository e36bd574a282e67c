"""``nfsrpc exports``: what a server exports, and who has mounted it (as showmount)."""

import click

from nfsrpc.auth import SysCredential
from nfsrpc.client.locate import MOUNT_SERVER, locate, open_client
from nfsrpc.client.mountd import MountService
from nfsrpc.client.url import parse_authority
from nfsrpc.portmap.client import TIMEOUT

from .errors import printable_name
from .output import print_json, print_table
from .remote import failing_at


@click.command()
@click.argument("host", metavar="HOST[:PORT]")
@click.option("-a", "--all", "mounts", is_flag=True, help="Who has mounted what, instead of what is exported.")
@click.option("--proto", type=click.Choice(["tcp", "udp"]), help="Default: whichever the server has, TCP first.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def exports(host: str, mounts: bool, proto: str | None, as_json: bool) -> None:
    """What HOST exports and to whom, as showmount -e says.

    With a port the mount server is asked there, without one the portmapper says where it is.
    """
    with failing_at(host):
        name, port = parse_authority(host)
        place = locate(name, port, MOUNT_SERVER, proto)
        with open_client(place, SysCredential(), TIMEOUT) as client:
            service = MountService(client)
            if mounts:
                rows = [(printable_name(line.host), printable_name(line.path)) for line in service.dump()]
            else:
                lists = [(line.path, [printable_name(group) for group in line.groups]) for line in service.exports()]
    if mounts:
        _print_mounts(rows, as_json)
    else:
        _print_exports([(printable_name(path), groups) for path, groups in lists], as_json)


def _print_mounts(rows: list[tuple[str, str]], as_json: bool) -> None:
    if as_json:
        print_json([{"host": host, "path": path} for host, path in rows])
    else:
        print_table(("HOST", "DIRECTORY"), rows)


def _print_exports(lists: list[tuple[str, list[str]]], as_json: bool) -> None:
    if as_json:
        print_json([{"path": path, "groups": groups} for path, groups in lists])
    else:
        print_table(("DIRECTORY", "FOR"), [(path, ", ".join(groups) or "everyone") for path, groups in lists])
