"""AUTH_DH, also called AUTH_DES (RFC 1057 §9.3, RFC 2695 §2): callers proved by a DES-encrypted clock.

The first call carries the caller's netname and a conversation key that only
the server can decrypt; the server answers with a nickname for both. Each
verifier is the time, each reply verifier that time less one second.
Arguments and results are not protected. The nickname is four opaque bytes.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from struct import Struct, error

from nfsrpc.protocols.rpc_msg import auth_flavor, auth_stat
from nfsrpc.rpc.errors import AuthRefused, RpcError

from . import des
from .base import (
    Accept,
    CallAuth,
    CallHeader,
    ControlCall,
    Handshake,
    OpaqueAuth,
    Peer,
    PlainAuth,
    Principal,
    Rejected,
)
from .conversations import Conversation, Conversations, Stamp
from .idmap import IdMap, Unix
from .keys import MAX_NETNAME, ConversationKeys, KeysUnavailable, UnknownNetname

FLAVOR = int(auth_flavor.AUTH_DH)
WINDOW = 60
"""Seconds by which a clock may lag behind the server's, unless the caller asks for another window."""
MAX_WINDOW = 86400
"""Longest window that a server grants: a message must not be good for ever."""

_USERS = 1024
"""Principals that are kept."""
_FULLNAME, _NICKNAME = 0, 1
_WORD = Struct(">I")
_TWO = Struct(">2I")
_FOUR = Struct(">4I")
_MICROSECONDS = 1_000_000
_VERIFIER = 12


class DhSession:
    """A conversation with one server."""

    def __init__(self, credential: "DhCredential") -> None:
        self._credential = credential
        self._key = des.new_conversation_key()
        self._encrypted = credential.keys.encrypt(credential.server, self._key)
        self._nickname: bytes | None = None
        self._last: Stamp = (0, 0)
        self._clock = credential.clock
        self._synchronise = credential.synchronise

    def _now(self) -> Stamp:
        """The server's time, but later than ever before: it takes each timestamp once."""
        whole = int(self._clock() * _MICROSECONDS)
        stamp = divmod(whole, _MICROSECONDS)
        if stamp <= self._last:
            sec, usec = self._last
            stamp = divmod(sec * _MICROSECONDS + usec + 1, _MICROSECONDS)
        self._last = stamp
        return stamp

    def begin(self) -> CallAuth:
        """Full name until the server has given a nickname."""
        stamp, key, window = self._now(), self._key, self._credential.window
        if self._nickname is not None:
            proof = des.ecb_encrypt(key, _TWO.pack(*stamp)) + bytes(4)
            return _DhCall(self, _WORD.pack(_NICKNAME) + self._nickname, proof, stamp)
        name = self._credential.netname.encode()
        sealed = des.cbc_encrypt(key, _FOUR.pack(*stamp, window, window - 1))
        body = b"".join((
            _TWO.pack(_FULLNAME, len(name)), name, bytes(-len(name) % 4), self._encrypted, sealed[8:12]
        ))  # fmt: skip
        return _DhCall(self, body, sealed[:8] + sealed[12:], stamp)

    def proved(self, stamp: Stamp, body: bytes) -> None:
        """Take the nickname from a reply verifier. `AuthRefused` unless it proves that the server knows the key."""
        sec, usec = stamp
        if len(body) != _VERIFIER or des.ecb_decrypt(self._key, body[:8]) != _TWO.pack(sec - 1, usec):
            raise AuthRefused(auth_stat.AUTH_INVALIDRESP)
        self._nickname = body[8:]

    def handshake(self, program: int, version: int) -> Handshake | None:
        """None: the first call is the handshake."""
        return None

    def refresh(self, stat: int, used: CallAuth) -> bool:
        """Once more with the full name: the server may have forgotten the nickname, or seen a later time."""
        self._nickname = None
        if stat not in _WORTH_ANOTHER:
            return False
        if self._synchronise is not None:
            synchronise, self._synchronise = self._synchronise, None
            with suppress(RpcError):
                self._clock = synchronise()
                self._last = (0, 0)
        return True

    def farewell(self) -> ControlCall | None:
        """None: conversations just go quiet."""
        return None


_WORTH_ANOTHER = frozenset({
    auth_stat.AUTH_BADCRED, auth_stat.AUTH_REJECTEDCRED, auth_stat.AUTH_BADVERF, auth_stat.AUTH_REJECTEDVERF
})  # fmt: skip


class _DhCall(PlainAuth):
    """One call: its credential, and the time that proves it."""

    __slots__ = ("_proof", "_session", "_stamp")

    def __init__(self, session: DhSession, credential: bytes, proof: bytes, stamp: Stamp) -> None:
        super().__init__((FLAVOR, credential))
        self._session = session
        self._proof = proof
        self._stamp = stamp

    def verifier(self, head: bytes) -> tuple[int, bytes]:
        return (FLAVOR, self._proof)

    def check(self, verifier: OpaqueAuth) -> None:
        if verifier.flavor != FLAVOR:
            raise AuthRefused(auth_stat.AUTH_INVALIDRESP)
        self._session.proved(self._stamp, verifier.body)


class DhCredential:
    """Client half.

    keys
        The use of the caller's secret key: `OwnKeys`, or a keyserv.
    netname, server
        The caller's and the server's netname, ``unix.UID@DOMAIN`` or ``unix.HOST@DOMAIN``.
    window
        Seconds that a message may be late.
    clock
        The server's time in seconds since 1970, or this machine's if they are the same.
    synchronise
        Finds out the server's time, as another `clock`, once a call has been refused; `RpcError` if it
        cannot. See `nfsrpc.portmap.clock.clock_of`.

    Raises `MissingExtra` where no DES is installed; sessions raise `UnknownNetname` and `KeysUnavailable`.
    """

    def __init__(
        self,
        keys: ConversationKeys,
        netname: str,
        server: str,
        window: int = WINDOW,
        clock: Callable[[], float] = time.time,
        synchronise: Callable[[], Callable[[], float]] | None = None,
    ) -> None:
        des.demand()
        if not 0 < window < 1 << 32:
            raise ValueError(f"a window is a positive number of seconds, not {window}")
        if len(netname.encode()) > MAX_NETNAME:
            raise ValueError(f"netnames end at {MAX_NETNAME} bytes")
        self.keys = keys
        self.netname = netname
        self.server = server
        self.window = window
        self.clock = clock
        self.synchronise = synchronise

    def session(self, host: str) -> DhSession:
        """A conversation with the server, with a key of its own."""
        return DhSession(self)


class DhAuthenticator:
    """Server half. `conversations` is made before the workers are forked, and shared by them.

    A timestamp must be later than the conversation's last one, and within the window on either side of
    the server's time; glibc takes an equal one, because UDP clients send the same bytes again, but those
    are answered from memory here (`single_use`). Raises `MissingExtra` where no DES is installed.
    """

    flavor = FLAVOR
    single_use = True

    def __init__(
        self,
        keys: ConversationKeys,
        idmap: IdMap,
        conversations: Conversations | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        des.demand()
        self._keys = keys
        self._idmap = idmap
        self._conversations = Conversations(clock=clock) if conversations is None else conversations
        self._clock = clock
        self._user = lru_cache(_USERS)(_user)

    def accept(self, header: CallHeader, message: bytes, peer: Peer) -> Accept:
        """The owner of the netname. AUTH_BADCRED, AUTH_REJECTEDCRED, AUTH_BADVERF, AUTH_REJECTEDVERF."""
        flavor, proof = header.verifier
        if flavor != FLAVOR or len(proof) != _VERIFIER:
            raise Rejected(auth_stat.AUTH_BADVERF)
        body = header.credential.body
        if len(body) == 8 and body.startswith(_WORD.pack(_NICKNAME)):
            nickname = body[4:]
            conversation, stamp = self._conversations.advance(nickname, lambda known: self._later(known, proof))
        else:
            conversation, stamp = self._introduced(body, proof)
            nickname = self._conversations.begin(conversation, stamp)
        sec, usec = stamp
        answer = des.ecb_encrypt(conversation.key, _TWO.pack(sec - 1 & 0xFFFF_FFFF, usec)) + nickname
        netname = conversation.netname
        return Accept(self._user(netname, self._idmap.netname(netname)), OpaqueAuth(FLAVOR, answer))

    def _later(self, conversation: Conversation, proof: bytes) -> Stamp:
        sec, usec = _TWO.unpack(des.ecb_decrypt(conversation.key, proof[:8]))
        self._timely((sec, usec), conversation.window, auth_stat.AUTH_REJECTEDVERF)
        if usec >= _MICROSECONDS:
            raise Rejected(auth_stat.AUTH_REJECTEDVERF)
        return sec, usec

    def _introduced(self, body: bytes, proof: bytes) -> tuple[Conversation, Stamp]:
        """The conversation that a full name offers, decrypted and found whole."""
        netname, key, window = _full_name(body)
        try:
            key = self._keys.decrypt(netname, key)
        except (UnknownNetname, KeysUnavailable, OSError):
            raise Rejected(auth_stat.AUTH_BADCRED) from None
        sec, usec, window_seconds, check = _FOUR.unpack(des.cbc_decrypt(key, proof[:8] + window + proof[8:]))
        if not window_seconds or check != window_seconds - 1:
            raise Rejected(auth_stat.AUTH_BADCRED)
        if usec >= _MICROSECONDS:
            raise Rejected(auth_stat.AUTH_BADVERF)
        granted = min(window_seconds, MAX_WINDOW)
        self._timely((sec, usec), granted, auth_stat.AUTH_BADCRED)
        return Conversation(key, netname, granted), (sec, usec)

    def _timely(self, stamp: Stamp, window: int, stat: auth_stat) -> None:
        if not -window < stamp[0] + stamp[1] / _MICROSECONDS - self._clock() <= window:
            raise Rejected(stat)


def _user(netname: str, unix: Unix | None) -> Principal:
    name = f"dh:{netname}"
    if unix is None:
        return Principal(FLAVOR, name, security="dh")
    return Principal(FLAVOR, name, unix.uid, unix.gid, unix.gids, security="dh")


def _full_name(body: bytes) -> tuple[str, bytes, bytes]:
    """Netname, encrypted key and encrypted window of a full credential. AUTH_BADCRED if it is none."""
    try:
        kind, length = _TWO.unpack_from(body)
        padded = length + -length % 4
        fill = body[8 + length : 8 + padded]
        if kind != _FULLNAME or length > MAX_NETNAME or len(body) != 8 + padded + 12 or any(fill):
            raise ValueError
        return body[8 : 8 + length].decode("ascii"), body[8 + padded : 16 + padded], body[16 + padded :]
    except (error, ValueError):
        raise Rejected(auth_stat.AUTH_BADCRED) from None
