"""Replies per second and latencies of NFS calls, beside other servers in the same run.

    tools/bench                                  everything: a quarter of an hour
    tools/bench --operations GETATTR,SFS --transports udp --rounds 3 --json out.json
    tools/bench --peers nfsrpc,limit --workers 1
    tools/bench --recording calls.txt            the calls that tools/bench recorded made of a capture
    tools/bench recorded FILE.pcap calls.txt     the calls of a capture, as a load
    tools/bench page out.json... --into PAGE --plot PLOT     table and plots of what --json has written
    tools/bench growth                           the cost of a call against files, names, clients, exports, workers
    tools/bench memory                           the memory of a worker over a million calls
    tools/bench start                            from nothing to the first answer, beside an empty Python
    tools/bench auth                             what each flavour of authentication costs
    tools/bench client                           the client library beside a C program
    tools/bench copy                             a tree of small files, beside a client that makes call after call
    tools/bench --compiled copy                  the same of the compiled package; so with auth, client, growth, ...

A load generator in C keeps --connections x --window calls in flight (a closed
loop). Then, with --half, it sends half as many calls a second as that server could answer,
whether it answers or not, and each call counts from when it should have been sent (an open loop).
Every server is started for the run and stays up to its end; for each line they
take turns (A B C, A B C, ...) for --rounds rounds, so that a slow minute of the
machine hits all of them. Shown are medians. SFS is the mix of SPEC SFS 2.0 for version 2; SEQREAD
reads a large file from one end to the other, 8 calls in flight on one connection, TCP only.

"compiled" is nfsrpc made C by mypyc (NFSRPC_COMPILE=1), in the same run.
nfsrpc is spoken to in NFSv2, nfs-ganesha in NFSv3 (it has no v2) with FILE_SYNC writes, its VFS back end on
the same file system. WRITE and CREATE of nfsrpc are durable before the reply;
nfs-ganesha syncs each WRITE, but answers CREATE without any sync (strace). So
there is "ganesha +D" beside it: CREATE in a directory that the host syncs (chattr +D).
"rpcgen" is a C server that rpcgen made, over libtirpc; it only reads. ShenanigaNFS (PyPI) keeps files
in memory. "file system" is no server, but the system calls that a call needs, made directly: the lower bound of
a store. "limit" is a C program that answers every call with a prepared reply: what system
calls and loopback leave to be had on this machine.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import ganesha
import measure
import others
import peers
import present
from rich.console import Console
from rich.progress import Progress

IN_NAMESPACE = "NFSRPC_BENCH_NAMESPACE"
PEERS = ("nfsrpc", "compiled", "ganesha", "rpcgen", "shenaniganfs", "filesystem", "limit")
SUBCOMMANDS = {
    "auth": "authentication", "client": "client", "copy": "copying", "growth": "growth", "memory": "memory",
    "page": "page", "recorded": "recorded", "start": "start",
}  # fmt: skip
"""The module of each; its `main` takes the arguments."""
RECORDED = "recorded"
SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--operations", default=",".join(measure.OPERATIONS), help="(default: %(default)s)")
    add("--transports", default="udp,tcp", help="(default: %(default)s)")
    add("--workers", default="1,2", help="worker processes of ours, one server each (default: %(default)s)")
    add("--connections", type=int, default=4, help="(default: %(default)s)")
    add("--window", type=int, default=4, help="calls in flight per connection (default: %(default)s)")
    add("--rounds", type=int, default=5, help="measurements per line and server (default: %(default)s)")
    add("--seconds", type=float, default=1.0, help="of one measurement (default: %(default)s)")
    add("--directory", default="/var/tmp", help="on the file system to measure (default: %(default)s)")
    add("--json", metavar="FILE", help="write the figures there as well (-: standard output, without the table)")
    add("--half", action="store_true", help="measure latencies at half the greatest load as well")
    add("--recording", metavar="FILE", type=Path, help="make the calls of `tools/bench recorded`, and no others")
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
    if o.recording is not None:
        if not o.recording.is_file():
            parser.error(f"--recording {o.recording}: no such file; tools/bench recorded makes one of a capture")
        o.operations = [RECORDED]
    return o


def enter_namespace(argv: list[str]) -> None:
    """Runs this program again in a network and mount namespace of its own, so that rpcbind disturbs nobody."""
    if os.environ.get(IN_NAMESPACE) != "1":
        os.environ[IN_NAMESPACE] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, str(Path(__file__).parent), *argv])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)


def load_of(o: argparse.Namespace, operation: str, transport: str) -> measure.Load:
    """The load of one line; that of SEQREAD is one reader with 8 calls in flight."""
    many = (1, 8) if operation == measure.SEQUENTIAL else (o.connections, o.window)
    return measure.Load(operation, transport, *many, o.seconds, recording=o.recording)


def measure_all(o: argparse.Namespace, running: list[peers.Peer], console: Console) -> list[measure.Line]:
    """Every line, the servers in turns."""
    lines = [
        (operation, transport, [peer for peer in running if peer.answers(operation, transport)])
        for operation in o.operations
        for transport in o.transports
        if transport == "tcp" or operation != measure.SEQUENTIAL
    ]
    results: list[measure.Line] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("", total=sum(len(those) for *_, those in lines))
        for operation, transport, those in lines:
            progress.update(task, description=f"{operation} {transport}")
            load = load_of(o, operation, transport)
            whole = in_turns(o.rounds, dict.fromkeys(those, load))
            half = {}
            if o.half:
                served = [peer for peer in those if peer.name != others.FILE_SYSTEM]
                rates = {peer: statistics.median(s.rate for s in whole[peer.name]) / 2 for peer in served}
                half = in_turns(o.rounds, {peer: replace(load, rate=rate) for peer, rate in rates.items()})
            results += [
                measure.Line(
                    operation, transport, peer.name, measure.summarise(whole[peer.name], half.get(peer.name, []))
                )
                for peer in those
            ]
            progress.advance(task, len(those))
    return results


def in_turns(rounds: int, loads: dict[peers.Peer, measure.Load]) -> dict[str, list[measure.Sample]]:
    """The samples of each peer, by its name."""
    samples: dict[str, list[measure.Sample]] = {peer.name: [] for peer in loads}
    for _ in range(rounds):
        for peer, load in loads.items():
            samples[peer.name].append(peer.sample(load))
    return samples


def start_peers(o: argparse.Namespace, directory: Path, stack: contextlib.ExitStack) -> list[peers.Peer]:
    """Ours first."""
    running = []
    if "nfsrpc" in o.peers:
        running += [stack.enter_context(peers.nfsrpc(directory, workers)) for workers in o.workers]
    if "compiled" in o.peers:
        running += [stack.enter_context(peers.compiled(directory, workers)) for workers in o.workers]
    if "ganesha" in o.peers:
        running += stack.enter_context(ganesha.running(directory))
    if "rpcgen" in o.peers:
        running.append(stack.enter_context(others.rpcgen(directory)))
    if "shenaniganfs" in o.peers:
        running.append(stack.enter_context(others.shenanigan()))
    if "filesystem" in o.peers:
        running.append(others.file_system(directory))
    if "limit" in o.peers:
        running.append(stack.enter_context(peers.limit(measure.build("limit"))))
    return running


def leave_out(o: argparse.Namespace) -> list[str]:
    """Takes those peers away that cannot run here; why."""
    checks = {
        "compiled": peers.compiled_missing, "ganesha": ganesha.missing, "rpcgen": others.rpcgen_missing,
        "shenaniganfs": others.shenanigan_missing,
    }  # fmt: skip
    told = {peer: why() for peer, why in checks.items() if peer in o.peers}
    o.peers = [peer for peer in o.peers if not told.get(peer)]
    return [why for why in told.values() if why]


def main(argv: list[str]) -> int:
    """Measure and show; the exit status."""
    if argv and argv[0] in SUBCOMMANDS:
        return int(import_module(SUBCOMMANDS[argv[0]]).main(argv[1:]))
    o = parse(argv)
    missing = leave_out(o)
    if "ganesha" in o.peers:
        enter_namespace(argv)
    console = Console(stderr=o.json == "-")
    for why in missing:
        console.print(f"bench: {why}")
    with tempfile.TemporaryDirectory(prefix="nfsrpc-bench.", dir=o.directory) as name, contextlib.ExitStack() as stack:
        running = start_peers(o, Path(name), stack)
        if not running:
            raise SystemExit("bench: no server to measure")
        results = measure_all(o, running, console)
        document = present.document(o, running, results)
    text = json.dumps(document, indent=1) + "\n"
    if o.json == "-":
        sys.stdout.write(text)
    elif o.json:  # before the table, whose reader may have gone
        Path(o.json).write_text(text)
    present.show(document, console)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
