"""What has no encoding is refused with the field and the reason in words."""

import pytest

from nfsrpc.protocols.mount import encode_ppathcnf, ppathcnf
from nfsrpc.xdr import XdrEncodeError, encode, encode_void

GOOD = (1, 2, 3, 4, 5, 6, 7, 8, [9, 10])


@pytest.mark.parametrize("value", [0, b"", "", [], False])
def test_void_has_no_value(value):
    with pytest.raises(XdrEncodeError, match="void has no value"):
        encode_void(value, [])
    encode_void(None, [])


@pytest.mark.parametrize(("value", "fits"), [(-32768, True), (32767, True), (-32769, False), (32768, False)])
def test_a_short_has_16_bits_and_the_error_says_so(value, fits):
    record = ppathcnf(GOOD[0], value, *GOOD[2:])
    if fits:
        assert len(encode(encode_ppathcnf, record)) == 40
        return
    with pytest.raises(XdrEncodeError) as refused:
        encode(encode_ppathcnf, record)
    assert refused.value.path == "pc_max_canon"
    assert refused.value.reason == f"{value} is not within -32768..32767"
