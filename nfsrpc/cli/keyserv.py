"""`nfsrpc keyserv`."""

import os

import click

from nfsrpc.auth import des
from nfsrpc.auth.idmap import IdMap
from nfsrpc.auth.keys import PublicKeyFile
from nfsrpc.keyserv.client import SOCKET
from nfsrpc.keyserv.server import Keyserv
from nfsrpc.keyserv.service import Secrets

from .errors import Failure


@click.command()
@click.option("--socket", "path", default=SOCKET, show_default=True, type=click.Path(), metavar="PATH",
              help="UNIX socket to serve on; C programs know no other than the default.")  # fmt: skip
@click.option("--public-keys", default="/etc/publickey", show_default=True, type=click.Path(), metavar="FILE",
              help="Where public keys are found by netname.")  # fmt: skip
@click.option("--keep", type=click.Path(), metavar="FILE", help="Keep the secret keys in FILE (mode 0600) as well, "
              "so that they are there after a restart.")  # fmt: skip
def keyserv(path: str, public_keys: str, keep: str | None) -> None:
    """Hold users' secret keys for AUTH_DH and use them for programs on this machine, until SIGTERM or Ctrl-C.

    Whose key is used goes by the user who asks, as the kernel knows him.

    \b
    nfsrpc keygen --netname unix.1000@example.com     makes a pair of keys
    nfsrpc keyserv                                    as root
    nfsrpc keylogin                                   each user: hands his key over

    AUTH_DH resists nobody today (56-bit DES, 192-bit Diffie-Hellman); it is here for old machines.
    """
    try:
        des.demand()
        server = Keyserv(path, Secrets(keep), PublicKeyFile(public_keys).public, IdMap())
    except des.MissingExtra as error:
        raise Failure(str(error)) from None
    except OSError as error:
        raise Failure(f"{path}: {error.strerror or error}; --socket chooses another place") from None
    try:
        click.echo(f"pid {os.getpid()} serves {path}")
        server.run()
    finally:
        server.close()
