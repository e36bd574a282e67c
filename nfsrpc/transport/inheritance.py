"""Descriptors that outlive a program: from a predecessor at an upgrade, or from systemd's socket activation."""

import logging
import os
import socket
from collections.abc import MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .successor import Successor

_log = logging.getLogger(__name__)
_VARIABLE = "NFSRPC_INHERITED"
_FIRST_ACTIVATED = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""
_PATIENCE = 1.0
"""Seconds that a service manager whose socket is full has to make room."""


class Inheritance:
    """What this process was given, by name, and what it will pass on.

    `environment` (that of the process unless given) is read, and cleared of what was meant for this process alone.
    """

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        variables = os.environ if environment is None else environment
        self._given: dict[str, int] = {}
        self._kept: dict[str, int] = {}
        self._predecessor: int | None = None
        self.activated = _activated(variables)
        """Sockets from systemd, in its order."""
        text = variables.pop(_VARIABLE, None)
        if text is not None:
            import json

            left = json.loads(text)
            if left["parent"] == os.getppid():
                self._given = left["descriptors"]
                self._predecessor = self._given.pop("ready")
                for descriptor in (*self._given.values(), self._predecessor):
                    os.set_inheritable(descriptor, False)

    @property
    def succeeds(self) -> bool:
        """Whether a predecessor waits for this process to take over."""
        return self._predecessor is not None

    def take(self, name: str) -> int | None:
        """The inherited descriptor called `name`, if there is one."""
        return self._given.get(name)

    def keep(self, name: str, descriptor: int) -> None:
        """Pass `descriptor` on to a successor as `name`."""
        self._kept[name] = descriptor

    def drop(self, name: str) -> None:
        """Pass what is called `name` on no more."""
        self._kept.pop(name, None)

    def take_over(self) -> None:
        """Tell the predecessor, if there is one, that calls are answered here from now on."""
        if self._predecessor is not None:
            os.write(self._predecessor, b"\0")
            os.close(self._predecessor)
            self._predecessor = None

    def start_successor(self) -> "Successor":
        """Start this very command again, as a new process that inherits everything kept. OSError: it cannot start."""
        from .successor import start

        return start(_VARIABLE, self._kept)


def _activated(variables: MutableMapping[str, str]) -> list[socket.socket]:
    """Sockets passed as sd_listen_fds(3) says."""
    meant_for = variables.get("LISTEN_PID")
    count = int(variables.get("LISTEN_FDS", "0"))
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        variables.pop(name, None)
    if meant_for != str(os.getpid()):
        return []
    sockets = []
    for descriptor in range(_FIRST_ACTIVATED, _FIRST_ACTIVATED + count):
        os.set_inheritable(descriptor, False)
        sockets.append(socket.socket(fileno=descriptor))
    return sockets


def notify(state: str) -> None:
    """Tell the service manager, if there is one, as sd_notify(3) does; `state` as in ``READY=1``.

    One that does not listen is given up after a moment, with a warning: nobody's calls wait for it.
    """
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.settimeout(_PATIENCE)
            sock.sendto(state.encode(), address)
    except OSError as error:
        _log.warning("the service manager at %s cannot be told %s: %s", path, state, error.strerror or error)
