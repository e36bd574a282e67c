"""Which flavours of authentication an NFS server takes, and what ``sec=`` of exports(5) means."""

from collections.abc import Iterable
from typing import NamedTuple

from nfsrpc.auth import Authenticator, NoneAuthenticator, SysAuthenticator
from nfsrpc.auth.idmap import IdMap, Unix, read_static

KERBEROS = ("krb5", "krb5i", "krb5p")
NAMES = ("none", "sys", "dh", *KERBEROS)
"""What ``sec=`` may name, weakest first."""


class BadSecurity(ValueError):
    """A ``sec=`` that names something unknown; the text says what there is."""


def parse_security(text: str) -> frozenset[str]:
    """``sys:krb5p`` as a set of names. Raises `BadSecurity`."""
    names = frozenset(text.split(":"))
    for name in names:
        if name not in NAMES:
            raise BadSecurity(f"unknown security {name!r}; there are {', '.join(NAMES)}, joined by ':'")
    return names


class SecurityOptions(NamedTuple):
    """How callers are known.

    public_keys, keyserv
        AUTH_DH: the publickey(5) file, and the socket of the keyserv that holds this host's secret key.
    id_map
        File that maps principals and netnames; see `nfsrpc.auth.idmap.read_static`.
    shorthand
        Whether AUTH_SYS callers are given shorthands (AUTH_SHORT).
    """

    public_keys: str = "/etc/publickey"
    keyserv: str = "/var/run/keyservsock"
    id_map: str | None = None
    shorthand: bool = False


def authenticators(wanted: Iterable[str], options: SecurityOptions) -> list[Authenticator]:
    """The server halves that the names in `wanted` need; AUTH_NONE and AUTH_SYS are always taken, to mount with.

    To be called before workers are forked: what they share is made here. Raises
    `MissingExtra`, `GssFailed` (no key to serve with), OSError and `nfsrpc.auth.idmap.BadMapping`.
    """
    names = frozenset(wanted)
    found: list[Authenticator] = [NoneAuthenticator()]
    if options.shorthand:
        from nfsrpc.auth.short import IssuingSysAuthenticator, ShortAuthenticator, Shorthands

        shorthands = Shorthands()
        found += [IssuingSysAuthenticator(shorthands), ShortAuthenticator(shorthands)]
    else:
        found.append(SysAuthenticator())
    if not names - {"none", "sys"}:
        return found
    static: dict[str, Unix] = {} if options.id_map is None else read_static(options.id_map)
    idmap = IdMap(static)
    if names.intersection(KERBEROS):
        from nfsrpc.auth.gss_server import GssAuthenticator

        kerberos = GssAuthenticator(idmap)
        kerberos.demand_key()
        found.append(kerberos)
    if "dh" in names:
        found.append(_dh(idmap, options))
    return found


def _dh(idmap: IdMap, options: SecurityOptions) -> Authenticator:
    from nfsrpc.auth.dh import DhAuthenticator
    from nfsrpc.auth.keys import PublicKeyFile
    from nfsrpc.keyserv.client import KeyservKeys

    keys = KeyservKeys(PublicKeyFile(options.public_keys).public, options.keyserv)
    return DhAuthenticator(keys, idmap)
