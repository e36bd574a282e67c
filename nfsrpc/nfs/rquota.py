"""The remote quota program, versions 1 and 2 (Sun's ``rquota``): what quota(1) on a client asks for.

There is no RFC. Limits are hard, so soft ones are the same and no time of
grace runs. Users have quotas here, groups have none. Setting quotas is not
served: an administrator does that where the volume is.
"""

from nfsrpc.protocols import rquota as rq
from nfsrpc.rpc.dispatch import Binding, Call
from nfsrpc.rpc.message import Rejected
from nfsrpc.store import Quota

from .exports import Exports
from .identity import Identity
from .paths import normal_path

_BLOCK = 1024
_BLOCK_MAX = 1 << 30
_UNSIGNED = 0xFFFF_FFFF
_NO_QUOTA = rq.getquota_rslt(rq.gqr_status.Q_NOQUOTA)
_REFUSED = rq.getquota_rslt(rq.gqr_status.Q_EPERM)


class _Quotas:
    """What both versions do."""

    def __init__(self, exports: Exports) -> None:
        self._exports = exports

    def _of_user(self, path: bytes, uid: int, call: Call) -> rq.getquota_rslt:
        """The quota of `uid` in the store behind `path`. Everybody may ask for his own, root for everybody's.

        Like NFS itself it is for clients that the export lets in, and for callers it believes.
        """
        uid &= _UNSIGNED
        try:
            found = self._exports.under(normal_path(path))
            if found is None:
                return _NO_QUOTA
            export, _ = found
            who: Identity = export.admit(call.peer, call.principal)
        except ValueError:
            return _NO_QUOTA
        except (OSError, Rejected):
            return _REFUSED
        if uid != who.uid and not who.is_root:
            return _REFUSED
        export.store.begin(changing=False)
        try:
            quota = export.store.quota(uid)
        finally:
            export.store.commit()
        return _NO_QUOTA if quota is None else rq.getquota_rslt(rq.gqr_status.Q_OK, rquota_of(quota))


def rquota_of(quota: Quota) -> rq.rquota:
    """`quota` on the wire. Blocks are as large as it takes to count them in 32 bits."""
    block = _BLOCK
    while max(quota.bytes_limit, quota.bytes_used) // block >= _UNSIGNED and block < _BLOCK_MAX:
        block *= 2
    limit = min(-(-quota.bytes_limit // block), _UNSIGNED)
    files = min(quota.inodes_limit, _UNSIGNED)
    return rq.rquota(
        rq_bsize=block,
        rq_active=True,
        rq_bhardlimit=limit,
        rq_bsoftlimit=limit,
        rq_curblocks=min(-(-quota.bytes_used // block), _UNSIGNED),
        rq_fhardlimit=files,
        rq_fsoftlimit=files,
        rq_curfiles=min(quota.inodes_used, _UNSIGNED),
        rq_btimeleft=0,
        rq_ftimeleft=0,
    )


class Rquota1(_Quotas, rq.RQUOTAPROG_1_service):
    """Version 1: users."""

    def RQUOTAPROC_GETQUOTA(self, arg: rq.getquota_args, call: Call) -> rq.getquota_rslt:
        """The quota of a user."""
        return self._of_user(arg.gqa_pathp, arg.gqa_uid, call)

    def RQUOTAPROC_GETACTIVEQUOTA(self, arg: rq.getquota_args, call: Call) -> rq.getquota_rslt:
        """The same: what is limited is enforced."""
        return self._of_user(arg.gqa_pathp, arg.gqa_uid, call)


class Rquota2(_Quotas, rq.RQUOTAPROG_2_service):
    """Version 2: users and groups."""

    def RQUOTAPROC_GETQUOTA(self, arg: rq.ext_getquota_args, call: Call) -> rq.getquota_rslt:
        """The quota of a user; groups have none."""
        if arg.gqa_type != rq.RQUOTA_USRQUOTA:
            return _NO_QUOTA
        return self._of_user(arg.gqa_pathp, arg.gqa_id, call)

    def RQUOTAPROC_GETACTIVEQUOTA(self, arg: rq.ext_getquota_args, call: Call) -> rq.getquota_rslt:
        """The same: what is limited is enforced."""
        return self.RQUOTAPROC_GETQUOTA(arg, call)


def bindings(exports: Exports) -> list[Binding]:
    """Both versions, as the dispatcher serves them."""
    return [Binding(Rquota1(exports)), Binding(Rquota2(exports))]
