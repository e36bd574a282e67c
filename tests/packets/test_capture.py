"""Capture files of every kind give the same frames; damaged ones say where."""

import io
import struct

import pytest
from captures import START, pcap, pcapng

from nfsrpc.packets.capture import CaptureError, CaptureReader, CaptureWriter

FRAMES = [(START, b"first"), (START + 1_500_000, b"second one"), (START + 2**33, b"")]
FILES = {
    "pcap, little-endian, ns": b"".join(pcap(FRAMES)),
    "pcap, big-endian, ns": b"".join(pcap(FRAMES, order=">")),
    "pcap, little-endian, us": b"".join(pcap(FRAMES, nano=False)),
    "pcap, big-endian, us": b"".join(pcap(FRAMES, order=">", nano=False)),
    "pcapng, us": pcapng(FRAMES),
    "pcapng, big-endian": pcapng(FRAMES, order=">"),
    "pcapng, ns": pcapng(FRAMES, resolution=9),
    "pcapng, 2^-30 s": pcapng(FRAMES, resolution=0x80 | 30),
    "pcapng, two sections of different order": pcapng(FRAMES[:1]) + pcapng(FRAMES[1:], order=">"),
}


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_frames_of_every_format(file):
    found = list(CaptureReader(io.BytesIO(file)))
    assert [(frame.link, frame.data) for frame in found] == [(1, data) for _, data in FRAMES]
    for frame, (time, _) in zip(found, FRAMES, strict=True):
        assert abs(frame.time - time) < 1000


@pytest.mark.parametrize("file", FILES.values(), ids=FILES)
def test_a_file_cut_anywhere_gives_the_frames_before_the_cut(file):
    whole = [frame.data for frame in CaptureReader(io.BytesIO(file))]
    for size in range(4, len(file)):
        reader = CaptureReader(io.BytesIO(file[:size]))
        found = [frame.data for frame in reader]
        assert found == whole[: len(found)]
        assert reader.position == size


def test_the_cut_is_told():
    file = b"".join(pcap(FRAMES[:2]))
    reader = CaptureReader(io.BytesIO(file[:-1]))
    assert len(list(reader)) == 1
    assert reader.cut
    whole = CaptureReader(io.BytesIO(file))
    assert len(list(whole)) == 2
    assert not whole.cut


NO_CAPTURES = {
    "empty": (b"", "not a capture"),
    "text": (b"#!/bin/sh\n", "not a capture"),
    "a packet of 2 GB": (b"".join(pcap([])) + struct.pack("<4I", 0, 0, 1 << 31, 1 << 31), "at byte 24"),
    "a pcapng block of 3 bytes": (pcapng([]) + struct.pack("<II", 6, 3), "a block of 3 bytes"),
    "a packet of an interface that is not there": (pcapng([]) + struct.pack("<8I", 6, 32, 7, 0, 0, 0, 0, 32), "lies"),
    "a packet longer than its block": (pcapng([]) + struct.pack("<8I", 6, 32, 0, 0, 0, 99, 99, 32), "lies"),
    "a section without its mark": (b"\x0a\x0d\x0d\x0a" + bytes(24), "without its mark"),
}


@pytest.mark.parametrize(("file", "says"), NO_CAPTURES.values(), ids=NO_CAPTURES)
def test_what_is_no_capture_is_refused(file, says):
    with pytest.raises(CaptureError, match=says):
        list(CaptureReader(io.BytesIO(file)))


def test_what_is_written_is_read():
    out = io.BytesIO()
    writer = CaptureWriter(out, 101)
    for time, data in FRAMES:
        writer.write(time, data)
    out.seek(0)
    assert [(f.time, f.link, f.data) for f in CaptureReader(out)] == [(t, 101, d) for t, d in FRAMES]
