"""RPC-with-TLS (RFC 9289): the probe, and TLS 1.3 over bytes instead of sockets.

A caller asks with a NULL call of flavour AUTH_TLS; a server that agrees says STARTTLS
in its verifier, and from then on both speak TLS on the same connection. A byte that
somebody slips in behind the probe, in clear text, would otherwise be taken for a part of the
protected conversation: it ends the connection.
"""

import secrets
import socket
import ssl
from dataclasses import dataclass
from struct import Struct, error
from typing import Final

from nfsrpc.protocols.rpc_msg import auth_stat
from nfsrpc.rpc.message import OpaqueAuth, auth_error, encode_call, success
from nfsrpc.rpc.record import RecordReader, frame
from nfsrpc.xdr import Limits

from .stream import BadCertificate, TlsFailed

AUTH_TLS: Final = 7
ALPN: Final = "sunrpc"
_TOKEN: Final = b"STARTTLS"
_CALL: Final = Struct(">8I")
_ANSWER: Final = Struct(">5I8s")
_PLAIN: Final = 1 << 16
_CHUNK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class ClientTls:
    """How a client protects its connections: never less than this (RFC 9289 §5).

    context
        See `client_context`.
    program, version
        The program whose procedure 0 carries the probe.
    host
        Name that the server's certificate must bear; None: the one that was connected to.
    """

    context: ssl.SSLContext
    program: int
    version: int
    host: str | None = None


@dataclass(frozen=True, slots=True)
class ServerTls:
    """What a server does about TLS: it offers it, or it is `required` for its programs.

    `certificate`, `key` and `authorities` are paths of PEM files, as for `server_context`; with `authorities`
    whoever uses TLS must show a certificate of theirs.
    """

    certificate: str
    key: str | None = None
    authorities: str | None = None
    required: bool = False

    def context(self) -> ssl.SSLContext:
        """What the files say now. `BadCertificate`: they cannot be used."""
        own = self.certificate if self.key is None else f"{self.certificate}, {self.key}"
        try:
            context = server_context(self.certificate, self.key)
        except ssl.SSLError as error:
            raise BadCertificate(f"{own}: not a certificate and its key in PEM ({_reason(error)})") from None
        except (OSError, ValueError) as error:
            raise BadCertificate(f"{own}: {_reason(error)}") from None
        if self.authorities is None:
            return context
        try:
            return server_context(self.certificate, self.key, self.authorities, mutual=True)
        except OSError as error:
            raise BadCertificate(f"{self.authorities}: no certificate in PEM ({_reason(error)})") from None


def _reason(error: Exception) -> str:
    words = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(words).lower().replace("_", " ")


def client_context(
    authorities: str | None = None, certificate: str | None = None, key: str | None = None
) -> ssl.SSLContext:
    """A context for `ClientTls`: TLS 1.3, the server's certificate and name checked, `certificate` is our own.

    Paths of PEM files. OSError, ssl.SSLError: a file cannot be used; it is never done without.
    """
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=authorities)
    if certificate is not None:
        context.load_cert_chain(certificate, key, _no_password)
    return _restricted(context)


def server_context(
    certificate: str, key: str | None = None, authorities: str | None = None, mutual: bool = False
) -> ssl.SSLContext:
    """A context for servers: TLS 1.3. Clients may show certificates of `authorities`; `mutual`: they must.

    OSError, ssl.SSLError as `client_context`; ValueError: `mutual` without authorities, or a key that only a
    password opens.
    """
    if mutual and authorities is None:
        raise ValueError("nobody can be required to have a certificate that no authority is known for")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key, _no_password)
    if authorities is not None:
        context.load_verify_locations(authorities)
        context.verify_mode = ssl.CERT_REQUIRED if mutual else ssl.CERT_OPTIONAL
    return _restricted(context)


def _no_password() -> str:
    """OpenSSL would ask the terminal, and a server wait for an answer for ever."""
    raise ValueError("the key is protected by a password; give one that is not")


def _restricted(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols([ALPN])
    return context


def _failed(broken: ssl.SSLError) -> TlsFailed:
    """With OpenSSL's word for it; some errors have none, whatever the type of `reason` says."""
    return TlsFailed(f"TLS: {getattr(broken, 'reason', None) or broken}")


class Channel:
    """One TLS connection without a socket: `feed` takes what came, `take` gives what is to be sent."""

    def __init__(self, context: ssl.SSLContext, host: str | None = None, *, server: bool = False) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=host)
        self.established = False
        self.ended = False
        """Whether the peer has said that nothing more comes (close_notify)."""

    def feed(self, data: bytes | memoryview) -> bytes:
        """The plain bytes that `data` completes. `TlsFailed`: the handshake fails, or the stream is not genuine."""
        self._in.write(data)
        plain = []
        try:
            if not self.established:
                self._tls.do_handshake()
                if self._tls.selected_alpn_protocol() != ALPN:
                    raise TlsFailed(f"the peer does not speak {ALPN} inside TLS")
                self.established = True
            while chunk := self._tls.read(_PLAIN):
                plain.append(chunk)
            self.ended = True
        except ssl.SSLWantReadError:
            return b"".join(plain)
        except ssl.SSLError as broken:
            raise _failed(broken) from None
        return b"".join(plain)

    def write(self, plain: bytes) -> None:
        """Protect `plain`; `take` has it then. `TlsFailed`: what came was not genuine, so that nothing more can go."""
        try:
            self._tls.write(plain)
        except ssl.SSLError as broken:
            raise _failed(broken) from None

    def take(self) -> bytes:
        """What is to be sent to the peer now."""
        return self._out.read()

    @property
    def peer_name(self) -> str:
        """The common name of the peer's certificate, "" if it has shown none."""
        certificate = self._tls.getpeercert() or {}
        subject = dict(pair for names in certificate.get("subject", ()) for pair in names)  # type: ignore[misc]
        return str(subject.get("commonName", ""))


def start_tls(sock: socket.socket, tls: ClientTls, host: str, limits: Limits, timeout: float) -> Channel:
    """Take the connected, non-blocking `sock` into TLS. TimeoutError, OSError, or `TlsFailed`."""
    start = ClientStart(tls, host, limits)
    sock.settimeout(timeout)
    try:
        sock.sendall(start.probe)
        while True:
            data = sock.recv(_CHUNK)
            if not data:
                raise TlsFailed("the server closed the connection instead of agreeing to TLS")
            try:
                channel = start.feed(data)
            finally:
                sock.sendall(start.take())
            if channel is not None:
                return channel
    finally:
        sock.settimeout(0)


class ServerStream:
    """As `ClearStream`, of a server that takes a connection into TLS when its client asks for that."""

    def __init__(self, limits: Limits, context: ssl.SSLContext) -> None:
        self._reader = RecordReader(limits)
        self._context = context
        self._channel: Channel | None = None
        self._urgent: list[bytes] = []

    @property
    def pending(self) -> int:
        """Bytes held of what is not complete yet: a record, or a handshake."""
        unshaken = self._channel is not None and not self._channel.established
        return self._reader.pending + unshaken

    @property
    def broken(self) -> bool:
        """Whether nothing more can come of the stream."""
        return self._reader.broken or (self._channel is not None and self._channel.ended)

    @property
    def tls(self) -> str | None:
        """None in clear text; the name in the client's certificate, or "" without one."""
        return self._channel.peer_name if self._channel is not None and self._channel.established else None

    def feed(self, data: bytes | memoryview) -> list[bytes]:
        """The records that `data` completes. `RecordError` or `TlsFailed`: the connection must end after `urgent`."""
        if self._channel is not None:
            try:
                data = self._channel.feed(data)
            finally:
                self._urgent.append(self._channel.take())
            return self._without_probes(self._reader.feed(data)) if data else []
        return self._without_probes(self._reader.feed(data))

    def urgent(self) -> list[bytes]:
        """Bytes that must be sent before any reply."""
        parts, self._urgent = [part for part in self._urgent if part], []
        return parts

    def seal(self, parts: list[bytes]) -> list[bytes]:
        """One record of `parts`, as it travels. `TlsFailed`, see `Channel.write`."""
        framed = frame(parts)
        if self._channel is None:
            return framed
        self._channel.write(b"".join(framed))
        return [self._channel.take()]

    def _without_probes(self, records: list[bytes]) -> list[bytes]:
        if not any(record[24:28] == b"\0\0\0\7" and len(record) >= _CALL.size for record in records):
            return records
        calls = []
        for place, record in enumerate(records):
            if record[24:28] != b"\0\0\0\7" or len(record) < _CALL.size:
                calls.append(record)
                continue
            xid, mtype, _, _, _, procedure, _, length = _CALL.unpack_from(record)
            if mtype or procedure or length or self._channel is not None:
                self._urgent += self.seal([auth_error(xid, auth_stat.AUTH_BADCRED)])
                continue
            if calls or place < len(records) - 1 or self._reader.pending:
                raise TlsFailed("clear text around a probe for TLS")
            self._urgent += frame([success(xid, OpaqueAuth(0, _TOKEN))])
            self._channel = Channel(self._context, server=True)
        return calls


class ClientStart:
    """A client's way into TLS: send `probe` in clear text, then `feed` what comes until it returns a channel.

    What is to be sent meanwhile is in `take`.
    """

    def __init__(self, tls: ClientTls, host: str, limits: Limits) -> None:
        self._tls = tls
        self._host = tls.host or host
        self._reader = RecordReader(limits)
        self._xid = secrets.randbelow(1 << 32)
        self._channel: Channel | None = None

    @property
    def probe(self) -> bytes:
        """The record that asks."""
        call = encode_call(self._xid, self._tls.program, self._tls.version, 0, (AUTH_TLS, b""), (0, b""))
        return b"".join(frame([call]))

    def feed(self, data: bytes) -> Channel | None:
        """The channel once it is established. `TlsFailed`: the server does not agree, or cannot prove who it is."""
        if self._channel is None:
            records = self._reader.feed(data)
            if not records:
                return None
            if len(records) > 1 or self._reader.pending:
                raise TlsFailed("the server went on in clear text behind its agreement to TLS")
            self._agree(records[0])
            self._channel = Channel(self._tls.context, self._host)
            data = b""
        if self._channel.feed(data):
            raise TlsFailed("the server sent a reply before any call")
        return self._channel if self._channel.established else None

    def _agree(self, reply: bytes) -> None:
        """Whether accept_stat is SUCCESS does not matter (RFC 9289 §4.1); all else does."""
        try:
            xid, mtype, stat, flavor, length, token = _ANSWER.unpack_from(reply)
        except error:
            raise TlsFailed("the server does not offer TLS") from None
        if (xid, mtype, stat, flavor, length, token) != (self._xid, 1, 0, 0, len(_TOKEN), _TOKEN):
            raise TlsFailed("the server does not offer TLS")

    def take(self) -> bytes:
        """What is to be sent now."""
        return b"" if self._channel is None else self._channel.take()
