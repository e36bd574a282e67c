"""Every cap that bounds what a peer can make this package do, in one frozen object.

A cap is always declared before memory is taken: a decoder compares a length
with its cap (and with what is left of the message) before it allocates.
"""

from typing import NamedTuple


class Limits(NamedTuple):
    """Caps on messages, and the named switches that loosen decoding for known peers.

    All sizes are bytes. The defaults suit a server that faces strangers; pass
    another object, made with ``DEFAULT_LIMITS._replace(...)``, where a peer needs more.

    message
        One RPC message, summed over its record-marking fragments. 1 MiB holds
        the largest NFS transfer in use (1 MiB of NFSv3 over TCP comes with
        a header and so needs more; NFSv2 never exceeds 9 KiB).
    fragments
        Fragments of one record. Real senders use one to a handful; a record of
        thousands of one-byte fragments is an attack on the reassembler.
    depth
        Nesting of recursive types. Linked lists are decoded in a loop and do
        not count.
    elements
        Elements of any one array, list or run of optionals, whatever its
        declared bound: an element of zero bytes would otherwise be free for
        the sender and cost the receiver memory.
    connections
        Open TCP connections of one worker. Beyond it the connection that has
        been quiet longest is closed: every RPC client re-connects.
    connections_per_peer
        Of those, how many one host may have: half, so that no single one takes them all, and enough for a
        whole institute behind one address. Beyond it that host's own quietest connection is closed.
    idle_seconds
        Quiet time after which a TCP connection is closed. Six minutes is one
        more than the five after which Linux and Solaris clients close themselves.
    record_seconds
        Time from the first byte of a record to its last. A sender that takes longer than a minute for a
        megabyte is slower than a modem, or holds on to our memory; its connection is closed.
    unsent_seconds
        Time for which a peer may take nothing of the replies that wait for it, before its connection is closed.
    unsent
        Reply bytes that wait for one slow TCP reader. At the cap nothing more is
        read from it, so it can hold at most this and the replies of one turn.
    turn_calls
        Calls that share one turn of the loop, and so one commit: enough to
        make a synced commit cheap per call, few enough that a turn of the
        slowest procedure stays well under a second.
    turn_calls_per_peer
        Of those, how many one connection may have, so that a client that
        pipelines without end does not push the others out of the turn.
    call_seconds
        Time that a call has in the server before nobody waits for its answer any more: what a
        patient client gives it (`CALL_TIMEOUT`). Handlers see the end of it in their context.
    accept_nonzero_padding
        Take fill bytes that are not zero (RFC 4506 §3 demands zero; some
        peers send rubbish).
    accept_any_bool
        Take any non-zero integer as TRUE (RFC 4506 §4.4 demands 1).
    accept_trailing_bytes
        Take a message that goes on after its last item.
    """

    message: int = (1 << 20) + (64 << 10)
    fragments: int = 1024
    depth: int = 128
    elements: int = 1 << 20
    connections: int = 2048
    connections_per_peer: int = 1024
    idle_seconds: float = 360.0
    record_seconds: float = 60.0
    unsent_seconds: float = 60.0
    unsent: int = 4 << 20
    turn_calls: int = 256
    turn_calls_per_peer: int = 64
    call_seconds: float = 30.0
    accept_nonzero_padding: bool = False
    accept_any_bool: bool = False
    accept_trailing_bytes: bool = False


DEFAULT_LIMITS = Limits()
