"""What a keyserver does, versions 1 and 2. Who asks is known from the kernel, not from the call's credential."""

import json
import os
from collections.abc import Callable

from nfsrpc.auth import des
from nfsrpc.auth.idmap import IdMap
from nfsrpc.auth.keys import UnknownNetname
from nfsrpc.protocols import key_prot as kp
from nfsrpc.rpc.dispatch import Binding, Call, Drop

_HEX = frozenset(b"0123456789abcdefABCDEF")
_ERASED = b"0" * des.DIGITS


class Secrets:
    """Secret keys by uid, kept in memory and, if `path` is given, in a file that only its owner can read."""

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        self._path = path
        self._keys: dict[int, str] = {}
        self._entries: dict[int, tuple[bytes, bytes]] = {}
        if path is not None and os.path.exists(path):
            with open(path, encoding="ascii") as file:
                self._keys = {int(uid): str(key) for uid, key in json.load(file).items()}

    def get(self, uid: int) -> str | None:
        """The secret key of `uid`."""
        return self._keys.get(uid)

    def set(self, uid: int, key: str | None) -> None:
        """Keep or (None) forget the secret key of `uid`."""
        if key is None:
            self._keys.pop(uid, None)
        else:
            self._keys[uid] = key
        if self._path is not None:
            part = f"{os.fspath(self._path)}.{os.getpid()}"
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(descriptor, "w", encoding="ascii") as file:
                json.dump(self._keys, file)
            os.replace(part, self._path)

    def entry(self, uid: int) -> tuple[bytes, bytes]:
        """Public key and netname that `uid` has stored along with the secret one."""
        return self._entries.get(uid, (_ERASED, b""))

    def set_entry(self, uid: int, public: bytes, netname: bytes) -> None:
        """Keep public key and netname of `uid`."""
        self._entries[uid] = public, netname


class _Procedures:
    """What both versions do; the generated service classes give it its procedure numbers."""

    def __init__(self, secrets: Secrets, public: Callable[[str], str], idmap: IdMap) -> None:
        self._secrets = secrets
        self._public = public
        self._idmap = idmap

    def KEY_SET(self, arg: bytes, call: Call) -> kp.keystatus:
        """Keep the caller's secret key; 48 zeros forget it."""
        if not _HEX.issuperset(arg):
            return kp.keystatus.KEY_SYSTEMERR
        self._secrets.set(_uid(call), None if arg == _ERASED else arg.decode())
        return kp.keystatus.KEY_SUCCESS

    def KEY_ENCRYPT(self, arg: kp.cryptkeyarg, call: Call) -> kp.cryptkeyres:
        """A conversation key as the owner of a netname can read it."""
        return self._named(arg.remotename, arg.deskey, call, des.ecb_encrypt)

    def KEY_DECRYPT(self, arg: kp.cryptkeyarg, call: Call) -> kp.cryptkeyres:
        """A conversation key that the owner of a netname has sent."""
        return self._named(arg.remotename, arg.deskey, call, des.ecb_decrypt)

    def KEY_GEN(self, call: Call) -> bytes:
        """A new conversation key."""
        return des.new_conversation_key()

    def KEY_GETCRED(self, arg: bytes, call: Call) -> kp.getcredres:
        """The UNIX identity behind a netname."""
        unix = self._idmap.netname(arg.decode("utf-8", "replace"))
        if unix is None:
            return kp.getcredres(kp.keystatus.KEY_UNKNOWN)
        gids = list(unix.gids)[: kp.KEY_MAX_GIDS]
        return kp.getcredres(kp.keystatus.KEY_SUCCESS, kp.unixcred(unix.uid, unix.gid, gids))

    def _named(self, name: bytes, key: bytes, call: Call, crypt: Callable[[bytes, bytes], bytes]) -> kp.cryptkeyres:
        try:
            public = self._public(name.decode("utf-8", "replace"))
        except (UnknownNetname, OSError):
            return kp.cryptkeyres(kp.keystatus.KEY_UNKNOWN)
        return self._crypt(public.encode(), key, call, crypt)

    def _crypt(self, public: bytes, key: bytes, call: Call, crypt: Callable[[bytes, bytes], bytes]) -> kp.cryptkeyres:
        secret = self._secrets.get(_uid(call))
        if secret is None:
            return kp.cryptkeyres(kp.keystatus.KEY_NOSECRET)
        public = public.rstrip(b"\0")
        if len(public) != des.DIGITS or not _HEX.issuperset(public):
            return kp.cryptkeyres(kp.keystatus.KEY_SYSTEMERR)
        return kp.cryptkeyres(kp.keystatus.KEY_SUCCESS, crypt(des.common_key(secret, public.decode()), key))


class Keyserv1(_Procedures, kp.KEY_PROG_1_service):
    """Version 1."""


class Keyserv2(_Procedures, kp.KEY_PROG_2_service):
    """Version 2: callers bring the public keys themselves."""

    def KEY_ENCRYPT_PK(self, arg: kp.cryptkeyarg2, call: Call) -> kp.cryptkeyres:
        """As KEY_ENCRYPT, for a public key."""
        return self._crypt(arg.remotekey, arg.deskey, call, des.ecb_encrypt)

    def KEY_DECRYPT_PK(self, arg: kp.cryptkeyarg2, call: Call) -> kp.cryptkeyres:
        """As KEY_DECRYPT, for a public key."""
        return self._crypt(arg.remotekey, arg.deskey, call, des.ecb_decrypt)

    def KEY_NET_PUT(self, arg: kp.key_netstarg, call: Call) -> kp.keystatus:
        """Keep the caller's secret key together with its public one and the netname."""
        status = self.KEY_SET(arg.st_priv_key, call)
        if status == kp.keystatus.KEY_SUCCESS:
            self._secrets.set_entry(_uid(call), arg.st_pub_key, arg.st_netname)
        return status

    def KEY_NET_GET(self, call: Call) -> kp.key_netstres:
        """What the caller has stored."""
        secret = self._secrets.get(_uid(call))
        if secret is None:
            return kp.key_netstres(kp.keystatus.KEY_NOSECRET)
        entry = kp.key_netstarg(secret.encode(), *self._secrets.entry(_uid(call)))
        return kp.key_netstres(kp.keystatus.KEY_SUCCESS, entry)

    def KEY_GET_CONV(self, arg: bytes, call: Call) -> kp.cryptkeyres:
        """The DES key that the caller shares with the owner of a public key."""
        return self._crypt(arg, b"", call, lambda common, _: common)


def _uid(call: Call) -> int:
    """The user who asks, as the kernel knows him. `Drop` for a caller that does not come through a UNIX socket."""
    uid = call.peer.uid
    if uid is None:
        raise Drop
    return uid


def bindings(secrets: Secrets, public: Callable[[str], str], idmap: IdMap) -> list[Binding]:
    """Both versions, as a dispatcher serves them; `public` finds the public key of a netname."""
    return [Binding(Keyserv1(secrets, public, idmap)), Binding(Keyserv2(secrets, public, idmap))]
