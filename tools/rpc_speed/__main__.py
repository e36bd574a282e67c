"""Our RPC server beside a C server that rpcgen made of the same echo.x, and our clients beside each other.

The load is made of prepared bytes, so that it costs as little as Python can; each
figure is the best of several short rounds, the servers in turns. CPU is the server's own,
per call, from /proc: it does not depend on what else the machine does.
"""

import argparse
import contextlib
import itertools
import os
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from others import installed, pyvisa, shenanigans

HERE = Path(__file__).resolve().parent
PROGRAM, VERSION = 0x20001234, 1
CONNECTIONS = 4
"""Sockets of the load: with fewer, chance would give two workers on one port all of them too often."""
IN_FLIGHT = {0: 32, 1024: 32, 32768: 4}
FLIGHT = 16
"""Calls of a client that are under way at once."""
OUR_CLIENTS = "blocking", "asyncio", "compiled blocking", "compiled asyncio"
COMPILED = "NFSRPC_BENCH_COMPILED"
"""The variable with the interpreter that has the package compiled; tools/rpc-speed sets it."""
TICK = os.sysconf("SC_CLK_TCK")
OURS = """
import sys
sys.path.insert(0, sys.argv[1])
from echo import SPEED_PROGRAM_1_service
from nfsrpc.transport import serve

class Echo(SPEED_PROGRAM_1_service):
    def SPEED_NULL(self, call):
        return None
    def SPEED_ECHO(self, arg, call):
        return arg

serve([Echo()], workers=int(sys.argv[2]))
"""


def build(place: Path) -> Path:
    """The C server and the Python module, both from echo.x; the server that only answers, and the bare client."""
    (place / "echo.x").write_bytes((HERE / "echo.x").read_bytes())
    (place / "server.c").write_bytes((HERE / "server.c").read_bytes())
    (place / "ours.py").write_text(OURS)
    for part in (["-h", "-o", "echo.h"], ["-c", "-o", "echo_xdr.c"], ["-m", "-o", "echo_svc.c"]):
        subprocess.run(["rpcgen", "-C", *part, "echo.x"], cwd=place, check=True)
    subprocess.run(
        ["gcc", "-O2", "-w", "-I/usr/include/tirpc", "-o", "server", "server.c", "echo_xdr.c", "echo_svc.c", "-ltirpc"],
        cwd=place, check=True,
    )  # fmt: skip
    for name in ("answers", "bare"):
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-o", str(place / name), str(HERE / f"{name}.c")]
        subprocess.run(command, check=True)
    gen = [sys.executable, "-m", "nfsrpc", "gen", "echo.x", "-o", "echo.py"]
    subprocess.run(gen, cwd=place, check=True, capture_output=True)
    return place / "server"


@contextlib.contextmanager
def started(command: list[str], ports: Callable[[str], tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """The process id, UDP port and TCP port of a server."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield (process.pid, *ports(process.stdout.readline()))
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def _two_ports(line: str) -> tuple[int, int]:
    udp, tcp = map(int, line.split())
    return udp, tcp


def _one_port(line: str) -> tuple[int, int]:
    port = int(line.split()[5])
    return port, port


def call_of(size: int) -> bytes:
    head = struct.pack(">10I", 0, 0, 2, PROGRAM, VERSION, 1 if size else 0, 0, 0, 0, 0)
    return head + (struct.pack(">I", size) + bytes(size) if size else b"")


def cpu(pid: int) -> float:
    """Seconds of a process and the children it still has."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for one in (str(pid), *children):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def over_tcp(port: int, size: int, seconds: float, connections: int) -> float:
    """Calls a second."""
    call, flight = call_of(size), IN_FLIGHT[size]
    batch = (struct.pack(">I", 0x80000000 | len(call)) + call) * flight
    reply = 28 + (4 + size if size else 0)
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    done, began = 0, time.perf_counter()
    buffer = bytearray(1 << 18)  # which stays empty: Linux throws away what TCP is told to truncate (tcp(7))
    while time.perf_counter() - began < seconds:
        for sock in socks:
            sock.sendall(batch)
        for sock in socks:
            left = reply * flight
            while left:
                got = sock.recv_into(buffer, min(left, len(buffer)), socket.MSG_TRUNC)
                if not got:
                    raise ConnectionError("the server closed the connection")
                left -= got
            done += flight
    rate = done / (time.perf_counter() - began)
    for sock in socks:
        sock.close()
    return rate


def over_udp(port: int, size: int, seconds: float, connections: int) -> float:
    """Calls a second; a lost datagram is sent again after a while, and counts once."""
    call, flight = bytearray(call_of(size)), IN_FLIGHT[size]
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(connections)]
    for sock in socks:
        sock.connect(("127.0.0.1", port))
        # The kernel's own time-out: Python's would cost a poll before each call and each reply.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 0, 200_000))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    done, began, buffer = 0, time.perf_counter(), bytearray(28)  # the head of a reply; the rest is thrown away
    # Every call has an xid of its own: a server with a cache of replies must not get off with answering from it.
    numbers = iter(range(1, 1 << 31))
    while time.perf_counter() - began < seconds:
        for sock in socks:
            for _ in range(flight):
                struct.pack_into(">I", call, 0, next(numbers))
                sock.send(call)
        for sock in socks:
            with contextlib.suppress(BlockingIOError):
                for _ in range(flight):
                    sock.recv_into(buffer)
                    done += 1
    rate = done / (time.perf_counter() - began)
    for sock in socks:
        sock.close()
    return rate


def measure(pid: int, run: Callable[..., float], *arguments: Any) -> tuple[float, float]:
    """Calls a second, and microseconds of the server's CPU a call."""
    before, began = cpu(pid), time.perf_counter()
    rate = run(*arguments)
    return rate, (cpu(pid) - before) / (rate * (time.perf_counter() - began)) * 1e6


def servers(place: Path, program: Path, workers: int, seconds: float, rounds: int) -> None:
    """A table: calls a second and CPU of C's server, ours and ours compiled, in turns, and how many times C's."""
    compiled = os.environ.get(COMPILED)
    pythons = {"ours": sys.executable, **({"compiled": compiled} if compiled else {})}
    with contextlib.ExitStack() as running:
        there = {"C": running.enter_context(started([str(program)], _two_ports))}
        for kind, python in pythons.items():
            command = [python, str(place / "ours.py"), str(place), str(workers)]
            there[kind] = running.enter_context(started(command, _one_port))
        print(f"\nservers, {workers} of our workers " + "".join(f"{kind + '/s':>12}  us CPU  ratio" for kind in there))
        for name, run, port in (("udp", over_udp, 1), ("tcp", over_tcp, 2)):
            for size in (0, 1024, 32768):
                best = dict.fromkeys(there, (0.0, 0.0))
                for _ in range(rounds):
                    for kind, server in there.items():
                        best[kind] = max(best[kind], measure(server[0], run, server[port], size, seconds, CONNECTIONS))
                line = f"{name} echo {size}" if size else f"{name} null"
                for rate, used in best.values():
                    line = f"{line:26}" + f"{rate:12.0f} {used:7.1f} {rate / best['C'][0]:6.2f}"
                print(line, flush=True)


def clients(place: Path, calls: int, rounds: int) -> None:
    """Our clients, as they come and compiled, and other clients in Python; their server costs next to nothing."""
    others = installed()
    compiled = os.environ.get(COMPILED)
    kinds = {"": [sys.executable], **({"compiled ": [compiled]} if compiled else {})}
    if not compiled:
        print("\nwithout nfsrpc compiled: tools/rpc-speed could not compile it")
    heads = "blocking", "asyncio", "comp. blocking", "comp. asyncio", "C, bare", "PyVISA-py", "ShenanigaNFS"
    print("\nclients, calls/s and us CPU" + "".join(f" {head:>18}" for head in heads)[1:])
    with started([str(place / "answers")], _two_ports) as (_, *ports):
        for proto, port in zip(("udp", "tcp"), ports, strict=True):
            for size, way in itertools.product((0, 1024), ("together", "each", "single")):
                count = calls // 4 if way == "single" else calls
                runs: dict[str, Callable[[], tuple[float, float]]] = {
                    kind + name: partial(our_client, python, place, proto, port, size, count, name, way)
                    for kind, python in kinds.items()
                    for name in ("blocking", "asyncio")
                }
                bare = [str(place / "bare"), proto, str(port), str(size), str(count // FLIGHT * FLIGHT), way]
                runs["bare"] = partial(figures, bare)
                data = bytes(size) if size else None
                if "pyvisa_py" in others and way == "single":
                    runs["pyvisa"] = partial(pyvisa, proto, PROGRAM, VERSION, port, data, calls // 4)
                if "shenaniganfs" in others and proto == "tcp":
                    flight = 1 if way == "single" else FLIGHT
                    runs["shenaniganfs"] = partial(shenanigans, PROGRAM, VERSION, port, data, calls // 4, flight)
                best: dict[str, tuple[float, float]] = {}
                for _ in range(rounds):
                    for which, run in runs.items():
                        best[which] = max(best.get(which, (0.0, 0.0)), run())
                what = f"{proto} echo {size}" if size else f"{proto} null"
                line = f"{what:15} {way:10}"
                for which in (*OUR_CLIENTS, "bare", "pyvisa", "shenaniganfs"):
                    line += " {:12.0f} {:5.1f}".format(*best[which]) if which in best else f" {'-':>12} {'-':>5}"
                print(line, flush=True)
    print(
        f"together: submit_all, {FLIGHT} in flight; each: as many, each sent by itself (asyncio: {FLIGHT} tasks);"
        f" single: one after the other.\ncomp.: compiled. C, bare: what can be had at all."
        " PyVISA-py can have but one in flight; ShenanigaNFS has as many."
    )


def our_client(
    python: list[str], place: Path, proto: str, port: int, size: int, calls: int, name: str, way: str
) -> tuple[float, float]:
    """Calls a second of a client of ours in a process of its own, and microseconds of its CPU for each."""
    what = [str(place), proto, str(port), str(size), str(calls), name, way]
    return figures([*python, str(HERE / "ours.py"), *what])


def figures(command: list[str]) -> tuple[float, float]:
    """What a client says that is a process of its own: calls a second, microseconds of its CPU for each."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rate, used = map(float, done.stdout.split())
    return rate, used


def main() -> None:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(prog="tools/rpc_speed", description=__doc__)
    parser.add_argument("--of", choices=("servers", "clients"), help="only these (default both)")
    parser.add_argument("--seconds", type=float, default=0.5, help="length of one round (default 0.5)")
    parser.add_argument("--rounds", type=int, default=4, help="rounds of each measurement (default 4)")
    parser.add_argument("--calls", type=int, default=40000, help="calls of each client of ours (default 40000)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        program = build(Path(place))
        for workers in (1, 2) if options.of != "clients" else ():
            servers(Path(place), program, workers, options.seconds, options.rounds)
        if options.of != "servers":
            clients(Path(place), options.calls, options.rounds)


if __name__ == "__main__":
    main()
