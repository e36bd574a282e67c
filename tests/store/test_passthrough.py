"""What a plain directory has besides what every store has: a host that goes on working in it."""

import errno
import os
import socket
import stat
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import privileges
import pytest

from nfsrpc.store import Changes
from nfsrpc.store.passthrough import CannotServe, DirectoryLock, Passthrough, PassthroughLimits, default_state

REG, DIR, LNK, FIFO = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def refusal(store, call):
    """The name of the error with which `call` comes back."""
    with store.work(changing=False), pytest.raises(OSError) as caught:
        call()
    return errno.errorcode[caught.value.errno]


def listed(store, directory, size=1000):
    with store.work(changing=False):
        entries, cookie, last = [], 0, False
        while not last:
            page, last = store.readdir(directory, cookie, size)
            entries += page
            cookie = entries[-1].cookie
    return entries


def reading(store, method, *arguments):
    with store.work(changing=False):
        return getattr(store, method)(*arguments)


def test_names_of_files_hold_on(directory, once):
    store = directory.open()
    above = once(store, "create", store.root, b"d", DIR | 0o755, 0, 0).ufid
    file = once(store, "create", above, b"f", REG | 0o644, 0, 0).ufid
    once(store, "write", file, 0, b"contents")
    fsid, key, root = store.fsid, store.key, store.root
    directory.close()
    store = directory.open()
    assert (store.fsid, store.key, store.root) == (fsid, key, root)
    assert reading(store, "read", file, 0, 100)[0] == b"contents"
    assert reading(store, "lookup", above, b"..").ufid == root
    once(store, "rename", above, b"f", root, b"g")
    directory.close()
    store = directory.open()
    assert reading(store, "read", file, 0, 100)[0] == b"contents"
    once(store, "unlink", root, b"g")
    assert refusal(store, lambda: store.getattr(file)) == "ESTALE"


def test_the_exported_directory_may_be_renamed(directory, once):
    store = directory.open()
    file = once(store, "create", store.root, b"f", REG | 0o644, 0, 0).ufid
    os.rename(directory.path, directory.path.with_name("elsewhere"))
    once(store, "write", file, 0, b"still")
    directory.close()
    directory.path = directory.path.with_name("elsewhere")
    assert reading(directory.open(), "read", file, 0, 100)[0] == b"still"


def test_another_directory_at_the_same_path_is_another_store(directory):
    store = directory.open()
    before = store.fsid, store.key
    directory.close()
    directory.path.rename(directory.path.with_name("old"))
    directory.path.mkdir()
    store = directory.open()
    assert (store.fsid, store.key) != before


def test_an_inode_number_that_is_used_again_is_another_file(passthrough, directory):
    """ext4 gives the number of a file that is removed to the next one that is made."""
    path = directory.path / "f"
    seen = set()
    for _ in range(50):
        path.write_bytes(b"x")
        found = reading(passthrough, "lookup", passthrough.root, b"f")
        assert found.inode not in seen
        seen.add(found.inode)
        path.unlink()
        assert refusal(passthrough, partial(passthrough.getattr, found.ufid)) == "ESTALE"


def test_changes_on_the_host_are_seen_at_once(passthrough, directory):
    path = directory.path / "f"
    path.write_bytes(b"one")
    node = reading(passthrough, "lookup", passthrough.root, b"f").ufid
    path.write_bytes(b"other")
    assert reading(passthrough, "read", node, 0, 10)[0] == b"other"
    path.chmod(0o600)
    assert reading(passthrough, "getattr", node).mode == REG | 0o600
    os.link(path, directory.path / "g")
    assert reading(passthrough, "lookup", passthrough.root, b"g").ufid == node
    (directory.path / "new").mkdir()
    names = {entry.name for entry in listed(passthrough, passthrough.root)}
    assert names == {b".", b"..", b"f", b"g", b"new"}
    (directory.path / "g").unlink()
    path.unlink()
    assert refusal(passthrough, lambda: passthrough.getattr(node)) == "ESTALE"


@needs_root
def test_a_file_that_is_moved_on_the_host_is_found_by_its_handle(tmp_path):
    (tmp_path / "d" / "a").mkdir(parents=True)
    (tmp_path / "d" / "a" / "f").write_bytes(b"moved")
    with DirectoryLock(tmp_path / "d", tmp_path / "state") as lock:
        store = Passthrough(lock)
        above = reading(store, "lookup", store.root, b"a").ufid
        node = reading(store, "lookup", above, b"f").ufid
        os.rename(tmp_path / "d" / "a" / "f", tmp_path / "d" / "g")
        os.rename(tmp_path / "d" / "a", tmp_path / "d" / "b")
        assert reading(store, "read", node, 0, 10)[0] == b"moved"
        assert reading(store, "lookup", above, b"..").ufid == store.root
        store.close()


@needs_root
def test_without_the_capability_a_hint_is_never_believed(tmp_path):
    (tmp_path / "d").mkdir()
    first = tmp_path / "d" / "f"
    first.write_bytes(b"mine")
    with (
        privileges.without(privileges.CAP_DAC_READ_SEARCH),
        DirectoryLock(tmp_path / "d", tmp_path / "state") as lock,
    ):
        store = Passthrough(lock)
        node = reading(store, "lookup", store.root, b"f").ufid
        first.rename(tmp_path / "d" / "g")
        first.write_bytes(b"another's")
        assert refusal(store, lambda: store.read(node, 0, 10)) == "ESTALE"
        assert reading(store, "lookup", store.root, b"f").ufid != node
        assert reading(store, "lookup", store.root, b"g").ufid == node
        assert reading(store, "read", node, 0, 10)[0] == b"mine"
        store.close()


def test_hints_that_lead_in_a_circle(directory, once):
    store = directory.open()
    a = once(store, "create", store.root, b"a", DIR | 0o755, 0, 0).ufid
    b = once(store, "create", a, b"b", DIR | 0o755, 0, 0).ufid
    directory.close()
    base = directory.path
    (base / "a" / "b").rename(base / "b")
    (base / "a").rename(base / "b" / "a")
    store = directory.open()
    if directory.way == "hint":
        assert refusal(store, lambda: store.getattr(b)) == "ESTALE"
        reading(store, "lookup", store.root, b"b")
        reading(store, "lookup", b, b"a")
    assert reading(store, "lookup", a, b"..").ufid == b
    directory.close()
    (base / "b" / "a").rename(base / "a")
    (base / "b").rename(base / "a" / "b")
    store = directory.open()
    reading(store, "lookup", store.root, b"a")
    assert reading(store, "lookup", a, b"b").ufid == b


# --- directories ----------------------------------------------------------------------------------------------------


def test_pages_survive_changes_and_restarts(directory):
    for number in range(500):
        (directory.path / f"file-{number}").touch()
    store = directory.open()
    seen, cookie, last, page = [], 0, False, 0
    while not last:
        entries, last = reading(store, "readdir", store.root, cookie, 40)
        seen += [entry.name for entry in entries]
        cookie = entries[-1].cookie
        assert 0 < cookie < 1 << 31
        page += 1
        (directory.path / f"new-{page}").touch()
        (directory.path / f"file-{page}").unlink(missing_ok=True)
        if page % 4 == 0:
            directory.close()
            store = directory.open()
    assert len(set(seen)) == len(seen)
    untouched = {f"file-{number}".encode() for number in range(page + 1, 500)}
    assert untouched <= set(seen)
    assert seen[:2] == [b".", b".."]


def test_cookies_stay_and_never_mean_two_places(passthrough, directory, once):
    for number in range(100):
        (directory.path / str(number)).touch()
    first = listed(passthrough, passthrough.root, 7)
    assert len({entry.cookie for entry in first}) == len(first) == 102
    assert listed(passthrough, passthrough.root) == first
    for at, entry in enumerate(first):
        assert reading(passthrough, "readdir", passthrough.root, entry.cookie, 200)[0] == first[at + 1 :]
    for cookie in (5000, 0xFFFFFFFF):
        with passthrough.work(changing=False), pytest.raises(OSError) as caught:
            passthrough.readdir(passthrough.root, cookie, 10)
        assert caught.value.errno == errno.EINVAL


def test_cookies_that_run_out_begin_anew(directory):
    for number in range(20):
        (directory.path / str(number)).touch()
    store = directory.open(limits=PassthroughLimits(cookie=30))
    for round in range(5):
        assert len(listed(store, store.root, 4)) >= 22
        (directory.path / f"{round}-more").touch()


def test_file_ids_that_run_out(directory):
    store = directory.open(limits=PassthroughLimits(fileid=4))
    for name in ("a", "b", "c", "d"):
        (directory.path / name).touch()
    with store.work(changing=False), pytest.raises(OSError) as caught:
        store.readdir(store.root, 0, 100)
    assert caught.value.errno == errno.ENOSPC


@needs_root
def test_rows_of_files_that_are_gone_leave_the_table(tmp_path):
    (tmp_path / "d").mkdir()
    with DirectoryLock(tmp_path / "d", tmp_path / "state") as lock:
        store = Passthrough(lock)
        for number in range(200):
            path = tmp_path / "d" / str(number)
            path.touch()
            reading(store, "lookup", store.root, path.name.encode())
            path.unlink()
        ((rows,),) = store._database.all("SELECT COUNT(*) FROM files")
        assert rows < 20
        store.close()


def test_a_file_id_is_one_of_a_kind_in_every_view(passthrough, directory):
    for number in range(50):
        (directory.path / str(number)).touch()
    os.link(directory.path / "0", directory.path / "again")
    by_name = {entry.name: entry.inode for entry in listed(passthrough, passthrough.root)}
    assert by_name[b"0"] == by_name[b"again"]
    assert len(set(by_name.values())) == 51
    for name, number in by_name.items():
        assert reading(passthrough, "lookup", passthrough.root, name).inode == number


# --- the edge of the export -----------------------------------------------------------------------------------------


def test_the_root_is_its_own_parent(passthrough):
    assert reading(passthrough, "lookup", passthrough.root, b"..").ufid == passthrough.root
    assert reading(passthrough, "lookup", passthrough.root, b".").ufid == passthrough.root


def test_a_directory_that_is_moved_out_is_gone(directory, once):
    store = directory.open()
    inside = once(store, "create", store.root, b"d", DIR | 0o755, 0, 0).ufid
    below = once(store, "create", inside, b"e", DIR | 0o755, 0, 0).ufid
    outside = directory.path.parent / "outside"
    (directory.path / "d").rename(outside)
    for node in (inside, below):
        for call in (
            lambda node=node: store.getattr(node),
            lambda node=node: store.lookup(node, b".."),
            lambda node=node: store.readdir(node, 0, 10),
        ):
            assert refusal(store, call) == "ESTALE"
        with store.work(changing=True), store.step(), pytest.raises(OSError) as caught:
            store.create(node, b"f", REG | 0o644, 0, 0)
        assert caught.value.errno == errno.ESTALE
    outside.rename(directory.path / "back")
    assert reading(store, "lookup", inside, b"..").ufid == store.root


def test_a_neighbour_whose_name_begins_the_same_is_outside(directory, once):
    store = directory.open()
    inside = once(store, "create", store.root, b"d", DIR | 0o755, 0, 0).ufid
    neighbour = directory.path.with_name("directory2")
    neighbour.mkdir()
    (directory.path / "d").rename(neighbour / "d")
    assert refusal(store, lambda: store.getattr(inside)) == "ESTALE"


def test_deeper_than_a_path_can_be(directory, once):
    store = directory.open()
    node = store.root
    for _ in range(30):
        node = once(store, "create", node, b"n" * 200, DIR | 0o755, 0, 0).ufid
    assert once(store, "create", node, b"f", REG | 0o644, 0, 0).nlink == 1
    assert [entry.name for entry in listed(store, node)] == [b".", b"..", b"f"]


def test_symbolic_links_are_never_followed(passthrough, directory, once):
    secret = directory.path.parent / "secret"
    secret.mkdir()
    (secret / "f").write_bytes(b"secret")
    (directory.path / "out").symlink_to(secret)
    (directory.path / "file").symlink_to(secret / "f")
    link = reading(passthrough, "lookup", passthrough.root, b"out")
    assert stat.S_ISLNK(link.mode)
    assert reading(passthrough, "readlink", link.ufid) == os.fsencode(secret)
    with passthrough.work(changing=False):
        for call in (("lookup", link.ufid, b"f"), ("readdir", link.ufid, 0, 10)):
            with pytest.raises(NotADirectoryError):
                getattr(passthrough, call[0])(*call[1:])
    file = reading(passthrough, "lookup", passthrough.root, b"file").ufid
    for call in (("read", file, 0, 10), ("write", file, 0, b"x"), ("setattr", file, Changes(size=0))):
        with pytest.raises(OSError) as caught:
            once(passthrough, *call)
        assert caught.value.errno == errno.EINVAL
    with pytest.raises(FileExistsError):
        once(passthrough, "create", passthrough.root, b"file", REG | 0o644, 0, 0)
    once(passthrough, "setattr", link.ufid, Changes(mode=0o700, mtime=10**18))
    assert secret.stat().st_mode & 0o777 != 0o700
    assert (secret / "f").read_bytes() == b"secret"


@pytest.mark.parametrize("name", ["f", "d/../../f", "../outside", "d/f", "/etc/passwd"])
def test_a_name_is_one_name(passthrough, directory, name):
    (directory.path / "d").mkdir()
    (directory.path / "d" / "f").touch()
    (directory.path.parent / "outside").touch()
    with passthrough.work(changing=False), pytest.raises(FileNotFoundError):
        passthrough.lookup(passthrough.root, name.encode())


def test_files_that_are_not_files_are_never_opened(passthrough, directory):
    """Opening a FIFO waits for its other end, and opening a device can do anything."""
    os.mkfifo(directory.path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(directory.path)
        listener.bind("socket")
        for name in (b"fifo", b"socket"):
            node = reading(passthrough, "lookup", passthrough.root, name).ufid
            with passthrough.work(changing=False), pytest.raises(OSError) as caught:
                passthrough.read(node, 0, 10)
            assert caught.value.errno == errno.EINVAL


OTHER_FILE_SYSTEMS = """
import errno, os, subprocess, sys
from pathlib import Path
from nfsrpc.store.passthrough import CannotServe, DirectoryLock, Passthrough
base = Path(sys.argv[1])
top = base / "top"
(top / "mnt").mkdir(parents=True)
(top / "bound").mkdir()
(base / "other").mkdir()
(base / "other" / "f").write_text("outside")
with DirectoryLock(top, base / "state") as lock:
    store = Passthrough(lock)
    store.begin(False)
    before = {e.name: e.inode for e in store.readdir(store.root, 0, 100)[0]}
    node = store.lookup(store.root, b"mnt").ufid
    store.commit()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", top / "mnt"], check=True)
    subprocess.run(["mount", "--bind", base / "other", top / "bound"], check=True)
    (top / "mnt" / "f").write_text("mounted")
    store.begin(False)
    after = {e.name: e.inode for e in store.readdir(store.root, 0, 100)[0]}
    assert after.keys() == before.keys() and len(set(after.values())) == 3, after
    for name in (b"mnt", b"bound"):
        try:
            print(store.lookup(store.root, name))
        except PermissionError:
            pass
    assert store.readdir(node, 0, 100)[0][2:] == []
    try:
        print(store.lookup(node, b"f"))
    except FileNotFoundError:
        pass
    store.commit()
    store.close()
lower, upper, work, merged = (base / name for name in ("lower", "upper", "work", "merged"))
for path in (lower, upper, work, merged):
    path.mkdir()
subprocess.run(
    ["mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", "overlay", merged], check=True
)
try:
    DirectoryLock(merged, base / "state")
except CannotServe as error:
    print(str(error).replace(str(merged), "MERGED"))
"""


@needs_root
def test_other_file_systems(tmp_path):
    """What is mounted inside is not crossed, and a file system without handles is refused with one line."""
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", sys.executable, "-c", OTHER_FILE_SYSTEMS, tmp_path],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout == (
        "MERGED: its file system (overlayfs, for one) has no file handles, so files in it cannot be told apart for "
        "good; serve a directory of another file system, or a volume (`nfsrpc mkfs`)\n"
    )


# --- owners ---------------------------------------------------------------------------------------------------------


@needs_root
def test_owners_are_honoured_by_root(passthrough, directory, once):
    root = passthrough.root
    kinds = {b"f": REG | 0o4755, b"d": DIR | 0o1770, b"s": LNK | 0o777, b"p": FIFO | 0o600, b"n": stat.S_IFCHR | 0o666}
    for name, mode in kinds.items():
        once(passthrough, "create", root, name, mode, 1234, 5678, os.makedev(1, 3), b"t")
        found = os.lstat(os.fsencode(directory.path) + b"/" + name)
        assert (found.st_mode, found.st_uid, found.st_gid) == (mode, 1234, 5678)
    assert os.stat(directory.path / "n").st_rdev == os.makedev(1, 3)
    assert (os.geteuid(), os.getegid()) == (0, 0)
    (directory.path / "after").touch()
    assert (directory.path / "after").stat().st_uid == 0
    node = reading(passthrough, "lookup", root, b"f").ufid
    changed = once(passthrough, "setattr", node, Changes(uid=7, gid=8, mode=0o6711))
    assert (changed.mode, changed.uid, changed.gid) == (REG | 0o6711, 7, 8)
    shared = once(passthrough, "create", root, b"shared", DIR | 0o2775, 1, 42).ufid
    inside = once(passthrough, "create", shared, b"d", DIR | 0o2775, 2, 42)
    assert (inside.mode, inside.gid) == (DIR | 0o2775, 42)


def test_the_umask_of_the_server_takes_nothing(passthrough, directory, once):
    mask = os.umask(0o077)
    try:
        once(passthrough, "create", passthrough.root, b"f", REG | 0o666, 0, 0)
        once(passthrough, "create", passthrough.root, b"d", DIR | 0o777, 0, 0)
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(mask)
    assert (directory.path / "f").stat().st_mode == REG | 0o666
    assert (directory.path / "d").stat().st_mode == DIR | 0o777


@needs_root
def test_an_ordinary_user_owns_all_that_is_made(once):
    with tempfile.TemporaryDirectory() as base:
        (Path(base) / "d").mkdir()
        for path in (base, Path(base) / "d"):
            os.chown(path, 65534, 65534)
        with privileges.as_user(65534, 65534), DirectoryLock(Path(base) / "d", Path(base) / "state") as lock:
            store = Passthrough(lock)
            assert not store.owners.honoured
            made = once(store, "create", store.root, b"f", REG | 0o640, 1000, 1000)
            assert (made.mode, made.uid, made.gid) == (REG | 0o640, 65534, 65534)
            with pytest.raises(PermissionError):
                once(store, "setattr", made.ufid, Changes(uid=0))
            with pytest.raises(PermissionError):
                once(store, "create", store.root, b"n", stat.S_IFCHR | 0o666, 0, 0, os.makedev(1, 3))
            once(store, "setattr", made.ufid, Changes(mode=0, mtime=10**18))
            assert reading(store, "getattr", made.ufid).mtime == 10**18
            with store.work(changing=False), pytest.raises(PermissionError):
                store.read(made.ufid, 0, 1)
            store.close()


def test_times_are_set_one_by_one(passthrough, once):
    node = once(passthrough, "create", passthrough.root, b"f", REG | 0o644, 0, 0).ufid
    once(passthrough, "setattr", node, Changes(atime=10**18 + 123456789, mtime=2 * 10**18))
    once(passthrough, "setattr", node, Changes(mtime=-5))
    found = reading(passthrough, "getattr", node)
    assert (found.atime, found.mtime) == (10**18 + 123456789, -5)


# --- being there ----------------------------------------------------------------------------------------------------


def test_what_cannot_be_served(tmp_path):
    (tmp_path / "d" / "below").mkdir(parents=True)
    (tmp_path / "f").touch()
    (tmp_path / "closed").touch()
    inside = "the server's state would be inside it, in {}; choose another place with --state"
    below = tmp_path / "d" / "below" / "x"
    table = [
        (tmp_path / "none", tmp_path / "state", "no such file or directory"),
        (tmp_path / "f", tmp_path / "state", "not a directory"),
        (tmp_path / "d", tmp_path / "d", inside.format(tmp_path / "d")),
        (tmp_path / "d", below, inside.format(below)),
    ]
    for path, state, why in table:
        with pytest.raises(CannotServe) as caught:
            DirectoryLock(path, state)
        assert str(caught.value) == f"{path}: {why}"
    with pytest.raises(CannotServe, match="for the server's state: Not a directory; choose another with --state"):
        DirectoryLock(tmp_path / "d", tmp_path / "closed" / "x")


def test_a_system_without_these_calls(tmp_path):
    """Volumes are served there all the same: nothing may fail before a plain directory is asked for."""
    program = (
        "import os; del os.O_PATH; import nfsrpc.nfs.server; from nfsrpc.store.passthrough import kernel, DirectoryLock"
        f"; kernel._libc = object()\ntry: DirectoryLock({str(tmp_path)!r})\nexcept OSError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith(f"{tmp_path}: serving a plain directory needs Linux: there is no name_to_handle_at")
    assert done.stderr == ""


def test_one_server_at_a_time(tmp_path):
    (tmp_path / "d").mkdir()
    with DirectoryLock(tmp_path / "d", tmp_path / "state"), pytest.raises(CannotServe, match="being served already"):
        DirectoryLock(tmp_path / "d", tmp_path / "state")
    with DirectoryLock(tmp_path / "d", tmp_path / "state") as lock:
        assert lock.state.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("variables", "place"),
    [({"XDG_STATE_HOME": "/x/y"}, "/x/y/nfsrpc"), ({"XDG_STATE_HOME": "not/absolute"}, "/home/u/.local/state/nfsrpc")],
)
def test_the_usual_place(monkeypatch, variables, place):
    monkeypatch.setenv("HOME", "/home/u")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(default_state()) == place


def test_descriptors_are_bounded(directory, once):
    store = directory.open(limits=PassthroughLimits(directories=5, files=5))
    for number in range(30):
        (directory.path / f"d{number}").mkdir()
        (directory.path / f"f{number}").write_bytes(b"x" * number)
    before = len(os.listdir("/proc/self/fd"))
    with store.work(changing=True):
        for _ in range(2):
            for number in range(30):
                node = store.lookup(store.root, f"f{number}".encode()).ufid
                assert len(store.read(node, 0, 100)[0]) == number
                with store.step():
                    store.write(node, 0, b"y" * number)
                    store.create(store.lookup(store.root, f"d{number}".encode()).ufid, b"%d" % _, REG | 0o600, 0, 0)
                assert len(os.listdir("/proc/self/fd")) - before <= 16
    assert len(os.listdir("/proc/self/fd")) - before <= 5
    assert all((directory.path / f"f{number}").read_bytes() == b"y" * number for number in range(30))
