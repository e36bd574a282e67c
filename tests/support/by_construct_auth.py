"""What the flavours of authentication send: `construct` declarations by hand from RFCs 5531, 2695, 2203, 5403, 9289."""

from __future__ import annotations

from by_construct import one_of, opaque, opaque_auth, word
from construct import Bytes, Check, Const, ExprValidator, Int32ub, PrefixedArray, Struct, Switch, Terminated, this

# --- RFC 5531 appendix A: AUTH_SYS; AUTH_SHORT, whose reply verifier holds an opaque_auth

authsys_parms = Struct(
    "stamp" / word, "machinename" / opaque(255), "uid" / word, "gid" / word,
    "gids" / ExprValidator(PrefixedArray(word, word), lambda gids, _: len(gids) <= 16),
    Terminated,
)  # fmt: skip
short_verifier = Struct("flavor" / Const(2, Int32ub), "body" / opaque(400), Terminated)

# --- RFC 2695 §2: AUTH_DH

des_block = Bytes(8)
dh_credential = Struct(
    "namekind" / one_of(0, 1),
    "name" / Switch(this.namekind, {
        0: Struct("name" / opaque(255), "key" / des_block, "window" / Bytes(4)),
        1: Bytes(4),
    }),
    Terminated,
)  # fmt: skip
dh_call_verifier = Struct("timestamp" / des_block, "winverf" / Bytes(4), Terminated)
dh_reply_verifier = Struct("timeverf" / des_block, "nickname" / Bytes(4), Terminated)
timestamp = Struct("seconds" / word, "useconds" / ExprValidator(word, lambda value, _: value < 1_000_000))
dh_full_secret = Struct(
    "timestamp" / timestamp, "window" / word, "winverf" / word, Check(this.winverf == this.window - 1)
)
"""§2.2: what a full name encrypts in one piece; its third word is `window`, its fourth `winverf`."""

# --- RFC 2203 §5, RFC 5403 §2: RPCSEC_GSS

gss_data = Struct(
    "gss_proc" / one_of(0, 1, 2, 3, 4), "seq_num" / word, "service" / one_of(1, 2, 3, 4), "handle" / opaque()
)
gss_credential = Struct("version" / one_of(1, 2), "body" / gss_data)
gss_init_arg = Struct("gss_token" / opaque())
gss_init_res = Struct(
    "handle" / opaque(), "gss_major" / word, "gss_minor" / word, "seq_window" / word, "gss_token" / opaque()
)
gss_integ_data = Struct("databody_integ" / opaque(), "checksum" / opaque())
gss_priv_data = Struct("databody_priv" / opaque())

# --- RFC 5403 §3.3: BIND_CHANNEL of version 2

bind_in_args = Struct("hash" / opaque())
bind_verf_args = Struct("prefix" / opaque(), "oid" / opaque(), "mic" / opaque())
bind_res = Struct(
    "stat" / one_of(0, 1, 2),
    "list" / Switch(this.stat, {1: PrefixedArray(word, opaque()), 2: PrefixedArray(word, opaque())}),
)
bind_in_res = Struct("seq_num" / word, "hash" / opaque(), "res" / bind_res)
bind_verf_res = Struct("res" / bind_res, "mic" / opaque())

# --- RFC 9289 §4.1: a NULL call of flavour 7 asks for TLS; the reply's verifier says yes

starttls = Struct("flavor" / Const(0, Int32ub), "body" / opaque(8), Check(this.body == b"STARTTLS"))

TYPES = {
    "rpc_msg": {"opaque_auth": opaque_auth, "authsys_parms": authsys_parms},
    "rpcsec_gss": {
        "rpc_gss_cred_t": gss_credential, "rpc_gss_init_arg": gss_init_arg, "rpc_gss_init_res": gss_init_res,
        "rpc_gss_integ_data": gss_integ_data, "rpc_gss_priv_data": gss_priv_data,
        "rgss2_bind_chan_MIC_in_args": bind_in_args, "rgss2_bind_chan_verf_args": bind_verf_args,
        "rgss2_bind_chan_res": bind_res, "rgss2_bind_chan_MIC_in_res": bind_in_res,
        "rgss2_bind_chan_verf_res": bind_verf_res,
    },
}  # fmt: skip
"""Declarations of types that no procedure has, by .x file and name there."""
