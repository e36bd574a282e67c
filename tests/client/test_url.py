"""URLs of remote files: what they mean, and what is refused with which words."""

import pytest

from nfsrpc.client.options import Options
from nfsrpc.client.url import BadUrl, NfsUrl, parse_authority, parse_url

GOOD = [
    ("nfs://sun/export", NfsUrl("sun", b"/export")), ("nfs://sun", NfsUrl("sun", b"/")), ("nfs://sun/", NfsUrl("sun",
    b"/")), ("NFS://sun/export/", NfsUrl("sun", b"/export")), ("nfs://sun:2049/a//b/./c", NfsUrl("sun", b"/a/b/c",
    port=2049)), ("nfs://10.0.0.1:1/x", NfsUrl("10.0.0.1", b"/x", port=1)), ("nfs://[::1]/x", NfsUrl("::1", b"/x")),
    ("nfs://[fe80::1%25eth0]:2049/x", NfsUrl("fe80::1%25eth0", b"/x", port=2049)), ("nfs://sun/a%20b%2Fc",
    NfsUrl("sun", b"/a b/c")), ("nfs://sun/%ff%FE", NfsUrl("sun", b"/\xff\xfe")), ("nfs://sun/caf\u00e9",
    NfsUrl("sun", "/caf\u00e9".encode())), ("nfs://sun/\udcff", NfsUrl("sun", b"/\xff")), ("nfs://sun/a#b",
    NfsUrl("sun", b"/a#b")), ("nfs://sun/a%3Fb", NfsUrl("sun", b"/a?b")), ("nfs://sun/a\tb", NfsUrl("sun", b"/a\tb")),
    ("nfs://sun/x?proto=udp&uid=0&gid=4294967295", NfsUrl("sun", b"/x", proto="udp", uid=0, gid=4294967295)),
    ("nfs://sun?version=2&sec=none", NfsUrl("sun", b"/", sec="none")), ("nfs+srv://lab.test/x?proto=udp",
    NfsUrl("lab.test", b"/x", proto="udp", service=True)), ("nfs://sun/x?soft&timeo=50&retrans=3", NfsUrl("sun",
    b"/x", options=Options(hard=False, timeout=5.0, retrans=3))), ("nfs://sun/x?soft=0&hard", NfsUrl("sun", b"/x")),
    ("nfs://sun/x?autoreconnect=-1", NfsUrl("sun", b"/x")), ("nfs://sun/x?autoreconnect=2", NfsUrl("sun", b"/x",
    options=Options(hard=False, retrans=2))), ("nfs://sun/x?rsize=5000&wsize=1048576", NfsUrl("sun", b"/x",
    options=Options(read_size=4096))), ("nfs://sun/x?readahead=0&readdir-buffer=4096", NfsUrl("sun", b"/x",
    options=Options(read_ahead=0, readdir_size=4096))), ("nfs://sun/x?dircache=0", NfsUrl("sun", b"/x",
    options=Options(names=False))), ("nfs://sun/x?acregmin=1&acregmax=2&acdirmin=4&acdirmax=5", NfsUrl("sun", b"/x",
    options=Options(
        file_min=1, file_max=2, directory_min=4, directory_max=5))),
    ("nfs://sun/x?noac", NfsUrl("sun", b"/x", options=Options(file_min=0, file_max=0, directory_min=0,
    directory_max=0))), ("nfs://sun/x?mountport=635&nfsport=2049", NfsUrl("sun", b"/x", mount_port=635,
    nfs_port=2049)),
]


@pytest.mark.parametrize(("text", "url"), GOOD, ids=[ascii(row[0]) for row in GOOD])
def test_what_a_url_means(text: str, url: NfsUrl) -> None:
    assert parse_url(text) == url


BAD = [
    ("/etc/passwd", "no NFS URL"),
    ("http://sun/x", "no NFS URL"),
    ("nfs:sun", "no NFS URL"),
    ("nfs:///x", "names no host"),
    ("nfs://joe@sun/x", "no user names"),
    ("nfs://sun:x/y", "not HOST or HOST:PORT"),
    ("nfs://sun:0/y", "port 0"),
    ("nfs://sun:65536/y", "not a number from 0 to 65535"),
    ("nfs://::1/y", "brackets"),
    ("nfs://[::1/y", "not HOST or HOST:PORT"),
    ("nfs://sun/a/../b", r"'\.\.'"),
    ("nfs://sun/a%2F..%2Fb", r"'\.\.'"),
    ("nfs://sun/a%00b", "NUL"),
    ("nfs://sun/x?version=3", "version: '3' is not 2"),
    ("nfs://sun/x?proto=sctp", "not tcp or udp"),
    ("nfs://sun/x?uid=-1", "uid"),
    ("nfs://sun/x?uid=4294967296", "uid"),
    ("nfs://sun/x?uid=", "uid"),
    ("nfs://sun/x?uid=\u0663", "uid"),
    ("nfs://sun/x?timeo=0", "timeo"),
    ("nfs://sun/x?rsize=100", "rsize: '100' is less than 512"),
    ("nfs://sun/x?acregmin=100", "lifetimes of attributes"),
    ("nfs://sun/x?soft=2", "soft"),
    ("nfs://sun/x?nosuch=1", "unknown argument 'nosuch'; there are version, proto"),
]


@pytest.mark.parametrize(("text", "words"), BAD, ids=[ascii(row[0]) for row in BAD])
def test_what_is_refused_and_why(text: str, words: str) -> None:
    with pytest.raises(BadUrl, match=words):
        parse_url(text)


@pytest.mark.parametrize("text", ["nfs://sun/export", "nfs://[::1]:2049/a%20b", "nfs://10.0.0.1/%FF"])
def test_a_url_is_written_as_it_was_read(text: str) -> None:
    assert str(parse_url(text)) == text
    assert parse_url(str(parse_url(text))) == parse_url(text)


@pytest.mark.parametrize(
    ("text", "place"),
    [("sun", ("sun", None)), ("sun:111", ("sun", 111)), ("[::1]", ("::1", None)), ("[::1]:111", ("::1", 111))],
)
def test_host_and_port(text: str, place: tuple[str, int | None]) -> None:
    assert parse_authority(text) == place


@pytest.mark.parametrize("text", ["", ":1", "a:b", "a:", "::1", "[::1]x", "a:99999", "a:0"])
def test_no_host_and_port(text: str) -> None:
    with pytest.raises(BadUrl):
        parse_authority(text)
