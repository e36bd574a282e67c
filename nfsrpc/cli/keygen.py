"""`nfsrpc keygen`."""

import click

from nfsrpc.auth import des
from nfsrpc.auth.keys import PublicKey, PublicKeyFile, own_netname

from .errors import Failure


@click.command()
@click.option("--netname", help="unix.UID@DOMAIN or unix.HOST@DOMAIN; default: yours.")
@click.option("--public-keys", default="/etc/publickey", show_default=True, type=click.Path(), metavar="FILE",
              help="The publickey(5) file to put the line in; - for standard output.")  # fmt: skip
@click.password_option(help="Encrypts the secret key in the file; better typed than given.")
def keygen(netname: str | None, public_keys: str, password: str) -> None:
    """Make a pair of Diffie-Hellman keys for AUTH_DH and put them into the publickey(5) file.

    The secret one is encrypted under the password, of which eight characters count.
    """
    name = netname or own_netname()
    try:
        secret = des.new_secret()
        key = PublicKey(des.public_of(secret), des.encrypt_secret(secret, password.encode()))
        if public_keys == "-":
            click.echo(f"{name} {key.public}:{key.encrypted}")
        else:
            PublicKeyFile(public_keys).put(name, key)
    except des.MissingExtra as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{public_keys}: {error.strerror}; --public-keys chooses another file") from None
