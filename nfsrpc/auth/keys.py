"""Who has which Diffie-Hellman key: netnames, the publickey(5) file, and the use of one's own secret key."""

import os
import re
import socket
from collections.abc import Callable
from typing import NamedTuple, Protocol

from nfsrpc.rpc.errors import RpcError

from . import des

MAX_NETNAME = 255
_LINE = re.compile(r"(\S+)\s+([0-9A-Fa-f]{48}):([0-9A-Fa-f]{64})?")


class UnknownNetname(RpcError):
    """There is no public key for a netname."""

    def __init__(self, netname: str) -> None:
        super().__init__(f"no public key is known for {netname}")


class KeysUnavailable(RpcError):
    """The secret key cannot be used: the text says why."""


def domain() -> str:
    """This machine's NIS domain, "(none)" where it has none, as netnames have it."""
    try:
        with open("/proc/sys/kernel/domainname", encoding="ascii") as file:
            return file.read().strip() or "(none)"
    except OSError:
        return "(none)"


def user_netname(uid: int, in_domain: str | None = None) -> str:
    """``unix.UID@DOMAIN`` (RFC 2695 §2.1)."""
    return f"unix.{uid}@{in_domain or domain()}"


def host_netname(host: str, in_domain: str | None = None) -> str:
    """``unix.HOST@DOMAIN``, the host without its own domain: the name of that host's root."""
    return f"unix.{host.split('.', 1)[0]}@{in_domain or domain()}"


def own_netname() -> str:
    """The netname of this process: root goes by the name of its host."""
    uid = os.geteuid()
    return host_netname(socket.gethostname()) if uid == 0 else user_netname(uid)


class PublicKey(NamedTuple):
    """A line of publickey(5): the public key, and the secret one under its owner's password ("" if it is not there)."""

    public: str
    encrypted: str


class PublicKeyFile:
    """publickey(5): lines of ``netname public:encrypted-secret``. Read again whenever it has changed."""

    def __init__(self, path: str | os.PathLike[str] = "/etc/publickey") -> None:
        self.path = os.fspath(path)
        self._stamp: tuple[int, int] | None = None
        self._keys: dict[str, PublicKey] = {}

    def key(self, netname: str) -> PublicKey:
        """The keys of `netname`. `UnknownNetname`; OSError for a file that cannot be read."""
        status = os.stat(self.path)
        stamp = status.st_mtime_ns, status.st_ino
        if stamp != self._stamp:
            with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
                self._keys = _parsed(file.read())
            self._stamp = stamp
        try:
            return self._keys[netname]
        except KeyError:
            raise UnknownNetname(netname) from None

    def public(self, netname: str) -> str:
        """The public key of `netname`, 48 hexadecimal digits. Raises as `key` does."""
        return self.key(netname).public

    def put(self, netname: str, key: PublicKey) -> None:
        """Add or replace a line; the file is replaced as a whole."""
        try:
            with open(self.path, encoding="utf-8", errors="surrogateescape") as file:
                lines = file.read().splitlines()
        except FileNotFoundError:
            lines = []
        kept = [line for line in lines if line.split(None, 1)[:1] != [netname]]
        kept.append(f"{netname} {key.public}:{key.encrypted}")
        part = f"{self.path}.{os.getpid()}"
        with open(part, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write("\n".join(kept) + "\n")
        os.replace(part, self.path)


def _parsed(text: str) -> dict[str, PublicKey]:
    found = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is not None:
            found[match[1]] = PublicKey(match[2].lower(), (match[3] or "").lower())
    return found


class ConversationKeys(Protocol):
    """The use of a secret key, wherever it is kept: under the DES key that its owner shares with another."""

    def encrypt(self, netname: str, key: bytes) -> bytes:
        """A conversation key as the owner of `netname` can read it. `UnknownNetname`, `KeysUnavailable`."""

    def decrypt(self, netname: str, key: bytes) -> bytes:
        """A conversation key that the owner of `netname` has encrypted. `UnknownNetname`, `KeysUnavailable`."""


class OwnKeys:
    """A secret key in this process' own memory; `public` finds the public key of a netname."""

    def __init__(self, secret: str, public: Callable[[str], str]) -> None:
        self._secret = secret
        self._public = public
        self._common: dict[str, bytes] = {}

    def _shared(self, netname: str) -> bytes:
        public = self._public(netname)
        key = self._common.get(public)
        if key is None:
            if len(self._common) >= 4096:
                self._common.clear()
            key = self._common[public] = des.common_key(self._secret, public)
        return key

    def encrypt(self, netname: str, key: bytes) -> bytes:
        """See `ConversationKeys`."""
        return des.ecb_encrypt(self._shared(netname), key)

    def decrypt(self, netname: str, key: bytes) -> bytes:
        """See `ConversationKeys`."""
        return des.ecb_decrypt(self._shared(netname), key)
