"""Other people's software, captured: U-Boot loads a file, libnfs learns which versions are not here."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import zlib
from collections import Counter
from pathlib import Path

import pytest
from side_by_side import Comparison
from sniffing import sniffed

UBOOT = Path("/usr/lib/u-boot/qemu_arm/u-boot.bin")
CONTENT = random.Random(1).randbytes(150_001)
PROMPT = "=> "
QEMU = [
    "qemu-system-arm", "-M", "virt", "-m", "128", "-nographic", "-bios", str(UBOOT),
    "-netdev", "user,id=n", "-device", "virtio-net-device,netdev=n",
]  # fmt: skip


class Console:
    """U-Boot at work in a namespace: 10.0.2.2 is the namespace's own loopback address."""

    def __init__(self, namespace):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = namespace.popen(QEMU, **pipes)
        self.unread = ""

    def until(self, text):
        """What is said up to and with `text`."""
        while text not in self.unread:
            piece = self.process.stdout.read1(4096)
            assert piece, f"U-Boot has ended: {self.unread}"
            self.unread += piece.decode(errors="replace")
        before, found, self.unread = self.unread.partition(text)
        return before + found

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def do(self, line):
        """One command and what it says."""
        self.type(line)
        return self.until(f"\n{PROMPT}")

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def server(namespace, make_server, need_commands):
    need_commands("tshark")
    return make_server(namespace=namespace, port=2049)


def test_uboot_loads_a_file_and_nothing_of_it_is_unknown(namespace, server, need_commands, tmp_path):
    need_commands("qemu-system-arm")
    if not UBOOT.exists():
        pytest.skip("not on this machine: u-boot-qemu")
    (tmp_path / "kernel").write_bytes(CONTENT)
    put = ["-m", "nfsrpc", "put", str(tmp_path / "kernel"), f"nfs://127.0.0.1:2049{server.export}/kernel.img"]
    assert namespace.run(sys.executable, *put).returncode == 0
    capture = tmp_path / "uboot.pcap"
    with sniffed(namespace, capture):
        console = Console(namespace)
        try:
            console.until("Hit any key")
            console.do("")
            console.do("setenv ipaddr 10.0.2.15; setenv serverip 10.0.2.2; setenv netmask 255.255.255.0")
            loaded = console.do(f"nfs 0x41000000 10.0.2.2:{server.export}/kernel.img")
            assert f"Bytes transferred = {len(CONTENT)}" in loaded
            summed = console.do("crc32 0x41000000 ${filesize}")
        finally:
            console.close()
    assert re.search(r"==> ([0-9a-f]{8})", summed)[1] == f"{zlib.crc32(CONTENT):08x}"
    read = Comparison(capture)
    assert (read.malformed, read.differences(), read.orphans) == ([], [], 0)
    done = Counter((d.program, d.procedure, d.status) for d in read.exchanges)
    blocks = -(-len(CONTENT) // 1024)
    assert done.keys() >= {("portmap", "GETPORT", "OK"), ("mount", "MNT", "OK"), ("nfs", "LOOKUP", "OK")}
    assert done["nfs", "READ", "OK"] >= blocks
    assert {status for _, _, status in done} == {"OK"}
    assert [d for d in read.exchanges if d.arguments is None] == []


def test_libnfs_is_told_which_versions_there_are(namespace, server, need_commands, tmp_path):
    need_commands("nfs-ls")
    capture = tmp_path / "libnfs.pcap"
    with sniffed(namespace, capture):
        assert namespace.run("nfs-ls", f"nfs://127.0.0.1{server.export}").returncode != 0
    read = Comparison(capture)
    assert (read.malformed, read.differences(), read.orphans) == ([], [], 0)
    assert [d.exchange.client for d in read.exchanges if d.arguments is None and d.exchange.version < 3] == []
    asked = {(d.program, d.exchange.version, d.procedure): d.status for d in read.exchanges}
    assert len(asked) > 1
    assert {status.split()[0] for status in asked.values()} <= {"OK", "PROG_MISMATCH"}
