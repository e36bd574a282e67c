"""Replies per second and latencies of NFS calls, beside nfs-ganesha in the same run.

    tools/bench                                  everything: some minutes
    tools/bench --operations GETATTR,READ --transports udp --rounds 3 --json out.json
    tools/bench --peers nfsrpc,limit --workers 1
    tools/bench auth                             what each flavour of authentication costs
    tools/bench client                           the client library beside a C program
    tools/bench copy                             a tree of small files, beside a client that makes call after call

A load generator in C keeps --connections x --window calls in flight. Every
server is started for the run and stays up to its end; for each line the servers
take turns (A B C, A B C, ...) for --rounds rounds, so that a slow minute of the
machine hits all of them. Shown are medians. nfsrpc is spoken to in NFSv2,
nfs-ganesha in NFSv3 (it has no v2) with FILE_SYNC writes, its VFS back end on
the same file system. WRITE and CREATE of nfsrpc are durable before the reply;
nfs-ganesha syncs each WRITE, but answers CREATE without any sync (strace). So
there is "ganesha +D" beside it: CREATE in a directory that the host syncs (chattr +D).
"limit" is a C program that answers every call with a prepared reply: what system
calls and loopback leave to be had on this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import authentication
import copying
import measure
import peers
import present
from rich.console import Console
from rich.progress import Progress

IN_NAMESPACE = "NFSRPC_BENCH_NAMESPACE"
PEERS = ("nfsrpc", "ganesha", "limit")
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--operations", default=",".join(measure.OPERATIONS), help="(default: %(default)s)")
    add("--transports", default="udp,tcp", help="(default: %(default)s)")
    add("--workers", default="1,2", help="worker processes of nfsrpc, one server each (default: %(default)s)")
    add("--connections", type=int, default=4, help="(default: %(default)s)")
    add("--window", type=int, default=4, help="calls in flight per connection (default: %(default)s)")
    add("--rounds", type=int, default=5, help="measurements per line and server (default: %(default)s)")
    add("--seconds", type=float, default=1.0, help="of one measurement (default: %(default)s)")
    add("--directory", default="/var/tmp", help="on the file system to measure (default: %(default)s)")
    add("--json", metavar="FILE", help="write the figures there as well (-: standard output, without the table)")
    add("--into", metavar="PAGE", type=Path, help="replace the figures in a Markdown page (docs/performance.md)")
    add("--peers", default=",".join(PEERS), help="which servers (default: %(default)s)")
    o = parser.parse_args(argv)
    o.operations, o.transports = o.operations.upper().split(","), o.transports.lower().split(",")
    o.workers = [int(n) for n in o.workers.split(",") if n]
    if unknown := set(o.operations) - set(measure.OPERATIONS):
        parser.error(f"unknown operation {', '.join(sorted(unknown))}; there are {', '.join(measure.OPERATIONS)}")
    if set(o.transports) - {"udp", "tcp"}:
        parser.error("transports are udp and tcp")
    o.peers = o.peers.split(",")
    if unknown := set(o.peers) - set(PEERS):
        parser.error(f"unknown peer {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    return o


def enter_namespace(argv: list[str]) -> None:
    """Runs this program again in a network and mount namespace of its own, so that rpcbind disturbs nobody."""
    if os.environ.get(IN_NAMESPACE) != "1":
        os.environ[IN_NAMESPACE] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, str(Path(__file__).parent), *argv])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)


def measure_all(o: argparse.Namespace, running: list[peers.Peer], console: Console) -> list[measure.Line]:
    loadgen = measure.build("loadgen")
    results: list[measure.Line] = []
    lines = [(operation, transport) for operation in o.operations for transport in o.transports]
    with Progress(console=console, transient=True) as progress:
        runs = sum(peer.answers(operation) for operation, _ in lines for peer in running)
        task = progress.add_task("", total=o.rounds * runs)
        for operation, transport in lines:
            load = measure.Load(operation, transport, o.connections, o.window, o.seconds)
            those = [peer for peer in running if peer.answers(operation)]
            samples: dict[str, list[measure.Sample]] = {peer.name: [] for peer in those}
            for _ in range(o.rounds):
                for peer in those:
                    progress.update(task, description=f"{operation} {transport} {peer.name}")
                    samples[peer.name].append(
                        measure.run(loadgen, load, peer.port, peer.mount_port, peer.export, peer.version)
                    )
                    progress.advance(task)
            results += [
                measure.Line(operation, transport, peer.name, measure.summarise(samples[peer.name])) for peer in those
            ]
    return results


def start_peers(o: argparse.Namespace, directory: Path, stack: contextlib.ExitStack) -> list[peers.Peer]:
    running = []
    if "nfsrpc" in o.peers:
        running += [stack.enter_context(peers.nfsrpc(directory, workers)) for workers in o.workers]
    if "ganesha" in o.peers:
        running += stack.enter_context(peers.ganesha(directory))
    if "limit" in o.peers:
        running.append(stack.enter_context(peers.limit(measure.build("limit"))))
    return running


def main(argv: list[str]) -> int:
    if argv[:1] == ["auth"]:
        return authentication.main(argv[1:])
    if argv[:1] == ["client"]:
        import client

        return client.main(argv[1:])
    if argv[:1] == ["copy"]:
        return copying.main(argv[1:])
    o = parse(argv)
    missing = peers.ganesha_missing() if "ganesha" in o.peers else ""
    if missing:
        o.peers.remove("ganesha")
    if "ganesha" in o.peers:
        enter_namespace(argv)
    console = Console(stderr=o.json == "-")
    if missing:
        console.print(f"bench: {missing}")
    with tempfile.TemporaryDirectory(prefix="nfsrpc-bench.", dir=o.directory) as name, contextlib.ExitStack() as stack:
        running = start_peers(o, Path(name), stack)
        if not running:
            raise SystemExit("bench: no server to measure")
        results = measure_all(o, running, console)
        present.show(results, running, o, console)
        text = present.document(o, running, results)
        table = present.markdown(o, running, results)
    if o.json == "-":
        sys.stdout.write(text)
    elif o.json:
        Path(o.json).write_text(text)
    if o.into:
        present.write_into(o.into, table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
