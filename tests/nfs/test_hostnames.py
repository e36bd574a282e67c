"""Names of callers: confirmed, asked for in a thread, never waited for longer than a moment, asked again."""

import queue
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
from until import until

from nfsrpc.nfs.hostnames import HostNames, NotYet, SystemNetgroups, Unreachable, confirmed_names


class Lab:
    """Netgroups of one's own."""

    def contains(self, netgroup, host):
        return (netgroup, host) in {("lab", "sun.lab"), ("old", "10.0.0.7")}


@pytest.fixture
def make():
    made = []

    def make(*args, **more):
        made.append(HostNames(*args, **{"patience": 30.0, **more}))
        return made[-1]

    yield make
    for names in made:
        names.close()


def test_names_and_netgroups(make):
    names = make({"lab", "old"}, Lab(), {"10.0.0.1": frozenset({"sun.lab"}), "10.0.0.7": frozenset()}.__getitem__)
    assert names.names("10.0.0.1") == {"sun.lab"}
    assert names.netgroups("10.0.0.1") == {"lab"}
    assert names.netgroups("10.0.0.7") == {"old"}


def test_a_slow_answer_holds_up_nobody(make):
    gate, asked = threading.Event(), queue.SimpleQueue()

    def look_up(host):
        asked.put(host)
        gate.wait(30)
        return frozenset({f"name-{host}"})

    names = make((), None, look_up, patience=0.01)
    with pytest.raises(NotYet):
        names.names("10.0.0.1")
    began = time.monotonic()
    for n in range(1000):
        with pytest.raises(NotYet):
            names.names(f"10.0.1.{n}")
    assert time.monotonic() - began < 5
    assert len(names._pending) <= 64
    assert asked.get(timeout=30) == "10.0.0.1"
    gate.set()
    until(lambda: "10.0.0.1" in names._known)
    assert names.names("10.0.0.1") == {"name-10.0.0.1"}


def test_an_answer_is_asked_for_again_and_a_change_is_told(make):
    told, asked, changed = [frozenset({"old"})], queue.SimpleQueue(), threading.Event()

    def look_up(_):
        asked.put(None)
        return told[-1]

    names = make((), None, look_up, kept_seconds=0.01)
    names.changed = changed.set
    assert names.names("10.0.0.1") == {"old"}
    for _ in range(2):
        asked.get(timeout=30)
    assert not changed.is_set()
    told.append(frozenset({"new"}))
    assert changed.wait(30)
    assert names.names("10.0.0.1") == {"new"}


def test_who_was_known_stays_so_while_nobody_can_be_asked(make):
    first, tries = iter([frozenset({"sun"})]), queue.SimpleQueue()

    def look_up(_):
        tries.put(None)
        for answer in first:
            return answer
        raise Unreachable("no name server")

    names = make((), None, look_up, kept_seconds=0.01)
    assert names.names("10.0.0.1") == {"sun"}
    for _ in range(2):
        tries.get(timeout=30)
    assert names.names("10.0.0.1") == {"sun"}


def test_who_was_not_known_has_no_name_then(make):
    def look_up(_):
        raise Unreachable("no name server")

    assert make((), None, look_up).names("10.0.0.1") == frozenset()


def test_what_is_remembered_is_bounded(make):
    names = make((), None, lambda host: frozenset({host}))
    forgotten = []
    names.changed = lambda: forgotten.append(len(names._known))
    for n in range(2100):
        assert names.names(f"h{n}") == {f"h{n}"}
    assert len(names._known) <= 2048
    assert forgotten


def test_the_names_of_this_machine():
    found = confirmed_names("127.0.0.1")
    assert "localhost" in found
    assert found == {name.lower() for name in found}


def test_a_name_that_does_not_lead_back_is_none(monkeypatch):
    monkeypatch.setattr(socket, "gethostbyaddr", lambda host: ("Trusted.Example", [], [host]))
    there = [(2, 2, 17, "trusted.example", ("192.0.2.7", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: there)
    assert confirmed_names("192.0.2.66") == frozenset()
    assert confirmed_names("192.0.2.7") == {"trusted.example"}


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (socket.herror(1, "Unknown host"), frozenset()),
        (socket.herror(2, "Host name lookup failure"), Unreachable),
        (socket.gaierror(socket.EAI_NONAME, "no"), frozenset()),
        (socket.gaierror(socket.EAI_AGAIN, "later"), Unreachable),
    ],
)
def test_no_name_and_no_answer_are_not_the_same(monkeypatch, error, expected):
    def fail(_host):
        raise error

    monkeypatch.setattr(socket, "gethostbyaddr", fail)
    if expected is Unreachable:
        with pytest.raises(Unreachable):
            confirmed_names("192.0.2.1")
    else:
        assert confirmed_names("192.0.2.1") == expected


def test_the_system_knows_no_netgroup_of_this_name():
    assert not SystemNetgroups().contains("no-such-netgroup-here", "localhost")


@pytest.mark.root
@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs unshare")
def test_netgroups_of_the_system(tmp_path):
    """innetgr(3) in a mount namespace with an /etc of its own."""
    asks = (
        "from nfsrpc.nfs.hostnames import SystemNetgroups as S; s = S();"
        "print([s.contains(g, h) for g in ('lab', 'all', 'none') for h in ('sun', '10.0.0.1', 'vax')])"
    )
    script = (
        f"cp -a /etc {tmp_path}/etc && echo 'netgroup: files' >> {tmp_path}/etc/nsswitch.conf &&"
        f" printf 'lab (sun,,) (10.0.0.1,,)\\nall lab (vax,-,)\\n' > {tmp_path}/etc/netgroup &&"
        f" sed -i '/^netgroup:.*nis/d' {tmp_path}/etc/nsswitch.conf && mount --bind {tmp_path}/etc /etc &&"
        f" exec {sys.executable} -c \"{asks}\""
    )
    run = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False)
    if run.returncode and "unshare" in run.stderr:
        pytest.skip(run.stderr.strip())
    assert run.stdout == "[True, True, False, True, True, True, False, False, False]\n", run.stderr
