"""Asking a keyserver, as Sun's libraries do: version 2 over its UNIX socket."""

from collections.abc import Callable
from typing import TypeVar

from nfsrpc.auth import des
from nfsrpc.auth.keys import KeysUnavailable
from nfsrpc.protocols import key_prot as kp
from nfsrpc.rpc.errors import RpcError
from nfsrpc.transport.unix import UnixCaller

_Answer = TypeVar("_Answer")
SOCKET = "/var/run/keyservsock"
"""Where C libraries look; the path is compiled into them."""
TIMEOUT = 10.0
"""Seconds for one question: a keyserver answers from memory."""

_WORDS = {
    kp.keystatus.KEY_NOSECRET: "the keyserv has no secret key of this user: give it one with `nfsrpc keylogin`",
    kp.keystatus.KEY_UNKNOWN: "the keyserv knows no public key of that name",
    kp.keystatus.KEY_SYSTEMERR: "the keyserv failed",
}


class KeyservKeys:
    """`nfsrpc.auth.keys.ConversationKeys` whose secret key is with the keyserver; `public` finds public keys."""

    def __init__(self, public: Callable[[str], str], path: str = SOCKET) -> None:
        self._public = public
        self._path = path

    def encrypt(self, netname: str, key: bytes) -> bytes:
        """See `ConversationKeys`."""
        argument = kp.cryptkeyarg2(netname.encode(), _hex(self._public(netname)), key)
        return _key(self._ask(lambda stub: stub.KEY_ENCRYPT_PK(argument)))

    def decrypt(self, netname: str, key: bytes) -> bytes:
        """See `ConversationKeys`."""
        argument = kp.cryptkeyarg2(netname.encode(), _hex(self._public(netname)), key)
        return _key(self._ask(lambda stub: stub.KEY_DECRYPT_PK(argument)))

    def set_secret(self, secret: str | None) -> None:
        """Give the keyserver this user's secret key, or make it forget that. `KeysUnavailable`."""
        status = self._ask(lambda stub: stub.KEY_SET((secret or "0" * des.DIGITS).encode()))
        if status != kp.keystatus.KEY_SUCCESS:
            raise KeysUnavailable(_WORDS[status])

    def _ask(self, question: Callable[[kp.KEY_PROG_2_client], _Answer]) -> _Answer:
        try:
            with UnixCaller(self._path, TIMEOUT) as caller:
                return question(kp.KEY_PROG_2_client(caller))
        except (OSError, RpcError) as failure:
            reason = failure.strerror if isinstance(failure, OSError) and failure.strerror else str(failure)
            raise KeysUnavailable(f"no keyserv at {self._path}: {reason}; start one with `nfsrpc keyserv`") from None


def _hex(public: str) -> bytes:
    """A public key as C programs send it: with the NUL at its end."""
    return public.encode() + b"\0"


def _key(result: kp.cryptkeyres) -> bytes:
    if result.deskey is None:
        raise KeysUnavailable(_WORDS[result.status])
    return result.deskey
