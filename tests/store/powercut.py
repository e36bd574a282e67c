"""A disk that loses power: from a trace of system calls, what is on it if the current fails at a given call.

Each file's bytes and each directory's entries have a durable state, which is
what they were at their last sync, and changes after it, of which a power cut
may keep any or none. (SIGKILL alone proves little: the host keeps its page
cache.)
"""

import re
import shutil
from pathlib import Path

CALLS = (
    "openat,write,pwrite64,pwritev,writev,ftruncate,fsync,fdatasync,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat"
)
STRACE = ["strace", "-f", "-y", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-o"]

_LINE = re.compile(r"(\d+) +(.*)\n")
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+)(?:<.*>)?(?: .*)?$")
_HEX = re.compile(r"\\x([0-9a-f]{2})")


def _text(quoted):
    return bytes.fromhex("".join(_HEX.findall(quoted)))


def _path(argument):
    """Path behind a traced descriptor, ``3<...>``."""
    return _text(argument[argument.index("<") :]).decode()


def calls(trace):
    """(name, arguments, result) of each call that succeeded, in the order they ended."""
    waiting = {}
    with open(trace) as lines:
        for line in lines:
            pid, text = _LINE.fullmatch(line).groups()
            if text.endswith("<unfinished ...>"):
                waiting[pid] = text[: -len("<unfinished ...>")].rstrip()
                continue
            if text.startswith("<..."):
                text = waiting.pop(pid) + text[text.index("resumed>") + len("resumed>") :]
            found = _CALL.match(text)
            if found and int(found[3]) >= 0:
                yield found[1], found[2].split(", "), int(found[3])


class Node:
    """Bytes of a file, or names of a directory: durable, and what has been done since."""

    def __init__(self, kind, durable):
        self.kind = kind
        self.durable = durable
        self.since = []

    def sync(self):
        self.durable = self.after(lambda change: True)
        self.since = []

    def after(self, keep):
        """The state if of the changes since the last sync those happened for which `keep` says so."""
        state = self.durable.copy()
        for change in self.since:
            if keep(change):
                change(state)
        return state


class Disk:
    """Everything below `base`: at first what is below `before`, durably; then what the calls make of it."""

    def __init__(self, base, before):
        self.base = Path(base)
        self.now = {}
        self.root = self._load(str(base), Path(before))

    def _load(self, path, source):
        if source.is_dir():
            below = {found.name: self._load(f"{path}/{found.name}", found) for found in source.iterdir()}
            node = Node("directory", below)
        else:
            node = Node("file", bytearray(source.read_bytes()))
        self.now[path] = node
        return node

    def _change(self, path, change):
        self.now[path].since.append(change)

    def _enter(self, path, node):
        self.now[path] = node
        above, name = path.rsplit("/", 1)

        def enter(names):
            names[name] = node

        self._change(above, enter)

    def _leave(self, path):
        above, name = path.rsplit("/", 1)
        self._change(above, lambda names: names.pop(name, None))
        return self.now.pop(path)

    def _at(self, directory, name):
        name = _text(name).decode()
        return name if name.startswith("/") or directory is None else f"{_path(directory)}/{name}"

    def _inside(self, path):
        return path.startswith(f"{self.base}/") or path == str(self.base)

    def apply(self, name, arguments, result):
        """One call of the trace."""
        handler = getattr(self, f"_do_{name}", None)
        if handler is not None:
            handler(arguments, result)

    def _do_openat(self, arguments, result):
        path = self._at(arguments[0], arguments[1])
        if not self._inside(path) or "O_CREAT" not in arguments[2]:
            return
        if path not in self.now:
            self._enter(path, Node("file", bytearray()))
        elif "O_TRUNC" in arguments[2]:
            self._change(path, bytearray.clear)

    def _do_pwrite64(self, arguments, result):
        self._write(_path(arguments[0]), int(arguments[-1]), _text(arguments[1])[:result])

    def _write(self, path, offset, data):
        if path not in self.now:
            return

        def write(content):
            content.extend(bytes(max(0, offset - len(content))))
            content[offset : offset + len(data)] = data

        self._change(path, write)

    def _do_ftruncate(self, arguments, result):
        path, size = _path(arguments[0]), int(arguments[1])
        if path not in self.now:
            return

        def cut(content):
            del content[size:]
            content.extend(bytes(size - len(content)))

        self._change(path, cut)

    def _do_fsync(self, arguments, result):
        node = self.now.get(_path(arguments[0]))
        if node is not None:
            node.sync()

    _do_fdatasync = _do_fsync

    def _do_mkdirat(self, arguments, result):
        path = self._at(arguments[0], arguments[1])
        if self._inside(path):
            self._enter(path, Node("directory", {}))

    def _do_unlinkat(self, arguments, result):
        path = self._at(arguments[0], arguments[1])
        if path in self.now:
            self._leave(path)

    def _do_unlink(self, arguments, result):
        path = self._at(None, arguments[0])
        if path in self.now:
            self._leave(path)

    def after_power_cut(self, target, keep):
        """Make `target` what a machine finds that starts again; `keep(change)` decides on each unsynced change."""
        shutil.rmtree(target, ignore_errors=True)
        self._store(self.root, Path(target), keep)
        for shared in Path(target).glob("*-shm"):
            shared.unlink()

    def _store(self, node, path, keep):
        state = node.after(keep)
        if node.kind == "file":
            path.write_bytes(state)
            return
        path.mkdir()
        for name, below in state.items():
            self._store(below, path / name, keep)
