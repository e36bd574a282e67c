"""RPCSEC_GSS, client half (RFC 2203): a context with the server, set up when it is first needed and again when lost.

The server half is in `gss_server`. Version 2 of the credential (RFC 5403) is
spoken if asked for, with version 1 for servers that refuse it.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from typing import Any

from nfsrpc.protocols import rpcsec_gss as gss
from nfsrpc.protocols.rpc_msg import auth_stat
from nfsrpc.rpc.errors import AuthRefused

from .base import CallAuth, ControlCall, Handshake, OpaqueAuth, PlainAuth
from .gss_library import GssFailed, Protection, errors, library, words
from .gss_server import open_body, seal_body
from .gss_wire import (
    COMPLETE,
    CONTINUE_INIT,
    CONTINUE_NEEDED,
    DATA,
    DESTROY,
    FLAVOR,
    INIT,
    MAXSEQ,
    NONE,
    SERVICES,
    GssCredentialBody,
    destroy_procedure,
    init_procedure,
    word,
)

_STEPS = 16
"""Exchanges after which setting up a context is given up: Kerberos needs one, the worst mechanism a handful."""
_SPARE = 30.0
"""Seconds before the end of a context at which it is replaced."""


class GssCredential:
    """Client half: this process' Kerberos identity (its ticket cache or keytab, as the GSS-API library finds them).

    security
        ``krb5`` (the caller is proved), ``krb5i`` (arguments and results cannot be changed), ``krb5p`` (nor read).
    service
        The service's name before the ``@``; the host is that of each association.
    target
        The whole host-based name instead, ``nfs@host``.
    version
        2 tries the credential of RFC 5403 first.

    Raises `MissingExtra` where no GSS-API library is installed.
    """

    def __init__(
        self,
        security: str = "krb5",
        *,
        service: str = "nfs",
        target: str | None = None,
        version: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        library()
        self.service = SERVICES[security]
        self.version = version
        self.clock = clock
        self._service_name = service
        self._target = target

    def session(self, host: str) -> "GssSession":
        """Contexts with the service on `host`."""
        return GssSession(self, self._target or f"{self._service_name}@{host}")


class _Established:
    """A context that both sides have."""

    __slots__ = ("expires", "handle", "place", "protection", "sequence", "version")

    def __init__(
        self, protection: Protection, handle: bytes, version: int, place: tuple[int, int], expires: float
    ) -> None:
        self.protection = protection
        self.handle = handle
        self.version = version
        self.place = place
        self.expires = expires
        self.sequence = 0


class GssSession:
    """What one association has with a service: a context, or none yet."""

    def __init__(self, credential: GssCredential, target: str) -> None:
        self._credential = credential
        self._target = target
        self._version = credential.version
        self._context: _Established | None = None

    def handshake(self, program: int, version: int) -> Handshake | None:
        """Sets a context up unless there is one with time and sequence numbers left."""
        context = self._context
        if context is not None and context.sequence < MAXSEQ - 1 and self._credential.clock() < context.expires:
            return None
        return self._set_up(program, version)

    def _set_up(self, program: int, version: int) -> Handshake:
        # Servers by libtirpc and libgssrpc have room for one context on each socket: the old one has to go first.
        farewell = self.farewell()
        if farewell is not None:
            with suppress(AuthRefused):
                yield farewell
        if self._version > gss.RPCSEC_GSS_VERS_1:
            try:
                yield from self._establish(program, version)
                return
            except AuthRefused as refused:
                if refused.stat not in (auth_stat.AUTH_BADCRED, auth_stat.AUTH_REJECTEDCRED):
                    raise
                self._version = int(gss.RPCSEC_GSS_VERS_1)
        yield from self._establish(program, version)

    def _establish(self, program: int, version: int) -> Handshake:
        security = self._initiator()
        token = self._step(security, None)
        handle, kind = b"", INIT
        for _ in range(_STEPS):
            body = GssCredentialBody(self._version, kind, 0, self._credential.service, handle)
            control = ControlCall(init_procedure(program, version), (token,), PlainAuth((FLAVOR, body.encode())))
            answer = yield control
            result = answer.result
            if result.gss_major not in (COMPLETE, CONTINUE_NEEDED):
                raise GssFailed(
                    f"the server refused the context for {self._target}: {_major(result.gss_major, result.gss_minor)}"
                )
            handle, kind = result.handle, CONTINUE_INIT
            token = self._step(security, result.gss_token) if result.gss_token else b""
            if result.gss_major == COMPLETE:
                self._keep(security, handle, (program, version), result.seq_window, answer.verifier)
                return
        raise GssFailed(f"no context with {self._target} after {_STEPS} exchanges")

    def _initiator(self) -> Any:
        gssapi = library()
        name = gssapi.Name(self._target, gssapi.NameType.hostbased_service)
        try:
            # Mutual authentication alone: the library's default adds the detection of sequences, which is done here.
            return gssapi.SecurityContext(
                name=name,
                usage="initiate",
                mech=gssapi.MechType.kerberos,
                flags=[gssapi.RequirementFlag.mutual_authentication],
            )
        except errors() as failure:
            raise GssFailed(f"no Kerberos identity: {words(failure)}") from None

    def _step(self, security: Any, token: bytes | None) -> bytes:
        try:
            return security.step(token) or b""
        except errors() as failure:
            raise GssFailed(f"no context with {self._target}: {words(failure)}") from None

    def _keep(
        self, security: Any, handle: bytes, place: tuple[int, int], window: int, verifier: OpaqueAuth
    ) -> None:
        """Use a context from now on, after the server has proved itself by signing the window (RFC 2203 §5.2.3.1)."""
        if not security.complete:
            raise GssFailed(f"{self._target} calls the context complete, but it is not")
        protection = Protection(security)
        try:
            protection.verify(word(window), verifier.body)
        except errors():
            raise AuthRefused(auth_stat.AUTH_INVALIDRESP) from None
        expires = self._credential.clock() + max(1.0, security.lifetime - _SPARE)
        self._context = _Established(protection, handle, self._version, place, expires)

    def begin(self) -> CallAuth:
        """The next call in the context."""
        context = self._context
        if context is None:
            raise GssFailed("the context was lost")
        context.sequence += 1
        return _GssCall(context, context.sequence, self._credential.service)

    def refresh(self, stat: int, used: CallAuth) -> bool:
        """A context that the server does not have any more is replaced."""
        if stat not in (auth_stat.RPCSEC_GSS_CREDPROBLEM, auth_stat.RPCSEC_GSS_CTXPROBLEM):
            return False
        if isinstance(used, _GssCall) and used.context is self._context:
            used.context.expires = -inf
            if stat == auth_stat.RPCSEC_GSS_CREDPROBLEM:
                self._context = None
        return True

    def farewell(self) -> ControlCall | None:
        """DESTROY, if there is a context (RFC 2203 §5.4)."""
        context, self._context = self._context, None
        if context is None:
            return None
        context.sequence += 1
        return ControlCall(destroy_procedure(*context.place), (), _GssCall(context, context.sequence, NONE, DESTROY))


class _GssCall:
    """One transmission of one call: a retransmission has a sequence number of its own (RFC 2203 §5.3.3.1)."""

    __slots__ = ("_sequence", "_service", "context", "credential")
    renewed = True

    def __init__(self, context: _Established, sequence: int, service: int, kind: int = DATA) -> None:
        self.context = context
        self._sequence = sequence
        self._service = service
        body = GssCredentialBody(context.version, kind, sequence, service, context.handle)
        self.credential = (FLAVOR, body.encode())

    @property
    def sealed(self) -> bool:
        return self._service != NONE

    def verifier(self, head: bytes) -> tuple[int, bytes]:
        return (FLAVOR, self.context.protection.sign(head))

    def wrap(self, args: bytes) -> bytes:
        return seal_body(self.context.protection, self._service, self._sequence, args)

    def check(self, verifier: OpaqueAuth) -> None:
        try:
            self.context.protection.verify(word(self._sequence), verifier.body)
        except errors():
            raise AuthRefused(auth_stat.AUTH_INVALIDRESP) from None

    def unwrap(self, message: bytes, body: int) -> tuple[bytes, int]:
        try:
            return open_body(self.context.protection, self._service, self._sequence, message, body), 4
        except (ValueError, errors()):
            raise AuthRefused(auth_stat.AUTH_INVALIDRESP) from None


def _major(major: int, minor: int) -> str:
    """The library's words for a pair of status codes."""
    failure = errors()(major, minor)
    return words(failure)
