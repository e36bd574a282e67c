"""Remembered results: with the change, for 120 s of uptime, bounded, from any process."""

import pytest

from nfsrpc.store.volume import Volume, VolumeLimits, VolumeLock

S = 10**9


def remember(volume, *keys, client=b"client"):
    with volume.work(changing=True):
        for key in keys:
            volume.remember(key, client, b"result of " + key)


def recalled(volume, *keys):
    with volume.work(changing=True):
        found = volume.recall(keys)
    assert found == {key: b"result of " + key for key in found}
    return [key in found for key in keys]


@pytest.fixture
def opened(volume_path, clock):
    """`opened(...)`: the volume under a clock of the test's own."""
    volumes = []

    def opening(**limits):
        for volume in volumes:
            volume.close()
        volumes.append(Volume.open(volume_path, limits=VolumeLimits(**limits), monotonic=clock))
        return volumes[-1]

    yield opening
    for volume in volumes:
        volume.close()


def test_found_in_its_own_unit_and_after(opened):
    volume = opened()
    volume.begin(True)
    assert volume.recall([b"k"]) == {}
    volume.remember(b"k", b"c", b"")
    assert volume.recall([b"k"]) == {b"k": b""}
    volume.commit()
    assert recalled(volume, b"other") == [False]
    volume = opened()
    with volume.work(changing=False):
        assert volume.recall([b"k"]) == {b"k": b""}


def test_gone_with_its_step_or_unit(opened):
    volume = opened()
    volume.begin(True)
    with pytest.raises(OSError), volume.step():
        volume.remember(b"step", b"c", b"r")
        raise OSError
    assert volume.recall([b"step"]) == {}
    volume.remember(b"unit", b"c", b"r")
    volume.abort()
    assert recalled(volume, b"step", b"unit") == [False, False]


def test_kept_for_its_lifetime_of_uptime(opened, clock):
    volume = opened()
    clock.skip(5 * S)
    remember(volume, b"early")
    clock.skip(119 * S)
    remember(volume, b"late")
    assert recalled(volume, b"early", b"late") == [True, True]
    clock.skip(2 * S)
    remember(volume, b"latest")
    assert recalled(volume, b"early", b"late", b"latest") == [False, True, True]


@pytest.mark.parametrize("elsewhere", [-(10**15), 0, 10**15])
def test_time_without_a_server_does_not_count(opened, clock, elsewhere):
    """The machine's clock may stand anywhere after a reboot."""
    volume = opened()
    clock.skip(10**16)
    volume = opened()
    remember(volume, b"before")
    volume.close()
    clock.skip(elsewhere)
    volume = opened()
    clock.skip(100 * S)
    remember(volume, b"x")
    assert recalled(volume, b"before") == [True]
    clock.skip(21 * S)
    remember(volume, b"y")
    assert recalled(volume, b"before", b"x") == [False, True]


def test_uptime_goes_on_over_restarts(opened, clock):
    volume = opened()
    remember(volume, b"first")
    for number in range(4):
        clock.skip(50 * S)
        remember(volume, b"%d" % number)
        volume = opened()
    assert recalled(volume, b"first", b"0", b"1", b"2", b"3") == [False, False, True, True, True]


@pytest.mark.parametrize("beside", ["worker", "server"])
def test_all_share_the_clock(volume_path, clock, beside):
    """One that starts late does not think itself younger: a worker under the same lock, a server with its own."""
    with VolumeLock(volume_path, shared=True, monotonic=clock) as lock:
        first = Volume(volume_path, lock, monotonic=clock)
        clock.skip(1000 * S)
        if beside == "worker":
            second = Volume(volume_path, lock, monotonic=clock)
        else:
            second = Volume.open(volume_path, shared=True, monotonic=clock)
        remember(second, b"by second")
        clock.skip(S)
        remember(first, b"by first")
        assert recalled(second, b"by first", b"by second") == [True, True]
        assert recalled(first, b"by first", b"by second") == [True, True]
        first.close()
        second.close()


def test_the_clock_is_set_without_a_commit(opened, volume_path):
    remember(opened(), b"before")
    opened().close()
    database = volume_path / "meta.sqlite"
    before = database.stat().st_mtime_ns, database.read_bytes()
    with VolumeLock(volume_path):
        pass
    assert (database.stat().st_mtime_ns, database.read_bytes()) == before


def test_bounded_per_client(opened):
    volume = opened(replay_entries=50)
    remember(volume, b"other", client=b"d")
    keys = [b"%d" % number for number in range(200)]
    for start in range(0, 200, 7):
        remember(volume, *keys[start : start + 7])
    found = recalled(volume, *keys)
    assert found == [False] * 150 + [True] * 50
    assert recalled(volume, b"other") == [True]


def test_a_flood_in_one_unit(opened):
    volume = opened(replay_entries=50)
    keys = [b"%d" % number for number in range(500)]
    remember(volume, *keys)
    remember(volume, b"last")
    assert sum(recalled(volume, *keys, b"last")) <= 50


def test_clients_that_are_gone_are_swept_too(opened, clock):
    volume = opened()
    gone = [b"%d" % number for number in range(20)]
    for key in gone:
        remember(volume, key, client=key)
    clock.skip(200 * S)
    for number in range(25):
        remember(volume, b"new %d" % number, client=b"busy")
    assert recalled(volume, *gone) == [False] * 20


def test_remembered_anew(opened):
    volume = opened()
    remember(volume, b"k")
    with volume.work(changing=True):
        volume.remember(b"k", b"client", b"second")
    with volume.work(changing=False):
        assert volume.recall([b"k"]) == {b"k": b"second"}


def test_only_in_a_changing_unit(volume):
    with volume.work(changing=False), pytest.raises(RuntimeError):
        volume.remember(b"k", b"c", b"r")


def test_a_result_past_its_lifetime_is_none(opened, clock):
    """Of a client that counts its calls anew after a reboot, with nothing in between that would sweep the old ones."""
    volume = opened()
    remember(volume, b"k")
    clock.skip(119 * S)
    assert recalled(volume, b"k") == [True]
    clock.skip(2 * S)
    assert recalled(volume, b"k") == [False]
    with volume.work(changing=True):
        volume.remember(b"k", b"client", b"second")
    clock.skip(119 * S)
    with volume.work(changing=False):
        assert volume.recall([b"k"]) == {b"k": b"second"}
    volume = opened()
    with volume.work(changing=False):
        assert volume.recall([b"k"]) == {b"k": b"second"}


def test_many_at_once(opened):
    volume = opened()
    keys = [b"%d" % number for number in range(500)]
    remember(volume, *keys[::3])
    assert recalled(volume, *keys) == [number % 3 == 0 for number in range(500)]
    with volume.work(changing=False):
        assert volume.recall([]) == {}
