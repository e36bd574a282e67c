"""Our client and MIT's kadmind, which lives on RPCSEC_GSS with privacy."""

from __future__ import annotations

import shutil
import struct

import pytest
from kerberos import Realm

from nfsrpc.auth.gss import GssCredential
from nfsrpc.transport.client_tcp import connect_tcp
from nfsrpc.xdr import Procedure
from nfsrpc.xdr.words import decode_no_args

KADM, KADM_VERSION = 2112, 2
API = 0x12345704
ADMINISTRATOR = "alice/admin"


def _encode_word(args, out):
    out.append(struct.pack(">I", args[0]))


def _encode_nothing(value, out):
    raise NotImplementedError


def _decode_words(data, pos, limits):
    end = pos + (len(data) - pos) // 4 * 4
    return struct.unpack_from(f">{(end - pos) // 4}I", data, pos), end


def procedure(number: int, name: str) -> Procedure:
    return Procedure(KADM, KADM_VERSION, number, name, _encode_word, decode_no_args, _encode_nothing, _decode_words)


INIT, GET_PRIVS = procedure(13, "INIT"), procedure(12, "GET_PRIVS")


@pytest.fixture
def administrator(realm: Realm, monkeypatch: pytest.MonkeyPatch) -> None:
    if shutil.which("kadmind") is None:
        pytest.skip("not on this machine: kadmind")
    realm.admin("addprinc -randkey kadmin/localhost", f"addprinc -pw {ADMINISTRATOR} {ADMINISTRATOR}")
    monkeypatch.setenv("KRB5CCNAME", realm.ticket(ADMINISTRATOR, "-S", "kadmin/localhost"))


def test_our_client_administers_a_realm(realm: Realm, administrator: None) -> None:
    with (
        realm.kadmind() as port,
        connect_tcp("localhost", port, credential=GssCredential("krb5p", service="kadmin")) as client,
    ):
        assert client.call(INIT, (API,)) == (API, 0)
        for _ in range(5):
            api, code, privileges = client.call(GET_PRIVS, (API,))
            assert (api, code) == (API, 0)
            assert privileges
