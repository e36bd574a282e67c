"""Every cap that bounds what a peer can make this package do, in one frozen object.

A cap is always declared before memory is taken: a decoder compares a length
with its cap (and with what is left of the message) before it allocates.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps on messages, and the named switches that loosen decoding for known peers.

    All sizes are bytes. The defaults suit a server that faces strangers; pass
    another object, made with :func:`dataclasses.replace`, where a peer needs more.

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
    accept_nonzero_padding: bool = False
    accept_any_bool: bool = False
    accept_trailing_bytes: bool = False


DEFAULT_LIMITS = Limits()
