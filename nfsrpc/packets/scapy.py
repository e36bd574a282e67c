"""Scapy with RPC in it: the layers of every program in xdr_specs/, bound to ports and recognised by content.

Needs the extra ``[scapy]``. Importing this module is what scapy calls loading a contribution::

    from scapy.all import IP, UDP, rdpcap, sniff, sr1
    from nfsrpc.packets import scapy as rpc

    sniff(iface="lo", filter="port 2049", prn=lambda packet: packet.show())
    call = rpc.Rpc(xid=1) / rpc.RpcCall() / rpc.nfs_prot.NFS_PROGRAM_2_NFSPROC_NULL_call()
    sr1(IP(dst="server") / UDP(sport=700, dport=2049) / call)

Records in TCP streams need ``session=TCPSession``, fragments of UDP datagrams ``session=IPSession``
(RFC 5531 §10, §11). A reply is dissected as that of its call, which must have been dissected before it.
"""

from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

try:
    from scapy.config import conf
except ImportError as missing:
    raise ImportError("this needs scapy: pip install 'nfsrpc[scapy]'") from missing
from scapy import fields
from scapy.layers.inet import TCP, UDP
from scapy.packet import Packet, bind_bottom_up

from nfsrpc.rpcgen.compiler import compile_file
from nfsrpc.rpcgen.python.module import module_name
from nfsrpc.rpcgen.scapy import module as backend
from nfsrpc.rpcgen.scapy.layers import (
    FixedOpaqueField,
    OpaqueField,
    Part,
    Rpc,
    RpcCall,
    RpcRecord,
    RpcReply,
    bind_flavor,
    dissect_port,
)

from .layers import file_read_write, key_prot, mount, nfs_prot, portmap, rpc_msg, rpcb_prot, rpcsec_gss, rquota
from .streams import is_call, is_reply

__all__ = [
    "AuthDhCredential",
    "Rpc",
    "RpcCall",
    "RpcRecord",
    "RpcReply",
    "dissect_port",
    "file_read_write",
    "key_prot",
    "load_spec",
    "mount",
    "nfs_prot",
    "portmap",
    "rpc_msg",
    "rpcb_prot",
    "rpcsec_gss",
    "rquota",
]
_FULL_NAME = 0


class AuthDhCredential(Part):
    """The body of a credential of AUTH_DH: a full name, or a nickname (RFC 2695 §2.1)."""

    name = "AUTH_DH"
    fields_desc: ClassVar[list[Any]] = [
        fields.IntEnumField("namekind", _FULL_NAME, {0: "ADN_FULLNAME", 1: "ADN_NICKNAME"}),
        fields.ConditionalField(OpaqueField("netname", b""), lambda pkt: pkt.namekind == _FULL_NAME),
        fields.ConditionalField(FixedOpaqueField("key", 8), lambda pkt: pkt.namekind == _FULL_NAME),
        fields.ConditionalField(fields.XIntField("window", 0), lambda pkt: pkt.namekind == _FULL_NAME),
        fields.ConditionalField(fields.XIntField("nickname", 0), lambda pkt: pkt.namekind != _FULL_NAME),
    ]


class PerhapsRpc(Packet):
    """A datagram on a port that nobody has told us of: RPC if it begins as RPC does."""

    @classmethod
    def dispatch_hook(cls, data: bytes | None = None, *arguments: Any, **more: Any) -> type[Packet]:
        """`Rpc` for a call of version 2, and for the reply to a call that was seen; else the raw layer."""
        return Rpc if data is None or _begins_message(data) else conf.raw_layer


class PerhapsRecord(Packet):
    """A TCP segment on such a port."""

    @classmethod
    def dispatch_hook(cls, data: bytes | None = None, *arguments: Any, **more: Any) -> type[Packet]:
        """`RpcRecord` where a record mark and a message begin; else the raw layer."""
        return RpcRecord if data is None or _begins_message(data[4:]) else conf.raw_layer

    @classmethod
    def tcp_reassemble(cls, data: bytes, metadata: dict[str, Any], session: dict[str, Any]) -> Packet | None:
        """As `RpcRecord` does, for what is RPC; what is not is let go."""
        if len(data) >= 28 and not _begins_message(data[4:]):
            return conf.raw_layer(data)
        return RpcRecord.tcp_reassemble(data, metadata, session)


def _begins_message(data: bytes) -> bool:
    return is_call(data) or (is_reply(data) and int.from_bytes(data[:4], "big") in RpcCall.calls)


def load_spec(path: Path) -> ModuleType:
    """Compile a .x file and bind its programs; return the module with its packet classes.

    Raises `CompileError`, or `OSError` for a file that cannot be read.
    """
    compiled = compile_file(path)
    module = ModuleType(f"{module_name(compiled.spec)}_scapy")
    (text,) = backend.backend(compiled).values()
    exec(compile(text, str(path), "exec"), module.__dict__)
    return module


bind_flavor(1, rpc_msg.authsys_parms)
bind_flavor(3, AuthDhCredential)
bind_flavor(6, rpcsec_gss.rpc_gss_cred_t)
for _port in (111, 2049):
    dissect_port(_port)
# Without conditions and last of all: only what no other layer claims is looked at.
bind_bottom_up(UDP, PerhapsRpc)
bind_bottom_up(TCP, PerhapsRecord)
