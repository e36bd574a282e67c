"""Short words for calls of NFS version 2 on a generated client, for tests."""

from nfsrpc.protocols import nfs_prot as v2
from nfsrpc.protocols.nfs_prot import nfsstat as s

UNSET = 0xFFFFFFFF
NEVER = v2.nfstime(UNSET, UNSET)


def sattr(mode=UNSET, uid=UNSET, gid=UNSET, size=UNSET, atime=NEVER, mtime=NEVER):
    return v2.sattr(mode, uid, gid, size, atime, mtime)


def where(handle, name):
    return v2.diropargs(handle, name)


def create(nfs, directory, name, **wanted):
    wanted.setdefault("mode", 0o644)
    return nfs.NFSPROC_CREATE(v2.createargs(where(directory, name), sattr(**wanted)))


def made(nfs, directory, name, **wanted):
    result = create(nfs, directory, name, **wanted)
    assert result.status == s.NFS_OK
    return result.diropres.file


def mkdir(nfs, directory, name, mode=0o755):
    result = nfs.NFSPROC_MKDIR(v2.createargs(where(directory, name), sattr(mode=mode)))
    assert result.status == s.NFS_OK
    return result.diropres.file


def getattr_(nfs, handle):
    result = nfs.NFSPROC_GETATTR(handle)
    assert result.status == s.NFS_OK
    return result.attributes


def setattr_(nfs, handle, **wanted):
    return nfs.NFSPROC_SETATTR(v2.sattrargs(handle, sattr(**wanted)))


def write(nfs, handle, offset, data):
    return nfs.NFSPROC_WRITE(v2.writeargs(handle, 0, offset, 0, data))


def read(nfs, handle, offset=0, count=8192):
    result = nfs.NFSPROC_READ(v2.readargs(handle, offset, count, 0))
    return result.reply.data if result.status == s.NFS_OK else result.status


def lookup(nfs, directory, name):
    return nfs.NFSPROC_LOOKUP(where(directory, name))


def names(nfs, directory, count=8192):
    found, cookie, eof = [], b"\0\0\0\0", False
    while not eof:
        result = nfs.NFSPROC_READDIR(v2.readdirargs(directory, cookie, count))
        assert result.status == s.NFS_OK
        entry = result.reply.entries
        while entry is not None:
            found.append(entry.name)
            cookie = entry.cookie
            entry = entry.nextentry
        eof = result.reply.eof
    return found
