"""`nfsrpc keylogin`."""

import click

from nfsrpc.auth import des
from nfsrpc.auth.keys import KeysUnavailable, PublicKeyFile, UnknownNetname, own_netname
from nfsrpc.keyserv.client import SOCKET, KeyservKeys

from .errors import Failure


@click.command()
@click.option("--netname", help="unix.UID@DOMAIN or unix.HOST@DOMAIN; default: yours.")
@click.option("--public-keys", default="/etc/publickey", show_default=True, type=click.Path(), metavar="FILE",
              help="The publickey(5) file with your line.")  # fmt: skip
@click.option("--socket", "path", default=SOCKET, show_default=True, type=click.Path(), metavar="PATH",
              help="The keyserv's UNIX socket.")  # fmt: skip
@click.option("--logout", is_flag=True, help="Make the keyserv forget your key instead.")
def keylogin(netname: str | None, public_keys: str, path: str, logout: bool) -> None:
    """Decrypt your secret key with your password and hand it to the keyserv, so that programs can use AUTH_DH."""
    file = PublicKeyFile(public_keys)
    keyserv = KeyservKeys(file.public, path)
    try:
        if logout:
            keyserv.set_secret(None)
            return
        name = netname or own_netname()
        encrypted = file.key(name).encrypted
        if not encrypted:
            raise Failure(f"{public_keys} has no secret key of {name}; `nfsrpc keygen` makes one")
        password = click.prompt(f"Password of {name}", hide_input=True, err=True)
        secret = des.decrypt_secret(encrypted, password.encode())
        if secret is None:
            raise Failure(f"that is not the password of {name}")
        keyserv.set_secret(secret)
    except OSError as error:
        raise Failure(f"{public_keys}: {error.strerror}; --public-keys chooses another file") from None
    except (des.MissingExtra, UnknownNetname, KeysUnavailable) as error:
        raise Failure(str(error)) from None
