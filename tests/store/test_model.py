"""A file system made of dictionaries beside the volume: same calls, same answers, through aborts and reopening."""

import copy
import errno
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nfsrpc.store import Changes
from nfsrpc.store.volume import Volume, VolumeLimits, make_volume
from nfsrpc.store.volume.fsck import check_volume

REG, DIR, LNK = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK
NAMES = st.sampled_from([b"a", b"b", b"c", b"\xff\n", b"name"])
PICK = st.integers(0, 1 << 16)
OFFSETS = st.sampled_from([0, 1, 100, 4095, 4096, 5000, 70000])
SIZES = st.sampled_from([0, 1, 50, 4096, 6000, 80000])
LENGTHS = st.sampled_from([1, 5, 4096, 5001])


def refuse(code):
    raise OSError(code, "model")


class Node:
    def __init__(self, kind, mode, target=b""):
        self.kind = kind
        self.mode = mode
        self.nlink = 2 if kind == DIR else 0
        self.data = bytearray()
        self.target = target
        self.names = {}
        self.parent = 0


class Model:
    """Nodes by a number of their own; `ufids` says which UFID the volume gave each."""

    def __init__(self, root):
        self.nodes = {0: Node(DIR, 0o755)}
        self.ufids = {0: root}

    def at(self, number):
        return self.nodes.get(number) or refuse(errno.ESTALE)

    def directory(self, number):
        node = self.at(number)
        return node if node.kind == DIR else refuse(errno.ENOTDIR)

    def create(self, above, name, kind, mode, target):
        directory = self.directory(above)
        if name in directory.names:
            refuse(errno.EEXIST)
        number = len(self.ufids)
        node = self.nodes[number] = Node(kind, mode, target)
        node.parent = above
        directory.names[name] = number
        if kind == DIR:
            directory.nlink += 1
        else:
            node.nlink = 1
        return number

    def link(self, number, above, name):
        node = self.at(number)
        directory = self.directory(above)
        if name in directory.names:
            refuse(errno.EEXIST)
        if node.kind == DIR:
            refuse(errno.EPERM)
        directory.names[name] = number
        node.nlink += 1

    def find(self, above, name):
        directory = self.directory(above)
        return directory.names[name] if name in directory.names else refuse(errno.ENOENT)

    def drop(self, above, name):
        number = self.directory(above).names.pop(name)
        node = self.nodes[number]
        if node.kind == DIR:
            self.nodes[above].nlink -= 1
            del self.nodes[number]
            return
        node.nlink -= 1
        if not node.nlink:
            del self.nodes[number]

    def unlink(self, above, name):
        if self.nodes[self.find(above, name)].kind == DIR:
            refuse(errno.EISDIR)
        self.drop(above, name)

    def rmdir(self, above, name):
        node = self.nodes[self.find(above, name)]
        if node.kind != DIR:
            refuse(errno.ENOTDIR)
        if node.names:
            refuse(errno.ENOTEMPTY)
        self.drop(above, name)

    def within(self, number, ancestor):
        while number not in (ancestor, 0):
            number = self.nodes[number].parent
        return number == ancestor

    def rename(self, source, old, target, new):
        self.directory(source)
        self.directory(target)
        number = self.find(source, old)
        node = self.nodes[number]
        if node.kind == DIR and self.within(target, number):
            refuse(errno.EINVAL)
        there = self.nodes[target].names.get(new)
        if there == number:
            return
        if there is not None:
            self._make_way(node, source, there)
            self.drop(target, new)
        del self.nodes[source].names[old]
        self.nodes[target].names[new] = number
        if node.kind == DIR:
            self.nodes[source].nlink -= 1
            self.nodes[target].nlink += 1
            node.parent = target

    def _make_way(self, node, source, there):
        replaced = self.nodes[there]
        if replaced.kind == DIR:
            if self.within(source, there):
                refuse(errno.ENOTEMPTY)
            if node.kind != DIR:
                refuse(errno.EISDIR)
            if replaced.names:
                refuse(errno.ENOTEMPTY)
        elif node.kind == DIR:
            refuse(errno.ENOTDIR)

    def regular(self, number):
        node = self.at(number)
        return node if node.kind == REG else refuse(errno.EISDIR if node.kind == DIR else errno.EINVAL)

    def write(self, number, offset, data):
        node = self.regular(number)
        node.data.extend(bytes(max(0, offset - len(node.data))))
        node.data[offset : offset + len(data)] = data

    def resize(self, number, size):
        node = self.regular(number)
        del node.data[size:]
        node.data.extend(bytes(size - len(node.data)))

    def read(self, number, offset, count):
        return bytes(self.regular(number).data[offset : offset + count])


class Undo(Exception):
    """Raised inside a step to have it taken back."""


class Machine(RuleBasedStateMachine):
    limits = VolumeLimits(cached_inodes=4, cached_names=4, descriptors=2, generation_block=3, cookie=40)

    @initialize()
    def make(self):
        self.base = Path(tempfile.mkdtemp())
        self.path = self.base / "volume"
        make_volume(self.path)
        self.volume = Volume.open(self.path, limits=self.limits)
        self.model = Model(self.volume.root)
        self.committed = None
        self.torn = {}

    def teardown(self):
        if not hasattr(self, "volume"):
            return
        if self.committed is not None:
            self.volume.commit()
        self.compare()
        self.volume.close()
        assert list(check_volume(self.path)) == []
        shutil.rmtree(self.base)

    # --- calls --------------------------------------------------------------------------------------------------------

    def both(self, undo, expected, actual):
        """Run a call on the model and in a step of the volume; compare; `undo`: take it back afterwards."""
        before = copy.deepcopy(self.model)
        try:
            wanted = expected()
        except OSError as error:
            wanted = error.errno
        alone = self.committed is None
        if alone:
            self.volume.begin(True)
        got = None
        try:
            with self.volume.step():
                got = actual()
                if undo:
                    raise Undo
        except OSError as error:
            got = error.errno
        except Undo:
            self.model = before
        if alone:
            self.volume.commit()
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
            lambda: self.model.create(above, name, kind, 0o640, target),
            lambda: self.volume.create(self.ufid(above), name, kind | 0o640, 7, 8, 0, target),
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
            undo,
            lambda: self.model.link(number, above, name),
            lambda: self.volume.link(self.ufid(number), self.ufid(above), name),
        )

    @rule(above=PICK, name=NAMES, undo=st.booleans(), method=st.sampled_from(["unlink", "rmdir"]))
    def remove(self, above, name, undo, method):
        above = self.pick(above)
        self.same(
            undo,
            lambda: getattr(self.model, method)(above, name),
            lambda: getattr(self.volume, method)(self.ufid(above), name),
        )

    @rule(source=PICK, old=NAMES, to=PICK, new=NAMES, undo=st.booleans())
    def rename(self, source, old, to, new, undo):
        source, target = self.pick(source), self.pick(to)
        self.same(
            undo,
            lambda: self.model.rename(source, old, target, new),
            lambda: self.volume.rename(self.ufid(source), old, self.ufid(target), new),
        )

    @rule(number=PICK, offset=OFFSETS, length=LENGTHS)
    def write(self, number, offset, length):
        number = self.pick(number)
        data = (bytes(range(1, 256)) * 20)[:length]

        def actual():
            self.torn.setdefault(number, []).append((offset, offset + len(data)))
            self.volume.write(self.ufid(number), offset, data)

        self.same(False, lambda: self.model.write(number, offset, data), actual)

    @rule(number=PICK, size=SIZES, undo=st.booleans())
    def resize(self, number, size, undo):
        number = self.pick(number)

        def actual():
            assert self.volume.setattr(self.ufid(number), Changes(size=size)).size == size

        self.same(undo, lambda: self.model.resize(number, size), actual)

    @rule(number=PICK, offset=OFFSETS, count=SIZES)
    def read(self, number, offset, count):
        number = self.pick(number)
        self.same(
            False,
            lambda: self.model.read(number, offset, count),
            lambda: self.volume.read(self.ufid(number), offset, count)[0],
        )

    # --- units --------------------------------------------------------------------------------------------------------

    @rule()
    def begin(self):
        if self.committed is None:
            self.committed = copy.deepcopy(self.model)
            self.torn = {}
            self.volume.begin(True)

    @rule()
    def commit(self):
        if self.committed is not None:
            self.committed = None
            self.volume.commit()

    @rule()
    def abort(self):
        if self.committed is not None:
            self.model, self.committed = self.committed, None
            self.volume.abort()
            self.settle_torn()

    def settle_torn(self):
        """Bytes that an undone write put inside a file's old size may be there; no other byte may have changed."""
        self.volume.begin(False)
        for number, node in self.model.nodes.items():
            if node.kind == REG:
                data = bytearray(self.volume.read(self.ufid(number), 0, 1 << 20)[0])
                for start, end in self.torn.get(number, ()):
                    node.data[start:end] = data[start : min(end, len(node.data))]
                assert data == node.data
        self.volume.commit()

    @rule()
    def reopen(self):
        if self.committed is None:
            self.volume.close()
            self.volume = Volume.open(self.path, limits=self.limits)

    @invariant()
    def compare(self):
        if not hasattr(self, "volume"):
            return
        alone = self.committed is None
        if alone:
            self.volume.begin(False)
        for number, ufid in self.model.ufids.items():
            node = self.model.nodes.get(number)
            if node is None:
                with pytest.raises(OSError) as caught:
                    self.volume.getattr(ufid)
                assert caught.value.errno == errno.ESTALE
                continue
            row = self.volume.getattr(ufid)
            assert (row.mode, row.nlink, row.ufid) == (node.kind | node.mode, node.nlink, ufid)
            if node.kind == DIR:
                self.compare_names(ufid, node)
            elif node.kind == REG:
                assert row.size == len(node.data)
        if alone:
            self.volume.commit()

    def compare_names(self, ufid, node):
        listed = []
        cookie, last = 0, False
        while not last:
            page, last = self.volume.readdir(ufid, cookie, 2)
            assert [entry.cookie for entry in page] == sorted({entry.cookie for entry in page} - set(range(cookie + 1)))
            listed += page
            cookie = page[-1].cookie if page else cookie
        inodes = {name: self.ufid(number).inode for name, number in node.names.items()}
        assert {entry.name: entry.inode for entry in listed[2:]} == inodes
        assert [entry.name for entry in listed[:2]] == [b".", b".."]
        assert listed[1].inode == self.ufid(node.parent).inode == self.volume.lookup(ufid, b"..").inode


Machine.TestCase.settings = settings(
    max_examples=15, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestModel = Machine.TestCase
