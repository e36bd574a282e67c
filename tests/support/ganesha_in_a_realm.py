"""Started in namespaces of its own: a realm, rpcbind, nfs-ganesha with Kerberos, and our client's calls to it.

usage: unshare --net --mount python ganesha_in_a_realm.py DIRECTORY; prints one line for each thing that works
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import time
from pathlib import Path

from ganesha import MOUNT_PORT, NFS_PORT
from ganesha import configuration as ganesha_configuration
from kerberos import Realm

from nfsrpc.auth import SysCredential
from nfsrpc.auth.gss import GssCredential
from nfsrpc.rpc.errors import RpcError
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.transport.ping import ping
from nfsrpc.xdr import Procedure
from nfsrpc.xdr.words import decode_no_args

NFS, MOUNT, V3 = 100003, 100005, 3
LIMIT = 60.0


def opaque(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data + bytes(-len(data) % 4)


def given(args, out):
    out.append(args[0])


def decode_rest(data, pos, limits):
    return data[pos:], len(data)


def procedure(program: int, number: int, name: str) -> Procedure:
    return Procedure(program, V3, number, name, given, decode_no_args, given, decode_rest)


def main(directory: Path) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for place in ("/run", "/var/lib/nfs"):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=True)
    for made in ("/run/rpcbind", "/run/ganesha", "/var/lib/nfs/ganesha"):
        Path(made).mkdir(parents=True)
    realm = Realm(directory)
    realm.start()
    os.environ.update(realm.environment)
    rpcbind = subprocess.Popen(["rpcbind", "-f"])
    export = directory / "export"
    export.mkdir()
    export.chmod(0o777)  # alice is nobody in particular to ganesha
    configuration = directory / "ganesha.conf"
    kerberos = f'NFS_KRB5 {{ Active_krb5 = true; PrincipalName = nfs; KeytabPath = "{realm.keytab}"; }}'
    configuration.write_text(ganesha_configuration(export, "sys, krb5, krb5i, krb5p", kerberos))
    realm._await_port(rpcbind, 111, "kdc.log")
    log = directory / "ganesha.log"
    log.touch()
    ganesha = subprocess.Popen(
        ["ganesha.nfsd", "-F", "-f", str(configuration), "-L", str(log), "-p", str(directory / "ganesha.pid")]
    )
    try:
        realm._await_port(ganesha, NFS_PORT, "ganesha.log")
        realm._await_port(ganesha, MOUNT_PORT, "ganesha.log")
        calls(export)
    finally:
        ganesha.terminate()
        rpcbind.terminate()
        realm.stop()
        ganesha.wait(60)


def calls(export: Path) -> None:
    handle = mounted(str(export).encode())
    for security in ("krb5", "krb5i", "krb5p"):
        with connect_tcp("localhost", NFS_PORT, credential=GssCredential(security)) as client:
            for _ in range(5):
                ping(client, NFS, V3)
            print(f"NULL {security}", flush=True)
            for _ in range(5):
                answer = client.call(procedure(NFS, 1, "GETATTR"), (opaque(handle),))
                status, kind = struct.unpack_from(">2I", answer)
                assert (status, kind) == (0, 2), answer
            print(f"GETATTR {security}", flush=True)
            status = struct.unpack_from(">I", client.call(procedure(NFS, 18, "FSSTAT"), (opaque(handle),)))[0]
            assert status == 0
            print(f"FSSTAT {security}", flush=True)
            write_and_read(client, handle, security)


def write_and_read(client, directory: bytes, security: str) -> None:
    """A new file, written and read back (RFC 1813 §3.3.8, §3.3.7, §3.3.6)."""
    unset = struct.pack(">7I", 1, 0o644, 0, 0, 0, 0, 0)  # sattr3: the mode, nothing else
    create = opaque(directory) + opaque(security.encode()) + struct.pack(">I", 0) + unset
    answer = client.call(procedure(NFS, 8, "CREATE"), (create,))
    status, has_handle, length = struct.unpack_from(">3I", answer)
    assert (status, has_handle) == (0, 1), answer
    file = answer[12 : 12 + length]
    data = bytes(range(256)) * 100
    write = opaque(file) + struct.pack(">Q2I", 0, len(data), 2) + opaque(data)
    assert client.call(procedure(NFS, 7, "WRITE"), (write,))[:4] == bytes(4)
    answer = client.call(procedure(NFS, 6, "READ"), (opaque(file) + struct.pack(">QI", 0, len(data)),))
    assert answer[:4] == bytes(4)
    assert answer.endswith(data)
    print(f"WRITE and READ {security}", flush=True)


def mounted(path: bytes) -> bytes:
    """The handle of an export. Ganesha listens before it is out of its grace period and ready to answer."""
    deadline = time.monotonic() + LIMIT
    while True:
        with connect_tcp("localhost", MOUNT_PORT, credential=SysCredential(0, 0, ())) as client:
            try:
                answer = client.call(procedure(MOUNT, 1, "MNT"), (opaque(path),))
            except RpcError:
                answer = struct.pack(">I", 1)
        status = struct.unpack_from(">I", answer)[0]
        if status == 0:
            length = struct.unpack_from(">I", answer, 4)[0]
            return answer[8 : 8 + length]
        assert time.monotonic() < deadline, f"MNT: {status}"
        time.sleep(0.2)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
