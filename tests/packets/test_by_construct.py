"""The codec and the volume agree with declarations made by hand: every message both ways, and the superblock."""

from __future__ import annotations

from pathlib import Path

import by_construct as hand
import pytest
from construct import Container, StreamError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from xdr_values import Values, module_of

from nfsrpc.rpc.message import NULL_AUTH, OpaqueAuth, accepted, auth_error, decode_call, encode_call, rpc_mismatch
from nfsrpc.rpc.message import success as success_header
from nfsrpc.rpc.record import frame
from nfsrpc.rpcgen.compiler import compile_file
from nfsrpc.rpcgen.model import Void
from nfsrpc.store.volume.make import make_volume
from nfsrpc.xdr import DEFAULT_LIMITS, Record

SPECS = Path(__file__).parents[2] / "xdr_specs"


def procedures():
    for stem in ("nfs_prot", "mount", "portmap", "rpcb_prot"):
        spec = compile_file(SPECS / f"{stem}.x").spec
        module = module_of(spec)
        for program in spec.programs:
            for version in program.versions:
                service = getattr(module, f"{program.name}_{version.number}_service")
                for procedure in version.procedures:
                    key = (program.number, version.number, procedure.number)
                    name = f"{program.name} {version.number} {procedure.name}"
                    ours = service.procedures[procedure.number]
                    yield pytest.param(Values(spec, module), procedure, ours, key, id=name)


def leaves(value):
    """Numbers and bytes of a value in the order of the wire, whatever holds them."""
    if isinstance(value, Record):
        for name in value.__slots__:
            yield from leaves(getattr(value, name))
    elif isinstance(value, (Container, dict)):
        for name, item in value.items():
            if not str(name).startswith("_"):
                yield from leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from leaves(item)
    elif value is not None:
        yield bytes(value) if isinstance(value, (bytes, bytearray)) else int(value)


def same(declared, data, value):
    parsed = declared.parse(data)
    assert list(leaves(parsed)) == list(leaves(value))
    assert declared.build(parsed) == data


@pytest.mark.parametrize(("values", "described", "procedure", "key"), list(procedures()))
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_arguments_and_results(values, described, procedure, key, data):
    arguments, result = hand.PROGRAMS[key[:2]][key[2]]
    given_arguments = tuple(data.draw(values.of(f.type, 0)) for f in described.arguments)
    out: list[bytes] = []
    procedure.encode_args(given_arguments, out)
    same(arguments, b"".join(out), given_arguments)
    given_result = data.draw(values.of(described.result, 0)) if not isinstance(described.result, Void) else None
    out = []
    procedure.encode_result(given_result, out)
    message = b"".join(out)
    same(result, message, given_result)
    back, end = procedure.decode_result(message, 0, DEFAULT_LIMITS)
    assert (back, end) == (given_result, len(message))


def test_every_procedure_is_declared():
    declared = {(*program, number) for program, table in hand.PROGRAMS.items() for number in table}
    assert declared == {parameter.values[3] for parameter in procedures()}


words = st.integers(0, 2**32 - 1)
bodies = st.binary(max_size=400)
auths = st.tuples(st.integers(0, 2**31 - 1), bodies).map(lambda pair: OpaqueAuth(*pair))


@given(xid=words, program=words, version=words, procedure=words, cred=auths, verf=auths)
def test_call_headers(xid, program, version, procedure, cred, verf):
    message = encode_call(xid, program, version, procedure, cred, verf)
    parsed = hand.rpc_msg.parse(message)
    assert list(leaves(parsed)) == [xid, 0, 2, program, version, procedure, *cred, *verf]
    assert hand.rpc_msg.build(parsed) == message
    header = decode_call(message)
    assert header[:6] == (xid, program, version, procedure, cred, verf)
    assert (header.verifier_at, header.body) == (32 + len(cred.body) + -len(cred.body) % 4, len(message))


REPLIES = {
    "success": (success_header(7), [7, 1, 0, 0, b"", 0]),
    "success with a verifier": (success_header(7, OpaqueAuth(6, b"proof")), [7, 1, 0, 6, b"proof", 0]),
    **{f"accept_stat {n}": (accepted(7, n, NULL_AUTH), [7, 1, 0, 0, b"", n]) for n in (1, 3, 4, 5)},
    "RPC mismatch": (rpc_mismatch(7), [7, 1, 1, 0, 2, 2]),
    **{f"auth_stat {n}": (auth_error(7, n), [7, 1, 1, 1, n]) for n in range(1, 15)},
}


@pytest.mark.parametrize(("message", "values"), REPLIES.values(), ids=REPLIES)
def test_reply_headers(message, values):
    parsed = hand.rpc_msg.parse(message)
    assert list(leaves(parsed)) == values
    assert hand.rpc_msg.build(parsed) == message


@given(parts=st.lists(st.binary(max_size=50), min_size=1, max_size=4))
def test_record_marks(parts):
    (fragment,) = hand.record.parse(b"".join(frame(parts)))
    assert fragment.data == b"".join(parts)


def test_the_declarations_are_strict():
    for broken in (b"\0\0\0\1x\0\0\1", b"\0\0\0\2x"):
        with pytest.raises(Exception, match=r".*"):
            hand.opaque().parse(broken)
    with pytest.raises(StreamError):
        hand.fattr.parse(bytes(67))


def test_superblock_and_handles(tmp_path, make_volume_site):
    site = make_volume_site(tmp_path / "volume")
    raw = (tmp_path / "volume" / "superblock").read_bytes()
    copies = [hand.superblock.parse(raw[at : at + 512]).body.value for at in hand.SUPERBLOCK_COPIES if raw[at:]]
    newest = max(copies, key=lambda copy: copy.sequence)
    for copy in copies:
        assert hand.superblock.build({"body": {"value": copy}}) in raw
    found = hand.handle.parse(site.root)
    assert (found.kind, found.flags, found.spare) == (1, 0, 0)
    assert (found.fsid, found.inode, found.generation) == (newest.fsid, newest.root, newest.root_generation)
    assert found.mac == hand.handle_mac(site.root, newest.key)
    assert newest.reserved > newest.root_generation


@pytest.fixture
def make_volume_site():
    """Makes a volume and exports it; `root` is the handle of its top directory."""
    from types import SimpleNamespace

    from nfsrpc.nfs.exports import Exports, ExportSpec
    from nfsrpc.store.volume.lock import VolumeLock
    from nfsrpc.store.volume.volume import Volume

    opened = []

    def make(path):
        make_volume(path, uid=0, gid=0, mode=0o755)
        lock = VolumeLock(path)
        volume = Volume(path, lock)
        opened.extend((volume.close, lock.release))
        (export,) = Exports([ExportSpec(b"/vol", str(path))], {str(path): volume})
        return SimpleNamespace(root=export.handle(volume.root))

    yield make
    for close in opened:
        close()
