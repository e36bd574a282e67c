"""What the log says of single calls: xid and peer are fields of their own (`extra` of logging), besides the text."""

import logging

from .errors import RpcError
from .message import decode_reply
from .security import Peer

_log = logging.getLogger(__name__)


def call_fields(xid: int, peer: Peer) -> dict[str, object]:
    """The fields that every record about a call has."""
    return {"xid": f"{xid:#010x}", "peer": str(peer)}


def log_refusal(message: bytes, peer: Peer, reply: bytes | None) -> None:
    """A call went no further than its header. Peers can make that happen at will: it is told at DEBUG only."""
    if not _log.isEnabledFor(logging.DEBUG):
        return
    if len(message) < 4:
        _log.debug("%s: a message of %d bytes", peer, len(message), extra={"peer": str(peer)})
        return
    xid = int.from_bytes(message[:4])
    _log.debug("xid %#010x of %s: %s", xid, peer, _words(reply), extra=call_fields(xid, peer))


def _words(reply: bytes | None) -> str:
    if reply is None:
        return "no call, or one that cannot be answered"
    try:
        decode_reply(reply)
    except RpcError as error:
        return str(error)
    return "answered without being run"
