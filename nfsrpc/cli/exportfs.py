"""`nfsrpc exportfs`."""

import os

import click

from nfsrpc.nfs.export_options import Access, ExportOptions
from nfsrpc.nfs.export_spec import ExportSpec
from nfsrpc.nfs.exports_file import read_exports
from nfsrpc.nfs.exports_remarks import BadExports

from .errors import Failure, printable, printable_name
from .output import print_json, print_table


@click.command()
@click.option("--check", "path", required=True, metavar="FILE", type=click.Path(), help="The exports(5) file to read.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def exportfs(path: str, as_json: bool) -> None:
    """Check an exports(5) file, and show what it means: every path, client and option, the defaults filled in.

    Everything that is wrong is told as FILE:LINE:COLUMN, and makes the exit
    status 1; remarks about what is right but may not be meant do not. A server
    that runs with this file reads it again at SIGHUP.

    \b
    nfsrpc exportfs --check /etc/exports
    """
    try:
        exports, remarks = read_exports(path)
    except BadExports as error:
        for remark in error.errors[:-1]:
            click.echo(f"nfsrpc: {printable(f'{path}:{remark}')}", err=True)
        raise Failure(f"{path}:{error.errors[-1]}") from None
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}") from None
    for remark in remarks:
        click.echo(f"nfsrpc: {printable(f'{path}:{remark}')}", err=True)
    rows = [row for export in exports for row in _rows(export)]
    if as_json:
        print_json([{"path": path, "client": client, "options": options.split(",")} for path, client, options in rows])
    else:
        print_table(("DIRECTORY", "CLIENT", "OPTIONS"), rows)


def _rows(export: ExportSpec) -> list[tuple[str, str, str]]:
    return [
        (printable_name(export.path), printable_name(os.fsencode(rule.client.text)), _words(rule.options))
        for rule in export.rules
    ]


def _words(options: ExportOptions) -> str:
    """An option list that says everything."""
    words = ["sync" if options.sync else "async"]
    if options.fsid is not None:
        words.append(f"fsid={options.fsid}")
    if options.transports is not None:
        words.append(f"xprtsec={':'.join(sorted(options.transports))}")
    words += [f"anonuid={options.anonuid}", f"anongid={options.anongid}"]
    by_access: dict[Access, list[str]] = {}
    for name, access in options.terms().items():
        by_access.setdefault(access, []).append(name)
    for access, names in by_access.items():
        read_only, secure, root_squash, all_squash = access
        words += [
            f"sec={':'.join(names)}",
            "ro" if read_only else "rw",
            "secure" if secure else "insecure",
            "root_squash" if root_squash else "no_root_squash",
            "all_squash" if all_squash else "no_all_squash",
        ]
    return ",".join(words)
