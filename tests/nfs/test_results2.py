"""Encoded results are kept for as long as the store gives out the same attributes object, and for a bounded number."""

import pytest

from nfsrpc.nfs.fattr2 import fattr_of
from nfsrpc.nfs.results2 import Results, attrstat, diropres

WHAT = (attrstat, diropres)


@pytest.fixture
def export(site):
    (export,) = site.exports
    return export


def expected(what, export, node):
    handle = export.handle(node.ufid) if what is diropres else b""
    return bytes(4) + handle + fattr_of(node, export.fsid)


@pytest.mark.parametrize("what", WHAT)
def test_the_same_object_is_encoded_once_and_another_one_anew(export, what):
    result = Results(what).of
    node = export.store.getattr(export.root)
    first = result(export, node)
    assert first == expected(what, export, node)
    assert result(export, node) is first
    changed = node.copy()
    changed.size += 1
    assert result(export, changed) == expected(what, export, changed) != first
    assert result(export, node) == first


@pytest.mark.parametrize("what", WHAT)
def test_what_another_export_was_told_is_not_ours(make_site, what):
    result = Results(what).of
    (one,), (two,) = make_site("one").exports, make_site("two", line="*(rw,fsid=77)").exports
    node = one.store.getattr(one.root)
    assert result(one, node) == expected(what, one, node)
    assert result(two, node) == expected(what, two, node) != result(one, node)


@pytest.mark.parametrize("what", WHAT)
def test_the_number_of_results_kept_is_bounded(export, what):
    result = Results(what).of
    node = export.store.getattr(export.root)
    first = result(export, node)
    for inode in range(10, 10 + 4096):
        another = node.copy()
        another.inode = inode
        result(export, another)
    again = result(export, node)
    assert again == first
    assert again is not first
