"""Stores, exported, and spoken to through the dispatcher without a socket."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from site_in_memory import Site, rules_for_everybody

from nfsrpc.nfs.exports_file import parse_exports
from nfsrpc.nfs.hostnames import HostNames
from nfsrpc.store.held import hold
from nfsrpc.store.volume import make_volume


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests of a module that names KINDS of stores run on each of them, others on a volume."""
    kinds = getattr(metafunc.module, "KINDS", None)
    chosen = any("kind" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if kinds and not chosen and "kind" in metafunc.fixturenames:
        metafunc.parametrize("kind", kinds, indirect=True)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of store that is served: "volume", or "directory" for a plain one."""
    found = str(getattr(request, "param", "volume"))
    if found == "directory" and os.geteuid() != 0:
        pytest.skip("only root can give files of a plain directory to others")
    return found


@pytest.fixture
def make_site(tmp_path: Path, kind: str) -> Iterator[Callable[..., Site]]:
    """Makes a store with root-owned top directory of mode 0777, and serves it to everybody with these fields of
    `Access`, or as an exports line says."""
    sites = []

    def make(name: str = "vol", line: str | None = None, names: HostNames | None = None, **options: bool) -> Site:
        if kind == "volume":
            make_volume(tmp_path / name, uid=0, gid=0, mode=0o777)
        else:
            (tmp_path / name).mkdir()
            (tmp_path / name).chmod(0o777)
        rules = rules_for_everybody(**options)
        if line is not None:
            rules = parse_exports(f"/vol {line}").exports[0].rules
        held = hold(tmp_path / name, state=tmp_path / "state")
        sites.append(Site(held, tmp_path / name, rules, names))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()
