"""tools/bench start: from starting `nfsrpc serve` to its first answer, beside a Python that does nothing.

    tools/bench start [--rounds 7] [--json FILE]

Both are started by the same interpreter in the same environment, in turns, their modules compiled before. The
call is a NULL of NFS over UDP, sent again every millisecond until it is answered. Shown are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from nfsrpc.transport.endpoints import bind

NULL = struct.pack(">10I", 1, 0, 2, 100003, 2, 0, 0, 0, 0, 0)
PAUSE = 0.001  # seconds
LIMIT = 60.0


def environment(cache: Path) -> dict[str, str]:
    """This one, with compiled modules kept below `cache`."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(cache)}


def nothing(env: dict[str, str]) -> float:
    """Seconds that an empty program takes."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True, env=env)
    return time.perf_counter() - begun


def free_port() -> int:
    """One that is free now, for UDP and TCP."""
    (endpoint,) = bind("127.0.0.1", 0)
    port = endpoint.port
    endpoint.close()
    return port


def first_answer(env: dict[str, str], volume: Path) -> float:
    """Seconds until a server of `volume` has answered a call."""
    port = free_port()
    command = [sys.executable, "-m", "nfsrpc", "serve", str(volume), "--port", str(port), "--no-portmap"]
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as caller:
            caller.connect(("127.0.0.1", port))
            caller.settimeout(PAUSE)
            while time.perf_counter() < begun + LIMIT:
                try:
                    caller.send(NULL)
                    caller.recv(100)
                    return time.perf_counter() - begun
                except TimeoutError:
                    pass
                except ConnectionRefusedError:
                    time.sleep(PAUSE)
        raise SystemExit("bench: the server did not start")
    finally:
        process.terminate()
        process.wait(LIMIT)


def measure(rounds: int) -> tuple[float, float]:
    """Median seconds of nothing, and of a server's first answer."""
    with tempfile.TemporaryDirectory(prefix="nfsrpc-bench.") as name:
        env, volume = environment(Path(name, "cache")), Path(name, "volume")
        subprocess.run([sys.executable, "-m", "nfsrpc", "mkfs", str(volume)], check=True, stdout=subprocess.DEVNULL)
        first_answer(env, volume)  # compiles
        pairs = [(nothing(env), first_answer(env, volume)) for _ in range(rounds)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)


def main(argv: list[str]) -> int:
    """Measure and print; the exit status."""
    parser = argparse.ArgumentParser(
        prog="tools/bench start", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7, help="(default: %(default)s)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there")
    o = parser.parse_args(argv)
    empty, server = measure(o.rounds)
    print(f"python -c pass {empty * 1e3:.1f} ms, first answer {server * 1e3:.1f} ms: {server / empty:.1f} times")
    if o.json:
        figures = {"pass_seconds": empty, "first_answer_seconds": server, "ratio": server / empty}
        o.json.write_text(json.dumps({"start": figures}, indent=1) + "\n")
    return 0
