"""Broadcasts over IPv4, and IPv6's multicast group: two machines on one cable, rpcbind on one, our own on the other."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

US = ("10.9.0.1", "fd00:9::1")
THEM = ("10.9.0.2", "fd00:9::2")
NFSRPC = (sys.executable, "-m", "nfsrpc")


@pytest.fixture
def cable(namespace: Any, need_commands: Callable[..., None]) -> Iterator[Any]:
    """A second network namespace, at the other end of a cable: what puts a command there."""
    need_commands("ip")
    holder = namespace.popen(
        ["unshare", "--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout.readline() == "ready\n"
        there = ["nsenter", "--target", str(holder.pid), "--net"]
        steps = [["ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", str(holder.pid)]]
        for enter, (four, six) in (([], US), (there, THEM)):
            steps.append([*enter, "ip", "address", "add", f"{four}/24", "broadcast", "+", "dev", "cable"])
            steps.append([*enter, "ip", "address", "add", f"{six}/64", "dev", "cable", "nodad"])
            steps.append([*enter, "sysctl", "-qw", "net.ipv6.conf.cable.accept_dad=0"])
            steps.append([*enter, "ip", "link", "set", "cable", "up"])
        for step in steps:
            done = namespace.run(*step)
            assert done.returncode == 0, f"{' '.join(step)}: {done.stderr}"
        yield there
    finally:
        holder.stdin.close()
        holder.stdout.close()
        holder.wait(10)


@pytest.mark.root
def test_who_broadcasts_finds_rpcbind_and_us(namespace, cable, make_server, need_commands, tmp_path):
    """On our machine rpcbind, with a server that is registered there; on theirs a server that has port 111 itself."""
    need_commands("rpcbind", "rpcinfo")
    rpcbind = namespace.popen(["rpcbind", "-f", "-r", "-w"])
    try:
        while namespace.run("rpcinfo", "-p", "127.0.0.1").returncode:
            assert rpcbind.poll() is None
        near = make_server("--host", "::", namespace=namespace)
        there = replace(namespace, enter=[*namespace.enter, *cable])
        far = make_server("--host", "::", "--indirect", "--control", str(tmp_path / "far"), namespace=there)
        addresses = there.run("ip", "-6", "address", "show", "dev", "cable").stdout
        link_local = re.search(r"inet6 (fe80::\S+)/", addresses)[1]
        everybody = {f"{US[0]} port {near.port}", f"{THEM[0]} port {far.port}", f"{link_local}%cable port {far.port}"}
        for where in (namespace, there):
            found = where.run(*NFSRPC, "info", "-b", "nfs", "2", "--timeout", "3")
            assert set(found.stdout.splitlines()) == everybody, found.stderr
        nobody = namespace.run(*NFSRPC, "info", "-b", "nfs", "3", "--timeout", "0.5")
        assert (nobody.returncode, nobody.stdout) == (1, "")
        assert nobody.stderr.startswith("nfsrpc: nobody answers for program 100003 version 3 ")

        lines = {line.split()[0] for line in namespace.run("rpcinfo", "-b", "100003", "2").stdout.splitlines()}
        assert lines == {universal(US[0], near.port), universal(THEM[0], far.port), universal(link_local, far.port)}
    finally:
        rpcbind.terminate()
        rpcbind.wait(10)


def universal(host: str, port: int) -> str:
    return f"{host}.{port >> 8}.{port & 255}"


@pytest.mark.root
def test_without_a_network_there_is_nobody_to_ask(namespace):
    done = namespace.run(*NFSRPC, "info", "-b", "nfs", "2")
    assert done.returncode == 1
    assert done.stderr == "nfsrpc: broadcast: this machine is on no network that has broadcasts\n"
