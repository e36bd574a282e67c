"""Structs as values: compared by field, shown by field, lists of any length included."""

import copy

import pytest

from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.rpc_msg import authsys_parms

PARMS = authsys_parms(1, b"m", 2, 3, [4, 5])


def test_display():
    assert repr(PARMS) == "authsys_parms(stamp=1, machinename=b'm', uid=2, gid=3, gids=[4, 5])"
    assert repr(v2.nfs_fh(b"x")) == "nfs_fh(data=b'x')"
    assert repr(v2.diropargs(v2.nfs_fh(b"x"), b"n")) == "diropargs(dir=nfs_fh(data=b'x'), name=b'n')"
    assert repr(authsys_parms(1, b"m", 2, 3, [])) == "authsys_parms(stamp=1, machinename=b'm', uid=2, gid=3, gids=[])"


@pytest.mark.parametrize(
    "other",
    [
        authsys_parms(0, b"m", 2, 3, [4, 5]), authsys_parms(1, b"n", 2, 3, [4, 5]), authsys_parms(1, b"m", 2, 3, [4]),
        authsys_parms(1, b"m", 2, 3, [4, 6]), authsys_parms(1, b"m", 2, 3, [5, 5]), v2.nfs_fh(b"m"), 7,
    ],
)  # fmt: skip
def test_different_values_are_not_equal(other):
    assert other != PARMS


def test_equal_values_are_equal_and_not_hashable():
    assert copy.deepcopy(PARMS) == PARMS
    assert v2.diropargs(v2.nfs_fh(b"x"), b"n") == v2.diropargs(v2.nfs_fh(b"x"), b"n")
    assert v2.diropargs(v2.nfs_fh(b"x"), b"n") != v2.diropargs(v2.nfs_fh(b"y"), b"n")
    with pytest.raises(TypeError):
        hash(PARMS)


def test_values_of_other_kinds_are_left_to_the_other_side():
    assert PARMS.__eq__(7) is NotImplemented
    assert authsys_parms(1, b"m", 2, 3, (4, 5)) != PARMS
    assert authsys_parms(1, b"m", 2, 3, 7) != authsys_parms(1, b"m", 2, 3, [7])
    assert v2.diropargs(v2.nfs_fh(b"x"), b"n") != v2.diropargs(v2.diropargs(b"x", b"n"), b"n")


def test_replacing_a_field_makes_a_copy():
    changed = PARMS.__replace__(uid=9)
    assert (changed.uid, changed.gids, PARMS.uid) == (9, [4, 5], 2)
    with pytest.raises(TypeError):
        PARMS.__replace__(no_such_field=1)


def test_long_lists_are_no_trouble():
    def chain():
        entry = None
        for n in range(20_000):
            entry = v2.entry(n, b"n", b"\0\0\0\0", entry)
        return entry

    assert chain() == chain()
    assert repr(chain()).count("entry(") == 20_000
