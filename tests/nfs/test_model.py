"""Several clients and a file system made of dictionaries: the same statuses, the same tree, also after a restart."""

import contextlib
import copy
import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path

import privileges
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from model_fs import DIR, LNK, REG, Model, refuse
from nfs2_calls import UNSET, sattr, where
from site_in_memory import Site, rules_for_everybody

from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.rpc.message import decode_reply
from nfsrpc.store.held import hold
from nfsrpc.store.volume import make_volume
from nfsrpc.xdr import DEFAULT_LIMITS

STATUS = {errno.ENAMETOOLONG: 63, errno.ENOTEMPTY: 66, errno.ESTALE: 70}
"""nfsstat of the errors whose number is another one here (RFC 1094 section 2.3.1)."""
TYPES = {REG: v2.ftype.NFREG, DIR: v2.ftype.NFDIR, LNK: v2.ftype.NFLNK}
R, W, X = 4, 2, 1
CLIENTS = [(0, 0, ()), (1000, 100, ()), (1001, 101, (100,)), (1002, 102, ())]
NOBODY = 65534
MEMORY = Path("/dev/shm")
PROCEDURES = v2.NFS_PROGRAM_2_service.procedures

WHO = st.integers(0, len(CLIENTS) - 1)
NAMES = st.sampled_from([b"a", b"b", b"\xff"] * 4 + [b".", b".."])
PICK = st.integers(0, 1 << 16)
FILE_MODES = st.sampled_from([0o644, 0o600, 0o664, 0o640])
DIR_MODES = st.sampled_from([0o755, 0o700, 0o775, 0o1777, 0o711])
CHANGED_MODES = st.one_of(st.just(UNSET), FILE_MODES)
SIZES = st.sampled_from([UNSET, 0, 10, 5000])
AGAIN = st.booleans()
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


class Who:
    def __init__(self, uid, gid, gids):
        self.uid, self.gid, self.gids = uid, gid, {gid, *gids}

    def may(self, node, bits):
        if self.uid == 0:
            return True
        shift = 6 if self.uid == node.uid else 3 if node.gid in self.gids else 0
        return node.mode >> shift & bits == bits

    def need(self, node, bits):
        if not self.may(node, bits):
            refuse(errno.EACCES)


class Wire(Model):
    """What NFS adds to a file system: who may do what, asked at every call, of an owner in the first place."""

    def __init__(self, root, mode, owner):
        super().__init__(root)
        self.nodes[0].mode = mode
        self.nodes[0].uid, self.nodes[0].gid = owner

    def enter(self, number, who):
        node = self.directory(number)
        who.need(node, X)
        return node

    def lookup(self, who, above, name):
        directory = self.enter(above, who)
        if name in (b".", b".."):
            return above if name == b"." else directory.parent
        return self.find(above, name)

    def addition(self, who, above, name):
        directory = self.enter(above, who)
        if name in directory.names or name in (b".", b".."):
            refuse(errno.EEXIST)
        who.need(directory, W)

    def make(self, who, above, name, kind, mode, target=b""):
        number = self.create(above, name, kind, mode, target)
        node = self.nodes[number]
        node.uid, node.gid = who.uid, who.gid
        return number

    def new(self, who, above, name, kind, mode, target=b""):
        self.addition(who, above, name)
        return self.make(who, above, name, kind, mode, target)

    def open_or_make(self, who, above, name, mode, size):
        """CREATE."""
        directory = self.enter(above, who)
        if name in (b".", b".."):
            refuse(errno.EEXIST)
        if name not in directory.names:
            who.need(directory, W)
            number = self.make(who, above, name, REG, mode)
        else:
            number = directory.names[name]
            node = self.nodes[number]
            if node.kind != REG:
                refuse(errno.EEXIST)
            if size != UNSET and who.uid != node.uid:
                who.need(node, W)
        if size != UNSET:
            self.resize(number, size)
        return number

    def removal(self, who, above, name):
        directory = self.directory(above)
        if name in (b".", b".."):
            refuse(errno.EINVAL)
        who.need(directory, X)
        node = self.nodes[self.find(above, name)]
        self.may_take(who, directory, node)
        return node

    def may_take(self, who, directory, node):
        who.need(directory, W | X)
        if directory.mode & stat.S_ISVTX and who.uid not in (0, node.uid, directory.uid):
            refuse(errno.EPERM)

    def remove(self, who, above, name, method):
        self.removal(who, above, name)
        getattr(self, method)(above, name)

    def move(self, who, source, old, target, new):
        moved = self.removal(who, source, old)
        directory = self.directory(target)
        number = {b".": target, b"..": directory.parent, **directory.names}.get(new)
        if number is None:
            who.need(directory, W | X)
        else:
            self.may_take(who, directory, self.nodes[number])
        if moved.kind == DIR and source != target:
            who.need(moved, W)
        if new in (b".", b".."):
            refuse(errno.EINVAL)
        self.rename(source, old, target, new)

    def give_name(self, who, number, above, name):
        self.addition(who, above, name)
        self.link(number, above, name)

    def read_as(self, who, number, offset, count):
        node = self.regular(number)
        if who.uid != node.uid and not who.may(node, R) and not who.may(node, X):
            refuse(errno.EACCES)
        return self.read(number, offset, count)

    def write_as(self, who, number, offset, data):
        node = self.regular(number)
        if who.uid != node.uid:
            who.need(node, W)
        self.write(number, offset, data)

    def change(self, who, number, mode, size, uid):
        node = self.at(number)
        if size != UNSET:
            self.regular(number)
            if who.uid != node.uid:
                who.need(node, W)
        if who.uid != 0 and ((mode != UNSET and who.uid != node.uid) or (uid != UNSET and uid != node.uid)):
            refuse(errno.EPERM)
        if who.uid not in (0, node.uid) and uid != UNSET:
            refuse(errno.EPERM)
        if size != UNSET:
            self.resize(number, size)
        if mode != UNSET:
            node.mode = mode
        if uid != UNSET:
            node.uid = uid

    def target_of(self, _who, number):
        node = self.at(number)
        return node.target if node.kind == LNK else refuse(errno.EINVAL)

    def list(self, who, number):
        node = self.directory(number)
        who.need(node, R)
        return {b".", b"..", *node.names}


class Machine(RuleBasedStateMachine):
    """A volume; what differs for other stores is in their machines."""

    owner = 0, 0

    @initialize(mode=st.sampled_from([0o777, 0o1777]))
    def start(self, mode):
        self.base = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.rights = contextlib.ExitStack()
        self.prepare(self.base / "served", mode)
        self.site = Site(
            hold(self.base / "served", state=self.base / "state"), self.base / "served", rules_for_everybody()
        )
        self.model = Wire(self.site.root, mode, self.owner)

    def prepare(self, path, mode):
        make_volume(path, uid=0, gid=0, mode=mode)

    def who(self, client):
        return Who(*CLIENTS[client])

    def teardown(self):
        if not hasattr(self, "site"):
            return
        self.compare()
        self.site.restart()
        self.compare()
        self.site.close()
        self.rights.close()
        shutil.rmtree(self.base)

    # --- calls --------------------------------------------------------------------------------------------------------

    def send(self, client, number, *args, again=False):
        """The result of a call; `again`: a retransmission comes at once, and has to get the very same answer."""
        caller = self.site.caller(*CLIENTS[client])
        procedure = PROCEDURES[number]
        message = caller.message(procedure, args, next(self.site.xids))
        replies = [b"".join(*self.site.dispatcher.turn([(message, caller.peer)])) for _ in range(1 + again)]
        assert len(set(replies)) == 1
        return procedure.decode_result(replies[0], decode_reply(replies[0]).body, DEFAULT_LIMITS)[0]

    def expect(self, method, client, *arguments):
        """(status, value) by the model, which stays as it was if the call fails."""
        before = copy.deepcopy(self.model)
        try:
            return 0, getattr(self.model, method)(self.who(client), *arguments)
        except OSError as error:
            self.model = before
            return STATUS.get(error.errno, error.errno), None

    def same(self, expected, result):
        status = result if isinstance(result, int) else result.status
        assert status == expected[0]
        return not status

    def pick(self, number):
        """A file there is, or now and then one there was."""
        live = list(self.model.nodes)
        return number % len(self.model.ufids) if number % 8 == 0 else live[number % len(live)]

    def handle(self, number):
        return self.model.ufids[number]

    def known(self, expected, result):
        """A file that was made or found has the handle that it always had."""
        if self.same(expected, result):
            file = result.diropres.file
            assert self.model.ufids.setdefault(expected[1], file) == file

    @rule(client=WHO, above=PICK, name=NAMES, mode=FILE_MODES, size=SIZES, again=AGAIN)
    def create(self, client, above, name, mode, size, again):
        above = self.pick(above)
        arg = v2.createargs(where(self.handle(above), name), sattr(mode=mode, size=size))
        expected = self.expect("open_or_make", client, above, name, mode, size)
        self.known(expected, self.send(client, v2.NFSPROC_CREATE, arg, again=again))

    @rule(client=WHO, above=PICK, name=NAMES, mode=DIR_MODES, again=AGAIN)
    def mkdir(self, client, above, name, mode, again):
        above = self.pick(above)
        arg = v2.createargs(where(self.handle(above), name), sattr(mode=mode))
        self.known(
            self.expect("new", client, above, name, DIR, mode), self.send(client, v2.NFSPROC_MKDIR, arg, again=again)
        )

    @rule(client=WHO, above=PICK, name=NAMES, again=AGAIN)
    def symlink(self, client, above, name, again):
        above = self.pick(above)
        expected = self.expect("new", client, above, name, LNK, 0o777, b"../target")
        arg = v2.symlinkargs(where(self.handle(above), name), b"../target", sattr())
        if self.same(expected, self.send(client, v2.NFSPROC_SYMLINK, arg, again=again)):
            found = self.send(0, v2.NFSPROC_LOOKUP, where(self.handle(above), name))
            self.model.ufids[expected[1]] = found.diropres.file

    @rule(client=WHO, above=PICK, name=NAMES)
    def lookup(self, client, above, name):
        above = self.pick(above)
        expected = self.expect("lookup", client, above, name)
        self.known(expected, self.send(client, v2.NFSPROC_LOOKUP, where(self.handle(above), name)))

    @rule(client=WHO, number=PICK, above=PICK, name=NAMES, again=AGAIN)
    def link(self, client, number, above, name, again):
        number, above = self.pick(number), self.pick(above)
        arg = v2.linkargs(self.handle(number), where(self.handle(above), name))
        expected = self.expect("give_name", client, number, above, name)
        self.same(expected, self.send(client, v2.NFSPROC_LINK, arg, again=again))

    @rule(client=WHO, above=PICK, name=NAMES, directory=st.booleans(), again=AGAIN)
    def remove(self, client, above, name, directory, again):
        above = self.pick(above)
        number, method = (v2.NFSPROC_RMDIR, "rmdir") if directory else (v2.NFSPROC_REMOVE, "unlink")
        expected = self.expect("remove", client, above, name, method)
        self.same(expected, self.send(client, number, where(self.handle(above), name), again=again))

    @rule(client=WHO, source=PICK, old=NAMES, to=PICK, new=NAMES, again=AGAIN)
    def rename(self, client, source, old, to, new, again):
        source, target = self.pick(source), self.pick(to)
        arg = v2.renameargs(where(self.handle(source), old), where(self.handle(target), new))
        expected = self.expect("move", client, source, old, target, new)
        self.same(expected, self.send(client, v2.NFSPROC_RENAME, arg, again=again))

    @rule(client=WHO, number=PICK, offset=st.sampled_from([0, 7, 4096]), length=st.sampled_from([1, 900, 8192]))
    def write(self, client, number, offset, length):
        number = self.pick(number)
        data = bytes([1 + length % 7]) * length
        expected = self.expect("write_as", client, number, offset, data)
        arg = v2.writeargs(self.handle(number), 0, offset, 0, data)
        self.same(expected, self.send(client, v2.NFSPROC_WRITE, arg, again=True))

    @rule(client=WHO, number=PICK, offset=st.sampled_from([0, 5, 4096, 100_000]), count=st.sampled_from([1, 8192]))
    def read(self, client, number, offset, count):
        number = self.pick(number)
        expected = self.expect("read_as", client, number, offset, count)
        result = self.send(client, v2.NFSPROC_READ, v2.readargs(self.handle(number), offset, count, 0))
        if self.same(expected, result):
            assert result.reply.data == expected[1]

    @rule(client=WHO, number=PICK, mode=CHANGED_MODES, size=SIZES, give=WHO, chown=st.booleans())
    def setattr(self, client, number, mode, size, give, chown):
        number = self.pick(number)
        node = self.model.nodes.get(number)
        if node is not None and node.kind != REG:
            mode = UNSET  # a directory keeps its x, and a link has no mode everywhere
        uid = self.given(give) if chown else UNSET
        expected = self.expect("change", client, number, mode, size, uid)
        arg = v2.sattrargs(self.handle(number), sattr(mode=mode, size=size, uid=uid))
        self.same(expected, self.send(client, v2.NFSPROC_SETATTR, arg, again=True))

    def given(self, client):
        """Whom a file is given to."""
        return CLIENTS[client][0]

    @rule(number=PICK)
    def readlink(self, number):
        number = self.pick(number)
        expected = self.expect("target_of", 1, number)
        result = self.send(1, v2.NFSPROC_READLINK, self.handle(number))
        if self.same(expected, result):
            assert result.data == expected[1]

    @rule(client=WHO, number=PICK, count=st.sampled_from([100, 8192]))
    def readdir(self, client, number, count):
        number = self.pick(number)
        expected = self.expect("list", client, number)
        found, cookie, eof = [], bytes(4), False
        while not eof:
            result = self.send(client, v2.NFSPROC_READDIR, v2.readdirargs(self.handle(number), cookie, count))
            if not self.same(expected, result):
                return
            entry = result.reply.entries
            while entry is not None:
                found.append(entry.name)
                cookie, entry = entry.cookie, entry.nextentry
            eof = result.reply.eof
        assert (len(found), set(found)) == (len(expected[1]), expected[1])

    @rule(number=PICK)
    def statfs(self, number):
        number = self.pick(number)
        result = self.send(2, v2.NFSPROC_STATFS, self.handle(number))
        assert result.status == (0 if number in self.model.nodes else STATUS[errno.ESTALE])

    @rule()
    def nothing(self):
        for number in (v2.NFSPROC_NULL, v2.NFSPROC_ROOT, v2.NFSPROC_WRITECACHE):
            assert self.send(0, number) is None

    @rule()
    def restart(self):
        self.site.restart()

    @invariant()
    def compare(self):
        if not hasattr(self, "site"):
            return
        for number, handle in self.model.ufids.items():
            node = self.model.nodes.get(number)
            result = self.send(1, v2.NFSPROC_GETATTR, handle)
            if node is None:
                assert result.status == STATUS[errno.ESTALE]
                continue
            found = result.attributes
            assert (found.type, found.mode) == (TYPES[node.kind], node.kind | node.mode)
            assert (found.nlink, found.uid, found.gid) == (node.nlink, node.uid, node.gid)
            if node.kind == REG:
                assert found.size == len(node.data)


class DirectoryMachine(Machine):
    """A plain directory, served by root."""

    def prepare(self, path, mode):
        path.mkdir()
        path.chmod(mode)


class UserMachine(DirectoryMachine):
    """One served by an ordinary user, whom everybody acts as: who can give no file away."""

    owner = NOBODY, NOBODY

    def prepare(self, path, mode):
        super().prepare(path, mode)
        for each in (self.base, path):
            os.chown(each, NOBODY, NOBODY)
        self.rights.enter_context(privileges.as_user(NOBODY, NOBODY))

    def who(self, client):
        return Who(NOBODY, NOBODY, ())


CHECKS = settings(max_examples=15, stateful_step_count=40, suppress_health_check=list(HealthCheck))
LONG = settings(CHECKS, max_examples=250)


def cases(machine):
    """The short form of a machine, and the long one."""
    short, long = machine.TestCase, type(machine.__name__, (machine,), {}).TestCase
    short.settings, long.settings = CHECKS, LONG
    return short, pytest.mark.full(long)


TestVolume, TestVolumeLong = cases(Machine)
TestDirectory, TestDirectoryLong = map(needs_root, cases(DirectoryMachine))
TestAsUser, TestAsUserLong = map(needs_root, cases(UserMachine))
