"""Errors say in words what their numbers mean (RFC 5531 §9, §10)."""

import pytest

from nfsrpc.protocols.rpc_msg import auth_flavor, auth_stat
from nfsrpc.rpc.errors import (
    AuthRefused,
    GarbageArguments,
    ProcedureUnavailable,
    ProgramMismatch,
    ProgramUnavailable,
    RemoteSystemError,
    RpcMismatch,
)


@pytest.mark.parametrize("stat", [s for s in auth_stat if 0 < s <= 7 or s in (13, 14)])
def test_a_refusal_names_its_status(stat):
    assert stat.name in str(AuthRefused(stat))
    assert AuthRefused(stat).stat == stat


@pytest.mark.parametrize("flavor", [0, 1, 2, 3, 6])
def test_a_refusal_names_the_flavour(flavor):
    assert str(AuthRefused(1, flavor)).startswith(auth_flavor(flavor).name)


def test_an_unknown_refusal_gives_its_number():
    assert "4711" in str(AuthRefused(4711))


TEXTS = [
    (RpcMismatch(3, 5), "the server speaks RPC versions 3 to 5, not 2"),
    (ProgramMismatch(3, 5), "the server has versions 3 to 5 of this program"),
    (ProgramUnavailable(), "the server does not have this program"),
    (ProcedureUnavailable(), "the server does not have this procedure"),
    (GarbageArguments(), "the server could not decode the arguments"),
    (RemoteSystemError(), "the server failed while it handled the call"),
    (AuthRefused(7), "authentication refused: the server gave no reason (AUTH_FAILED)"),
    (AuthRefused(7, 4), "AUTH_KERB4 authentication refused: the server gave no reason (AUTH_FAILED)"),
    (AuthRefused(7, 5), "flavour 5 authentication refused: the server gave no reason (AUTH_FAILED)"),
]


@pytest.mark.parametrize(("error", "text"), TEXTS, ids=[type(error).__name__ for error, _ in TEXTS])
def test_the_texts(error, text):
    assert str(error) == text


@pytest.mark.parametrize("error", [RpcMismatch, ProgramMismatch])
def test_a_mismatch_names_both_ends(error):
    text = str(error(3, 5))
    assert "3" in text
    assert "5" in text
