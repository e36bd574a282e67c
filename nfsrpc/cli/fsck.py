"""`nfsrpc fsck`."""

import dataclasses
import json
import sys
from collections.abc import Iterable

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from nfsrpc.store.volume.fsck import Finding, check_volume
from nfsrpc.store.volume.repair import repair_volume

from .volumes import volume_failures


@click.command()
@click.argument("path", type=click.Path())
@click.option("--repair", is_flag=True, help="Mend what can be mended, then check again.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each finding.")
def fsck(path: str, repair: bool, as_json: bool) -> None:
    """Check every invariant of the volume PATH, which must not be served meanwhile.

    Files that have lost their names are found again in lost+found after
    --repair. What a crash may leave of work that was never acknowledged is
    listed as "leftover": it takes space, and is no fault.

    Exit status: 0 no fault; 1 faults (after --repair: left), or the volume
    could not be checked; 2 the command line was wrong.
    """
    with volume_failures(path):
        findings = list(repair_volume(path) if repair else check_volume(path))
    if as_json:
        for finding in findings:
            click.echo(json.dumps(dataclasses.asdict(finding)))
    else:
        _print(path, findings)
    sys.exit(any(not finding.leftover for finding in findings))


def _print(path: str, findings: Iterable[Finding]) -> None:
    findings = list(findings)
    if not findings:
        click.echo(f"{path}: clean")
        return
    table = Table("check", "inode", "what", box=None, pad_edge=False)
    for finding in findings:
        check = f"{finding.check} (leftover)" if finding.leftover else finding.check
        table.add_row(check, "" if finding.inode is None else str(finding.inode), escape(finding.text))
    Console(soft_wrap=True).print(table)
    faults = sum(not finding.leftover for finding in findings)
    remedy = "; `nfsrpc fsck --repair` mends what can be mended" if faults else ""
    click.echo(f"{path}: {faults} faults, {len(findings) - faults} leftovers{remedy}")
