"""Remote quotas: what a user may ask for, what is answered, and numbers that need more than 32 bits."""

import pytest
from nfs2_calls import made, mkdir, write
from site_in_memory import FLAVORS

from nfsrpc.nfs import rquota
from nfsrpc.nfs.rquota import rquota_of
from nfsrpc.protocols import rquota as rq
from nfsrpc.rpc.dispatch import Dispatcher
from nfsrpc.store import Quota
from nfsrpc.store.volume.quota import Limits, set_limits

OK, NONE, REFUSED = rq.gqr_status.Q_OK, rq.gqr_status.Q_NOQUOTA, rq.gqr_status.Q_EPERM


@pytest.fixture
def ask(site):
    """Ask as a user for the quota of a uid; the answer in version 1, which is that of version 2."""

    def ask(uid, *, of, path=b"/vol", **caller):
        caller = site.caller(uid, **caller)
        caller.dispatcher = Dispatcher(rquota.bindings(site.exports), FLAVORS)
        one, two = rq.RQUOTAPROG_1_client(caller), rq.RQUOTAPROG_2_client(caller)
        signed = of - (1 << 32) if of >> 31 else of
        first = one.RQUOTAPROC_GETQUOTA(rq.getquota_args(path, signed))
        assert one.RQUOTAPROC_GETACTIVEQUOTA(rq.getquota_args(path, signed)) == first
        for call in (two.RQUOTAPROC_GETQUOTA, two.RQUOTAPROC_GETACTIVEQUOTA):
            assert call(rq.ext_getquota_args(path, rq.RQUOTA_USRQUOTA, signed)) == first
            assert call(rq.ext_getquota_args(path, rq.RQUOTA_GRPQUOTA, signed)).status == NONE
        return first

    return ask


@pytest.fixture
def limited(site):
    nfs = site.nfs(1000, 100)
    write(nfs, made(nfs, site.root, b"f"), 0, b"x" * 8192)
    mkdir(site.nfs(0), site.root, b"d")
    set_limits(site.path, 1000, Limits(1 << 20, 5))
    set_limits(site.path, 2**32 - 2, Limits(1 << 20, 7))
    return site


def test_without_limits_there_are_no_quotas(ask):
    assert ask(1000, of=1000).status == NONE


def test_what_a_user_has(limited, ask):
    found = ask(1000, of=1000)
    assert found.status == OK
    assert found.gqr_rquota == rq.rquota(1024, True, 1024, 1024, 8, 5, 5, 1, 0, 0)
    assert ask(1000, of=1000, path=b"/vol/d/").gqr_rquota == found.gqr_rquota
    assert ask(0, of=2**32 - 2).gqr_rquota.rq_fhardlimit == 7


@pytest.mark.parametrize(
    ("uid", "of", "path", "status"),
    [
        (1000, 0, b"/vol", REFUSED),
        (1000, 1001, b"/vol", REFUSED),
        (0, 1000, b"/vol", OK),
        (0, 4711, b"/vol", OK),
        (None, 1000, b"/vol", REFUSED),
        (1000, 1000, b"/vol2", NONE),
        (1000, 1000, b"/vol/../etc", NONE),
        (1000, 1000, b"", NONE),
    ],
)
def test_who_may_ask_for_whose(limited, ask, uid, of, path, status):
    assert ask(uid, of=of, path=path).status == status


def test_an_export_answers_its_own_clients(make_site):
    site = make_site(line="10.0.0.0/8(rw)")
    set_limits(site.path, 1000, Limits(1 << 20, 5))
    for host, uid, status in (("10.0.0.1", 1000, OK), ("10.0.0.1", 0, REFUSED), ("192.0.2.1", 1000, REFUSED)):
        caller = site.caller(uid, host=host)
        caller.dispatcher = Dispatcher(rquota.bindings(site.exports), FLAVORS)
        asked = rq.getquota_args(b"/vol", 1000)
        assert rq.RQUOTAPROG_1_client(caller).RQUOTAPROC_GETQUOTA(asked).status == status


@pytest.mark.parametrize(
    ("used", "limit"), [(0, 0), (1, 1), (1023, 1025), (2**42, 2**42), (2**61 - 1, 2**61), (2**42 - 1024, 2**42 - 1)]
)
def test_blocks_are_as_large_as_it_takes(used, limit):
    found = rquota_of(Quota(limit, used, 2**40, 2**40))
    assert 0 <= used // found.rq_bsize <= found.rq_curblocks < 2**32
    assert limit <= found.rq_bhardlimit * found.rq_bsize < limit + found.rq_bsize
    assert (found.rq_fhardlimit, found.rq_curfiles) == (2**32 - 1, 2**32 - 1)
    rq.encode_rquota(found, [])


def test_what_no_block_is_large_enough_for_is_clamped():
    found = rquota_of(Quota(2**63, 2**63, 0, 0))
    assert (found.rq_bsize, found.rq_bhardlimit, found.rq_curblocks) == (2**30, 2**32 - 1, 2**32 - 1)
    rq.encode_rquota(found, [])
