"""Datagrams and TCP streams are put together whatever the network has done to them."""

import itertools
import random
import struct

import pytest
from captures import CLIENT, SERVER, call, ethernet, fragments, ipv4, ipv6, record, reply, tcp, udp

from nfsrpc.packets.network import MOST_FRAGMENTED, Reassembler
from nfsrpc.packets.streams import LONGEST_WAIT, MessageSource

MESSAGE = call(7, 100003, 2, 8, bytes(range(256)) * 33)
SYN, RST = 2, 4


def messages(frames, link=1, step=1000):
    reassembler, source = Reassembler(), MessageSource()
    found, time = [], 0
    for frame in frames:
        time += step
        packet = reassembler.packet(time, link, frame)
        if packet is not None:
            found += [message.data for message in source.messages(time, packet)]
    return found + [message.data for message in source.rest(time)]


PLAIN = ipv4(CLIENT, SERVER, 17, udp(700, 2049, MESSAGE))
SIX = ipv6(b"\xfe\x80" + bytes(14), b"\xfe\x80" + bytes(13) + b"\1", 17, udp(700, 2049, MESSAGE))
OPTIONS = SIX[:4] + struct.pack(">HB", 8 + len(SIX) - 40, 60) + SIX[7:40] + b"\x11" + bytes(7) + SIX[40:]
LINKS = {
    "Ethernet": (1, ethernet(PLAIN)),
    "Ethernet with padding": (1, ethernet(PLAIN) + bytes(9)),
    "VLAN": (1, ethernet(PLAIN, vlan=5)),
    "VLAN in VLAN": (1, bytes(12) + b"\x88\xa8\0\1\x81\x00\0\2\x08\x00" + PLAIN),
    "IPv6": (1, ethernet(SIX)),
    "IPv6 with options": (101, OPTIONS),
    "raw": (101, PLAIN),
    "raw of OpenBSD": (14, PLAIN),
    "loopback of BSD": (0, b"\2\0\0\0" + PLAIN),
    "Linux cooked": (113, bytes(14) + b"\x08\x00" + PLAIN),
    "Linux cooked v2": (276, b"\x08\x00" + bytes(18) + PLAIN),
    "offloaded, length 0": (101, PLAIN[:2] + b"\0\0" + PLAIN[4:]),
    "IP options": (101, b"\x46" + PLAIN[1:2] + struct.pack(">H", len(PLAIN) + 4) + PLAIN[4:20] + bytes(4) + PLAIN[20:]),
}


@pytest.mark.parametrize(("link", "frame"), LINKS.values(), ids=LINKS)
def test_every_link_leads_to_the_message(link, frame):
    assert messages([frame], link) == [MESSAGE]


@pytest.mark.parametrize(("link", "frame"), LINKS.values(), ids=LINKS)
def test_no_cut_frame_is_an_accident(link, frame):
    for size in range(120):
        messages([frame[:size]], link)


def test_fragments_of_a_write_in_any_order():
    pieces = fragments(CLIENT, SERVER, udp(700, 2049, MESSAGE), 99)
    assert len(pieces) == 6
    for order in itertools.permutations(pieces):
        assert messages(order, 101) == [MESSAGE]


def test_fragments_twice_and_of_two_datagrams_at_once():
    other = call(8, 100003, 2, 8, bytes(8000))
    first = fragments(CLIENT, SERVER, udp(700, 2049, MESSAGE), 99)
    second = fragments(CLIENT, SERVER, udp(700, 2049, other), 100)
    mixed = [piece for pair in zip(first, first, second, strict=True) for piece in pair]
    assert messages(mixed, 101) == [MESSAGE, other]


def test_a_missing_fragment_costs_its_datagram_only():
    lost = fragments(CLIENT, SERVER, udp(700, 2049, MESSAGE), 99)[1:]
    assert messages([*lost, PLAIN], 101) == [MESSAGE]


def test_fragments_that_never_end_do_not_fill_memory():
    reassembler = Reassembler()
    for ident in range(3 * MOST_FRAGMENTED):
        first = fragments(CLIENT, SERVER, udp(700, 2049, MESSAGE), ident)[0]
        assert reassembler.packet(ident, 101, first) is None
    assert len(reassembler._pieces) == MOST_FRAGMENTED


def segments(stream, sizes, start=0xFFFFFF00):
    """(sequence, data): the stream in pieces; it passes the end of sequence numbers."""
    at, out = 0, []
    for size in itertools.cycle(sizes):
        if at >= len(stream):
            return out
        out.append((start + 1 + at, stream[at : at + size]))
        at += size
    return out


def on_wire(pieces, start=0xFFFFFF00, syn=True):
    opening = [ipv4(CLIENT, SERVER, 6, tcp(700, 2049, start, flags=SYN))] if syn else []
    return opening + [ipv4(CLIENT, SERVER, 6, tcp(700, 2049, sequence, data)) for sequence, data in pieces]


CALLS = [call(n, 100003, 2, 8, bytes([n]) * n * 40) for n in range(20)]
STREAM = b"".join(map(record, CALLS))


@pytest.mark.parametrize("sizes", [(1,), (3, 5), (1460,), (100, 1), (len(STREAM),), (4,), (29,)])
@pytest.mark.parametrize("syn", [True, False])
def test_records_from_segments_of_any_size(sizes, syn):
    assert messages(on_wire(segments(STREAM, sizes), syn=syn), 101) == CALLS


@pytest.mark.parametrize("seed", range(20))
def test_segments_out_of_order_repeated_and_overlapping(seed):
    rng = random.Random(seed)
    pieces = segments(STREAM, [rng.randint(1, 300) for _ in range(9)])
    first, rest = pieces[:1], pieces[1:]
    rest += rng.sample(rest, len(rest) // 3)
    joined = [(s, STREAM[s - 0xFFFFFF01 : s - 0xFFFFFF01 + rng.randint(1, 900)]) for s, _ in rng.sample(rest, 5)]
    rest += joined
    for at in range(len(rest) - 4):
        swap = at + rng.randint(0, 4)
        rest[at], rest[swap] = rest[swap], rest[at]
    assert messages(on_wire(first + rest), 101) == CALLS


def test_a_lost_segment_costs_the_records_it_holds():
    pieces = segments(STREAM, (200,))
    without = on_wire(pieces[:10] + pieces[11:])
    found = messages(without, 101, step=LONGEST_WAIT // 10)
    assert len(found) >= len(CALLS) - 3
    assert [data for data in CALLS if data in found] == found


def test_a_capture_that_begins_inside_a_connection_finds_the_next_record():
    assert messages(on_wire([(5000, b"rubbish before"), (5014, STREAM)], syn=False), 101) == CALLS


def test_a_new_connection_on_the_same_ports_starts_anew():
    first = on_wire(segments(STREAM[:-7], (1000,)))
    again = on_wire(segments(STREAM, (1000,), start=77), start=77)
    assert messages(first + again, 101) == CALLS[:-1] + CALLS


def test_a_record_of_many_fragments():
    stream = b"".join(struct.pack(">I", 1) + MESSAGE[at : at + 1] for at in range(len(MESSAGE) - 1))
    stream += struct.pack(">I", 0x80000001) + MESSAGE[-1:]
    assert messages(on_wire(segments(stream, (1460,))), 101) == [MESSAGE]


def test_other_protocols_over_tcp_are_left_alone():
    web = on_wire(segments(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n" * 50, (1460, 20)))
    assert messages(web, 101) == []


def test_a_segment_cut_by_the_capture_costs_only_its_record():
    pieces = [(1 + at, data) for at, data in ((0, record(CALLS[1])), (len(record(CALLS[1])), record(CALLS[2])))]
    cut = ipv4(CLIENT, SERVER, 6, tcp(700, 2049, pieces[0][0], pieces[0][1]))[:60]
    whole = on_wire(pieces[1:], syn=False)
    assert messages([cut, *whole], 101) == [CALLS[2]]
    assert messages([ipv4(SERVER, CLIENT, 6, tcp(2049, 700, 1, record(reply(3)), flags=RST | 16))], 101) == [reply(3)]
