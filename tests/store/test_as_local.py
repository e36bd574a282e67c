"""Each store beside a directory of the local file system: same calls, same errors, same tree."""

import errno
import os
import stat

import pytest

from nfsrpc.store import Changes

S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFIFO


class Local:
    """Path calls on a directory."""

    def __init__(self, base):
        self.base = os.fsencode(base)

    def _at(self, path):
        return self.base + b"/" + path

    def mkdir(self, path):
        os.mkdir(self._at(path), 0o755)

    def make(self, path):
        os.close(os.open(self._at(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))

    def fifo(self, path):
        os.mkfifo(self._at(path), 0o600)

    def symlink(self, target, path):
        os.symlink(target, self._at(path))

    def readlink(self, path):
        return os.readlink(self._at(path))

    def link(self, old, new):
        os.link(self._at(old), self._at(new), follow_symlinks=False)

    def unlink(self, path):
        os.unlink(self._at(path))

    def rmdir(self, path):
        os.rmdir(self._at(path))

    def rename(self, old, new):
        os.rename(self._at(old), self._at(new))

    def truncate(self, path, size):
        os.truncate(self._at(path), size)

    def chmod(self, path, mode):
        os.chmod(self._at(path), mode)

    def write(self, path, offset, data):
        descriptor = os.open(self._at(path), os.O_WRONLY)
        try:
            os.pwrite(descriptor, data, offset)
        finally:
            os.close(descriptor)

    def read(self, path):
        with open(self._at(path), "rb") as file:
            return file.read()

    def parent(self, path):
        return os.path.samestat(os.lstat(self._at(path) + b"/.."), os.lstat(os.path.dirname(self._at(path))))

    def tree(self, path=b""):
        found = {}
        for name in sorted(os.listdir(self._at(path))):
            below = path + b"/" + name if path else name
            status = os.lstat(self._at(below))
            is_directory = stat.S_ISDIR(status.st_mode)
            content = self.read(below) if stat.S_ISREG(status.st_mode) else None
            found[below] = (status.st_mode, status.st_nlink, None if is_directory else status.st_size, content)
            if is_directory:
                found.update(self.tree(below))
        return found


class Stored:
    """The same calls on a store, each in a unit of its own."""

    def __init__(self, store):
        self.store = store

    def _walk(self, path):
        node = self.store.getattr(self.store.root)
        for name in filter(None, path.split(b"/")):
            node = self.store.lookup(node.ufid, name)
        return node.ufid

    def _split(self, path):
        above, _, name = path.rpartition(b"/")
        return self._walk(above), name

    def _do(self, call):
        with self.store.work(changing=True), self.store.step():
            return call()

    def _create(self, path, mode, target=b""):
        self._do(lambda: self.store.create(*self._split(path), mode, 0, 0, 0, target))

    def mkdir(self, path):
        self._create(path, S_IFDIR | 0o755)

    def make(self, path):
        self._create(path, S_IFREG | 0o644)

    def fifo(self, path):
        self._create(path, S_IFIFO | 0o600)

    def symlink(self, target, path):
        self._create(path, S_IFLNK | 0o777, target)

    def readlink(self, path):
        return self._do(lambda: self.store.readlink(self._walk(path)))

    def link(self, old, new):
        self._do(lambda: self.store.link(self._walk(old), *self._split(new)))

    def unlink(self, path):
        self._do(lambda: self.store.unlink(*self._split(path)))

    def rmdir(self, path):
        self._do(lambda: self.store.rmdir(*self._split(path)))

    def rename(self, old, new):
        self._do(lambda: self.store.rename(*self._split(old), *self._split(new)))

    def truncate(self, path, size):
        self._do(lambda: self.store.setattr(self._walk(path), Changes(size=size)))

    def chmod(self, path, mode):
        self._do(lambda: self.store.setattr(self._walk(path), Changes(mode=mode)))

    def write(self, path, offset, data):
        self._do(lambda: self.store.write(self._walk(path), offset, data))

    def read(self, path):
        with self.store.work(changing=False):
            return self._contents(path)

    def _contents(self, path):
        return self.store.read(self._walk(path), 0, 1 << 30)[0]

    def parent(self, path):
        above = os.path.dirname(path)
        with self.store.work(changing=False):
            return self.store.lookup(self._walk(path), b"..").ufid == self._walk(above)

    def tree(self):
        with self.store.work(changing=False):
            return self._tree(b"")

    def _tree(self, path):
        found = {}
        entries, last = self.store.readdir(self._walk(path), 0, 1000)
        assert last
        for entry in sorted(entries[2:], key=lambda entry: entry.name):
            below = path + b"/" + entry.name if path else entry.name
            row = self.store.getattr(self._walk(below))
            assert row.inode == entry.inode
            is_directory = stat.S_ISDIR(row.mode)
            content = self._contents(below) if stat.S_ISREG(row.mode) else None
            found[below] = (row.mode, row.nlink, None if is_directory else row.size, content)
            if is_directory:
                found.update(self._tree(below))
        return found


TREE = [
    ("mkdir", b"d"),
    ("mkdir", b"d/e"),
    ("mkdir", b"empty"),
    ("make", b"f"),
    ("write", b"f", 0, b"contents"),
    ("make", b"d/g"),
    ("symlink", b"../f", b"d/s"),
    ("fifo", b"p"),
    ("link", b"f", b"d/f2"),
]

SEQUENCES = {
    "tree": [],
    "mkdir over anything": [("mkdir", b"d"), ("mkdir", b"f"), ("mkdir", b"d/s"), ("mkdir", b"f/x"), ("mkdir", b"no/x")],
    "make over anything": [("make", b"f"), ("make", b"d"), ("make", b"d/s"), ("make", b"p"), ("make", b"f/x")],
    "names": [
        ("make", b"n" * 255),
        ("make", b"n" * 256),
        ("make", b"\xff\xfe \n\\"),
        ("mkdir", b"..."),
        ("make", b"..x"),
        ("make", b" "),
        ("unlink", b"n" * 256),
        ("rename", b"f", b"m" * 256),
        ("rename", b"f", b"m" * 255),
        ("link", b"d/g", b"m" * 256),
    ],
    "unlink": [("unlink", b"d"), ("unlink", b"no"), ("unlink", b"f/x"), ("unlink", b"f"), ("unlink", b"d/f2"),
               ("unlink", b"d/f2"), ("unlink", b"d/s"), ("unlink", b"p")],
    "rmdir": [("rmdir", b"d"), ("rmdir", b"f"), ("rmdir", b"no"), ("rmdir", b"d/s"), ("rmdir", b"d/e"), ("rmdir", b"d"),
              ("rmdir", b"empty"), ("make", b"empty/x")],
    "links": [("link", b"d", b"d2"), ("link", b"f", b"d"), ("link", b"f", b"d/g"), ("link", b"no", b"x"),
              ("link", b"f", b"no/x"), ("link", b"d/s", b"s2"), ("link", b"p", b"p2"), ("link", b"f", b"f3"),
              ("unlink", b"f"), ("write", b"f3", 3, b"XYZ"), ("read", b"d/f2")],
    "rename file": [("rename", b"f", b"d/new"), ("rename", b"d/new", b"d/g"), ("rename", b"no", b"x"),
                    ("rename", b"d/g", b"no/x"), ("rename", b"d/g", b"d/g"), ("rename", b"d/g", b"p")],
    "rename to the other link": [("rename", b"f", b"d/f2"), ("rename", b"d/f2", b"f"), ("read", b"f")],
    "rename types": [("rename", b"f", b"empty"), ("rename", b"empty", b"f"), ("rename", b"d/s", b"empty"),
                     ("rename", b"empty", b"d/s"), ("rename", b"p", b"d"), ("rename", b"d/s", b"f"),
                     ("readlink", b"f")],
    "rename directory": [("rename", b"empty", b"d"), ("rename", b"d", b"empty"), ("parent", b"empty/e"),
                         ("rename", b"empty/e", b"e"), ("parent", b"e"), ("rename", b"empty", b"e"), ("parent", b"e")],
    "rename over full": [("mkdir", b"x"), ("rename", b"x", b"d"), ("rename", b"f", b"d"), ("rename", b"x", b"empty")],
    "rename across": [("rename", b"d/e", b"empty/e"), ("rename", b"empty", b"d/empty"), ("parent", b"d/empty/e")],
    "rename into itself": [("rename", b"d", b"d/e/x"), ("rename", b"d", b"d/x"), ("rename", b"d", b"d"),
                           ("rename", b"d", b"d/e"), ("rename", b"d/e", b"d"), ("rename", b"d/g", b"d"),
                           ("mkdir", b"d/e/h"), ("rename", b"d/e/h", b"d"), ("rename", b"d", b"d/e/h")],
    "sizes": [("truncate", b"f", 3), ("read", b"f"), ("truncate", b"f", 10), ("read", b"f"), ("write", b"f", 20, b"x"),
              ("read", b"f"), ("truncate", b"f", 0), ("write", b"f", 5, b"y"), ("read", b"f"), ("truncate", b"d", 0)],
    "holes": [("write", b"d/g", 1 << 20, b"end"), ("truncate", b"d/g", 1 << 19), ("write", b"d/g", 1 << 18, b"mid"),
              ("truncate", b"d/g", 2 << 20)],
    "long target": [("symlink", b"t" * 4095, b"l1"), ("symlink", b"", b"l3"), ("readlink", b"l1"),
                    ("readlink", b"d/s")],
    "modes": [("chmod", b"f", 0o7777), ("chmod", b"d", 0o1700), ("chmod", b"d/g", 0)],
}  # fmt: skip


def outcome(side, operation):
    method, *arguments = operation
    try:
        return getattr(side, method)(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


@pytest.mark.parametrize("name", SEQUENCES)
def test_same_as_local(name, store, tmp_path):
    directory = tmp_path / "local"
    directory.mkdir()
    old = os.umask(0)
    try:
        local, stored = Local(directory), Stored(store)
        for operation in TREE + SEQUENCES[name]:
            assert outcome(stored, operation) == outcome(local, operation), operation
        assert stored.tree() == local.tree()
    finally:
        os.umask(old)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/", b"a\0"])
@pytest.mark.parametrize("method", ["create", "link", "unlink", "rmdir", "rename from", "rename to"])
def test_what_is_no_name(store, once, method, name):
    file = once(store, "create", store.root, b"f", S_IFREG | 0o644, 0, 0)
    calls = {
        "create": ("create", store.root, name, S_IFREG | 0o644, 0, 0),
        "link": ("link", file.ufid, store.root, name),
        "unlink": ("unlink", store.root, name),
        "rmdir": ("rmdir", store.root, name),
        "rename from": ("rename", store.root, name, store.root, b"x"),
        "rename to": ("rename", store.root, b"f", store.root, name),
    }
    with pytest.raises(OSError) as caught:
        once(store, *calls[method])
    assert caught.value.errno == errno.EINVAL
    with store.work(changing=False):
        assert [entry.name for entry in store.readdir(store.root, 0, 10)[0]] == [b".", b"..", b"f"]


def test_types_that_are_refused(store, once):
    root = store.root
    directory = once(store, "create", root, b"d", S_IFDIR | 0o755, 0, 0).ufid
    link = once(store, "create", root, b"s", S_IFLNK | 0o777, 0, 0, 0, b"t").ufid
    file = once(store, "create", root, b"f", S_IFREG | 0o644, 0, 0).ufid
    table = [
        (("write", directory, 0, b"x"), errno.EISDIR),
        (("write", link, 0, b"x"), errno.EINVAL),
        (("read", directory, 0, 1), errno.EISDIR),
        (("read", link, 0, 1), errno.EINVAL),
        (("setattr", directory, Changes(size=0)), errno.EISDIR),
        (("setattr", link, Changes(size=0)), errno.EINVAL),
        (("readlink", file), errno.EINVAL),
        (("readlink", directory), errno.EINVAL),
        (("lookup", file, b"x"), errno.ENOTDIR),
        (("lookup", file, b"."), errno.ENOTDIR),
        (("lookup", directory, b""), errno.ENOENT),
        (("lookup", directory, b"n" * 256), errno.ENAMETOOLONG),
        (("readdir", file, 0, 10), errno.ENOTDIR),
        (("create", file, b"x", S_IFREG, 0, 0), errno.ENOTDIR),
        (("create", root, b"x", 0o030000, 0, 0), errno.EINVAL),
        (("link", directory, root, b"x"), errno.EPERM),
        (("read", file, -1, 1), errno.EINVAL),
        (("write", file, -1, b"x"), errno.EINVAL),
        (("write", file, 1 << 63, b"x"), errno.EFBIG),
        (("setattr", file, Changes(size=1 << 63)), errno.EFBIG),
        (("setattr", file, Changes(size=-1)), errno.EINVAL),
    ]
    for call, expected in table:
        with pytest.raises(OSError) as caught:
            once(store, *call)
        assert caught.value.errno == expected, call


def test_devices_keep_their_numbers_and_links_their_bytes(store, once):
    device = once(store, "create", store.root, b"null", stat.S_IFCHR | 0o666, 5, 6, 0x0103)
    assert (device.mode, device.uid, device.gid, device.rdev, device.size) == (stat.S_IFCHR | 0o666, 5, 6, 0x0103, 0)
    once(store, "create", store.root, b"s", S_IFLNK | 0o777, 0, 0, 0, b"../\xff/etc")
    with store.work(changing=False):
        link = store.lookup(store.root, b"s")
        assert (store.readlink(link.ufid), link.size) == (b"../\xff/etc", 8)
        assert store.lookup(store.root, b"..").ufid == store.root
