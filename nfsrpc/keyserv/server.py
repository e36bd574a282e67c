"""A keyserver on its UNIX socket."""

import signal
from collections.abc import Callable

from nfsrpc.auth.base import Accept, CallHeader, Peer, Principal, Rejected
from nfsrpc.auth.idmap import IdMap
from nfsrpc.auth.none import FLAVOR as NONE
from nfsrpc.auth.sys import FLAVOR as SYS
from nfsrpc.protocols.rpc_msg import auth_stat
from nfsrpc.rpc.dispatch import Dispatcher
from nfsrpc.transport.loop import Loop
from nfsrpc.transport.unix import listen_unix

from .service import Secrets, bindings


class LocalAuthenticator:
    """Believes the kernel instead of the credential: whoever is at the other end of the UNIX socket calls."""

    single_use = False

    def __init__(self, flavor: int) -> None:
        self.flavor = flavor

    def accept(self, header: CallHeader, message: bytes, peer: Peer) -> Accept:
        """The user of the socket. AUTH_TOOWEAK where there is none to be known."""
        if peer.uid is None:
            raise Rejected(auth_stat.AUTH_TOOWEAK)
        return Accept(Principal(self.flavor, f"local:{peer.uid}", peer.uid))


class Keyserv:
    """Serves `secrets` at `path`; `public` finds public keys by netname. OSError if the socket cannot be had."""

    def __init__(self, path: str, secrets: Secrets, public: Callable[[str], str], idmap: IdMap) -> None:
        self._socket = listen_unix(path)
        flavors = (LocalAuthenticator(NONE), LocalAuthenticator(SYS))
        self._dispatcher = Dispatcher(bindings(secrets, public, idmap), flavors)

    def loop(self) -> Loop:
        """Its loop, for programs that run it themselves."""
        return Loop([], self._dispatcher, local=[self._socket])

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT."""
        loop = self.loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda _number, _frame: loop.stop())
        loop.run()

    def close(self) -> None:
        """Close the socket; the path stays, as with every keyserv."""
        self._socket.close()
