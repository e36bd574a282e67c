"""RPCSEC_GSS version 1, server half (RFC 2203): contexts, verifiers over header bytes, arguments sealed or signed."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from typing import Any

from nfsrpc.protocols import rpcsec_gss as gss
from nfsrpc.protocols.rpc_msg import accept_stat, auth_stat
from nfsrpc.rpc.errors import GarbageArguments
from nfsrpc.rpc.later import Later, Postponed
from nfsrpc.rpc.message import NULL_AUTH, accepted, success
from nfsrpc.xdr import XdrError, decode, encode

from .base import Accept, CallHeader, OpaqueAuth, Peer, Principal, Refusal, Rejected
from .gss_contexts import Context, ContextTable, HalfMade
from .gss_library import GssFailed, Protection, errors, library, words
from .gss_unclaimed import Unclaimed, UnclaimedContexts
from .gss_wire import (
    COMPLETE,
    CONTINUE_INIT,
    CONTINUE_NEEDED,
    DATA,
    DESTROY,
    FLAVOR,
    INIT,
    INTEGRITY,
    MAXSEQ,
    NONE,
    SECURITY,
    GssCredentialBody,
    decode_credential,
    opaque,
    take_opaque,
    word,
)
from .idmap import IdMap, Unix

_log = logging.getLogger(__name__)
WINDOW = 128
"""Calls that a client may have on their way in one context; ganesha grants 32."""
CONTEXTS = 1024
PER_PEER = 256
"""Contexts that one host may have: one for each of its users and connections."""
LIFETIME = 86400.0
"""Seconds after which a context ends even if its ticket lasts longer."""
_HALF_MADE = 60.0
"""Seconds that a client has to finish setting a context up."""
_THREADS = 2
_QUEUE = 256
"""Steps of contexts that may wait for a thread; whoever comes then gets silence, and asks again later."""
_TOKEN = 1 << 16
"""Bytes of a token at most; the largest tickets are as large."""
_DEFECTIVE_TOKEN = 9 << 16
"""GSS_S_DEFECTIVE_TOKEN (RFC 2744 §3.9.1)."""


class GssAuthenticator:
    """Server half.

    service
        Host-based name of the service whose key is used, ``nfs@HOST``; None: any key of the keytab.
    window, contexts, per_peer, lifetime
        Bounds: sequence numbers under way, contexts in all and per client host, and their age in seconds.

    Each worker process has the contexts whose first call it got; what must be shared with the others is
    made here, before they are forked. A context is set up in a thread, because the
    library may wait for a disk or a network. Raises `MissingExtra` where no GSS-API library is installed.
    """

    flavor = FLAVOR
    single_use = True

    def __init__(
        self,
        idmap: IdMap,
        service: str | None = None,
        *,
        window: int = WINDOW,
        contexts: int = CONTEXTS,
        per_peer: int = PER_PEER,
        lifetime: float = LIFETIME,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gssapi = library()
        self._errors = errors()
        self._idmap = idmap
        self._service = service
        self._window = window
        self._lifetime = lifetime
        self._clock = clock
        self._table = ContextTable(contexts, per_peer, clock)
        self._unclaimed = UnclaimedContexts()
        self._acceptor: Any = None
        self._threads: ThreadPoolExecutor | None = None
        self._room = Semaphore(_QUEUE)

    def demand_key(self) -> None:
        """Raises `GssFailed` unless this process can read a key to serve with: better now than for every caller."""
        try:
            self._gssapi.Credentials(name=self._name(), usage="accept")
        except self._errors as failure:
            raise GssFailed(
                f"no Kerberos key to serve with: {words(failure)}; KRB5_KTNAME names the keytab, it needs nfs/HOST"
            ) from None

    @property
    def contexts(self) -> int:
        """Contexts that this worker keeps now, half-made ones included."""
        return len(self._table)

    def accept(self, header: CallHeader, message: bytes, peer: Peer) -> Accept:
        """The owner of the context that the verifier proves. AUTH_BADCRED, CREDPROBLEM, CTXPROBLEM, or silence."""
        try:
            credential = decode_credential(header.credential.body)
        except ValueError:
            raise Rejected(auth_stat.AUTH_BADCRED) from None
        if credential.version != gss.RPCSEC_GSS_VERS_1 or credential.service not in SECURITY:
            raise Rejected(auth_stat.AUTH_BADCRED)
        if credential.procedure in (DATA, DESTROY):
            return self._use(credential, header, message, peer)
        if credential.procedure not in (INIT, CONTINUE_INIT):
            raise Rejected(auth_stat.AUTH_BADCRED)
        if header.procedure != 0:
            raise Rejected(auth_stat.AUTH_FAILED)
        self._set_up(credential, header, message, peer)
        raise AssertionError("unreachable: setting up a context is always postponed or refused")

    def _use(self, credential: GssCredentialBody, header: CallHeader, message: bytes, peer: Peer) -> Accept:
        """A call in an established context, or the end of one (RFC 2203 §5.3.3, §5.4)."""
        handle, sequence = credential.handle, credential.sequence
        context = self._table.find(handle) or self._claim(handle, header, message, peer)
        protection = context.protection
        self._verify(protection, header, message)
        if sequence > MAXSEQ:
            raise Rejected(auth_stat.RPCSEC_GSS_CTXPROBLEM)
        if not context.window.take(sequence):
            raise Refusal(None)
        verifier = OpaqueAuth(FLAVOR, protection.sign(word(sequence)))
        if credential.procedure == DESTROY:
            if header.procedure != 0:
                raise Rejected(auth_stat.AUTH_FAILED)
            self._table.remove(context)
            raise Refusal(success(header.xid, verifier))
        principal = context.names[credential.service]
        # Procedure 0 has neither arguments nor results, and some clients send it bare (RFC 2203 §5.3.2).
        if credential.service == NONE:
            return Accept(principal, verifier)
        return Accept(principal, verifier, _Seal(protection, sequence, credential.service, self._errors))

    def _set_up(self, credential: GssCredentialBody, header: CallHeader, message: bytes, peer: Peer) -> None:
        """One step of setting up a context, in a thread (RFC 2203 §5.2). Always raises."""
        try:
            token = decode(gss.decode_rpc_gss_init_arg, message[header.body :]).gss_token
        except XdrError:
            raise Refusal(accepted(header.xid, accept_stat.GARBAGE_ARGS)) from None
        if header.verifier.flavor or header.verifier.body:
            raise Rejected(auth_stat.AUTH_BADVERF)
        if not 0 < len(token) <= _TOKEN:
            raise Refusal(_init_reply(header.xid, b"", _DEFECTIVE_TOKEN, 0, 0, b""))
        found = None
        if credential.procedure == CONTINUE_INIT:
            found = self._table.half_made(credential.handle)
            if found is None:
                raise Rejected(auth_stat.RPCSEC_GSS_CREDPROBLEM)
            if found.at_work:
                raise Refusal(None)
        elif credential.handle:
            raise Rejected(auth_stat.AUTH_BADCRED)
        if not self._room.acquire(blocking=False):
            raise Refusal(None)
        context = self._table.open(peer.host, _HALF_MADE) if found is None else found
        context.at_work = True
        if self._threads is None:
            self._threads = ThreadPoolExecutor(_THREADS, "gss")
        later = Later()
        self._threads.submit(self._step, context, token, header.xid, later)
        raise Postponed(later)

    def _step(self, context: HalfMade, token: bytes, xid: int, later: Later) -> None:
        """Give `token` to the library and answer with what it says. Runs in a thread."""
        try:
            answer = self._answer(context, token, xid)
        except Exception:
            _log.exception("setting up a context failed")
            self._table.remove(context)
            answer = accepted(xid, accept_stat.SYSTEM_ERR)
        context.at_work = False
        self._room.release()
        later.give([answer])

    def _answer(self, context: HalfMade, token: bytes, xid: int) -> bytes:
        try:
            if context.security is None:
                context.security = self._new_context()
            answer = context.security.step(token) or b""
            if not context.security.complete:
                return _init_reply(xid, context.handle, CONTINUE_NEEDED, 0, self._window, answer)
            signature = Protection(context.security).sign(word(self._window))
            self._established(context)
        except self._errors as failure:
            _log.info("no context for %s: %s", context.peer, words(failure))
            self._table.remove(context)
            major = getattr(failure, "maj_code", 0xD0000) & 0xFFFF_FFFF
            minor = getattr(failure, "min_code", 0) & 0xFFFF_FFFF
            return _init_reply(xid, b"", major, minor, 0, getattr(failure, "token", None) or b"")
        verifier = OpaqueAuth(FLAVOR, signature)
        return _init_reply(xid, context.handle, COMPLETE, 0, self._window, answer, verifier)

    def _new_context(self) -> Any:
        if self._acceptor is None:
            self._acceptor = self._gssapi.Credentials(name=self._name(), usage="accept")
        return self._gssapi.SecurityContext(creds=self._acceptor, usage="accept")

    def _name(self) -> Any:
        if self._service is None:
            return None
        return self._gssapi.Name(self._service, self._gssapi.NameType.hostbased_service)

    def _established(self, made: HalfMade) -> None:
        """Leave a context to whoever gets its first call, or keep it if the library cannot give it away."""
        security = made.security
        name, own = str(security.initiator_name), str(security.target_name)
        expires = self._clock() + min(float(security.lifetime), self._lifetime)
        unix = self._idmap.principal(name, own)
        self._table.remove(made)
        try:
            token = security.export()
        except self._errors:
            self._table.adopt(self._context(made.handle, made.peer, security, name, unix, expires))
            return
        if not self._unclaimed.offer(made.handle, Unclaimed(token, name, unix, expires)):
            again = self._gssapi.SecurityContext(token=token)
            self._table.adopt(self._context(made.handle, made.peer, again, name, unix, expires))

    def _claim(self, handle: bytes, header: CallHeader, message: bytes, peer: Peer) -> Context:
        """The context that waits for its first call, which this is. CREDPROBLEM if there is none, or it was forged."""
        found = self._unclaimed.find(handle)
        if found is None or found.expires <= self._clock():
            raise Rejected(auth_stat.RPCSEC_GSS_CREDPROBLEM)
        security = self._gssapi.SecurityContext(token=found.token)
        context = self._context(handle, peer.host, security, found.name, found.unix, found.expires)
        self._verify(context.protection, header, message)
        if not self._unclaimed.take(handle):
            raise Rejected(auth_stat.RPCSEC_GSS_CREDPROBLEM)
        self._table.adopt(context)
        return context

    def _verify(self, protection: Protection, header: CallHeader, message: bytes) -> None:
        flavor, signature = header.verifier
        if flavor != FLAVOR:
            raise Rejected(auth_stat.RPCSEC_GSS_CREDPROBLEM)
        try:
            protection.verify(message[: header.verifier_at], signature)
        except self._errors:
            raise Rejected(auth_stat.RPCSEC_GSS_CREDPROBLEM) from None

    def _context(
        self, handle: bytes, peer: str, security: Any, name: str, unix: Unix | None, expires: float
    ) -> Context:
        names = {}
        for service, words_of in SECURITY.items():
            who = Principal(FLAVOR, f"gss:{name}", security=words_of)
            if unix is not None:
                who = who._replace(uid=unix.uid, gid=unix.gid, gids=unix.gids)
            names[service] = who
        return Context(handle, peer, Protection(security), names, self._window, expires)


def _init_reply(
    xid: int, handle: bytes, major: int, minor: int, window: int, token: bytes, verifier: OpaqueAuth = NULL_AUTH
) -> bytes:
    result = gss.rpc_gss_init_res(handle, major, minor, window, token)
    return success(xid, verifier) + encode(gss.encode_rpc_gss_init_res, result)


class _Seal:
    """Arguments and result of one call, signed or encrypted together with its sequence number (RFC 2203 §5.3.2)."""

    __slots__ = ("_errors", "_protection", "_sequence", "_service")

    def __init__(self, protection: Protection, sequence: int, service: int, failures: type[Exception]) -> None:
        self._protection = protection
        self._sequence = sequence
        self._service = service
        self._errors = failures

    def unwrap(self, message: bytes, body: int) -> tuple[bytes, int]:
        """The plain arguments. `GarbageArguments` for what was changed, cut, or belongs to another call."""
        try:
            return open_body(self._protection, self._service, self._sequence, message, body), 4
        except (ValueError, self._errors):
            raise GarbageArguments from None

    def wrap(self, result: bytes) -> bytes:
        """The result as it travels."""
        return seal_body(self._protection, self._service, self._sequence, result)


def seal_body(protection: Protection, service: int, sequence: int, plain: bytes) -> bytes:
    """`plain`, signed or encrypted together with the sequence number of its call."""
    body = word(sequence) + plain
    if service == INTEGRITY:
        return opaque(body) + opaque(protection.sign(body))
    return opaque(protection.wrap(body, True)[0])


def open_body(protection: Protection, service: int, sequence: int, message: bytes, at: int) -> bytes:
    """The sequence number and plain bytes behind a protected body that begins at `at` and ends with the message.

    ValueError, or the library's error, for anything else than the peer has sealed for this call.
    """
    body, end = take_opaque(message, at)
    if service == INTEGRITY:
        signature, end = take_opaque(message, end)
        protection.verify(body, signature)
    else:
        # The library may change the bytes it is given: they are a copy of ours already.
        body, encrypted, _ = protection.unwrap(body)
        if not encrypted:
            raise ValueError("signed where it should be encrypted")
    if end != len(message) or not body.startswith(word(sequence)):
        raise ValueError("belongs to another call")
    return body
