"""Domains whose servers are found through DNS, asked of a real DNS server on loopback."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nfsrpc.auth.des import MissingExtra
from nfsrpc.client import BadUrl, mount, parse_url
from nfsrpc.client.srv import Server, servers_of
from nfsrpc.testing.served import Served
from nfsrpc.transport.address import HostUnknown

dns_resolver = pytest.importorskip("dns.resolver")
DNSMASQ = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin:/sbin")
DOMAIN = "example.test"
Start = Callable[..., None]


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _dnsmasq(port: int, records: tuple[str, ...]) -> list[str]:
    return [
        str(DNSMASQ), "--keep-in-foreground", "--no-resolv", "--no-hosts", "--no-daemon", "--bind-interfaces",
        "--listen-address=127.0.0.1", f"--port={port}", f"--local=/{DOMAIN}/", "--conf-file=/dev/null",
        *(f"--srv-host={record}" for record in records),
    ]  # fmt: skip


def _answers(resolver: Any, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the server answers; False if it ended, as it does when somebody else has got the port meanwhile."""
    while process.poll() is None:
        try:
            resolver.resolve(f"ready.{DOMAIN}", "A", lifetime=0.5)
        except (dns_resolver.NXDOMAIN, dns_resolver.NoAnswer):
            return True
        except dns_resolver.LifetimeTimeout:
            continue
    return False


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Start dnsmasq with these SRV records (``name,target,port,priority,weight``) and make it the resolver."""
    if DNSMASQ is None:
        pytest.skip("needs dnsmasq")
    running: list[subprocess.Popen[bytes]] = []

    def start(*records: str) -> None:
        for _ in range(5):
            port = _free_port()
            process = subprocess.Popen(_dnsmasq(port, records), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            running.append(process)
            resolver = dns_resolver.Resolver(configure=False)
            resolver.nameservers, resolver.port, resolver.lifetime = ["127.0.0.1"], port, 20
            if _answers(resolver, process):
                monkeypatch.setattr(dns_resolver, "default_resolver", resolver)
                return
        pytest.fail("dnsmasq got no port of its own in five tries")

    yield start
    for process in running:
        process.terminate()
        process.wait(10)


def test_the_order_is_that_of_priorities(zone: Start) -> None:
    zone(
        f"_nfs._tcp.{DOMAIN},second.{DOMAIN},2050,20,1",
        f"_nfs._tcp.{DOMAIN},first.{DOMAIN},2049,10,1",
        f"_nfs._udp.{DOMAIN},old.{DOMAIN},2051,5,1",
    )
    tcp = [Server(f"first.{DOMAIN}", 2049, "tcp"), Server(f"second.{DOMAIN}", 2050, "tcp")]
    udp = [Server(f"old.{DOMAIN}", 2051, "udp")]
    assert servers_of(DOMAIN, ("tcp", "udp")) == tcp + udp
    assert servers_of(DOMAIN, ("udp",)) == udp


def test_heavier_servers_come_first_more_often(zone: Start) -> None:
    zone(f"_nfs._tcp.{DOMAIN},light,1,0,1", f"_nfs._tcp.{DOMAIN},heavy,2,0,99")
    first = [servers_of(DOMAIN, ("tcp",))[0].host for _ in range(100)]
    assert 70 < first.count("heavy") <= 100


@pytest.mark.parametrize("records", [[], [f"_nfs._tcp.{DOMAIN},.,0,0,0"]])
def test_a_domain_without_servers_says_so(zone: Start, records: list[str]) -> None:
    zone(*records)
    with pytest.raises(HostUnknown, match=r"no SRV record _nfs\._tcp\.example\.test or _nfs\._udp"):
        mount(f"nfs+srv://{DOMAIN}/export")


@pytest.mark.parametrize("proto", ["tcp", "udp"])
def test_a_domain_is_mounted(zone: Start, served: Served, proto: str) -> None:
    zone(f"_nfs._{proto}.{DOMAIN},127.0.0.1,{served.port},0,0")
    with mount(f"nfs+srv://{DOMAIN}/export?uid=0&gid=0") as m:
        m.write_text(f"by-name-{proto}", "found")
        assert m.read_text(f"by-name-{proto}") == "found"
        assert m._site.nfsd == ("127.0.0.1", served.port, proto)


def test_the_next_server_is_tried_where_one_is_down(zone: Start, served: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dead = taken.getsockname()[1]
    zone(f"_nfs._tcp.{DOMAIN},127.0.0.1,{dead},0,0", f"_nfs._tcp.{DOMAIN},127.0.0.1,{served.port},10,0")
    for argument in ("", f"?mountport={served.port}"):
        with mount(f"nfs+srv://{DOMAIN}/export{argument}") as m:
            assert m._site.nfsd.port == served.port


def test_a_service_has_no_port_and_is_written_as_it_was_read() -> None:
    with pytest.raises(BadUrl, match="port of a service is in DNS"):
        parse_url("nfs+srv://example.test:2049/x")
    assert str(parse_url("nfs+srv://example.test/x")) == "nfs+srv://example.test/x"


def test_without_dnspython_the_line_to_type_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    with pytest.raises(MissingExtra, match=r"pip install 'nfsrpc\[dns\]'"):
        servers_of(DOMAIN, ("tcp",))
