"""Our client of rpcbind 3 and 4 against our server, and against answers that no honest server gives."""

import threading
import time

import pytest

from nfsrpc.portmap.entry import Service
from nfsrpc.portmap.registry import Registry
from nfsrpc.portmap.rpcbind import RpcBind
from nfsrpc.portmap.service import Mapper
from nfsrpc.rpc.errors import BadReply
from nfsrpc.transport import Server
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.client_udp import connect_udp


@pytest.fixture(params=["127.0.0.1", "::1"])
def host(request) -> str:
    return request.param


@pytest.fixture
def port(host):
    mapper = Mapper(Registry())
    server = Server(mapper.bindings, [(host, 0)])
    loop = server.loop()
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield server.ports[0]
    loop.stop()
    thread.join()
    server.close()


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("connect", [connect_udp, connect_tcp])
def test_both_versions_over_both_transports_and_both_families(host, port, connect, version):
    netid = {connect_udp: "udp", connect_tcp: "tcp"}[connect] + ("6" if ":" in host else "")
    with connect(host, port) as client:
        bind = RpcBind(client, version)
        assert bind.getaddr(300, 1) is None
        assert bind.set(Service(300, 1, netid, f"{host}.15.160"))
        assert bind.getaddr(300, 1) == bind.getaddr(300, 2) == (host, 4000)
        assert [entry[:4] for entry in bind.dump()] == [(300, 1, netid, f"{host}.15.160")]
        assert abs(bind.gettime() - time.time()) < 60
        assert bind.taddr2uaddr(bind.uaddr2taddr("192.0.2.1.0.111")) == ("192.0.2.1", 111)
        assert bind.unset(300, 1)
        assert not bind.unset(300, 1)
    if version == 4:
        with connect(host, port) as client:
            bind = RpcBind(client)
            bind.set(Service(300, 1, netid, f"{host}.15.160"))
            assert bind.getversaddr(300, 1) == (host, 4000)
            assert bind.getversaddr(300, 2) is None
            assert bind.getstat()[2].setinfo >= 1


class Saying:
    """A caller whose every call is answered with the same value."""

    def __init__(self, value) -> None:
        self.value = value

    def call(self, procedure, args):
        return self.value


@pytest.mark.parametrize("answer", [b"x" * 5000, b"no address", b"1.2.3.4.5", b"1.2.3.4.500.1", b"\xff\xfe.1.1"])
def test_an_answer_that_is_no_address_is_a_bad_reply(answer):
    with pytest.raises(BadReply):
        RpcBind(Saying(answer)).getaddr(1, 1)


def test_texts_of_a_server_are_made_fit_to_print():
    from nfsrpc.protocols import rpcb_prot as rb

    entry = rb.rpcb(1, 1, b"udp\x1b[2J", b"a\nb", b"\x9b31m")
    (line,) = RpcBind(Saying(rb.rpcblist(entry, None))).dump()
    assert line == Service(1, 1, "udp?[2J", "a?b", "\ufffd31m")
