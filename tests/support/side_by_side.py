"""A capture as tshark reads it and as we read it: every RPC message, and of portmap, MOUNT and NFS every field.

Both sides are brought to one form: a set of messages for each (client, server, transport, xid), a message being a
table of tshark's field names and their values in the order of the wire.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from sniffing import Told, Way, tshark, tshark_messages

from nfsrpc.packets.capture import CaptureReader
from nfsrpc.packets.decoded import ENCRYPTED, Decoded
from nfsrpc.packets.dissect import Dissection
from nfsrpc.packets.programs import Programs
from nfsrpc.protocols.nfs_prot import nfsstat
from nfsrpc.protocols.rpc_msg import accept_stat, auth_flavor, auth_stat, decode_authsys_parms, decode_rpc_msg
from nfsrpc.xdr import DEFAULT_LIMITS, Record, XdrDecodeError

NUMBERS = {
    "nfs.status2": [],
    "nfs.ftype": ["fattr.type"],
    "nfs.mode": ["fattr.mode", "sattr.mode"],
    "nfs.fattr.nlink": ["fattr.nlink"],
    "nfs.fattr.uid": ["fattr.uid", "sattr.uid"],
    "nfs.fattr.gid": ["fattr.gid", "sattr.gid"],
    "nfs.fattr.size": ["fattr.size", "sattr.size"],
    "nfs.fattr.blocksize": ["fattr.blocksize"],
    "nfs.fattr.rdev": ["fattr.rdev"],
    "nfs.fattr.blocks": ["fattr.blocks"],
    "nfs.fattr.fsid": ["fattr.fsid"],
    "nfs.fattr.fileid": ["fattr.fileid"],
    **{
        f"nfs.{time}.{short}": [f"fattr.{time}.{long}", f"sattr.{time}.{long}"]
        for time in ("atime", "mtime", "ctime")
        for short, long in (("sec", "seconds"), ("usec", "useconds"))
    },
    "nfs.write.beginoffset": ["writeargs.beginoffset"],
    "nfs.write.offset": ["writeargs.offset"],
    "nfs.write.totalcount": ["writeargs.totalcount"],
    "nfs.read.offset": ["readargs.offset"],
    "nfs.read.count": ["readargs.count"],
    "nfs.read.totalcount": ["readargs.totalcount"],
    "nfs.readdir.cookie": ["readdirargs.cookie"],
    "nfs.readdir.count": ["readdirargs.count"],
    "nfs.readdir.entry.fileid": ["entry.fileid"],
    "nfs.readdir.entry.cookie": ["entry.cookie"],
    "nfs.readdir.eof": ["dirlist.eof"],
    "nfs.statfs.tsize": ["statfsokres.tsize"],
    "nfs.statfs.bsize": ["statfsokres.bsize"],
    "nfs.statfs.blocks": ["statfsokres.blocks"],
    "nfs.statfs.bfree": ["statfsokres.bfree"],
    "nfs.statfs.bavail": ["statfsokres.bavail"],
    "mount.status": ["fhstatus.status"],
    "mount.pathconf.link_max": ["ppathcnf.pc_link_max"],
    "mount.pathconf.name_max": ["ppathcnf.pc_name_max"],
    "mount.pathconf.path_max": ["ppathcnf.pc_path_max"],
    "mount.pathconf.pipe_buf": ["ppathcnf.pc_pipe_buf"],
    "portmap.prog": ["mapping.prog", "call_args.prog"],
    "portmap.version": ["mapping.vers", "call_args.vers"],
    "portmap.proto": ["mapping.prot"],
    "portmap.port": ["mapping.port", "call_result.port", "GETPORT.result"],
    "portmap.proc": ["call_args.proc"],
    "portmap.answer": ["SET.result", "UNSET.result"],
    "portmap.rpcb.prog": ["rpcb.r_prog"],
    "portmap.rpcb.version": ["rpcb.r_vers"],
}
"""tshark's field: ours, as type.field, or as procedure.result where the result is a bare number."""
TEXTS = {
    "nfs.name": ["diropargs.name"],
    "nfs.readdir.entry.name": ["entry.name"],
    "nfs.fhandle": ["nfs_fh.data", "fhstatus.directory"],
    "nfs.data": ["writeargs.data", "readokres.data"],
    "nfs.readlink.data": ["readlinkres.data"],
    "nfs.symlink.to": ["symlinkargs.to"],
    "mount.path": ["MNT.arguments", "UMNT.arguments", "PATHCONF.arguments"],
    "mount.dump.hostname": ["mountbody.ml_hostname"],
    "mount.dump.directory": ["mountbody.ml_directory"],
    "mount.export.directory": ["exportnode.ex_dir"],
    "mount.export.group": ["groupnode.gr_name"],
    "portmap.rpcb.netid": ["rpcb.r_netid"],
    "portmap.rpcb.addr": ["rpcb.r_addr"],
    "portmap.rpcb.owner": ["rpcb.r_owner"],
    "portmap.uaddr": ["GETADDR.result"],
}
HEADER = (
    "rpc.msgtyp", "rpc.version", "rpc.program", "rpc.programversion", "rpc.procedure", "rpc.auth.flavor",
    "rpc.auth.stamp", "rpc.auth.uid", "rpc.auth.gid", "rpc.replystat", "rpc.state_accept", "rpc.state_reject",
    "rpc.state_auth", "rpc.programversion.min", "rpc.programversion.max",
)  # fmt: skip
NOT_TOLD = {("rpcbind", name) for name in ("SET", "UNSET", "GETVERSADDR", "GETADDRLIST", "UADDR2TADDR", "TADDR2UADDR")}
"""Procedures of which tshark 4 shows the header alone."""
MALFORMED = "rpc && !icmp && !icmpv6 && (_ws.malformed || _ws.expert.severity == error)"
UNSET = 0xFFFFFFFF
SUCCESS = "OK"
Message = tuple[tuple[str, tuple[Any, ...]], ...]
Key = tuple[str, str, str, int]
Side = dict[Key, set[Message]]


def form(found: dict[str, list[Any]]) -> Message:
    """The common form. Attributes that shall not change are shown by some versions of tshark and not by others."""
    kept = {}
    for name in (*HEADER, "rpc.auth.machinename", *NUMBERS, *TEXTS):
        shared = name.startswith(("nfs.mode", "nfs.fattr.", "nfs.atime", "nfs.mtime"))
        values = tuple(v for v in found.get(name, ()) if v != b"" and not (shared and v == UNSET))
        if values:
            kept[name] = values
    return tuple(kept.items())


# --- tshark


def theirs(told: Told) -> Message:
    """A message of tshark's: numbers as numbers."""
    numbers = {*HEADER, *NUMBERS}
    return form({
        name: [int.from_bytes(v) for v in values] if name in numbers else values for name, values in told.fields.items()
    })


def status_of(message: dict[str, tuple[Any, ...]], wanted: str) -> str:
    """What tshark's numbers say of a reply, in the words of `Decoded.status`; `wanted` where they say nothing."""
    if message.get("rpc.replystat") == (1,):
        return auth_stat(message["rpc.state_auth"][0]).name if "rpc.state_auth" in message else "RPC_MISMATCH"
    if accepted := message.get("rpc.state_accept", (0,))[0]:
        return accept_stat(accepted).name
    if "nfs.status2" in message:
        return nfsstat(message["nfs.status2"][0]).name.replace("NFS_OK", SUCCESS)
    return wanted


# --- ours


def leaves(value: Any, name: str, found: dict[str, list[Any]]) -> None:
    """Every number and text of a value, as type.field. Long lists are not gone through by recursion."""
    waiting = [(name, value)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Record):
            kind = type(value).__name__
            inner = name if kind == "nfstime" else kind
            waiting += [(f"{inner}.{field}", getattr(value, field)) for field in reversed(value.__slots__)]
        elif isinstance(value, (tuple, list)):
            waiting += [(name, item) for item in reversed(value)]
        elif value is not None:
            found.setdefault(name, []).append(value if isinstance(value, bytes) else int(value) & UNSET)


def renamed(found: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Our names changed to tshark's."""
    result: dict[str, list[Any]] = {}
    for name, keys in {**NUMBERS, **TEXTS}.items():
        for key in keys:
            for value in found.get(key, ()):
                number = name in NUMBERS and isinstance(value, bytes)
                result.setdefault(name, []).append(int.from_bytes(value) if number else value)
    return result


def our_call(decoded: Decoded) -> Message:
    """The call of an exchange."""
    exchange = decoded.exchange
    message, _ = decode_rpc_msg(exchange.call[: exchange.body], 0, DEFAULT_LIMITS)
    call = message.body.cbody
    found: dict[str, list[Any]] = {
        "rpc.msgtyp": [0], "rpc.version": [call.rpcvers], "rpc.program": [call.prog],
        "rpc.programversion": [call.vers], "rpc.procedure": [call.proc],
        "rpc.auth.flavor": [call.cred.flavor, call.verf.flavor],
    }  # fmt: skip
    if call.cred.flavor == auth_flavor.AUTH_SYS:
        parms, _ = decode_authsys_parms(call.cred.body, 0, DEFAULT_LIMITS)
        found["rpc.auth.stamp"], found["rpc.auth.machinename"] = [parms.stamp], [parms.machinename]
        found["rpc.auth.uid"], found["rpc.auth.gid"] = [parms.uid], [parms.gid, *parms.gids]
    return form({**found, **contents(decoded, decoded.arguments, "arguments")})


def our_reply(decoded: Decoded) -> Message:
    """The reply of an exchange."""
    reply = decoded.exchange.reply
    assert reply is not None
    message, _ = decode_rpc_msg(reply, 0, DEFAULT_LIMITS)
    body = message.body.rbody
    found: dict[str, list[Any]] = {"rpc.msgtyp": [1], "rpc.replystat": [int(body.stat)]}
    if body.areply is not None:
        found["rpc.auth.flavor"] = [body.areply.verf.flavor]
        if body.areply.verf.flavor != auth_flavor.RPCSEC_GSS:  # tshark 4 does not show what follows such a verifier
            found["rpc.state_accept"] = [body.areply.reply_data.stat]
        mismatch = body.areply.reply_data.mismatch_info
    else:
        found["rpc.state_reject"] = [int(body.rreply.stat)]
        mismatch = body.rreply.mismatch_info
        if mismatch is None:
            found["rpc.state_auth"] = [int(body.rreply.why)]
    if mismatch is not None:
        found["rpc.programversion.min"], found["rpc.programversion.max"] = [mismatch.low], [mismatch.high]
    status = getattr(decoded.result, "status", decoded.result)
    if isinstance(status, nfsstat):
        found["nfs.status2"] = [int(status)]
    return form({**found, **contents(decoded, decoded.result, "result")})


def contents(decoded: Decoded, value: Any, place: str) -> dict[str, list[Any]]:
    """Arguments or result under tshark's names."""
    raw: dict[str, list[Any]] = {}
    if (decoded.program, decoded.procedure) not in NOT_TOLD:
        leaves(value, f"{decoded.procedure}.{place}", raw)
    return renamed(raw)


# --- both


class Comparison:
    """A capture read twice. `differences` is empty where both have read the same."""

    def __init__(self, path: Path) -> None:
        dissection = Dissection(Programs())
        with path.open("rb") as stream:
            self.exchanges = list(dissection.run(CaptureReader(stream)))
        self.orphans = dissection.exchanges.counts.orphans
        self.malformed = tshark(path, MALFORMED, "ip.src", "_ws.col.Info")
        self.told_calls, self.told_replies, self.lost = self._told(path)
        self.our_calls: Side = {}
        self.our_replies: Side = {}
        self.troubles: list[str] = []
        for decoded in self.exchanges:
            exchange = decoded.exchange
            key = (str(exchange.client), str(exchange.server), exchange.transport, exchange.xid)
            try:
                self._ours(key, decoded)
            except XdrDecodeError as broken:
                self.troubles.append(f"{key}: {broken}")
            if decoded.trouble == ENCRYPTED:
                continue
            if decoded.trouble or any(decoded.extra):
                why = decoded.trouble or f"bytes behind arguments and result: {decoded.extra}"
                self.troubles.append(f"{key}: {decoded.program} {decoded.procedure}: {why}")

    def _ours(self, key: Key, decoded: Decoded) -> None:
        self.our_calls.setdefault(key, set()).add(our_call(decoded))
        if decoded.exchange.reply is not None:
            self.our_replies.setdefault(key, set()).add(ours := our_reply(decoded))
            said = status_of(dict(ours), decoded.status.split()[0])
            if said != decoded.status.split()[0]:
                self.troubles.append(f"{key}: {decoded.status}, and its numbers say {said}")

    @staticmethod
    def _told(path: Path) -> tuple[Side, Side, set[Way]]:
        calls: Side = {}
        replies: Side = {}
        messages, lost = tshark_messages(path)
        for told in messages:
            if told.fields["rpc.msgtyp"] == [bytes(4)]:
                calls.setdefault((told.source, told.target, told.transport, told.xid), set()).add(theirs(told))
            else:
                replies.setdefault((told.target, told.source, told.transport, told.xid), set()).add(theirs(told))
        return calls, replies, lost

    def _out_of_reach(self, key: Key) -> bool:
        """Whether a message that tshark does not tell lies where it has lost its place; a reply needs its call."""
        client, server, transport, _ = key
        return transport == "tcp" and not self.lost.isdisjoint({(client, server), (server, client)})

    def not_reached(self) -> int:
        """How many messages tshark has not come to, though we have."""
        return sum(
            key not in told and self._out_of_reach(key)
            for told, ours in ((self.told_calls, self.our_calls), (self.told_replies, self.our_replies))
            for key in ours
        )

    def differences(self) -> list[str]:
        """Every message that only one side has, or that the sides read in different ways."""
        found = [*self.troubles]
        for what, told, ours in (
            ("call", self.told_calls, self.our_calls), ("reply", self.told_replies, self.our_replies)
        ):  # fmt: skip
            for key in {**told, **ours}:
                if key not in told and self._out_of_reach(key):
                    continue
                if told.get(key) != ours.get(key):
                    found.append(f"{what} {key}:\n  tshark {told.get(key)}\n  we     {ours.get(key)}")
        return found

    def fields(self) -> Counter[str]:
        """How many values of each field were compared."""
        count: Counter[str] = Counter()
        for side in (self.our_calls, self.our_replies):
            for messages in side.values():
                for message in messages:
                    for name, values in message:
                        count[name] += len(values)
        return count
