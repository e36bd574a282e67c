"""Fixtures of the Kerberos realm, for the conftest.py of the folders that use one."""

import os
from collections.abc import Iterator

import pytest
from kerberos import NoKerberos, Realm


@pytest.fixture(scope="session")
def running_realm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Realm]:
    pytest.importorskip("gssapi", reason="needs python-gssapi")
    try:
        realm = Realm(tmp_path_factory.mktemp("realm"))
    except NoKerberos as missing:
        pytest.skip(str(missing))
    try:
        realm.start()
        yield realm
    finally:
        realm.stop()


@pytest.fixture
def realm(running_realm: Realm, monkeypatch: pytest.MonkeyPatch) -> Realm:
    """The realm, with this process (and its children) inside it."""
    for name, value in running_realm.environment.items():
        if os.environ.get(name) != value:
            monkeypatch.setenv(name, value)
    return running_realm
