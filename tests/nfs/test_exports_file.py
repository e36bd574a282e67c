"""exports(5): every form of line, every option, and what is wrong with a file that is refused."""

import pytest

from nfsrpc.nfs.export_options import IDLE, Access
from nfsrpc.nfs.exports_file import SIZE_MAX, BadExports, parse_exports, read_exports

RO = Access()
RW = Access(read_only=False)


def no_names(name: str) -> list[str]:
    """A resolver that knows two hosts."""
    known = {"sun": ["10.0.0.1", "fd00::1"], "vax.lab": ["10.0.0.2"]}
    if name not in known:
        raise OSError("no such host")
    return known[name]


def parse(text: str):
    return parse_exports(text, "exports", no_names)


def shape(text: str) -> list[tuple[bytes, list[tuple[str, bool]]]]:
    """(path, [(client, read-only)]) of what `text` exports."""
    return [
        (spec.path, [(rule.client.text, rule.options.access.read_only) for rule in spec.rules])
        for spec in parse(text).exports
    ]


LINES = {
    "nothing": ("", []),
    "blank lines and comments": ("\n  \n# a comment\n\t# another\n", []),
    "one client": ("/a sun(rw)", [(b"/a", [("sun", False)])]),
    "defaults": ("/a sun", [(b"/a", [("sun", True)])]),
    "nobody named": ("/a", [(b"/a", [("*", True)])]),
    "options alone": ("/a (rw)", [(b"/a", [("*", False)])]),
    "a blank before the options": ("/a sun (rw)", [(b"/a", [("sun", True), ("*", False)])]),
    "several": ("/a sun(rw) @lab 10.0.0.0/8(ro)", [(b"/a", [("sun", False), ("@lab", True), ("10.0.0.0/8", True)])]),
    "tabs": ("/a\tsun(rw)\t*(ro)", [(b"/a", [("sun", False), ("*", True)])]),
    "a comment at the end": ("/a sun(rw) # and nobody else", [(b"/a", [("sun", False)])]),
    "# within a word": ("/a#b sun(rw)", [(b"/a#b", [("sun", False)])]),
    "continued": (
        "/a sun(rw) \\\n   vax.lab(ro)\n/b *",
        [(b"/a", [("sun", False), ("vax.lab", True)]), (b"/b", [("*", True)])],
    ),
    "continued at the end of the file": ("/a sun\\", [(b"/a", [("sun", True)])]),
    "a continued comment": ("# a \\\n/b sun\n/c sun", [(b"/c", [("sun", True)])]),
    "quoted": ('"/with blank" sun(rw)', [(b"/with blank", [("sun", False)])]),
    "partly quoted": ('/with" "blank sun', [(b"/with blank", [("sun", True)])]),
    "quoted #": ('"/a #b" sun', [(b"/a #b", [("sun", True)])]),
    "octal": ("/a\\040b\\043 sun", [(b"/a b#", [("sun", True)])]),
    "octal beyond ASCII": ("/\\303\\251\\377 sun", [(b"/\xc3\xa9\xff", [("sun", True)])]),
    "a backslash alone": ("/a\\b sun", [(b"/a\\b", [("sun", True)])]),
    "slashes": ("//a///b/ sun", [(b"/a/b", [("sun", True)])]),
    "the root": ("/ sun", [(b"/", [("sun", True)])]),
    "a path twice": (
        "/a sun(rw)\n/b *\n/a vax.lab",
        [(b"/a", [("sun", False), ("vax.lab", True)]), (b"/b", [("*", True)])],
    ),
    "a client twice": ("/a sun(rw) sun(ro)", [(b"/a", [("sun", False)])]),
    "line defaults": ("/a -rw sun vax.lab(ro)", [(b"/a", [("sun", False), ("vax.lab", True)])]),
    "line defaults alone": ("/a -rw", [(b"/a", [("*", False)])]),
    "new line defaults": ("/a -rw sun -ro vax.lab", [(b"/a", [("sun", False), ("vax.lab", True)])]),
    "line defaults end with the line": ("/a -rw sun\n/b sun", [(b"/a", [("sun", False)]), (b"/b", [("sun", True)])]),
    "no newline, CRLF": ("/a sun(rw)\r\n/b *(ro)\r", [(b"/a", [("sun", False)]), (b"/b", [("*", True)])]),
    "empty options": ("/a sun()", [(b"/a", [("sun", True)])]),
    "commas to spare": ("/a sun(,rw,,)", [(b"/a", [("sun", False)])]),
}


@pytest.mark.parametrize(("text", "exports"), LINES.values(), ids=LINES)
def test_lines(text, exports):
    assert shape(text) == exports


def options(words: str):
    ((rule,),) = (spec.rules for spec in parse(f"/a sun({words})").exports)
    return rule.options


OPTIONS = {
    "": {"sys": RO},
    "rw": {"sys": RW},
    "rw,ro": {"sys": RO},
    "insecure": {"sys": RO._replace(secure=False)},
    "insecure,secure": {"sys": RO},
    "no_root_squash": {"sys": RO._replace(root_squash=False)},
    "no_root_squash,root_squash": {"sys": RO},
    "all_squash": {"sys": RO._replace(all_squash=True)},
    "all_squash,no_all_squash": {"sys": RO},
    "rw,sec=krb5": {"krb5": RW},
    "sec=krb5:krb5i,rw": {"krb5": RW, "krb5i": RW},
    "sec=unix": {"sys": RO},
    "sec=null": {"none": RO},
    "sec=dh": {"dh": RO},
    "sec=krb5p,rw,sec=sys,ro": {"krb5p": RW, "sys": RO},
    "ro,sec=krb5p,rw,no_root_squash,sec=sys,ro,root_squash": {"krb5p": RW._replace(root_squash=False), "sys": RO},
    "sec=sys:krb5,ro,sec=krb5,rw": {"sys": RO, "krb5": RW},
}


@pytest.mark.parametrize(("words", "terms"), OPTIONS.items())
def test_options_and_whom_they_are_about(words, terms):
    assert options(words).terms() == terms


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("", "anonuid", 65534),
        ("anonuid=7,anongid=8", "anonuid", 7),
        ("anonuid=7,anongid=8", "anongid", 8),
        ("anonuid=-2", "anonuid", 2**32 - 2),
        ("", "sync", True),
        ("async", "sync", False),
        ("async,sync", "sync", True),
        ("", "transports", None),
        ("xprtsec=none:tls", "transports", None),
        ("xprtsec=none", "transports", {"none"}),
        ("xprtsec=tls", "transports", {"tls", "mtls"}),
        ("xprtsec=mtls", "transports", {"mtls"}),
        ("", "fsid", None),
        ("fsid=0", "fsid", 0),
        ("fsid=root", "fsid", 0),
        ("fsid=4294967295", "fsid", 2**32 - 1),
        ("fsid=0x10", "fsid", 16),
        ("fsid=00000001-0000-0002-0000-000400000008", "fsid", 1 ^ 2 ^ 4 ^ 8),
    ],
)
def test_values(words, field, value):
    assert getattr(options(words), field) == value


@pytest.mark.parametrize("word", [*IDLE, "mountpoint=/mnt", "mp=/mnt", "refer=/a@b", "squash_uids=0-15,20"])
def test_words_that_mean_nothing_here_are_remarked_once(word):
    exports, remarks = parse(f"/a sun({word},rw) vax.lab({word})\n/b sun({word})")
    assert [remark.place for remark in remarks] == [(1, 8)]
    assert remarks[0].text.startswith(f"{word.partition('=')[0]} changes nothing here: ")
    assert not exports[0].rules[0].options.access.read_only


REMARKS = {
    "/a": ("1:1", "everybody may mount it; write *"),
    "/a (ro)": ("1:4", "write *(ro)"),
    "/a sun (rw)": ("1:8", "a blank parts 'sun' from its options: these are for everybody; write sun(rw)"),
    "/a sun(ro) sun(rw)": ("1:12", "sun is named before for this path"),
    "/a sun(async)": ("1:8", "async: a power cut can take the latest changes"),
    "/a nowhere(rw)": ("1:4", "no address of nowhere is known (no such host); nobody matches"),
    "/a 192.168.1.*": ("1:4", "write a network, as in 192.168.1.0/24"),
    "/a 10.1.2.3/8": ("1:4", "is the whole network 10.0.0.0/8"),
}


@pytest.mark.parametrize(("text", "remark"), REMARKS.items())
def test_remarks(text, remark):
    (found,) = parse(text).remarks
    place, words = remark
    assert str(found).startswith(f"{place}: ")
    assert words in found.text


ERRORS = {
    "a sun": ("1:1", "'a' is not an absolute path"),
    "/a/../b sun": ("1:1", "without . and .."),
    "\n\n  sun(rw) /a": ("3:3", "an entry begins with the path"),
    "/a sun(rx)": ("1:8", "unknown option 'rx'"),
    "/a sun(ro,root_sqash)": ("1:11", "did you mean 'root_squash'?"),
    "/a \\\n  sun(ro,\\\nrx)": ("2:9", "without blanks"),
    "/a -rx sun": ("1:5", "unknown option 'rx'"),
    "/a sun(rw, ro)": ("1:10", "without blanks"),
    "/a sun(rw)x": ("1:11", "end with ')'"),
    "/a sun(rw": ("1:9", "end with ')'"),
    "/a sun(rw=1)": ("1:8", "rw takes no value"),
    "/a sun(anonuid)": ("1:8", "anonuid needs a value"),
    "/a sun(anonuid=)": ("1:8", "not a number"),
    "/a sun(anonuid=-1)": ("1:8", "not between 0 and 4294967294"),
    "/a sun(anongid=4294967295)": ("1:8", "not between"),
    "/a sun(anonuid=nobody)": ("1:8", "not a number"),
    "/a sun(fsid=x)": ("1:8", "neither a number nor 'root' nor a UUID"),
    "/a sun(fsid=4294967296)": ("1:8", "not between"),
    "/a sun(sec=krb4)": ("1:8", "unknown security 'krb4'; there are none, sys, dh, krb5, krb5i, krb5p"),
    "/a sun(sec=)": ("1:8", "unknown security ''"),
    "/a sun(xprtsec=ssl)": ("1:8", "unknown transport security 'ssl'; there are none, tls, mtls"),
    "/a sun(xprtsec=)": ("1:8", "unknown transport security ''"),
    "/a @": ("1:4", "write @NAME"),
    "/a gss/krb5(rw)": ("1:4", "write *(sec=krb5,...)"),
    "/a 10.0.0.0/33": ("1:4", "is no network"),
    "/a 10.0.0.0/x": ("1:4", "is no network"),
    "/a 10.0.0": ("1:4", "is neither a host name nor"),
    "/a 1.2.3.4.5": ("1:4", "is neither a host name nor"),
    "/a su_n!": ("1:4", "is neither a host name nor"),
    f"/a {'x' * 256}": ("1:4", "at most 255 bytes"),
    f"/{'x' * 1024} sun": ("1:1", "at most 1024 bytes"),
    '/a "sun': ("1:4", "a quotation is not closed"),
    '/a sun\n"/b sun\n/c sun': ("2:1", "a quotation is not closed"),
    "/a sun(fsid=1) vax.lab(fsid=2)": ("1:1", "different fsid="),
    "/a sun(fsid=1)\n/b sun(fsid=1)": ("2:1", "fsid=1 is that of /a in line 1"),
}


@pytest.mark.parametrize(("text", "error"), ERRORS.items())
def test_errors_say_where_and_why(text, error):
    with pytest.raises(BadExports) as caught:
        parse(text)
    place, words = error
    assert str(caught.value).startswith(f"exports:{place}: ")
    assert words in str(caught.value)


def test_async_for_some_is_sync_for_all():
    (export,), remarks = parse("/a sun(async) vax.lab(sync)")
    assert export.sync
    assert "all are sync" in str(remarks[0])
    assert not parse("/a -async sun vax.lab").exports[0].sync


def test_everything_that_is_wrong_is_told():
    with pytest.raises(BadExports, match=r"^exports:1:8: .* \(and 2 more; `nfsrpc exportfs --check exports`") as caught:
        parse("/a sun(rx,ry)\nb sun")
    assert [remark.place for remark in caught.value.errors] == [(1, 8), (1, 11), (2, 1)]


def test_a_file_that_is_no_exports_file(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(b"#" * (SIZE_MAX + 1))
    with pytest.raises(BadExports, match="is no exports file"):
        read_exports(str(path))
    path.write_bytes(b"/caf\xe9 *(rw)\n")
    assert read_exports(str(path)).exports[0].path == b"/caf\xe9"


def test_any_text_is_a_file_or_a_typed_refusal():
    from hypothesis import given
    from hypothesis import strategies as st

    pieces = st.sampled_from(["/a", " ", "\n", "\\", '"', "#", "(", ")", ",", "-", "sun", "*", "@x", "10.0.0.0/8", "rw",
                              "sec=sys", "sec=", "fsid=1", "\\040", "\t", "é", "\x00", "=", "[", "1"])  # fmt: skip

    @given(st.lists(pieces, max_size=30).map("".join))
    def check(text):
        try:
            exports, remarks = parse(text)
        except BadExports as error:
            exports, remarks = (), error.errors
            assert remarks, text
        assert len({spec.path for spec in exports}) == len(exports)
        assert all(spec.rules for spec in exports)
        assert all(remark.place.line >= 1 for remark in remarks)

    check()
