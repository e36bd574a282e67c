"""Status words as OSError."""

import errno

import pytest

from nfsrpc.client.errors import from_status

ROWS = [
    (1, PermissionError, errno.EPERM),
    (2, FileNotFoundError, errno.ENOENT),
    (5, OSError, errno.EIO),
    (6, OSError, errno.ENXIO),
    (13, PermissionError, errno.EACCES),
    (17, FileExistsError, errno.EEXIST),
    (18, OSError, errno.EXDEV),
    (19, OSError, errno.ENODEV),
    (20, NotADirectoryError, errno.ENOTDIR),
    (21, IsADirectoryError, errno.EISDIR),
    (22, OSError, errno.EINVAL),
    (27, OSError, errno.EFBIG),
    (28, OSError, errno.ENOSPC),
    (30, OSError, errno.EROFS),
    (31, OSError, errno.EMLINK),
    (45, OSError, errno.EOPNOTSUPP),
    (62, OSError, errno.ELOOP),
    (63, OSError, errno.ENAMETOOLONG),
    (66, OSError, errno.ENOTEMPTY),
    (69, OSError, errno.EDQUOT),
    (70, OSError, errno.ESTALE),
    (99, OSError, errno.EIO),
    (10001, OSError, errno.ESTALE),
    (10004, OSError, errno.EOPNOTSUPP),
    (10008, BlockingIOError, errno.EAGAIN),
    (12345, OSError, errno.EIO),
    (0xFFFFFFFF, OSError, errno.EIO),
]


@pytest.mark.parametrize(("status", "kind", "number"), ROWS, ids=[str(row[0]) for row in ROWS])
def test_a_status_is_the_right_oserror(status: int, kind: type[OSError], number: int) -> None:
    error = from_status(status, b"a\xff", b"b")
    assert type(error) is kind
    assert error.errno == number
    assert (error.filename, error.filename2) == ("a\udcff", "b")


def test_an_unknown_status_says_its_number() -> None:
    assert "12345" in str(from_status(12345))


def test_a_name_is_not_needed() -> None:
    assert from_status(70).filename is None
    assert from_status(2, b"x").filename == "x"
