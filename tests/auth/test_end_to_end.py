"""The nfsrpc commands with every flavour: a server that demands it, a client that has it, and one that has not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kerberos import REALM, Realm

from nfsrpc.client.site import attach
from nfsrpc.client.url import parse_url
from nfsrpc.protocols import nfs_prot
from nfsrpc.protocols.nfs_prot import NFS_PROGRAM_2_client, createargs, diropargs, nfs_fh, nfsstat, nfstime, sattr
from nfsrpc.rpc.message import decode_reply
from nfsrpc.testing.served import Served

UNSET = 0xFFFF_FFFF


def nfsrpc(*arguments: str, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "nfsrpc", *arguments]
    return subprocess.run(command, input=text, capture_output=True, timeout=120, check=False)


def kerberized(tmp_path: Path, *options: str) -> Served:
    id_map = tmp_path / "idmap"
    id_map.write_text(f"# who is who\nalice@{REALM}  0 0\nbob@{REALM}  1000 100,7\n")
    return Served(tmp_path, "--host", "localhost", "--id-map", str(id_map), *options)


def url(served: Served, path: str = "", **arguments: object) -> str:
    return served.url(path, **arguments).replace("127.0.0.1", "localhost")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("security", ["krb5", "krb5i", "krb5p"])
def test_files_go_both_ways(realm: Realm, tmp_path: Path, workers: int, security: str) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(range(256)) * 200)
    with kerberized(tmp_path, "--sec", f"{security}", "--workers", str(workers)) as served:
        done = nfsrpc("put", str(source), url(served, "/f", sec=security))
        assert done.returncode == 0, done.stderr
        for proto in ("udp", "tcp"):
            done = nfsrpc("get", url(served, "/f", sec=security, proto=proto), "-")
            assert done.stdout == source.read_bytes(), done.stderr


def test_a_weaker_caller_is_told_in_words(realm: Realm, tmp_path: Path) -> None:
    with kerberized(tmp_path, "--sec", "krb5p") as served:
        for weaker in ("sys", "none", "krb5", "krb5i"):
            done = nfsrpc("ls", url(served, sec=weaker))
            assert done.returncode == 1
            text = done.stderr.decode()
            name = {"sys": "AUTH_SYS", "none": "AUTH_NONE"}.get(weaker, "RPCSEC_GSS")
            assert f"{name} authentication refused" in text
            assert "AUTH_TOOWEAK" in text
            assert "try ?sec=krb5p" in text
        assert nfsrpc("exports", f"localhost:{served.port}").returncode == 0


def test_a_flavour_that_the_server_does_not_have_is_named(realm: Realm, tmp_path: Path) -> None:
    with Served(tmp_path, "--host", "localhost") as served:
        done = nfsrpc("ls", url(served, sec="krb5"))
        assert done.returncode == 1
        assert b"RPCSEC_GSS authentication refused" in done.stderr
        assert b"try another ?sec=" in done.stderr


def test_without_a_ticket_the_words_say_how_to_get_one(realm: Realm, tmp_path: Path, monkeypatch) -> None:
    with kerberized(tmp_path, "--sec", "krb5") as served:
        monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/nothing")
        done = nfsrpc("ls", url(served, sec="krb5"))
        assert done.returncode == 1
        assert b"kinit" in done.stderr


def test_principals_act_as_the_map_says(realm: Realm, tmp_path: Path, monkeypatch) -> None:
    with kerberized(tmp_path, "--sec", "krb5i") as served:
        with attach(parse_url(url(served, sec="krb5i"))) as alice:
            new = sattr(0o777, UNSET, UNSET, UNSET, nfstime(UNSET, UNSET), nfstime(UNSET, UNSET))
            _, attributes = alice.nfs.mkdir(alice.root, b"shared", new)
            assert (attributes.uid, attributes.gid) == (0, 0)
        monkeypatch.setenv("KRB5CCNAME", realm.cache("bob"))
        with attach(parse_url(url(served, sec="krb5i"))) as bob:
            shared, _ = bob.nfs.lookup(bob.root, b"shared")
            _, attributes = bob.nfs.create(shared, b"bob's", new)
            assert (attributes.uid, attributes.gid) == (1000, 100)


@pytest.mark.parametrize("proto", ["udp", "tcp"])
@pytest.mark.parametrize("security", ["krb5", "krb5i", "krb5p"])
def test_a_retransmitted_call_gets_its_first_result_sealed_anew(
    realm: Realm, tmp_path: Path, proto: str, security: str
) -> None:
    """Same xid, new sequence number, as RFC 2203 wants it: REMOVE is executed once."""
    with (
        kerberized(tmp_path, "--sec", security) as served,
        attach(parse_url(url(served, sec=security, proto=proto))) as mounted,
    ):
        new = sattr(0o666, UNSET, UNSET, UNSET, nfstime(UNSET, UNSET), nfstime(UNSET, UNSET))
        stub = NFS_PROGRAM_2_client(mounted.nfs.client)
        place = diropargs(nfs_fh(mounted.root), b"once")
        assert stub.NFSPROC_CREATE(createargs(place, new)).status == nfsstat.NFS_OK
        remove = nfs_prot.NFS_PROGRAM_2_service.procedures[nfs_prot.NFSPROC_REMOVE]
        client = mounted.nfs.client
        call = client.submit(remove, (place,))
        assert client.wait(call) == nfsstat.NFS_OK
        first = call._reply, call.message
        served.stop()  # the result is in the volume, not in the process
        served.start()
        client._table.renew(call, client._clock())
        assert client.wait(call) == nfsstat.NFS_OK
        assert call.message != first[1]
        assert decode_reply(call._reply).verifier != decode_reply(first[0]).verifier
        assert client.call(remove, (place,)) == nfsstat.NFSERR_NOENT


def test_auth_short_end_to_end(tmp_path: Path) -> None:
    with (
        Served(tmp_path, "--shorthand", "--workers", "2") as served,
        attach(parse_url(served.url(uid=0, gid=0))) as mounted,
    ):
        for _ in range(3):
            mounted.nfs.getattr(mounted.root)
        assert mounted.nfs.client._session.begin().credential[0] == 2


def test_mistakes_in_options_are_one_line(realm: Realm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken"
    broken.write_text("alice 1 2 3\n")
    assert nfsrpc("mkfs", str(tmp_path / "volume")).returncode == 0
    for arguments, status, words in (
        (("--sec", "krb4"), 2, b"unknown security 'krb4'; there are none, sys, dh, krb5, krb5i, krb5p"),
        (("--sec", "krb5", "--id-map", str(broken)), 1, b"line 1: expected NAME USER"),
    ):
        done = nfsrpc("serve", str(tmp_path / "volume"), "--port", "0", *arguments)
        assert (done.returncode, words in done.stderr) == (status, True), done.stderr
        assert b"Traceback" not in done.stderr
    monkeypatch.setenv("KRB5_KTNAME", f"FILE:{tmp_path}/nothing")
    done = nfsrpc("serve", str(tmp_path / "volume"), "--port", "0", "--sec", "krb5")
    assert done.returncode == 1
    assert b"no Kerberos key to serve with" in done.stderr
    assert b"KRB5_KTNAME" in done.stderr
