"""C programs that authenticate with other people's code, compiled when a test needs them."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[1] / "interop" / "c" / "auth"
GLIBC: tuple[str, ...] = ()
TIRPC = ("-I/usr/include/tirpc", "-ltirpc", "-lgssapi_krb5")
LIBGSSRPC = ("-DGSSRPC", "-lgssrpc", "-lgssapi_krb5")
_MEMBERS = {TIRPC: "/usr/include/tirpc/rpc/rpc.h", LIBGSSRPC: "/usr/include/gssrpc/rpc.h"}


def glibc_symbol(name: bytes) -> int:
    """Address of a symbol that glibc keeps for old binaries, 0 where there is none (as in musl)."""
    libc = ctypes.CDLL(None)
    try:
        find = libc.dlvsym
    except AttributeError:
        return 0
    find.restype = ctypes.c_void_p
    find.argtypes = (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p)
    return find(ctypes.CDLL(ctypes.util.find_library("c"))._handle, name, b"GLIBC_2.2.5") or 0


def build(directory: Path, source: str, *options: str, name: str | None = None) -> Path:
    """Compile `source`; skips the test where compiler or library are missing."""
    if shutil.which("gcc") is None:
        pytest.skip("not on this machine: gcc")
    program = directory / (name or source.removesuffix(".c"))
    if not program.exists():
        part = directory / f"{program.name}.{os.getpid()}"
        command = ["gcc", "-O1", "-o", str(part), str(SOURCES / source), *options]
        subprocess.run(command, check=True, capture_output=True, timeout=120)
        part.rename(program)
    return program


def build_with(directory: Path, source: str, library: tuple[str, ...], name: str) -> Path:
    """Compile `source` with one of `TIRPC` and `LIBGSSRPC`."""
    if not Path(_MEMBERS[library]).exists():
        pytest.skip(f"not on this machine: {_MEMBERS[library]}")
    return build(directory, source, *library, name=name)


def need_glibc() -> None:
    """Skip where the C library has no Sun RPC in it."""
    if not glibc_symbol(b"cbc_crypt"):
        pytest.skip("this C library has no Sun RPC (glibc on Linux has it)")
