"""What the fixtures of nfsrpc are for: each of these is a whole test."""

import pytest
from weather import Thermometer, publish, published, reading, record

from nfsrpc.transport import connect_udp


@pytest.mark.parametrize("proto", ["udp", "tcp"])
def test_a_reading(rpc_server, proto):
    server = rpc_server(Thermometer())
    assert reading(server.connect(proto), b"kitchen") == 21.5


def test_a_reading_over_a_bad_network(rpc_server, lossy_link):
    thermometer = Thermometer()
    link = lossy_link(rpc_server(thermometer), drop=0.2, duplicate=0.2, seed=3)
    with connect_udp(*link.address) as client:
        assert [reading(client, b"attic") for _ in range(5)] == [21.5] * 5
    assert link.counts("up")["drop"] > 0
    assert len(thermometer.asked) >= 5


def test_publishing(nfs_url):
    publish(nfs_url + "/latest", "21.5")
    assert published(nfs_url + "/latest") == "21.5"


def test_publishing_over_a_bad_network(nfs_url, lossy_link, nfs_server):
    link = lossy_link(nfs_server, drop=0.1, delay=0.2)
    publish(link.url(nfs_url + "/latest?proto=udp"), "21.5")
    assert published(nfs_url + "/latest") == "21.5"


def test_a_read_only_server_is_noticed(make_nfs_server):
    with pytest.raises(Exception, match="exit status 1"):
        publish(make_nfs_server("--read-only").url("/latest"), "21.5")


def test_a_log(nfs_mount):
    for text in ("21.5", "21.6"):
        record(nfs_mount, text)
    assert nfs_mount.read_text("log") == "21.5\n21.6\n"
