"""A file system made of dictionaries: what a store ought to answer."""

import errno
import stat

REG, DIR, LNK = stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK


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
