"""Modes as chmod(1) takes them."""

import pytest

from nfsrpc.client.modes import BadMode, parse_mode


@pytest.mark.parametrize(
    ("text", "before", "directory", "after"),
    [
        ("644", 0o777, False, 0o644),
        ("4755", 0, False, 0o4755),
        ("u+x", 0o644, False, 0o744),
        ("go-rwx", 0o777, False, 0o700),
        ("a=r", 0o777, False, 0o444),
        ("+x", 0o644, False, 0o755),
        ("u=rw,go=r", 0o777, False, 0o644),
        ("a+X", 0o644, False, 0o644),
        ("a+X", 0o744, False, 0o755),
        ("a+X", 0o644, True, 0o755),
        ("g=u", 0o740, False, 0o770),
        ("o+g", 0o750, False, 0o755),
        ("u+s,g+s", 0o755, False, 0o6755),
        ("+t", 0o777, True, 0o1777),
        ("u-s", 0o4755, False, 0o755),
        ("u=rwx", 0o4000, False, 0o700),
        ("g=rx", 0o2770, True, 0o2750),
        ("u+r-w", 0o200, False, 0o400),
        ("go=", 0o777, False, 0o700),
    ],
)
def test_modes(text: str, before: int, directory: bool, after: int) -> None:
    assert oct(parse_mode(text)(before, directory)) == oct(after)


@pytest.mark.parametrize("text", ["", "9", "77777", "u", "u~x", "z+x", "u+q", "644,", "rwx"])
def test_what_is_no_mode(text: str) -> None:
    with pytest.raises(BadMode, match="it looks like 644"):
        parse_mode(text)
