"""Asking rpcbind, versions 3 and 4 (RFC 1833 §2): universal addresses, whatever the transport."""

from nfsrpc.protocols import rpcb_prot as rb
from nfsrpc.rpc.errors import BadReply
from nfsrpc.xdr import Caller

from .entry import Service
from .uaddr import Place, from_uaddr

_MAX_TEXT = 256
"""Longest text that is taken from a server: several times any real netid, address or owner."""


def _text(raw: bytes) -> str:
    """A server's text, fit to be printed. `BadReply` if it is too long."""
    if len(raw) > _MAX_TEXT:
        raise BadReply(f"rpcbind answers with a text of {len(raw)} bytes")
    return "".join(c if c.isprintable() else "?" for c in raw.decode("utf-8", "replace"))


def _place(raw: bytes) -> Place | None:
    """A server's address, None for an empty one. `BadReply` if it is none."""
    text = _text(raw)
    try:
        return from_uaddr(text) if text else None
    except ValueError as error:
        raise BadReply(f"rpcbind answers with an address that is none: {error}") from None


def _line(entry: Service) -> rb.rpcb:
    texts = (text.encode() for text in entry[2:])
    return rb.rpcb(entry.program, entry.version, *texts)


class RpcBind:
    """The calls of version 4 (of version 3, where `version` says so), on whatever carries them."""

    def __init__(self, caller: Caller, version: int = 4) -> None:
        self._stub = rb.RPCBPROG_4_client(caller) if version == 4 else rb.RPCBPROG_3_client(caller)
        self._caller = caller

    def getaddr(self, program: int, version: int) -> Place | None:
        """Where `program` is over the transport that carries this call, in this version or any; None: nowhere."""
        return _place(self._stub.RPCBPROC_GETADDR(rb.rpcb(program, version, b"", b"", b"")))

    def getversaddr(self, program: int, version: int) -> Place | None:
        """As `getaddr`, in exactly this version. Version 4 alone has it."""
        stub = rb.RPCBPROG_4_client(self._caller)
        return _place(stub.RPCBPROC_GETVERSADDR(rb.rpcb(program, version, b"", b"", b"")))

    def dump(self) -> list[Service]:
        """Everything that is registered. Addresses of transports that are no IP (``local``) are texts as they come."""
        found = []
        link = self._stub.RPCBPROC_DUMP()
        while link is not None:
            entry = link.rpcb_map
            texts = (_text(raw) for raw in (entry.r_netid, entry.r_addr, entry.r_owner))
            found.append(Service(entry.r_prog, entry.r_vers, *texts))
            link = link.rpcb_next
        return found

    def set(self, entry: Service) -> bool:
        """Register; False if another address has the place, or the caller is not on the same machine."""
        return bool(self._stub.RPCBPROC_SET(_line(entry)))

    def unset(self, program: int, version: int, netid: str = "") -> bool:
        """Take away what is ours of `program` in `version`, over `netid` or all; False if there was nothing."""
        return bool(self._stub.RPCBPROC_UNSET(rb.rpcb(program, version, netid.encode(), b"", b"")))

    def gettime(self) -> int:
        """The server's clock, seconds since 1970."""
        return self._stub.RPCBPROC_GETTIME()

    def uaddr2taddr(self, address: str) -> bytes:
        """A universal address as the server's own socket address."""
        return self._stub.RPCBPROC_UADDR2TADDR(address.encode()).buf

    def taddr2uaddr(self, address: bytes) -> Place | None:
        """The universal form of one of the server's own socket addresses."""
        return _place(self._stub.RPCBPROC_TADDR2UADDR(rb.netbuf(len(address), address)))

    def getstat(self) -> list[rb.rpcb_stat]:
        """The server's counters for versions 2, 3 and 4. Version 4 alone has it."""
        return list(rb.RPCBPROG_4_client(self._caller).RPCBPROC_GETSTAT())
