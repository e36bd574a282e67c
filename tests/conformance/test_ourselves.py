"""Our own server passes the conformance suite, every rule of it, and shows no quirk."""

import pytest
from conformance_run import conformance

from nfsrpc.testing.served import Served

pytestmark = pytest.mark.hostile


@pytest.mark.parametrize("options", [(), ("--workers", "2")])
def test_our_server_passes(tmp_path, options):
    with Served(tmp_path, *options) as server:
        outcomes, said = conformance(tmp_path, f"127.0.0.1:{server.port}")
    assert [rule for rule in outcomes if rule["outcome"] != "pass"] == [], said
    assert len(outcomes) > 200
    assert all(rule["section"].startswith("RFC ") for rule in outcomes)


def test_a_server_that_is_not_there_is_told_in_a_line(tmp_path):
    with pytest.raises(AssertionError, match="no answer to NFS version 2"):
        conformance(tmp_path, "127.0.0.1:9", "--reply-timeout", "0.2")
