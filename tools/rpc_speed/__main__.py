"""Our RPC server beside a C server that rpcgen made of the same echo.x, and our clients beside each other.

The servers take turns, and so do the clients, in short rounds. A server's figures are medians over them, under the
load of a program in C that costs as little as one can; a client's are its best round's. CPU is the server's or the
client's own, per call.
"""

import argparse
import contextlib
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from others import installed, pyvisa, shenanigans

HERE = Path(__file__).resolve().parent
PROGRAM, VERSION = 0x20001234, 1
CONNECTIONS = 16
"""Sockets of the load: with few, chance would give one of two workers on a port most of them too often."""
IN_FLIGHT = {0: 8, 1024: 8, 32768: 4}
"""Calls under way on each of them, by the size of what is echoed."""
WAYS = {"64 together": (64, 32), "16 together": (16, 8), "16 each": (16, 1), "single": (1, 1)}
"""How clients call: how many calls are under way at once, and how many of these are sent together."""
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
    """The C server and the Python module, both from echo.x; the server that only answers, the bare client, the load."""
    (place / "echo.x").write_bytes((HERE / "echo.x").read_bytes())
    (place / "server.c").write_bytes((HERE / "server.c").read_bytes())
    (place / "ours.py").write_text(OURS)
    for part in (["-h", "-o", "echo.h"], ["-c", "-o", "echo_xdr.c"], ["-m", "-o", "echo_svc.c"]):
        subprocess.run(["rpcgen", "-C", *part, "echo.x"], cwd=place, check=True)
    subprocess.run(
        ["gcc", "-O2", "-w", "-I/usr/include/tirpc", "-o", "server", "server.c", "echo_xdr.c", "echo_svc.c", "-ltirpc"],
        cwd=place, check=True,
    )  # fmt: skip
    for name in ("answers", "bare", "load"):
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


def cpu(pid: int) -> float:
    """Seconds of a process and the children it still has."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ticks = 0
    for one in (str(pid), *children):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICK


def load(place: Path, proto: str, port: int, size: int, seconds: float) -> float:
    """Calls a second that a server answers."""
    what = _words(proto, port, size, CONNECTIONS, IN_FLIGHT[size], seconds)
    done = subprocess.run([str(place / "load"), *what], check=True, capture_output=True, text=True)
    rate, lost = done.stdout.split()
    if int(lost):
        print(f"{lost} calls of {size} bytes over {proto} were lost: as many fewer were in flight afterwards")
    return float(rate)


def measure(pid: int, place: Path, proto: str, port: int, size: int, seconds: float) -> tuple[float, float]:
    """Calls a second, and microseconds of the server's CPU a call."""
    before = cpu(pid)
    rate = load(place, proto, port, size, seconds)
    return rate, (cpu(pid) - before) / (rate * seconds) * 1e6


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
        for port, name in enumerate(("udp", "tcp"), 1):
            for size in IN_FLIGHT:
                took: dict[str, list[tuple[float, float]]] = {kind: [] for kind in there}
                for _ in range(rounds):
                    for kind, server in there.items():
                        took[kind].append(measure(server[0], place, name, server[port], size, seconds))
                medians = {kind: [*map(statistics.median, zip(*of, strict=True))] for kind, of in took.items()}
                line = f"{name} echo {size}" if size else f"{name} null"
                line = f"{line:26}"
                for rate, used in medians.values():
                    line += f"{rate:12.0f} {used:7.1f} {rate / medians['C'][0]:6.2f}"
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
            for size, (way, flight) in itertools.product((0, 1024), WAYS.items()):
                count = calls // 4 if flight == (1, 1) else calls
                runs: dict[str, Callable[[], tuple[float, float]]] = {
                    kind + name: partial(our_client, python, place, proto, port, size, count, name, flight)
                    for kind, python in kinds.items()
                    for name in ("blocking", "asyncio")
                }
                runs["bare"] = partial(figures, [str(place / "bare"), *_words(proto, port, size, count, *flight)])
                data = bytes(size) if size else None
                if "pyvisa_py" in others and flight == (1, 1):
                    runs["pyvisa"] = partial(pyvisa, proto, PROGRAM, VERSION, port, data, calls // 4)
                if "shenaniganfs" in others and proto == "tcp":
                    runs["shenaniganfs"] = partial(shenanigans, PROGRAM, VERSION, port, data, calls // 4, flight[0])
                best: dict[str, tuple[float, float]] = {}
                for _ in range(rounds):
                    for which, run in runs.items():
                        best[which] = max(best.get(which, (0.0, 0.0)), run())
                what = f"{proto} echo {size}" if size else f"{proto} null"
                line = f"{what:15} {way:12}"
                for which in (*OUR_CLIENTS, "bare", "pyvisa", "shenaniganfs"):
                    line += " {:12.0f} {:5.1f}".format(*best[which]) if which in best else f" {'-':>12} {'-':>5}"
                print(line, flush=True)
    print(
        "together: half of so many in flight sent by one submit_all; each: each sent by itself (asyncio: 16 tasks);"
        " single: one after the other.\ncomp.: compiled. C, bare: what can be had at all."
        " PyVISA-py can have but one in flight; ShenanigaNFS has as many."
    )


def our_client(
    python: list[str], place: Path, proto: str, port: int, size: int, calls: int, name: str, flight: tuple[int, int]
) -> tuple[float, float]:
    """Calls a second of a client of ours in a process of its own, and microseconds of its CPU for each."""
    return figures([*python, str(HERE / "ours.py"), str(place), name, *_words(proto, port, size, calls, *flight)])


def _words(*what: Any) -> list[str]:
    return [str(word) for word in what]


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
