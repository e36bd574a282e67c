"""The cipher and the 192-bit Diffie-Hellman of Sun's "secure RPC" (RFC 2695 §2), exactly as Sun computed them.

None of it protects anything today: 56-bit DES is searched in hours, the
192-bit modulus was broken in 1991. It is what old peers speak.
"""

import secrets
from importlib import import_module
from typing import Any

from nfsrpc.rpc.errors import RpcError

PRIME = 0xD4A0BA0250B6FD2EC626E7EFD637DF76C716E22D0944B88B
BASE = 3
DIGITS = 48
"""Hexadecimal digits of a key."""
BLOCK = 8


class MissingExtra(RpcError):
    """A part of this package that is optional is not installed; the text says how to install it."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional part of this package: pip install 'nfsrpc[{extra}]'")


def _cipher() -> Any:
    try:
        return import_module("Crypto.Cipher.DES")
    except ImportError:
        raise MissingExtra("AUTH_DH", "dh") from None


def demand() -> None:
    """Raises `MissingExtra` unless the DES cipher is installed."""
    _cipher()


def set_parity(key: bytes) -> bytes:
    """Sun's des_setparity: the top bit of each byte is lost, the lowest becomes odd parity of what is left.

    Not the parity of the DES standard, which keeps the top bit; but the same in
    SunOS, FreeBSD and glibc, and so part of the protocol.
    """
    return bytes((byte & 0x7E) | ((byte & 0x7E).bit_count() & 1 ^ 1) for byte in key)


def ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """DES in ECB mode, 8-byte blocks."""
    des = _cipher()
    result: bytes = des.new(key, des.MODE_ECB).encrypt(data)
    return result


def ecb_decrypt(key: bytes, data: bytes) -> bytes:
    """The inverse of `ecb_encrypt`."""
    des = _cipher()
    result: bytes = des.new(key, des.MODE_ECB).decrypt(data)
    return result


def cbc_encrypt(key: bytes, data: bytes) -> bytes:
    """DES in CBC mode from an initial vector of zeros."""
    des = _cipher()
    result: bytes = des.new(key, des.MODE_CBC, iv=bytes(BLOCK)).encrypt(data)
    return result


def cbc_decrypt(key: bytes, data: bytes) -> bytes:
    """The inverse of `cbc_encrypt`."""
    des = _cipher()
    result: bytes = des.new(key, des.MODE_CBC, iv=bytes(BLOCK)).decrypt(data)
    return result


def new_secret() -> str:
    """A random secret key, 48 hexadecimal digits."""
    return f"{secrets.randbelow(PRIME - 2) + 1:0{DIGITS}x}"


def public_of(secret: str) -> str:
    """The public key that belongs to a secret one."""
    return f"{pow(BASE, int(secret, 16), PRIME):0{DIGITS}x}"


def common_key(secret: str, public: str) -> bytes:
    """The DES key that the owner of `secret` shares with the owner of `public`.

    The middle 64 of the 192 bits that Diffie-Hellman yields, least significant byte first.
    """
    common = pow(int(public, 16), int(secret, 16), PRIME)
    return set_parity((common >> 64 & (1 << 64) - 1).to_bytes(BLOCK, "little"))


def new_conversation_key() -> bytes:
    """A random DES key."""
    return set_parity(secrets.token_bytes(BLOCK))


def password_key(password: bytes) -> bytes:
    """passwd2des of glibc and SunOS: the first eight characters count."""
    return set_parity(bytes(byte << 1 & 0xFF for byte in password[:BLOCK].ljust(BLOCK, b"\0")))


def wrapping_password_key(password: bytes) -> bytes:
    """passwd2des of the BSDs: characters beyond the eighth are folded back over the first ones."""
    key = bytearray(BLOCK)
    for place, byte in enumerate(password):
        key[place % BLOCK] ^= byte << 1 & 0xFF
    return set_parity(bytes(key))


def encrypt_secret(secret: str, password: bytes) -> str:
    """A secret key as publickey(5) keeps it: with its first 16 digits again as a check, under the password's key."""
    return cbc_encrypt(password_key(password), bytes.fromhex(secret + secret[:16])).hex()


def decrypt_secret(encrypted: str, password: bytes) -> str | None:
    """The secret key behind `encrypted`, None for a wrong password. Both ways to fold a password are tried."""
    data = bytes.fromhex(encrypted)
    for key in (password_key(password), wrapping_password_key(password)):
        plain = cbc_decrypt(key, data).hex()
        if plain[DIGITS:] == plain[:16]:
            return plain[:DIGITS]
    return None
