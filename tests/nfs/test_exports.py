"""Exports at work: who is let in, as whom, by which rule, on every call; and what is remembered of it."""

import errno

import pytest
from nfs2_calls import made, setattr_, where, write

from nfsrpc.nfs.export_ids import FILE, TooManyExports, export_ids, kept_ids
from nfsrpc.nfs.export_spec import ExportSpec
from nfsrpc.nfs.exports import Exports
from nfsrpc.nfs.exports_file import parse_exports
from nfsrpc.nfs.hostnames import HostNames
from nfsrpc.protocols import mount as mnt
from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s
from nfsrpc.protocols.rpc_msg import auth_stat
from nfsrpc.rpc.message import auth_refusal
from nfsrpc.store import Ufid

GETATTR = v2.NFS_PROGRAM_2_service.procedures[v2.NFSPROC_GETATTR]


def status(site, **caller):
    return site.nfs(**caller).NFSPROC_GETATTR(site.root).status


def creates(site, uid=1000, name=b"f", **caller):
    """The status of a CREATE, and whose file it is."""
    nfs = site.nfs(uid, 100, **caller)
    minus = 2**32 - 1
    wanted = v2.sattr(0o644, *[minus] * 3, *[v2.nfstime(minus, minus)] * 2)
    result = nfs.NFSPROC_CREATE(v2.createargs(where(site.root, name), wanted))
    return (result.status, result.diropres and (result.diropres.attributes.uid, result.diropres.attributes.gid))


def test_each_client_has_its_terms(make_site):
    site = make_site(
        line="10.0.0.1(rw,no_root_squash) 10.0.0.0/8(rw) 192.0.2.0/24(ro) fd00::/8(rw,all_squash,anonuid=7,anongid=8)"
    )
    assert creates(site, 0, b"a", host="10.0.0.1") == (s.NFS_OK, (0, 100))
    assert creates(site, 0, b"b", host="10.0.0.2") == (s.NFS_OK, (65534, 65534))
    assert creates(site, 5, b"c", host="10.0.0.2") == (s.NFS_OK, (5, 100))
    assert creates(site, 5, b"d", host="fd00::1") == (s.NFS_OK, (7, 8))
    assert creates(site, 5, b"e", host="192.0.2.1") == (s.NFSERR_ROFS, None)
    assert creates(site, 5, b"e", host="203.0.113.1") == (s.NFSERR_ACCES, None)
    assert status(site, host="203.0.113.1") == s.NFSERR_ACCES
    assert status(site, host="192.0.2.1") == s.NFS_OK


@pytest.mark.parametrize(
    ("host", "mounted"), [("10.0.0.1", 0), ("::ffff:10.0.0.1", 0), ("10.1.0.1", errno.EACCES), ("local", errno.EACCES)]
)
def test_mnt_lets_in_whom_the_export_lets_in(make_site, host, mounted):
    site = make_site(line="10.0.0.0/24(rw)")
    assert site.mount(host=host).MOUNTPROC_MNT(b"/vol").status == mounted
    assert len(site.rmtab.rows()) == (0 if mounted else 1)


def test_a_handle_that_another_client_was_given_opens_nothing(make_site):
    site = make_site(line="10.0.0.0/24(rw)")
    handle = site.mount(host="10.0.0.1").MOUNTPROC_MNT(b"/vol").directory
    stolen = site.nfs(host="10.0.1.1")
    assert site.nfs(host="10.0.0.1").NFSPROC_GETATTR(v2.nfs_fh(handle)).status == s.NFS_OK
    assert stolen.NFSPROC_GETATTR(v2.nfs_fh(handle)).status == s.NFSERR_ACCES
    assert stolen.NFSPROC_STATFS(v2.nfs_fh(handle)).status == s.NFSERR_ACCES


@pytest.mark.parametrize(("options", "port", "expected"), [
    ("rw", 1023, s.NFS_OK),
    ("rw", 1024, s.NFSERR_ACCES),
    ("rw,insecure", 1024, s.NFS_OK),
    ("rw,insecure", 65535, s.NFS_OK),
])  # fmt: skip
def test_source_ports(make_site, options, port, expected):
    site = make_site(line=f"*({options})")
    for _ in range(2):
        assert status(site, port=port) == expected
    assert status(site, port=700) == s.NFS_OK
    assert status(site, port=port) == expected
    assert site.mount(port=port).MOUNTPROC_MNT(b"/vol").status == (0 if expected == s.NFS_OK else errno.EACCES)


@pytest.mark.parametrize(
    ("option", "admitted"),
    [("none", {None}), ("tls", {"", "h"}), ("mtls", {"h"}), ("none:mtls", {None, "h"}), ("none:tls", {None, "", "h"})],
)
def test_transports(make_site, option, admitted):
    site = make_site(line=f"*(rw,xprtsec={option})")
    for tls in (None, "", "h", "", None):
        caller = site.caller()
        caller.peer = caller.peer._replace(netid="tcp", tls=tls)
        expected = s.NFS_OK if tls in admitted else s.NFSERR_ACCES
        assert v2.NFS_PROGRAM_2_client(caller).NFSPROC_GETATTR(site.root).status == expected
        mounted = mnt.MOUNTPROG_1_client(caller).MOUNTPROC_MNT(b"/vol").status
        assert mounted == (0 if tls in admitted else errno.EACCES)


def refusal(site, uid, handle):
    caller = site.caller(uid)
    (reply,) = site.dispatcher.turn([(caller.message(GETATTR, (handle,), next(site.xids)), caller.peer)])
    return auth_refusal(b"".join(reply))


def test_by_default_a_caller_has_to_say_who_he_is(make_site):
    site = make_site(line="*(rw)")
    file = made(site.nfs(1000), site.root, b"f")
    assert refusal(site, None, file) == auth_stat.AUTH_TOOWEAK
    assert refusal(site, None, site.root) is None, "what a mount needs"
    assert refusal(site, 1000, file) is None


def test_terms_can_differ_by_how_a_caller_is_known(make_site):
    site = make_site(line="*(sec=sys,rw,sec=none,ro)")
    file = made(site.nfs(1000), site.root, b"f")
    setattr_(site.nfs(1000), file, mode=0o666)
    assert write(site.nfs(1000), file, 0, b"x").status == s.NFS_OK
    assert write(site.nfs(None), file, 0, b"x").status == s.NFSERR_ROFS
    assert site.nfs(None).NFSPROC_GETATTR(file).status == s.NFS_OK


def test_export_list_names_the_clients(make_site):
    site = make_site(line="10.0.0.0/24(rw) *.lab.example @lab *(ro)")
    groups, node = [], site.mount().MOUNTPROC_EXPORT().ex_groups
    while node is not None:
        groups.append(node.gr_name)
        node = node.gr_next
    assert groups == [b"10.0.0.0/24", b"*.lab.example", b"@lab", b"*"]


def test_a_name_that_is_not_known_yet_keeps_the_call_unanswered(make_site):
    from threading import Event

    gate = Event()

    def look_up(host):
        gate.wait(30)
        return frozenset({"sun.lab.example"} if host == "10.0.0.1" else ())

    names = HostNames((), None, look_up, patience=0.0)
    site = make_site(line="*.lab.example(rw)", names=names)
    caller = site.caller(host="10.0.0.1")
    message = caller.message(GETATTR, (site.root,), 1)
    assert site.dispatcher.turn([(message, caller.peer)]) == [None]
    gate.set()
    names._pending.get("10.0.0.1", gate).wait(30)
    assert status(site, host="10.0.0.1") == s.NFS_OK
    names._patience = 30.0
    assert status(site, host="10.0.0.2") == s.NFSERR_ACCES
    assert status(site, host="10.0.0.1") == s.NFS_OK


def test_who_is_somebody_else_now_is_treated_so_at_once(make_site):
    answers = {"10.0.0.1": frozenset({"sun.lab.example"})}
    names = HostNames((), None, answers.__getitem__, patience=30.0)
    site = make_site(line="*.lab.example(rw)", names=names)
    assert status(site, host="10.0.0.1") == s.NFS_OK
    names._known["10.0.0.1"] = names._known["10.0.0.1"]._replace(names=frozenset())
    assert status(site, host="10.0.0.1") == s.NFS_OK
    names.changed()
    assert status(site, host="10.0.0.1") == s.NFSERR_ACCES


def test_what_is_remembered_of_callers_is_bounded(make_site):
    site = make_site(line="10.0.0.0/8(rw)")
    (export,) = site.exports
    for n in range(5000):
        host = f"{10 + n % 2}.0.{n // 256}.{n % 256}"
        assert status(site, uid=n, host=host) == (s.NFSERR_ACCES if n % 2 else s.NFS_OK)
        assert max(len(export._known), len(export._matched), len(export._complained)) <= 4096
    assert len(export._complained) <= 256


def test_the_rule_is_found_once_for_each_client(make_site):
    class Counting(HostNames):
        asked = 0

        def names(self, host):
            self.asked += 1
            return frozenset({"sun.lab.example"})

    names = Counting(())
    site = make_site(line="*.lab.example(rw)", names=names)
    for uid in (0, 1, 2):
        for _ in range(3):
            assert status(site, uid=uid, host="10.0.0.1") == s.NFS_OK
    assert names.asked == 1


def test_fsid_is_what_clients_see(make_site):
    site = make_site(line="*(rw,fsid=77,no_root_squash)")
    file = made(site.nfs(), site.root, b"f")
    for node in (site.root, file):
        assert site.nfs().NFSPROC_GETATTR(node).attributes.fsid == 77
    assert site.nfs().NFSPROC_READ(v2.readargs(file, 0, 10, 0)).reply.attributes.fsid == 77


# --- ids ------------------------------------------------------------------------------------------------------------


def test_an_id_is_for_ever(tmp_path):
    first = kept_ids(str(tmp_path), [b"/a", b"/b c"])
    assert kept_ids(str(tmp_path), [b"/b c"]) == first
    assert kept_ids(str(tmp_path), [b"/z", b"/a"]).items() >= first.items()
    assert sorted((tmp_path / FILE).read_text().split()[1::2]) == ["/a", "/b%20c", "/z"]


def meeting() -> tuple[bytes, bytes]:
    """Two keys that the same id is made from."""
    seen: dict[int, bytes] = {}
    for n in range(1 << 16):
        key = b"/%d" % n
        (number,) = export_ids([key]).values()
        if number in seen:
            return seen[number], key
        seen[number] = key
    raise AssertionError


@pytest.mark.parametrize("turned", [False, True])
def test_who_came_first_keeps_it_where_two_keys_meet(tmp_path, turned):
    one, other = reversed(meeting()) if turned else meeting()
    first = kept_ids(str(tmp_path), [one])[one]
    both = kept_ids(str(tmp_path), [one, other])
    assert both == {one: first, other: (first + 1) % 65536}
    assert kept_ids(str(tmp_path), [other])[other] == both[other], "also while the first is away"


def test_there_are_65536_ids():
    ids = export_ids(b"/%d" % n for n in range(65536))
    assert sorted(ids.values()) == list(range(65536))
    with pytest.raises(TooManyExports):
        export_ids([b"/one more"], ids)


def test_a_damaged_line_is_no_id(tmp_path):
    (tmp_path / FILE).write_bytes(b"70000 /a\nx /b\n5 /c\n\xff\n7 /d extra\n5\n")
    assert kept_ids(str(tmp_path), [])[b"/c"] == 5
    assert kept_ids(str(tmp_path), []) == {b"/c": 5}


def open_status(exports, handle):
    try:
        exports.open(handle)
    except OSError as error:
        return error.errno
    return 0


def test_an_export_that_is_taken_away_is_stale_and_comes_back(site, tmp_path):
    text = {"with": "/vol *(rw)\n/other *(rw)", "without": "/other *(rw)", "moved": "/new *(rw,fsid=5)"}
    served = {}
    for name, lines in {**text, "fsid": "/vol *(rw,fsid=5)"}.items():
        specs = [ExportSpec(spec.path, str(site.path), spec.rules) for spec in parse_exports(lines).exports]
        ids = kept_ids(str(tmp_path), [spec.key for spec in specs])
        served[name] = Exports(specs, {str(site.path): site.volume}, ids)
    handle = next(iter(served["with"])).handle(site.volume.root)
    assert open_status(served["with"], handle) == 0
    assert open_status(served["without"], handle) == errno.ESTALE
    specs = [ExportSpec(spec.path, str(site.path), spec.rules) for spec in parse_exports(text["with"]).exports]
    again = Exports(specs, {str(site.path): site.volume}, kept_ids(str(tmp_path), [spec.key for spec in specs]))
    assert open_status(again, handle) == 0
    export, node = again.open(handle)
    assert (export.path, node) == (b"/vol", site.volume.root)
    named = next(iter(served["fsid"])).handle(Ufid(9, 9))
    assert open_status(served["moved"], named) == 0, "the same fsid= under another path"
    assert open_status(served["with"], named) == errno.ESTALE
