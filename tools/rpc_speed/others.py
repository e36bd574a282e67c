"""Clients in Python that this project did not write: PyVISA-py's and ShenanigaNFS', calling the same procedures.

Each does what it can: PyVISA-py's has one call under way at a time, ShenanigaNFS' as many as are asked for, over
TCP alone.
"""

import asyncio
import importlib.util
import time
import warnings

NULL, ECHO = 0, 1


class Stopwatch:
    """Runs from when it is made: what is read off it is of the time since."""

    def __init__(self) -> None:
        self._began = time.perf_counter(), time.process_time()

    def of(self, calls: int) -> tuple[float, float]:
        """Calls a second, and microseconds of this process' processor time for each."""
        began, used = self._began
        return calls / (time.perf_counter() - began), (time.process_time() - used) / calls * 1e6


def installed() -> list[str]:
    """Those that are here; a line about what is not."""
    found = [name for name in ("pyvisa_py", "shenaniganfs") if importlib.util.find_spec(name)]
    if len(found) < 2:
        print("\nother Python clients to compare with: pip install pyvisa-py shenaniganfs==0.2 (this one before 3.13)")
    return found


def pyvisa(proto: str, program: int, version: int, port: int, data: bytes | None, calls: int) -> tuple[float, float]:
    """What `Stopwatch` says of PyVISA-py's client, which descends from the demonstration that came with Python 1."""
    from pyvisa_py.protocols import rpc  # type: ignore[import-not-found]

    client = (rpc.RawTCPClient if proto == "tcp" else rpc.RawUDPClient)("127.0.0.1", program, version, port)
    client.packer, client.unpacker = rpc.Packer(), rpc.Unpacker(b"")
    how = (None, None) if data is None else (client.packer.pack_opaque, client.unpacker.unpack_opaque)
    watch = Stopwatch()
    for _ in range(calls):
        assert client.make_call(NULL if data is None else ECHO, data, *how) == data
    figures = watch.of(calls)
    client.close()
    return figures


def shenanigans(
    program: int, version: int, port: int, data: bytes | None, calls: int, flight: int
) -> tuple[float, float]:
    """What `Stopwatch` says of ShenanigaNFS' client with `flight` under way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of xdrlib
        from shenaniganfs import client as shenaniganfs  # type: ignore[import-not-found]
        from shenaniganfs import rpchelp

    blob = rpchelp.Opaque(rpchelp.LengthType.VAR, None)
    procedures = {NULL: rpchelp.Proc("NULL", rpchelp.r_void, []), ECHO: rpchelp.Proc("ECHO", blob, [blob])}
    call = (NULL,) if data is None else (ECHO, data)

    class Client(shenaniganfs.TCPClient):  # type: ignore[misc]
        prog, vers, min_vers = program, version, version
        procs = procedures

    async def measured() -> tuple[float, float]:
        client = Client("127.0.0.1", port)
        await client.connect()

        async def work() -> None:
            for _ in range(calls // flight):
                answer = await client.send_call(*call)
                assert answer.success
                assert answer.body == data

        watch = Stopwatch()
        await asyncio.gather(*(work() for _ in range(flight)))
        figures = watch.of(calls // flight * flight)
        client.disconnect()
        return figures

    return asyncio.run(measured())
