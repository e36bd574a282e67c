"""A served volume gets a new key: a reload takes it, and clients go on with the handles they have."""

import os
import signal

import pytest
from nfs2_calls import getattr_, lookup, made

from nfsrpc.auth import SysCredential
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s
from nfsrpc.store.volume.identity import rekey_volume
from nfsrpc.testing.served import Served
from nfsrpc.transport import connect_tcp

HOUR = 3600 * 10**9


def root_of(connection, served):
    return v2.nfs_fh(mnt.MOUNTPROG_1_client(connection).MOUNTPROC_MNT(served.export.encode()).directory)


@pytest.mark.parametrize(("keep", "old_one"), [(HOUR, s.NFS_OK), (0, s.NFSERR_STALE)])
def test_a_reload_takes_the_new_key(tmp_path, keep, old_one):
    with Served(tmp_path, "--workers", "2") as served:
        credential = SysCredential(0, 0, (), b"h")
        with connect_tcp("127.0.0.1", served.port, credential=credential, timeout=60) as connection:
            nfs, root = v2.NFS_PROGRAM_2_client(connection), root_of(connection, served)
            file = made(nfs, root, b"f")
            fileid = getattr_(nfs, file).fileid
            rekey_volume(served.volume, keep)
            assert lookup(nfs, root, b"f").diropres.file == file, "until then all is as it was"
            os.kill(served.pid, signal.SIGHUP)
        # Workers take the new key one by one: until a connection meets one that has it.
        for _ in range(10000):
            with connect_tcp("127.0.0.1", served.port, credential=credential, timeout=60) as connection:
                nfs = v2.NFS_PROGRAM_2_client(connection)
                new_root = root_of(connection, served)
                if new_root == root:
                    continue
                new = lookup(nfs, new_root, b"f").diropres.file
                assert (new != file, getattr_(nfs, new).fileid) == (True, fileid)
                assert nfs.NFSPROC_GETATTR(file).status == nfs.NFSPROC_GETATTR(root).status == old_one
                return
        raise AssertionError("the new key was never taken")
