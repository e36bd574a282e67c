"""What is exported, to whom, and as whom they act."""

import errno
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from nfsrpc.auth import Principal
from nfsrpc.protocols.rpc_msg import auth_stat
from nfsrpc.rpc.dispatch import Drop, Peer
from nfsrpc.rpc.message import Rejected
from nfsrpc.store import Store, Ufid

from .clients import Netgroup, by_specificity, caller
from .export_ids import export_ids
from .export_options import Access, ExportOptions
from .export_spec import ExportSpec
from .handles import HandleSealer, fsid_of, stale
from .hostnames import HostNames, NotYet
from .identity import ANY_PORT, RESERVED_PORTS, Identity
from .paths import parts_of

_log = logging.getLogger(__name__)
_CACHED: Final = 4096
_OPENED: Final = 16384
"""Handles kept with what they name: about 4 MB when full."""
_COMPLAINTS: Final = 256
"""Hosts whose refusal has been logged; they are not logged again until there are so many."""


_UNKNOWN: Final = ExportOptions()
"""Stands for a host that has not been looked at yet."""


def _transport(peer: Peer) -> str:
    """How a caller has come, in the words of ``xprtsec=``."""
    return "none" if peer.tls is None else "mtls" if peer.tls else "tls"


def _refuse() -> OSError:
    return OSError(errno.EACCES, os.strerror(errno.EACCES))


class Export:
    """One directory tree that clients can mount.

    path
        What clients mount: absolute, without a trailing slash (but ``/``).
    root
        The UFID of its top directory in `store`.
    number
        The id in its handles.
    fsid
        The file system id that clients see.
    known
        Whom callers act as, by (host, principal): those that `admit` has let in. To be asked first.
    """

    def __init__(self, spec: ExportSpec, store: Store, sealer: HandleSealer, number: int, names: HostNames) -> None:
        self.path = spec.path
        self.store = store
        self.root = store.root
        self.sealer = sealer
        self.number = number
        self.fsid = store.fsid if spec.fsid is None else spec.fsid
        self.groups = tuple(rule.client.text for rule in spec.rules)
        self._known: dict[tuple[str, int], tuple[Principal, Identity]] = {}
        self._rules = by_specificity(spec.rules)
        self._names = names
        self._matched: dict[str, ExportOptions | None] = {}
        self._complained: set[str] = set()
        self._lock = threading.Lock()
        self._age = 0

    def known(self, peer: Peer, principal: Principal) -> Identity | None:
        """What `admit` has said before, if it would say it again; None sends to it.

        By the very object: an authenticator has one for each of its users, and his groups need not be compared.
        """
        found = self._known.get((peer.host, id(principal)))
        if found is None or peer.port >= found[1].ports:
            return None
        return found[1]

    def admit(self, peer: Peer, principal: Principal) -> Identity:
        """Whom a caller acts as.

        Raises OSError(EACCES) for a host, source port or connection without TLS that is not let in,
        `Rejected` (AUTH_TOOWEAK) for a principal that is not proved well enough, and
        `Drop` while the host's name is being found out.
        """
        age = self._age
        options = self._options(peer)
        access = options.terms().get(principal.security)
        if access is None:
            raise Rejected(auth_stat.AUTH_TOOWEAK)
        who = _identity(options, access, principal)
        if peer.port >= who.ports:
            self._complain(peer, f"port {peer.port} is not below {who.ports}; the option 'insecure' would take it")
            raise _refuse()
        with self._lock:
            # Who is known is not asked again how he has come.
            if age == self._age and options.transports is None:
                if len(self._known) >= _CACHED:
                    self._known.clear()
                self._known[peer.host, id(principal)] = principal, who
        return who

    def visit(self, peer: Peer, principal: Principal) -> Identity:
        """Whom a caller acts as on the way to a mount, where everybody is let in whose host is (RFC 2623 §2.3.2).

        Who is not proved well enough is anonymous. OSError(EACCES) and `Drop` as in `admit`.
        """
        try:
            return self.admit(peer, principal)
        except Rejected:
            options = self._options(peer)
        if peer.port >= RESERVED_PORTS and all(access.secure for access in options.terms().values()):
            self._complain(peer, f"port {peer.port} is not below {RESERVED_PORTS}; the option 'insecure' would take it")
            raise _refuse()
        return options.squash(options.access).anonymous()

    def _options(self, peer: Peer) -> ExportOptions:
        """The options of the most specific client that `peer` is."""
        host = peer.host
        matched = self._matched.get(host, _UNKNOWN)
        if matched is _UNKNOWN:
            age = self._age
            who = caller(host, self._names)
            try:
                matched = next((rule.options for rule in self._rules if rule.client.matches(who)), None)
            except NotYet:
                raise Drop from None
            with self._lock:
                if len(self._matched) >= _CACHED:
                    self._matched.clear()
                if age == self._age:
                    self._matched[host] = matched
        if matched is None:
            self._complain(peer, "no client of it matches")
            raise _refuse()
        if matched.transports is not None and _transport(peer) not in matched.transports:
            self._complain(peer, f"its xprtsec= is {':'.join(sorted(matched.transports))}")
            raise _refuse()
        return matched

    def _complain(self, peer: Peer, reason: str) -> None:
        if peer.host in self._complained:
            return
        if len(self._complained) >= _COMPLAINTS:
            self._complained.clear()
        self._complained.add(peer.host)
        _log.warning("%s is refused %s: %s", peer.host, os.fsdecode(self.path), reason)

    def forget(self) -> None:
        """Decide anew about everybody. May be called from another thread."""
        with self._lock:
            self._age += 1
            self._matched.clear()
            self._known.clear()

    def handle(self, node: Ufid) -> bytes:
        """The 32-byte handle of `node` as seen through this export."""
        return self.sealer.seal(self.number, node)


def _identity(options: ExportOptions, access: Access, principal: Principal) -> Identity:
    uid, gid, gids, *_ = options.squash(access).identity(principal)
    return Identity(uid, gid, gids, access.read_only, RESERVED_PORTS if access.secure else ANY_PORT)


class Acquaintance:
    """The ground of an answer: whoever gets it is still known to the export as the same user."""

    def __init__(self, export: Export, who: Identity) -> None:
        self._export = export
        self._who = who

    def holds(self, peer: Peer, principal: Principal) -> bool:
        """See `nfsrpc.rpc.service.Ground`."""
        return self._export.known(peer, principal) is self._who


class Exports:
    """The exports of one worker, found by path (to mount) and by handle (ever after).

    `stores` has the store of each spec; `ids` the id of each spec's key (`nfsrpc.nfs.export_ids`).
    """

    def __init__(
        self,
        specs: Iterable[ExportSpec],
        stores: Mapping[str, Store],
        ids: Mapping[bytes, int] | None = None,
        names: HostNames | None = None,
    ) -> None:
        specs = list(specs)
        numbers = export_ids(spec.key for spec in specs) if ids is None else ids
        names = HostNames(_netgroups(specs)) if names is None else names
        names.changed = self._forget
        self._names = names
        self._sealers = {store.fsid: HandleSealer(store.fsid, store.key, store.old_keys) for store in stores.values()}
        self._exports: list[Export] = []
        for spec in specs:
            store = stores[spec.store]
            self._exports.append(Export(spec, store, self._sealers[store.fsid], numbers[spec.key], names))
        self._opened: dict[bytes, tuple[Export, Ufid]] = {}
        self._by_number = {(export.store.fsid, export.number): export for export in self._exports}
        self._by_path = {tuple(parts_of(export.path)): export for export in self._exports}

    def __iter__(self) -> Iterator[Export]:
        return iter(self._exports)

    def _forget(self) -> None:
        for export in self._exports:
            export.forget()

    def close(self) -> None:
        """End what finds out names."""
        self._names.close()

    def open(self, data: bytes) -> tuple[Export, Ufid]:
        """The export and file that a handle names. OSError(ESTALE) if it names none of ours."""
        found = self._opened.get(data)
        return self._verified(data) if found is None else found

    def _verified(self, data: bytes) -> tuple[Export, Ufid]:
        sealer = self._sealers.get(fsid_of(data))
        if sealer is None:
            raise stale()
        handle = sealer.open(data)
        export = self._by_number.get((handle.fsid, handle.export))
        if export is None:
            raise stale()
        opened = export, handle.node
        if handle.lasting:
            if len(self._opened) >= _OPENED:
                self._opened.clear()
            self._opened[data] = opened
        return opened

    def ground(self, data: bytes, peer: Peer, principal: Principal) -> Acquaintance | None:
        """On what answers to a caller about the file of a handle rest.

        None if they may change by themselves: for a caller who has to be asked each time, or a handle that expires.
        """
        found = self._opened.get(data)
        if found is None:
            return None
        export, _ = found
        who = export.known(peer, principal)
        return None if who is None else Acquaintance(export, who)

    def under(self, path: bytes) -> tuple[Export, list[bytes]] | None:
        """The export with the longest path that holds `path`, and the names that lead on from its root."""
        parts = parts_of(path)
        for length in range(len(parts), -1, -1):
            export = self._by_path.get(tuple(parts[:length]))
            if export is not None:
                return export, parts[length:]
        return None


def _netgroups(specs: Iterable[ExportSpec]) -> set[str]:
    clients = [rule.client for spec in specs for rule in spec.rules]
    return {client.name for client in clients if isinstance(client, Netgroup)}
