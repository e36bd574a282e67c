"""errno -> nfsstat, for NFS version 2 (RFC 1094 §2.3.1), and what is better not answered at all."""

import errno
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from nfsrpc.protocols.nfs_prot import nfsstat

V2_STATUS: Final[Mapping[int, nfsstat]] = MappingProxyType({
    errno.EPERM: nfsstat.NFSERR_PERM,
    errno.ENOENT: nfsstat.NFSERR_NOENT,
    errno.EIO: nfsstat.NFSERR_IO,
    errno.ENXIO: nfsstat.NFSERR_NXIO,
    errno.EACCES: nfsstat.NFSERR_ACCES,
    errno.EEXIST: nfsstat.NFSERR_EXIST,
    errno.EXDEV: nfsstat.NFSERR_XDEV,
    errno.ENODEV: nfsstat.NFSERR_NODEV,
    errno.ENOTDIR: nfsstat.NFSERR_NOTDIR,
    errno.EISDIR: nfsstat.NFSERR_ISDIR,
    errno.EINVAL: nfsstat.NFSERR_INVAL,
    errno.EFBIG: nfsstat.NFSERR_FBIG,
    errno.ENOSPC: nfsstat.NFSERR_NOSPC,
    errno.EROFS: nfsstat.NFSERR_ROFS,
    errno.EMLINK: nfsstat.NFSERR_MLINK,
    errno.ENAMETOOLONG: nfsstat.NFSERR_NAMETOOLONG,
    errno.ENOTEMPTY: nfsstat.NFSERR_NOTEMPTY,
    errno.EDQUOT: nfsstat.NFSERR_DQUOT,
    errno.ESTALE: nfsstat.NFSERR_STALE,
})


PASSING: Final = frozenset({
    errno.EAGAIN, errno.EBUSY, errno.EINTR, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS
})
"""What will pass: version 2 has no word for "later", so such a call stays unanswered and the client asks again."""


def v2_status(failure: OSError) -> nfsstat:
    """The status for `failure`; what version 2 has no word for is NFSERR_IO."""
    return V2_STATUS.get(failure.errno or errno.EIO, nfsstat.NFSERR_IO)
