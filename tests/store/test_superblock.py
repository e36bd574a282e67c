"""The superblock: no torn write costs a volume."""

import random
import zlib

import pytest

from nfsrpc.store.volume import NotAVolume, Volume, make_volume
from nfsrpc.store.volume.fsck import check_volume
from nfsrpc.store.volume.repair import repair_volume
from nfsrpc.store.volume.superblock import COPY_SIZE, SPACING, SuperblockFile, pack, unpack


@pytest.fixture
def file(volume_path):
    opened = SuperblockFile(volume_path)
    yield opened
    opened.close()


def test_what_it_says(volume_path, file):
    superblock = file.read()
    assert 0 < superblock.fsid < 1 << 32
    assert len(superblock.key) == 32
    assert superblock.root == 2
    assert superblock.reserved == superblock.root_generation + 1
    raw = (volume_path / "superblock").read_bytes()
    assert raw[:16] == raw[SPACING : SPACING + 16] == b"nfsrpc volume\r\n\0"
    assert raw[16:20] == b"\0\0\0\2"
    assert unpack(raw[:COPY_SIZE]) == (2, superblock._replace(sequence=0))


def test_no_two_volumes_are_alike(tmp_path):
    identities = set()
    for number in range(3):
        make_volume(tmp_path / str(number))
        opened = SuperblockFile(tmp_path / str(number))
        identities |= {opened.read().fsid, opened.read().key}
        opened.close()
    assert len(identities) == 6


def test_updates_take_turns(file):
    seen = file.read()
    for number in range(2, 6):
        updated = file.update(seen._replace(reserved=seen.reserved + number))
        assert updated.sequence == number
        assert [copy[1].sequence for copy in file.copies()] == sorted((number, number - 1), key=lambda n: n & 1)
        assert file.read() == updated


@pytest.mark.parametrize("place", [0, 1])
def test_torn_anywhere(volume_path, file, place):
    """A write that reached only some bytes, from the front, the back or in the middle, costs that copy at most."""
    old = file.read()
    raw = (volume_path / "superblock").read_bytes()
    before = raw[place * SPACING : place * SPACING + COPY_SIZE]
    new = pack(old._replace(sequence=2 + place, reserved=old.reserved + 1000))
    other = old._replace(sequence=1 - place)
    rng = random.Random(place)
    for cut in range(COPY_SIZE + 1):
        middle = sorted(rng.sample(range(COPY_SIZE + 1), 2))
        for torn in (
            new[:cut] + before[cut:],
            before[:cut] + new[cut:],
            before[: middle[0]] + new[middle[0] : middle[1]] + before[middle[1] :],
        ):
            found = unpack(torn)
            assert found is None or torn in (before, new)
    for cut in (0, 1, 20, 40, 90, COPY_SIZE - 4, COPY_SIZE - 1):
        with (volume_path / "superblock").open("r+b") as disk:
            disk.seek(place * SPACING)
            disk.write(bytes(byte ^ 0xFF for byte in new[:cut]) + before[cut:])
        assert file.read() in (other, old)


@pytest.mark.parametrize("place", [0, 1])
def test_one_copy_lost(volume_path, file, place):
    with (volume_path / "superblock").open("r+b") as disk:
        disk.seek(place * SPACING)
        disk.write(bytes(COPY_SIZE))
    (finding,) = check_volume(volume_path)
    assert (finding.check, finding.leftover) == ("superblock", True)
    volume = Volume.open(volume_path)
    assert volume.fsid == file.read().fsid
    volume.close()
    assert repair_volume(volume_path) == []


def test_both_copies_lost(volume_path):
    (volume_path / "superblock").write_bytes(bytes(SPACING * 2))
    with pytest.raises(NotAVolume, match="both copies of its superblock are damaged"):
        Volume.open(volume_path)


def test_a_later_format(volume_path, file):
    raw = bytearray(pack(file.read()._replace(sequence=9)))
    raw[19] = 3
    raw[-4:] = zlib.crc32(raw[:-4]).to_bytes(4, "big")
    with (volume_path / "superblock").open("r+b") as disk:
        disk.seek(SPACING)
        disk.write(raw)
    with pytest.raises(NotAVolume, match="volume format 3, of a newer nfsrpc; this one knows formats up to 2"):
        Volume.open(volume_path)
