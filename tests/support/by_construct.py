"""Every message as a `construct` declaration, by hand from the RFCs: the second, independent description of the wire.

Nothing here knows the package's codec or compiler. Field names are the RFCs'; a linked list is a ListContainer.
What the flavours of authentication send is in by_construct_auth.py, what a volume is on disk in by_construct_disk.py.
"""

from __future__ import annotations

from construct import (
    Array,
    Bytes,
    Check,
    Computed,
    Construct,
    ExprValidator,
    FocusedSeq,
    If,
    Int32sb,
    Int32ub,
    Pass,
    PrefixedArray,
    Rebuild,
    RepeatUntil,
    Struct,
    Subconstruct,
    Switch,
    ValidationError,
    len_,
    obj_,
    stream_read,
    this,
)

# --- RFC 4506

word, integer = Int32ub, Int32sb
boolean = ExprValidator(Int32ub, obj_ < 2)


class Zeros(Construct):
    """§3: fill bytes, which must be zero."""

    def __init__(self, size):
        super().__init__()
        self.size = size
        self.flagbuildnone = True

    def _parse(self, stream, context, path):
        data = stream_read(stream, self.size(context), path)
        if any(data):
            raise ValidationError("fill bytes that are not zero", path=path)

    def _build(self, obj, stream, context, path):
        stream.write(bytes(self.size(context)))


def opaque(most: int | None = None) -> Construct:
    """§4.10, §4.11: length, bytes, zero fill bytes."""
    return FocusedSeq(
        "data",
        "length" / Rebuild(Int32ub, len_(this.data)),
        Check(lambda ctx: most is None or ctx.length <= most),
        "data" / Bytes(this.length),
        Zeros(lambda ctx: -ctx.length % 4),
    )


def fixed(size: int) -> Construct:
    """§4.9."""
    return FocusedSeq("data", "data" / Bytes(size), Zeros(lambda ctx: -size % 4))


class Chain(Subconstruct):
    """§4.19: a linked list; a TRUE in front of each item, FALSE at the end."""

    def _parse(self, stream, context, path):
        items = []
        while boolean._parsereport(stream, context, path):
            items.append(self.subcon._parsereport(stream, context, path))
        return items

    def _build(self, obj, stream, context, path):
        for item in obj:
            boolean._build(1, stream, context, path)
            self.subcon._build(item, stream, context, path)
        boolean._build(0, stream, context, path)
        return obj


def one_of(*values: int) -> Construct:
    """§4.3: an enumeration."""
    return ExprValidator(Int32sb, lambda value, _: value in values)


def on_success(status: Construct, name: str, body: Construct) -> Construct:
    """§4.15: a union with one arm for 0 and nothing else."""
    return Struct("status" / status, name / If(this.status == 0, body))


# --- RFC 5531: messages

flavor = word
opaque_auth = Struct("flavor" / flavor, "body" / opaque(400))
mismatch_info = Struct("low" / word, "high" / word)
call_body = Struct(
    "rpcvers" / word, "prog" / word, "vers" / word, "proc" / word, "cred" / opaque_auth, "verf" / opaque_auth
)
accepted_reply = Struct(
    "verf" / opaque_auth,
    "stat" / one_of(0, 1, 2, 3, 4, 5),
    "mismatch_info" / If(this.stat == 2, mismatch_info),
)
rejected_reply = Struct(
    "stat" / one_of(0, 1),
    "mismatch_info" / If(this.stat == 0, mismatch_info),
    "auth_stat" / If(this.stat == 1, Int32sb),
)
reply_body = Struct(
    "stat" / one_of(0, 1), "reply" / Switch(this.stat, {0: accepted_reply, 1: rejected_reply})
)
rpc_msg = Struct("xid" / word, "mtype" / one_of(0, 1), "body" / Switch(this.mtype, {0: call_body, 1: reply_body}))
record_fragment = Struct("mark" / word, "last" / Computed(this.mark >> 31), "data" / Bytes(this.mark & 0x7FFFFFFF))
record = RepeatUntil(lambda fragment, *_: fragment.last, record_fragment)

# --- RFC 1094: NFS version 2

STATUSES = (0, 1, 2, 5, 6, 13, 17, 18, 19, 20, 21, 22, 27, 28, 30, 31, 45, 63, 66, 69, 70, 71, 99)
stat = one_of(*STATUSES)
fhandle = Struct("data" / Bytes(32))
filename = opaque(255)
path = opaque(1024)
timeval = Struct("seconds" / word, "useconds" / word)
fattr = Struct(
    "type" / one_of(*range(9)), "mode" / word, "nlink" / word, "uid" / word, "gid" / word, "size" / word,
    "blocksize" / word, "rdev" / word, "blocks" / word, "fsid" / word, "fileid" / word,
    "atime" / timeval, "mtime" / timeval, "ctime" / timeval,
)  # fmt: skip
sattr = Struct(
    "mode" / word, "uid" / word, "gid" / word, "size" / word, "atime" / timeval, "mtime" / timeval
)
attrstat = on_success(stat, "attributes", fattr)
diropargs = Struct("dir" / fhandle, "name" / filename)
diropres = on_success(stat, "diropok", Struct("file" / fhandle, "attributes" / fattr))
createargs = Struct("where" / diropargs, "attributes" / sattr)
only_status = stat
nothing = Pass
NFS2 = {
    0: (nothing, nothing),
    1: (fhandle, attrstat),
    2: (Struct("file" / fhandle, "attributes" / sattr), attrstat),
    3: (nothing, nothing),
    4: (diropargs, diropres),
    5: (fhandle, on_success(stat, "data", path)),
    6: (
        Struct("file" / fhandle, "offset" / word, "count" / word, "totalcount" / word),
        on_success(stat, "reply", Struct("attributes" / fattr, "data" / opaque(8192))),
    ),
    7: (nothing, nothing),
    8: (
        Struct(
            "file" / fhandle, "beginoffset" / word, "offset" / word, "totalcount" / word, "data" / opaque(8192)
        ),
        attrstat,
    ),
    9: (createargs, diropres),
    10: (diropargs, only_status),
    11: (Struct("from" / diropargs, "to" / diropargs), only_status),
    12: (Struct("from" / fhandle, "to" / diropargs), only_status),
    13: (Struct("from" / diropargs, "to" / path, "attributes" / sattr), only_status),
    14: (createargs, diropres),
    15: (diropargs, only_status),
    16: (
        Struct("dir" / fhandle, "cookie" / Bytes(4), "count" / word),
        on_success(
            stat,
            "reply",
            Struct("entries" / Chain(Struct("fileid" / word, "name" / filename, "cookie" / Bytes(4))), "eof" / boolean),
        ),
    ),
    17: (
        fhandle,
        on_success(
            stat, "info", Struct("tsize" / word, "bsize" / word, "blocks" / word, "bfree" / word, "bavail" / word)
        ),
    ),
}

# --- RFC 1094 appendix A: MOUNT

mount_list = Chain(Struct("hostname" / opaque(255), "directory" / path))
export_list = Chain(Struct("filesys" / path, "groups" / Chain(opaque(255))))
fhstatus = on_success(word, "directory", Bytes(32))
MOUNT1 = {
    0: (nothing, nothing),
    1: (path, fhstatus),
    2: (nothing, mount_list),
    3: (path, nothing),
    4: (nothing, nothing),
    5: (nothing, export_list),
    6: (nothing, export_list),
}
short = ExprValidator(Int32sb, lambda value, _: -(1 << 15) <= value < 1 << 15)
pathconf = Struct(
    "link_max" / integer, "max_canon" / short, "max_input" / short, "name_max" / short, "path_max" / short,
    "pipe_buf" / short, "vdisable" / word, "xxx" / integer, "mask" / Array(2, short),
)  # fmt: skip
MOUNT2 = {**MOUNT1, 7: (path, pathconf)}

# --- RFC 1833

mapping = Struct("prog" / word, "vers" / word, "prot" / word, "port" / word)
PORTMAP2 = {
    0: (nothing, nothing),
    1: (mapping, boolean),
    2: (mapping, boolean),
    3: (mapping, word),
    4: (nothing, Chain(mapping)),
    5: (
        Struct("prog" / word, "vers" / word, "proc" / word, "args" / opaque()),
        Struct("port" / word, "res" / opaque()),
    ),
}
rpcb = Struct("prog" / word, "vers" / word, "netid" / opaque(), "addr" / opaque(), "owner" / opaque())
netbuf = Struct("maxlen" / word, "buf" / opaque())
remote = (
    Struct("prog" / word, "vers" / word, "proc" / word, "args" / opaque()),
    Struct("addr" / opaque(), "results" / opaque()),
)
RPCBIND3 = {
    0: (nothing, nothing),
    1: (rpcb, boolean),
    2: (rpcb, boolean),
    3: (rpcb, opaque()),
    4: (nothing, Chain(rpcb)),
    5: remote,
    6: (nothing, word),
    7: (opaque(), netbuf),
    8: (netbuf, opaque()),
}
entry = Struct(
    "maddr" / opaque(), "netid" / opaque(), "semantics" / word, "protofmly" / opaque(), "proto" / opaque()
)
statistics = Struct(
    "info" / Array(13, integer), "setinfo" / integer, "unsetinfo" / integer,
    "addrinfo" / Chain(Struct(
        "prog" / word, "vers" / word, "success" / integer, "failure" / integer, "netid" / opaque())),
    "rmtinfo" / Chain(Struct(
        "prog" / word, "vers" / word, "proc" / word, "success" / integer, "failure" / integer,
        "indirect" / integer, "netid" / opaque())),
)  # fmt: skip
RPCBIND4 = {
    **RPCBIND3,
    9: (rpcb, opaque()),
    10: remote,
    11: (rpcb, Chain(entry)),
    12: (nothing, Array(3, statistics)),
}

# --- Sun's key_prot.x, which <rpcsvc/key_prot.h> of C libraries is made from: the keyserver of AUTH_DH

keystatus = one_of(0, 1, 2, 3)
keybuf, des_block, netname = fixed(48), Bytes(8), opaque(255)
sealed = on_success(keystatus, "deskey", des_block)
KEY1 = {
    1: (keybuf, keystatus),
    2: (Struct("remotename" / netname, "deskey" / des_block), sealed),
    3: (Struct("remotename" / netname, "deskey" / des_block), sealed),
    4: (nothing, des_block),
    5: (
        netname,
        on_success(keystatus, "cred", Struct("uid" / word, "gid" / word, "gids" / PrefixedArray(word, word))),
    ),
}
with_key = Struct("remotename" / netname, "remotekey" / opaque(1024), "deskey" / des_block)
net_keys = Struct("st_priv_key" / keybuf, "st_pub_key" / keybuf, "st_netname" / netname)
KEY2 = {
    **KEY1,
    6: (with_key, sealed),
    7: (with_key, sealed),
    8: (net_keys, keystatus),
    9: (nothing, on_success(keystatus, "knet", net_keys)),
    10: (keybuf, sealed),
}

# --- Sun's rquota.x, <rpcsvc/rquota.h>: quotas

quota = Struct(
    "bsize" / integer, "active" / boolean, "bhardlimit" / word, "bsoftlimit" / word, "curblocks" / word,
    "fhardlimit" / word, "fsoftlimit" / word, "curfiles" / word, "btimeleft" / word, "ftimeleft" / word,
)  # fmt: skip
quota_result = Struct("status" / one_of(1, 2, 3), "quota" / If(this.status == 1, quota))
old_question = Struct("path" / path, "uid" / integer)
new_question = Struct("path" / path, "type" / integer, "id" / integer)
QUOTA1 = {1: (old_question, quota_result), 2: (old_question, quota_result)}
QUOTA2 = {1: (new_question, quota_result), 2: (new_question, quota_result)}

# --- the file service of the RPC textbooks (README, tutorial)

FILES2 = {
    1: (Struct("f" / integer, "position" / integer, "data" / opaque(1000)), nothing),
    2: (Struct("f" / integer, "position" / integer, "length" / integer), opaque(1000)),
}
PROGRAMS = {
    (100003, 2): NFS2,
    (100005, 1): MOUNT1,
    (100005, 2): MOUNT2,
    (100000, 2): PORTMAP2,
    (100000, 3): RPCBIND3,
    (100000, 4): RPCBIND4,
    (100029, 1): KEY1,
    (100029, 2): KEY2,
    (100011, 1): QUOTA1,
    (100011, 2): QUOTA2,
    (9999, 2): FILES2,
}


def leaves(value):
    """Numbers and bytes of a value in the order of the wire, whatever holds them."""
    if isinstance(value, dict):
        for name, item in value.items():
            if not str(name).startswith("_"):
                yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif hasattr(value, "__slots__") and not isinstance(value, (int, bytes)):
        for name in value.__slots__:
            yield from leaves(getattr(value, name))
    elif value is not None:
        yield bytes(value) if isinstance(value, (bytes, bytearray)) else int(value)
