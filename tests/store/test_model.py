"""A file system made of dictionaries beside each store: same calls, same answers, also after reopening."""

import contextlib
import copy
import errno
import os
import shutil
import tempfile
from pathlib import Path

import privileges
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from model_fs import DIR, LNK, REG, Model

from nfsrpc.store import Changes
from nfsrpc.store.passthrough import DirectoryLock, Passthrough, PassthroughLimits
from nfsrpc.store.volume import Volume, VolumeLimits, make_volume
from nfsrpc.store.volume.fsck import check_volume

NAMES = st.sampled_from([b"a", b"b", b"c", b"\xff\n", b"name"])
PICK = st.integers(0, 1 << 16)
OFFSETS = st.sampled_from([0, 1, 100, 4095, 4096, 5000, 70000])
SIZES = st.sampled_from([0, 1, 50, 4096, 6000, 80000])
LENGTHS = st.sampled_from([1, 5, 4096, 5001])
MODES = {REG: 0o640, DIR: 0o750, LNK: 0o640}
NOBODY = 65534
MEMORY = Path("/dev/shm")
"""A file system where a sync costs nothing, if there is one."""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Undo(Exception):
    """Raised inside a step to have it taken back."""


class Machine(RuleBasedStateMachine):
    """What is the same for every store."""

    owner = 7, 8
    """Whom files belong to that are made for this user and group."""
    link_mode = 0o640

    @initialize()
    def make(self):
        self.base = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.store = self.first()
        self.model = Model(self.store.root)
        self.committed = None

    def teardown(self):
        if not hasattr(self, "store"):
            return
        if self.committed is not None:
            self.store.commit()
        self.compare()
        self.store.close()
        self.last()
        shutil.rmtree(self.base)

    def first(self):
        """A fresh store, opened."""
        raise NotImplementedError

    def again(self):
        """The same store, opened after it was closed."""
        raise NotImplementedError

    def last(self):
        """What is to be seen of a store that has been closed."""

    def takes_back(self, undo):
        """Whether a call that makes nothing new is to be taken back, if that is wanted."""
        return undo

    # --- calls --------------------------------------------------------------------------------------------------------

    def both(self, undo, expected, actual):
        """Run a call on the model and in a step of the store; compare; `undo`: take it back afterwards."""
        before = copy.deepcopy(self.model)
        try:
            wanted = expected()
        except OSError as error:
            wanted = error.errno
        alone = self.committed is None
        if alone:
            self.store.begin(True)
        got = None
        try:
            with self.store.step():
                got = actual()
                if undo:
                    raise Undo
        except OSError as error:
            got = error.errno
        except Undo:
            self.model = before
        if alone:
            self.store.commit()
        return wanted, got

    def same(self, undo, expected, actual):
        wanted, got = self.both(undo, expected, actual)
        assert got == wanted

    def ufid(self, number):
        return self.model.ufids[number]

    def pick(self, number):
        """A file there is or was."""
        return number % len(self.model.ufids)

    @rule(above=PICK, name=NAMES, kind=st.sampled_from([REG, DIR, LNK]), undo=st.booleans())
    def create(self, above, name, kind, undo):
        above = self.pick(above)
        target = b"target" if kind == LNK else b""
        wanted, got = self.both(
            undo,
            lambda: self.model.create(above, name, kind, self.link_mode if kind == LNK else MODES[kind], target),
            lambda: self.store.create(self.ufid(above), name, kind | MODES[kind], 7, 8, 0, target),
        )
        if isinstance(got, int):
            assert got == wanted
        elif not undo:
            assert got.ufid not in self.model.ufids.values()
            self.model.ufids[wanted] = got.ufid

    @rule(number=PICK, above=PICK, name=NAMES, undo=st.booleans())
    def link(self, number, above, name, undo):
        number, above = self.pick(number), self.pick(above)
        self.same(
            self.takes_back(undo),
            lambda: self.model.link(number, above, name),
            lambda: self.store.link(self.ufid(number), self.ufid(above), name),
        )

    @rule(above=PICK, name=NAMES, undo=st.booleans(), method=st.sampled_from(["unlink", "rmdir"]))
    def remove(self, above, name, undo, method):
        above = self.pick(above)
        self.same(
            self.takes_back(undo),
            lambda: getattr(self.model, method)(above, name),
            lambda: getattr(self.store, method)(self.ufid(above), name),
        )

    @rule(source=PICK, old=NAMES, to=PICK, new=NAMES, undo=st.booleans())
    def rename(self, source, old, to, new, undo):
        source, target = self.pick(source), self.pick(to)
        self.same(
            self.takes_back(undo),
            lambda: self.model.rename(source, old, target, new),
            lambda: self.store.rename(self.ufid(source), old, self.ufid(target), new),
        )

    @rule(number=PICK, offset=OFFSETS, length=LENGTHS)
    def write(self, number, offset, length):
        number = self.pick(number)
        data = (bytes(range(1, 256)) * 20)[:length]

        def actual():
            self.writing(number, offset, offset + len(data))
            self.store.write(self.ufid(number), offset, data)

        self.same(False, lambda: self.model.write(number, offset, data), actual)

    def writing(self, number, start, end):
        """These bytes of a file are about to be written."""

    @rule(number=PICK, size=SIZES, undo=st.booleans())
    def resize(self, number, size, undo):
        number = self.pick(number)

        def actual():
            assert self.store.setattr(self.ufid(number), Changes(size=size)).size == size

        self.same(self.takes_back(undo), lambda: self.model.resize(number, size), actual)

    @rule(number=PICK, offset=OFFSETS, count=SIZES)
    def read(self, number, offset, count):
        number = self.pick(number)
        self.same(
            False,
            lambda: self.model.read(number, offset, count),
            lambda: self.store.read(self.ufid(number), offset, count)[0],
        )

    # --- units --------------------------------------------------------------------------------------------------------

    @rule()
    def begin(self):
        if self.committed is None:
            self.committed = copy.deepcopy(self.model)
            self.store.begin(True)

    @rule()
    def commit(self):
        if self.committed is not None:
            self.committed = None
            self.store.commit()

    @rule()
    def reopen(self):
        if self.committed is None:
            self.store.close()
            self.store = self.again()

    @invariant()
    def compare(self):
        if not hasattr(self, "volume"):
            return
        alone = self.committed is None
        if alone:
            self.store.begin(False)
        for number, ufid in self.model.ufids.items():
            node = self.model.nodes.get(number)
            if node is None:
                with pytest.raises(OSError) as caught:
                    self.store.getattr(ufid)
                assert caught.value.errno == errno.ESTALE
                continue
            row = self.store.getattr(ufid)
            assert (row.mode, row.nlink, row.ufid) == (node.kind | node.mode, node.nlink, ufid)
            if number:
                assert (row.uid, row.gid) == self.owner
            if node.kind == DIR:
                self.compare_names(ufid, node)
            elif node.kind == REG:
                assert row.size == len(node.data)
        if alone:
            self.store.commit()

    def compare_names(self, ufid, node):
        listed = []
        cookie, last = 0, False
        while not last:
            page, last = self.store.readdir(ufid, cookie, 2)
            listed += page
            cookie = page[-1].cookie if page else cookie
        cookies = [entry.cookie for entry in listed]
        assert len(set(cookies)) == len(cookies)
        assert min(cookies) > 0
        inodes = {name: self.ufid(number).inode for name, number in node.names.items()}
        assert {entry.name: entry.inode for entry in listed[2:]} == inodes
        assert [entry.name for entry in listed[:2]] == [b".", b".."]
        assert listed[1].inode == self.ufid(node.parent).inode == self.store.lookup(ufid, b"..").inode


class VolumeMachine(Machine):
    """A volume, which can take back everything but bytes written in place."""

    limits = VolumeLimits(cached_inodes=4, cached_names=4, descriptors=2, generation_block=3, cookie=40)

    def first(self):
        self.path = self.base / "volume"
        make_volume(self.path)
        self.torn = {}
        return self.again()

    def again(self):
        return Volume.open(self.path, limits=self.limits)

    def last(self):
        assert list(check_volume(self.path)) == []

    def writing(self, number, start, end):
        self.torn.setdefault(number, []).append((start, end))

    @rule()
    def begin(self):
        self.torn = {}
        super().begin()

    @rule()
    def abort(self):
        if self.committed is not None:
            self.model, self.committed = self.committed, None
            self.store.abort()
            self.settle_torn()

    def settle_torn(self):
        """Bytes that an undone write put inside a file's old size may be there; no other byte may have changed."""
        self.store.begin(False)
        for number, node in self.model.nodes.items():
            if node.kind == REG:
                data = bytearray(self.store.read(self.ufid(number), 0, 1 << 20)[0])
                for start, end in self.torn.get(number, ()):
                    node.data[start:end] = data[start : min(end, len(node.data))]
                assert data == node.data
        self.store.commit()


class DirectoryMachine(Machine):
    """An existing directory: what has been done stays done, and the host can do things, too."""

    limits = PassthroughLimits(directories=2, files=4, cached_files=4, cached_cookies=2, cookie=40)
    link_mode = 0o777

    def first(self):
        self.path = self.base / "directory"
        self.path.mkdir()
        return self.again()

    def again(self):
        self.held = contextlib.ExitStack()
        self.enter(self.held)
        lock = self.held.enter_context(DirectoryLock(self.path, self.base / "state"))
        store = Passthrough(lock, limits=self.limits)
        close = store.close

        def closed():
            close()
            self.held.close()

        store.close = closed
        return store

    def enter(self, stack):
        """With which rights the store is opened and used."""

    def takes_back(self, undo):
        return False

    def last(self):
        """The same tree is to be seen on the host."""
        self.compare_host(os.fsencode(self.path), self.model.nodes[0])

    def compare_host(self, path, node):
        assert sorted(os.listdir(path)) == sorted(node.names)
        for name, number in node.names.items():
            below, child = path + b"/" + name, self.model.nodes[number]
            found = os.lstat(below)
            assert found.st_mode == child.kind | child.mode
            if child.kind == DIR:
                self.compare_host(below, child)
            elif child.kind == LNK:
                assert os.readlink(below) == child.target
            else:
                with open(below, "rb") as file:
                    assert file.read() == child.data

    # --- behind the server's back -------------------------------------------------------------------------------------

    def host(self, number):
        """Path of a directory, or one that leads nowhere."""
        path = []
        while number:
            node = self.model.nodes.get(number)
            if node is None or node.kind != DIR:
                return os.fsencode(self.base / "gone")
            above = self.model.nodes[node.parent]
            path.append(next(name for name, other in above.names.items() if other == number))
            number = node.parent
        return b"/".join([os.fsencode(self.path), *reversed(path)])

    def is_directory(self, number):
        node = self.model.nodes.get(number)
        return node is not None and node.kind == DIR

    def seen(self):
        """What has been done on the host need not be told to the store."""

    @rule(above=PICK, name=NAMES, kind=st.sampled_from([REG, DIR]))
    def host_creates(self, above, name, kind):
        above = self.pick(above)
        if not self.is_directory(above) or name in self.model.nodes[above].names:
            return
        number = self.model.create(above, name, kind, MODES[kind], b"")
        path = self.host(above) + b"/" + name
        mask = os.umask(0)
        if kind == DIR:
            os.mkdir(path, MODES[kind])
        else:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, MODES[kind]))
        os.umask(mask)
        os.chown(path, *self.owner)
        alone = self.committed is None
        if alone:
            self.store.begin(False)
        self.model.ufids[number] = self.store.lookup(self.ufid(above), name).ufid
        if alone:
            self.store.commit()

    @rule(source=PICK, old=NAMES, to=PICK, new=NAMES)
    def host_renames(self, source, old, to, new):
        source, target = self.pick(source), self.pick(to)
        if not (self.is_directory(source) and self.is_directory(target)):
            return
        paths = self.host(source) + b"/" + old, self.host(target) + b"/" + new
        before = copy.deepcopy(self.model)
        try:
            self.model.rename(source, old, target, new)
            os.rename(*paths)
        except OSError:
            self.model = before
        self.seen()

    @rule(above=PICK, name=NAMES)
    def host_removes(self, above, name):
        above = self.pick(above)
        if not self.is_directory(above) or name not in self.model.nodes[above].names:
            return
        node = self.model.nodes[self.model.nodes[above].names[name]]
        if node.names:
            return
        path = self.host(above) + b"/" + name
        (os.rmdir if node.kind == DIR else os.unlink)(path)
        self.model.drop(above, name)
        self.seen()


class HintMachine(DirectoryMachine):
    """Without CAP_DAC_READ_SEARCH. A file moved on the host is STALE until a client comes upon its new name."""

    def enter(self, stack):
        stack.enter_context(privileges.without(privileges.CAP_DAC_READ_SEARCH))

    def seen(self):
        alone = self.committed is None
        if alone:
            self.store.begin(False)
        self.look(self.store.root)
        if alone:
            self.store.commit()

    def look(self, directory):
        for entry in self.store.readdir(directory, 0, 1000)[0][2:]:
            found = self.store.lookup(directory, entry.name)
            if found.mode & DIR == DIR:
                self.look(found.ufid)


class UserMachine(HintMachine):
    """As an ordinary user, whom every file belongs to."""

    owner = NOBODY, NOBODY

    def enter(self, stack):
        if os.geteuid() == 0:
            os.chown(self.base, NOBODY, NOBODY)
            os.chown(self.path, NOBODY, NOBODY)
            stack.enter_context(privileges.as_user(NOBODY, NOBODY))


CHECKS = settings(max_examples=20, stateful_step_count=40, suppress_health_check=list(HealthCheck))
LONG = settings(CHECKS, max_examples=300)


def cases(machine):
    """The short form of a machine, and the long one."""
    short, long = machine.TestCase, type(machine.__name__, (machine,), {}).TestCase
    short.settings, long.settings = CHECKS, LONG
    return short, pytest.mark.full(long)


TestVolume, TestVolumeLong = cases(VolumeMachine)
TestByHandle, TestByHandleLong = map(needs_root, cases(DirectoryMachine))
TestByHint, TestByHintLong = map(needs_root, cases(HintMachine))
TestAsUser, TestAsUserLong = map(needs_root, cases(UserMachine))
