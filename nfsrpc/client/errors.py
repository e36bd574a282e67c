"""Status words of NFS and MOUNT replies, and failures of remote calls, as `OSError`s."""

import errno
import os
from collections.abc import Mapping
from types import MappingProxyType

from nfsrpc.rpc.errors import AuthRefused, Disconnected, RpcError, RpcTimeout

ERRNO_OF_STATUS: Mapping[int, int] = MappingProxyType({
    1: errno.EPERM,
    2: errno.ENOENT,
    5: errno.EIO,
    6: errno.ENXIO,
    11: errno.EAGAIN,
    13: errno.EACCES,
    17: errno.EEXIST,
    18: errno.EXDEV,
    19: errno.ENODEV,
    20: errno.ENOTDIR,
    21: errno.EISDIR,
    22: errno.EINVAL,
    27: errno.EFBIG,
    28: errno.ENOSPC,
    30: errno.EROFS,
    31: errno.EMLINK,
    45: errno.EOPNOTSUPP,
    62: errno.ELOOP,
    63: errno.ENAMETOOLONG,
    66: errno.ENOTEMPTY,
    69: errno.EDQUOT,
    70: errno.ESTALE,
    71: errno.EREMOTE,
    99: errno.EIO,
    10001: errno.ESTALE,
    10002: errno.EIO,
    10003: errno.EIO,
    10004: errno.EOPNOTSUPP,
    10005: errno.EOVERFLOW,
    10006: errno.EIO,
    10007: errno.EINVAL,
    10008: errno.EAGAIN,
})
"""RFC 1094 §2.3.1, and what real servers send besides: BSD errno values, and the codes of NFSv3 (RFC 1813 §2.6)."""


def from_status(status: int, *paths: bytes) -> OSError:
    """The `OSError`, of its right subclass, for a status other than 0.

    `paths` are the one or two names that the call was about; they become `filename`
    and `filename2`. An unknown status is EIO, with the number in its text.
    """
    number = ERRNO_OF_STATUS.get(status)
    if number is None:
        number, words = errno.EIO, f"the server answered with the unknown status {status}"
    elif status == 99:
        words = "the server's write cache was flushed to disk (NFSERR_WFLUSH)"
    else:
        words = os.strerror(number)
    names = [os.fsdecode(path) for path in paths]
    if len(names) == 2:
        return OSError(number, words, names[0], None, names[1])
    return OSError(number, words, *names)


def from_rpc_error(error: RpcError) -> OSError:
    """A call that failed as a file's user expects it: `TimeoutError`, `ConnectionError`, `PermissionError`, or EIO.

    Its text is that of `error`.
    """
    number = next((number for kind, number in _ERRNO_OF_FAILURE if isinstance(error, kind)), errno.EIO)
    return OSError(number, str(error))


_ERRNO_OF_FAILURE = ((RpcTimeout, errno.ETIMEDOUT), (Disconnected, errno.ECONNRESET), (AuthRefused, errno.EACCES))
