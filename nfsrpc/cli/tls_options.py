"""The options of a server that say how RPC-with-TLS (RFC 9289) is done."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from nfsrpc.transport.tls import ServerTls

_FILE = click.Path(exists=True, dir_okay=False)


def tls_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` --tls, --tls-cert, --tls-key and --tls-ca; it gets what they say as `tls`, or None."""

    @click.option("--tls", "policy", type=click.Choice(["offered", "required"]),
                  help="Whether callers may use TLS over TCP (the default with --tls-cert), or have to: then "
                  "only the portmapper and procedure 0 answer in clear text.")  # fmt: skip
    @click.option("--tls-cert", "certificate", type=_FILE, metavar="FILE", help="This host's certificate for "
                  "RPC-with-TLS (PEM, intermediate ones behind it). SIGHUP reads it again, as the key and "
                  "authorities.")  # fmt: skip
    @click.option("--tls-key", "key", type=_FILE, metavar="FILE", help="Its key, unless that is in the same file.")
    @click.option("--tls-ca", "authorities", type=_FILE, metavar="FILE", help="Mutual TLS: callers who use TLS must "
                  "show a certificate of one of these authorities.")  # fmt: skip
    @functools.wraps(command)
    def with_tls(
        *arguments: Any,
        policy: str | None,
        certificate: str | None,
        key: str | None,
        authorities: str | None,
        **options: Any,
    ) -> None:
        command(*arguments, tls=_server_tls(policy, certificate, key, authorities), **options)

    return with_tls


def _server_tls(
    policy: str | None, certificate: str | None, key: str | None, authorities: str | None
) -> "ServerTls | None":
    if certificate is None:
        for name, value in (("--tls", policy), ("--tls-key", key), ("--tls-ca", authorities)):
            if value is not None:
                raise click.UsageError(f"{name} needs --tls-cert")
        return None
    from nfsrpc.transport.tls import ServerTls

    return ServerTls(certificate, key, authorities, policy == "required")
